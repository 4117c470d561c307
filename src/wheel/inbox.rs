//! How records are announced to the wheel without a lock.
//!
//! A stack threaded through the records themselves: it needs no memory, and a
//! record that is in it already is not added again. The wheel's keeper takes
//! the whole stack at once.
//!
//! # Why no announcement is lost
//!
//! Whoever sets a deadline that the wheel must hear of does so before it raises
//! `QUEUED` in the record's link. If the flag was up already, the keeper has
//! yet to take it down, and looks at the deadline only after that. Link words
//! are changed by read-modify-writes alone, so taking the flag down acquires
//! what every announcer released, also those who found it up.

use crate::sync::{AtomicU32, Ordering, Padded};

/// The record is in the stack.
const QUEUED: u32 = 1 << 31;

/// Indices of records that the wheel has yet to hear of.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// Index plus one of the record on top, or zero.
    top: Padded<AtomicU32>,
}

impl Inbox {
    /// Announces the record at `index`, whose link this is.
    pub(crate) fn push(&self, index: u32, link: &AtomicU32) {
        // AcqRel: see the module's description.
        if link.fetch_or(QUEUED, Ordering::AcqRel) & QUEUED != 0 {
            return;
        }
        let mut top = self.top.load(Ordering::Relaxed);
        loop {
            // AcqRel: goes on with what other announcers released.
            link.swap(QUEUED | top, Ordering::AcqRel);
            // Release: publishes the link.
            match self.top.compare_exchange_weak(
                top,
                index + 1,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(current) => top = current,
            }
        }
    }

    /// Takes all announced records, each once, and shows them to `visit`.
    ///
    /// Only one thread at a time may drain.
    pub(crate) fn drain<'a>(
        &self,
        link_of: impl Fn(u32) -> &'a AtomicU32,
        mut visit: impl FnMut(u32),
    ) {
        // Acquire: pairs with the release of each push.
        let mut top = self.top.swap(0, Ordering::Acquire);
        while let Some(index) = top.checked_sub(1) {
            // AcqRel: the deadline is read after this, and later announcers
            // find the flag down.
            top = link_of(index).swap(0, Ordering::AcqRel) & !QUEUED;
            visit(index);
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_announced_record_comes_out_once() {
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
        assert_eq!(seen, [4], "it may be announced again");
    }
}
