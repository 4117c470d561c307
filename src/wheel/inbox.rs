//! How records reach the wheel without a lock.
//!
//! The inbox is a stack linked through the records themselves. It needs no memory of its
//! own, and a record that is in it already is not pushed again. Maintenance drains the
//! whole stack at once.
//!
//! # Why no deadline is lost
//!
//! A thread sets the deadline first, and then the flag `QUEUED` in the record's link. If
//! the flag was set already, the draining thread has yet to clear it, and reads the
//! deadline only after that. Links are changed by read-modify-writes only. So the thread
//! that clears the flag acquires what every pushing thread released, also what those
//! released that found it set.
//!
//! # Why no deadline passes unseen
//!
//! A thread that drains has read the tick before, and a thread that pushes reads it afterwards.
//! Both change the word on top, or the link. If the pushing thread came first, the draining
//! one reads the deadline. Otherwise the pushing thread sees the tick, and so that its deadline
//! has passed.
//!
//! One case is left: a thread is delayed between the two steps of its push, another one finds the
//! record queued, and its deadline passes meanwhile, a whole TTL later. A sweep does not know of it
//! before the first thread goes on. Until then the relay is not found, as all calls compare
//! deadlines, but it has a place.

use crate::sync::{AtomicU32, Ordering};

/// The record is in the stack.
const QUEUED: u32 = 1 << 31;

/// Indices of records whose deadline the wheel has yet to read.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// Index plus one of the record on top, or zero.
    top: AtomicU32,
}

impl Inbox {
    /// Adds the record at `index`, whose link this is.
    pub(crate) fn push(&self, index: u32, link: &AtomicU32) {
        // Relaxed, twice, and on failure: the compare-and-swaps decide.
        let mut top = self.top.load(Ordering::Relaxed);
        let is_new = link.load(Ordering::Relaxed) == 0
            // AcqRel, three times: see the module's description.
            && link
                .compare_exchange(0, QUEUED | top, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok();
        if !is_new {
            if link.fetch_or(QUEUED, Ordering::AcqRel) & QUEUED != 0 {
                return;
            }
            // It was taken out in between.
            link.swap(QUEUED | top, Ordering::AcqRel);
        }
        loop {
            // Release: publishes the link. Acquire: sees the tick of the last drain.
            match self.top.compare_exchange_weak(
                top,
                index + 1,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(current) => top = current,
            }
            // AcqRel: passes on what other pushing threads released.
            link.swap(QUEUED | top, Ordering::AcqRel);
        }
    }

    /// Takes all records out, and calls `visit` once for each.
    ///
    /// Only one thread may drain at a time.
    pub(crate) fn drain<'a>(
        &self,
        link_of: impl Fn(u32) -> &'a AtomicU32,
        mut visit: impl FnMut(u32),
    ) {
        // Acquire: sees each push before. Release: each push after sees the tick that this thread
        // has read.
        let mut top = self.top.swap(0, Ordering::AcqRel);
        while let Some(index) = top.checked_sub(1) {
            // AcqRel: the deadline is read after this, and later pushes find the flag
            // cleared.
            top = link_of(index).swap(0, Ordering::AcqRel) & !QUEUED;
            visit(index);
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_pushed_record_comes_out_once() {
        let links: Vec<AtomicU32> = (0..5).map(|_| AtomicU32::new(0)).collect();
        let inbox = Inbox::default();
        for index in [0, 4, 2, 4, 0, 0] {
            inbox.push(index, &links[index as usize]);
        }
        let mut seen = Vec::new();
        inbox.drain(|index| &links[index as usize], |index| seen.push(index));
        assert_eq!(seen, [2, 4, 0]);
        inbox.push(4, &links[4]);
        let mut seen = Vec::new();
        inbox.drain(|index| &links[index as usize], |index| seen.push(index));
        assert_eq!(seen, [4], "it may be pushed again");
    }
}
