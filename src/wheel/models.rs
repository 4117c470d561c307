//! Models of the inbox: no deadline is lost.

use super::Inbox;
use crate::sync::{Arc, AtomicU32, AtomicU64, Ordering, check};
use loom::thread;

/// Two records with deadlines, and the inbox that they are pushed to.
#[derive(Default)]
struct World {
    inbox: Inbox,
    links: [AtomicU32; 2],
    deadlines: [AtomicU64; 2],
}

impl World {
    fn set(&self, index: u32, deadline: u64) {
        self.deadlines[index as usize].store(deadline, Ordering::Relaxed);
        self.inbox.push(index, &self.links[index as usize]);
    }

    /// Reads the deadlines of all queued records.
    fn drain(&self, known: &mut [u64; 2]) {
        self.inbox.drain(
            |index| &self.links[index as usize],
            |index| {
                known[index as usize] = self.deadlines[index as usize].load(Ordering::Relaxed);
            },
        );
    }
}

#[test]
fn the_wheel_reads_the_last_deadline_of_each_record() {
    check(3, || {
        let world = Arc::new(World::default());
        let other = Arc::clone(&world);
        let pushing = thread::spawn(move || {
            other.set(0, 10);
            other.set(1, 20);
            other.set(0, 5);
        });
        let mut known = [0; 2];
        world.drain(&mut known);
        pushing.join().unwrap();
        world.drain(&mut known);
        assert_eq!(known, [5, 20]);
    });
}

/// A thread that finds its record queued already relies on the draining thread.
#[test]
fn a_push_of_a_queued_record_is_not_lost() {
    check(3, || {
        let world = Arc::new(World::default());
        world.set(0, 10);
        let other = Arc::clone(&world);
        let pushing = thread::spawn(move || other.set(0, 5));
        let mut known = [0; 2];
        world.drain(&mut known);
        // Drained by a third thread, so that joining brings no order between the two.
        let last = Arc::clone(&world);
        let draining = thread::spawn(move || {
            last.drain(&mut known);
            known
        });
        pushing.join().unwrap();
        let mut known = draining.join().unwrap();
        world.drain(&mut known);
        assert_eq!(known[0], 5);
    });
}

/// A thread raises the tick and drains, while another pushes a deadline that has passed then.
fn is_read_or_late(is_queued: bool) {
    check(3, move || {
        let (world, tick) = (Arc::new(World::default()), Arc::new(AtomicU64::default()));
        if is_queued {
            world.set(0, 10);
        }
        let (other, seen) = (Arc::clone(&world), Arc::clone(&tick));
        let pushing = thread::spawn(move || {
            other.set(0, 1);
            seen.load(Ordering::Relaxed)
        });
        tick.store(1, Ordering::Relaxed);
        let mut known = [0; 2];
        world.drain(&mut known);
        let is_late = pushing.join().unwrap() == 1;
        assert!(is_late || known[0] == 1);
    });
}

#[test]
fn a_deadline_is_read_by_a_drain_or_seen_to_have_passed() {
    is_read_or_late(false);
}

#[test]
fn a_deadline_of_a_queued_record_is_read_by_a_drain_or_seen_to_have_passed() {
    is_read_or_late(true);
}
