//! Models of what callers of the registry tell its distribution.

use loom::thread;

use super::Bell;
use crate::sync::{Arc, AtomicU32, Ordering, check, park_timeout};

/// Wakes `sleeper` from now on.
fn wire(bell: &Bell, sleeper: &thread::JoinHandle<()>) {
    bell.wakes([sleeper.thread().clone()]);
}

fn sleep() {
    park_timeout(std::time::Duration::MAX);
}

/// What is changed while an earlier state is being published is published in
/// the end: were a ring lost, the publisher would sleep for ever.
#[test]
fn a_change_during_a_publication_is_not_lost() {
    check(3, || {
        let bell = Arc::new(Bell::new());
        let value = Arc::new(AtomicU32::new(0));
        let (heard, read) = (Arc::clone(&bell), Arc::clone(&value));
        let publisher = thread::spawn(move || {
            loop {
                heard.answer();
                // Relaxed: it is the bell that makes the change seen.
                let published = read.load(Ordering::Relaxed);
                if published == 2 {
                    return;
                }
                sleep();
            }
        });
        wire(&bell, &publisher);
        for latest in 1..=2 {
            value.store(latest, Ordering::Relaxed);
            bell.changed();
        }
        publisher.join().unwrap();
    });
}

/// Of two callers who change at once, neither's change is overlooked.
#[test]
fn two_changes_at_once_are_both_seen() {
    check(2, || {
        let bell = Arc::new(Bell::new());
        let values = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        let (heard, read) = (Arc::clone(&bell), Arc::clone(&values));
        let publisher = thread::spawn(move || {
            loop {
                heard.answer();
                if read.iter().all(|value| value.load(Ordering::Relaxed) == 1) {
                    return;
                }
                sleep();
            }
        });
        wire(&bell, &publisher);
        let (rings, writes) = (Arc::clone(&bell), Arc::clone(&values));
        let other = thread::spawn(move || {
            writes[1].store(1, Ordering::Relaxed);
            rings.changed();
        });
        values[0].store(1, Ordering::Relaxed);
        bell.changed();
        other.join().unwrap();
        publisher.join().unwrap();
    });
}

/// A worker that sleeps, or is about to, hears that all is to end, also when a
/// miss was rung just before.
#[test]
fn the_end_wakes_a_worker() {
    check(3, || {
        let bell = Arc::new(Bell::new());
        let heard = Arc::clone(&bell);
        let worker = thread::spawn(move || {
            while !heard.is_stopped() {
                heard.answer();
                if heard.is_silent() {
                    sleep();
                }
            }
        });
        wire(&bell, &worker);
        bell.missed();
        bell.stop();
        worker.join().unwrap();
    });
}
