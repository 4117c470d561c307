//! The model of the time in which pinned threads may use what a merge has replaced. It says
//! something with real epochs alone: those of models never end.

use super::*;
use crate::sync::{AtomicBool, AtomicU32, Grace, Ordering};

/// A thread that is pinned reads which of two things is in force, and uses it. The other thread
/// replaces the first one, and ends it once its grace is over.
#[test]
fn what_a_pinned_thread_has_read_is_there_while_it_is_pinned() {
    check(2, || {
        let in_force = Arc::new(AtomicU32::new(0));
        let is_ended = Arc::new(AtomicBool::new(false));
        let (reads, ends) = (Arc::clone(&in_force), Arc::clone(&is_ended));
        let using = thread::spawn(move || {
            let guard = epoch::pin();
            let read = reads.load(Ordering::Acquire);
            yield_point();
            // Relaxed: it must not be so, whatever else this thread sees.
            assert!(read == 1 || !ends.load(Ordering::Relaxed));
            drop(guard);
        });
        let grace = {
            let guard = epoch::pin();
            in_force.store(1, Ordering::Release);
            Grace::begin(&guard)
        };
        epoch::collect();
        if grace.is_over() {
            is_ended.store(true, Ordering::Relaxed);
        }
        using.join().unwrap();
    });
}
