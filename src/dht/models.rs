//! Models of the wake flags.

use loom::thread;

use super::wake_flags::WakeFlags;
use crate::sync::{Arc, AtomicU32, Ordering, check, park_timeout};

fn set_worker(wake_flags: &WakeFlags, worker: &thread::JoinHandle<()>) {
    wake_flags.set_workers([worker.thread().clone()]);
}

fn sleep() {
    park_timeout(std::time::Duration::MAX);
}

/// A change during the publication of an earlier state is published, too. If a flag were
/// lost, the publisher would never wake.
#[test]
fn a_change_during_a_publication_is_not_lost() {
    check(3, || {
        let wake_flags = Arc::new(WakeFlags::new());
        let value = Arc::new(AtomicU32::new(0));
        let (worker_flags, read) = (Arc::clone(&wake_flags), Arc::clone(&value));
        let publisher = thread::spawn(move || {
            loop {
                worker_flags.take();
                // Relaxed: the wake flags order the change before this load.
                let published = read.load(Ordering::Relaxed);
                if published == 2 {
                    return;
                }
                sleep();
            }
        });
        set_worker(&wake_flags, &publisher);
        for latest in 1..=2 {
            value.store(latest, Ordering::Relaxed);
            wake_flags.notify_changed();
        }
        publisher.join().unwrap();
    });
}

/// If two callers change different values, the publisher sees both changes.
#[test]
fn two_changes_at_once_are_both_seen() {
    check(2, || {
        let wake_flags = Arc::new(WakeFlags::new());
        let values = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        let (worker_flags, read) = (Arc::clone(&wake_flags), Arc::clone(&values));
        let publisher = thread::spawn(move || {
            loop {
                worker_flags.take();
                if read.iter().all(|value| value.load(Ordering::Relaxed) == 1) {
                    return;
                }
                sleep();
            }
        });
        set_worker(&wake_flags, &publisher);
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

/// A stop wakes a worker that sleeps or is about to, also if another flag was set just before.
#[test]
fn a_stop_wakes_a_worker() {
    check(3, || {
        let wake_flags = Arc::new(WakeFlags::new());
        let worker_flags = Arc::clone(&wake_flags);
        let worker = thread::spawn(move || {
            while !worker_flags.is_stopped() {
                worker_flags.take();
                if worker_flags.is_clear() {
                    sleep();
                }
            }
        });
        set_worker(&wake_flags, &worker);
        wake_flags.notify_miss();
        wake_flags.stop();
        worker.join().unwrap();
    });
}
