//! The word through which every new record enters.
//!
//! ```text
//!  63       41   40     39        32 31         0
//! +-----------+-------+-------------+------------+
//! |   count   |pending| generation  |   index    |
//! +-----------+-------+-------------+------------+
//! ```
//!
//! `count` is how many records were admitted and not yet dismantled; `index`
//! and `generation` name the one that was admitted last. Admission is one
//! compare-and-swap that raises the count and names the newcomer, with
//! *pending* set; then its lifecycle turns live, then *pending* is cleared. Any
//! thread that finds *pending* set does the rest itself before going on, so
//! nobody waits for anybody.
//!
//! This decides three things at once, for good:
//!
//! - the bound: the count never exceeds `max_relays`, and nobody is turned away
//!   by a registration that is later undone, for none is;
//! - uniqueness: a registrant looks for a record of its id *after* it read the
//!   word and enters only if the word has not changed, so no other record was
//!   admitted in between;
//! - order: whatever a registrant finds not admitted enters after it.
//!
//! # Why the word cannot come round
//!
//! A registrant is pinned from its read to its swap. A record that is retired
//! meanwhile cannot begin another life before it unpins, so each index is
//! admitted at most twice in that time (once in a life that began before), and
//! under different generations. Eight bits of those tell them apart.

use crate::sync::{AtomicU64, Ordering, Padded};

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Admission(Padded<AtomicU64>);

/// A reading of the admission word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gate(u64);

const GENERATION_SHIFT: u32 = 32;
const PENDING: u64 = 1 << 40;
const COUNT_SHIFT: u32 = 41;
const ONE: u64 = 1 << COUNT_SHIFT;
const NAME_MASK: u64 = PENDING - 1;

/// The largest count that the word holds.
pub(crate) const MAX_COUNT: usize = (1 << (u64::BITS - COUNT_SHIFT)) - 1;

impl Gate {
    /// Records admitted and not yet dismantled.
    pub(crate) fn count(self) -> usize {
        (self.0 >> COUNT_SHIFT) as usize
    }

    /// The record whose admission is decided but not yet carried out.
    pub(crate) fn pending(self) -> Option<u32> {
        (self.0 & PENDING != 0).then_some(self.0 as u32)
    }

    fn admitting(self, index: u32, generation: u32) -> Self {
        let name = u64::from(generation & 0xff) << GENERATION_SHIFT | u64::from(index);
        Self((self.0 & !NAME_MASK | name | PENDING) + ONE)
    }
}

impl Admission {
    /// Reads the word.
    pub(crate) fn read(&self) -> Gate {
        // Acquire: all that was admitted before is seen live, or to be helped.
        Gate(self.0.load(Ordering::Acquire))
    }

    /// Admits a record if nothing was admitted or dismantled since `seen`.
    pub(crate) fn admit(&self, seen: Gate, index: u32, generation: u32) -> bool {
        debug_assert!(seen.pending().is_none() && seen.count() < MAX_COUNT);
        let next = seen.admitting(index, generation);
        // AcqRel: helpers see the pending record; we saw what came before.
        self.0
            .compare_exchange(seen.0, next.0, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Notes that the admission of the record named in `seen` is carried out.
    pub(crate) fn settle(&self, seen: Gate) {
        let mut current = seen;
        while current.pending().is_some() && current.0 & NAME_MASK == seen.0 & NAME_MASK {
            // Release: the record was made live before. The count may change
            // beside us, hence the loop.
            match self.0.compare_exchange_weak(
                current.0,
                current.0 & !PENDING,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(word) => current = Gate(word),
            }
        }
    }

    /// Notes that a record was dismantled.
    pub(crate) fn dismiss(&self) {
        // Release: the record is out of its bucket before its place is free.
        self.0.fetch_sub(ONE, Ordering::Release);
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    #[test]
    fn count_and_name_share_the_word_without_touching() {
        let admission = Admission::default();
        for (index, generation) in [(u32::MAX, 255), (0, 256), (7, 3)] {
            let seen = admission.read();
            assert!(admission.admit(seen, index, generation));
            assert_eq!(admission.read().pending(), Some(index));
            admission.settle(admission.read());
            assert_eq!(admission.read().pending(), None);
        }
        assert_eq!(admission.read().count(), 3);
        admission.dismiss();
        assert_eq!(admission.read().count(), 2);
    }

    #[test]
    fn nobody_enters_on_an_old_reading() {
        let admission = Admission::default();
        let seen = admission.read();
        assert!(admission.admit(seen, 1, 0));
        admission.settle(admission.read());
        admission.dismiss();
        assert!(!admission.admit(seen, 2, 0), "count equal, name not");
    }

    #[test]
    fn a_settled_admission_is_not_settled_twice() {
        let admission = Admission::default();
        assert!(admission.admit(admission.read(), 1, 0));
        let late = admission.read();
        admission.settle(late);
        assert!(admission.admit(admission.read(), 2, 0));
        admission.settle(late);
        assert_eq!(admission.read().pending(), Some(2));
    }
}
