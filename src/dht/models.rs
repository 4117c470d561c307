//! Models of what callers of the registry tell its distribution.

use loom::thread;

use super::wake_flags::WakeFlags;
use crate::sync::{Arc, AtomicU32, Ordering, check, park_timeout};

/// Wakes `sleeper` from now on.
fn wire(wake_flags: &WakeFlags, sleeper: &thread::JoinHandle<()>) {
    wake_flags.set_workers([sleeper.thread().clone()]);
}

fn sleep() {
    park_timeout(std::time::Duration::MAX);
}

/// What is changed while an earlier state is being published is published in
/// the end: were a ring lost, the publisher would sleep for ever.
#[test]
fn a_change_during_a_publication_is_not_lost() {
    check(3, || {
        let wake_flags = Arc::new(WakeFlags::new());
        let value = Arc::new(AtomicU32::new(0));
        let (heard, read) = (Arc::clone(&wake_flags), Arc::clone(&value));
        let publisher = thread::spawn(move || {
            loop {
                heard.take();
                // Relaxed: it is the wake_flags that makes the change seen.
                let published = read.load(Ordering::Relaxed);
                if published == 2 {
                    return;
                }
                sleep();
            }
        });
        wire(&wake_flags, &publisher);
        for latest in 1..=2 {
            value.store(latest, Ordering::Relaxed);
            wake_flags.notify_changed();
        }
        publisher.join().unwrap();
    });
}

/// Of two callers who change at once, neither's change is overlooked.
#[test]
fn two_changes_at_once_are_both_seen() {
    check(2, || {
        let wake_flags = Arc::new(WakeFlags::new());
        let values = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        let (heard, read) = (Arc::clone(&wake_flags), Arc::clone(&values));
        let publisher = thread::spawn(move || {
            loop {
                heard.take();
                if read.iter().all(|value| value.load(Ordering::Relaxed) == 1) {
                    return;
                }
                sleep();
            }
        });
        wire(&wake_flags, &publisher);
        let (flags, writes) = (Arc::clone(&wake_flags), Arc::clone(&values));
        let other = thread::spawn(move || {
            writes[1].store(1, Ordering::Relaxed);
            flags.notify_changed();
        });
        values[0].store(1, Ordering::Relaxed);
        wake_flags.notify_changed();
        other.join().unwrap();
        publisher.join().unwrap();
    });
}

/// A worker that sleeps, or is about to, hears that all is to end, also when a
/// miss was rung just before.
#[test]
fn the_end_wakes_a_worker() {
    check(3, || {
        let wake_flags = Arc::new(WakeFlags::new());
        let heard = Arc::clone(&wake_flags);
        let worker = thread::spawn(move || {
            while !heard.is_stopped() {
                heard.take();
                if heard.is_clear() {
                    sleep();
                }
            }
        });
        wire(&wake_flags, &worker);
        wake_flags.notify_miss();
        wake_flags.stop();
        worker.join().unwrap();
    });
}
