//! Models of what waits: it is woken, at whatever step it and the other thread are. In a
//! model a parked thread stays parked until it is woken.

use crate::events::latch::Latch;
use crate::events::wakers::waker_of_this_thread;
use crate::events::{Event, EventLog, Events};
use crate::relay::NodeId;
use crate::sync::{Arc, AtomicU32, Ordering, check};
use loom::thread;
use std::time::Duration;

fn left(n: u8) -> Event {
    Event::Left {
        id: NodeId::from([n; 32]),
        tick: 0,
    }
}

/// Waits for the next event, for as long as it takes.
fn receive(events: &Events) -> Option<Event> {
    events.recv(Duration::MAX).ok()
}

#[test]
fn a_thread_that_waits_for_an_event_is_woken() {
    check(3, || {
        let log = Arc::new(EventLog::new(4));
        let events = Events::new(Arc::clone(&log));
        let publishes = Arc::clone(&log);
        let other = thread::spawn(move || {
            for n in 1..=2 {
                let _wakes = publishes.wake_guard();
                publishes.publish(|| Some(left(n)));
            }
        });
        assert_eq!(receive(&events), Some(left(1)));
        assert_eq!(receive(&events), Some(left(2)));
        other.join().unwrap();
    });
}

/// One of the two wakes for both events, and the reader gets both.
#[test]
fn a_thread_that_waits_is_woken_by_either_of_two_publishers() {
    check(2, || {
        let log = Arc::new(EventLog::new(4));
        let events = Events::new(Arc::clone(&log));
        let publish = |n| {
            let log = Arc::clone(&log);
            thread::spawn(move || {
                let _wakes = log.wake_guard();
                log.publish(|| Some(left(n)));
            })
        };
        let publishers = [publish(1), publish(2)];
        let first = receive(&events);
        let second = receive(&events);
        assert!(first.is_some() && second.is_some() && first != second);
        for publisher in publishers {
            publisher.join().unwrap();
        }
    });
}

#[test]
fn a_thread_that_waits_for_an_event_is_woken_by_the_end() {
    check(3, || {
        let log = Arc::new(EventLog::new(4));
        let events = Events::new(Arc::clone(&log));
        let closes = Arc::clone(&log);
        let other = thread::spawn(move || closes.close());
        assert_eq!(receive(&events), None);
        other.join().unwrap();
    });
}

/// A relay becomes eligible while a call begins to wait for one: the search that follows finds
/// it, or the call is woken.
#[test]
fn a_thread_that_waits_for_a_relay_is_woken() {
    check(3, || {
        let log = Arc::new(EventLog::new(4));
        let eligible = Arc::new(AtomicU32::new(0));
        let (changes, changed) = (Arc::clone(&log), Arc::clone(&eligible));
        let other = thread::spawn(move || {
            let _wakes = changes.wake_guard();
            // Relaxed: the fence of the guard orders it.
            changed.store(1, Ordering::Relaxed);
        });
        let (waker, mut waiting) = (waker_of_this_thread(), log.wait_for_relay());
        loop {
            log.register_finder(&mut waiting, &waker);
            if eligible.load(Ordering::Relaxed) == 1 {
                break;
            }
            thread::park();
        }
        drop(waiting);
        other.join().unwrap();
    });
}

/// The same for a change by a sequentially consistent read-modify-write, which another thread may
/// have made.
#[test]
fn a_transition_beside_a_subscription_is_seen_or_published() {
    for is_made_by_another in [false, true] {
        check(3, move || {
            let log = Arc::new(EventLog::new(4));
            let changed = Arc::new(AtomicU32::new(0));
            let change = |changed: &AtomicU32| {
                _ = changed.compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst);
            };
            let (publishes, changes) = (Arc::clone(&log), Arc::clone(&changed));
            let other = thread::spawn(move || {
                change(&changes);
                publishes.publish_in_order(|| Some(left(1)));
            });
            let helps = Arc::clone(&changed);
            let helper = is_made_by_another.then(|| thread::spawn(move || change(&helps)));
            let events = Events::new(Arc::clone(&log));
            let is_seen = changed.load(Ordering::Relaxed) == 1;
            other.join().unwrap();
            helper.into_iter().for_each(|it| it.join().unwrap());
            assert!(is_seen || events.try_recv().is_ok());
        });
    }
}

/// A subscriber begins while another thread changes something: it sees the result, or the
/// event.
#[test]
fn a_change_beside_a_subscription_is_seen_or_published() {
    check(3, || {
        let log = Arc::new(EventLog::new(4));
        let changed = Arc::new(AtomicU32::new(0));
        let (publishes, changes) = (Arc::clone(&log), Arc::clone(&changed));
        let other = thread::spawn(move || {
            // Relaxed: the fences order it.
            changes.store(1, Ordering::Relaxed);
            publishes.publish(|| Some(left(1)));
        });
        let events = Events::new(Arc::clone(&log));
        let is_seen = changed.load(Ordering::Relaxed) == 1;
        other.join().unwrap();
        assert!(is_seen || events.try_recv().is_ok());
    });
}

/// The task that waits sees what the thread did before it ended.
#[test]
fn the_end_of_the_last_thread_wakes_what_waits_for_it() {
    check(3, || {
        let latch = Arc::new(Latch::default());
        let done = Arc::new(AtomicU32::new(0));
        let threads = [1, 2].map(|_| {
            let (running, done) = (latch.enter(), Arc::clone(&done));
            thread::spawn(move || {
                done.fetch_add(1, Ordering::Relaxed);
                drop(running);
            })
        });
        let (waker, mut opened) = (waker_of_this_thread(), std::pin::pin!(latch.opened()));
        let mut context = std::task::Context::from_waker(&waker);
        while opened.as_mut().poll(&mut context).is_pending() {
            thread::park();
        }
        assert_eq!(done.load(Ordering::Relaxed), 2);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}
