//! The word that decides each admission: how many records are admitted, and which one was
//! admitted or counted out last.
//!
//! ```text
//!  63       41     40     39  38 37        27 26         0
//! +-----------+----------+-------+------------+------------+
//! |   count   |unfinished| step  | generation |   index    |
//! +-----------+----------+-------+------------+------------+
//! ```
//!
//! `count` is how many records are admitted and not yet counted out. The rest names the
//! record that was admitted, counted out or added as a placeholder last, and which of the
//! three. Each of these steps is one compare-and-swap that names the record, with
//! *unfinished* set. Then the lifecycle of the record is changed (to live, closing, or
//! gone), and *unfinished* is cleared. A thread that finds *unfinished* set does the rest
//! itself ([`help_unfinished`](super::Table::help_unfinished)), so no thread waits for
//! another.
//!
//! The word decides two things:
//!
//! - the bound: the count never exceeds `max_relays`. A registration is refused only if
//!   `max_relays` relays are admitted: no admission is undone, and departing relays are
//!   counted out first.
//! - uniqueness: a thread looks for another record of its id *after* it loaded the word, and
//!   its record enters only if the word has not changed. So no other record was admitted or
//!   added in between.
//!
//! # Why the word never has an old value again
//!
//! A step names a record with its generation. The generation is raised when a relay departs,
//! when a record is withdrawn, and when a placeholder is forgotten. So a record that is reused,
//! for the same id or another, enters under another name, also if it was the last one that the
//! word named. For an old value, a record would have to enter and leave exactly 2,048 times, or
//! a multiple, during one step of a thread.

use crate::sync::{AtomicU64, Ordering, Padded};
use crate::table::record::Handle;

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct AdmissionWord(Padded<AtomicU64>);

/// A reading of the admission word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AdmissionState(u64);

const INDEX_BITS: u32 = 27;
const GENERATION_SHIFT: u32 = INDEX_BITS;
const GENERATION_MASK: u32 = 0x7ff;
const STEP_SHIFT: u32 = 38;
const UNFINISHED: u64 = 1 << 40;
const COUNT_SHIFT: u32 = 41;
const ONE: u64 = 1 << COUNT_SHIFT;
const NAME_MASK: u64 = UNFINISHED - 1;
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;
const STEP_MASK: u64 = 0b11;

/// Indices of records stay below this.
pub(super) const INDICES: u32 = 1 << INDEX_BITS;

/// The largest count that the word holds.
pub(super) const MAX_COUNT: usize = (1 << (u64::BITS - COUNT_SHIFT)) - 1;

/// What happens to the record that the word names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Admit,
    CountOut,
    AddPlaceholder,
}

impl AdmissionState {
    /// Records admitted and not yet counted out.
    pub(super) fn count(self) -> usize {
        (self.0 >> COUNT_SHIFT) as usize
    }

    /// The index of the record whose step is unfinished, and that step.
    pub(super) fn unfinished(self) -> Option<(u32, Step)> {
        let step = match self.0 >> STEP_SHIFT & STEP_MASK {
            0 => Step::Admit,
            1 => Step::CountOut,
            _ => Step::AddPlaceholder,
        };
        (self.0 & UNFINISHED != 0).then_some(((self.0 & INDEX_MASK) as u32, step))
    }

    fn naming(self, name: Handle, step: Step) -> u64 {
        debug_assert!(name.index < INDICES);
        let generation = u64::from(name.generation & GENERATION_MASK) << GENERATION_SHIFT;
        let step = (step as u64) << STEP_SHIFT;
        self.0 & !NAME_MASK | UNFINISHED | step | generation | u64::from(name.index)
    }
}

impl AdmissionWord {
    /// Reads the word.
    #[inline]
    pub(super) fn read(&self) -> AdmissionState {
        // Acquire: a record that was admitted before is seen live, or named as unfinished.
        AdmissionState(self.0.load(Ordering::Acquire))
    }

    /// Counts a record in, unless the word has changed since `seen`.
    pub(super) fn admit(&self, seen: AdmissionState, record: Handle) -> bool {
        debug_assert!(seen.unfinished().is_none() && seen.count() < MAX_COUNT);
        self.change(seen, seen.naming(record, Step::Admit) + ONE)
    }

    /// Admits a record in the place of one that is counted, unless the word has changed
    /// since `seen`.
    pub(super) fn replace(&self, seen: AdmissionState, record: Handle) -> bool {
        debug_assert!(seen.unfinished().is_none() && seen.count() > 0);
        self.change(seen, seen.naming(record, Step::Admit))
    }

    /// Counts a record out, unless the word has changed since `seen`.
    pub(super) fn count_out(&self, seen: AdmissionState, record: Handle) -> bool {
        debug_assert!(seen.unfinished().is_none() && seen.count() > 0);
        self.change(seen, seen.naming(record, Step::CountOut) - ONE)
    }

    /// Names a record that is not counted, unless the word has changed since `seen`.
    pub(super) fn add_placeholder(&self, seen: AdmissionState, record: Handle) -> bool {
        debug_assert!(seen.unfinished().is_none());
        self.change(seen, seen.naming(record, Step::AddPlaceholder))
    }

    /// Finishes the step that `seen` names.
    pub(super) fn clear_unfinished(&self, seen: AdmissionState) {
        self.change(seen, seen.0 & !UNFINISHED);
    }

    /// Orders this thread with every admission: one before this is seen, and one after it
    /// sees what this thread did before.
    pub(super) fn touch(&self) {
        // AcqRel: see above.
        self.0.fetch_add(0, Ordering::AcqRel);
    }

    fn change(&self, seen: AdmissionState, next: u64) -> bool {
        // Release: a helping thread sees the record that is named. Acquire: sees what came
        // before. Relaxed: on failure the word is loaded again.
        self.0
            .compare_exchange(seen.0, next, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    fn record(index: u32, generation: u32) -> Handle {
        Handle { index, generation }
    }

    fn clear_unfinished(admission: &AdmissionWord) {
        admission.clear_unfinished(admission.read());
        assert_eq!(admission.read().unfinished(), None);
    }

    #[test]
    fn count_and_name_share_the_word_without_touching() {
        let admission = AdmissionWord::default();
        let unfinished = || admission.read().unfinished();
        for (index, generation) in [(INDICES - 1, u32::MAX), (0, 1 << 11), (7, 3)] {
            assert!(admission.admit(admission.read(), record(index, generation)));
            assert_eq!(unfinished(), Some((index, Step::Admit)));
            clear_unfinished(&admission);
        }
        assert_eq!(admission.read().count(), 3);
        assert!(admission.count_out(admission.read(), record(INDICES - 1, u32::MAX)));
        assert_eq!(unfinished(), Some((INDICES - 1, Step::CountOut)));
        clear_unfinished(&admission);
        assert!(admission.add_placeholder(admission.read(), record(5, u32::MAX)));
        assert_eq!(unfinished(), Some((5, Step::AddPlaceholder)));
        clear_unfinished(&admission);
        assert_eq!(admission.read().count(), 2);
    }

    #[test]
    fn no_record_enters_on_an_old_reading() {
        let admission = AdmissionWord::default();
        let seen = admission.read();
        assert!(admission.admit(seen, record(1, 0)));
        clear_unfinished(&admission);
        assert!(admission.count_out(admission.read(), record(1, 0)));
        clear_unfinished(&admission);
        assert_eq!(admission.read().count(), seen.count());
        assert!(!admission.admit(seen, record(2, 0)), "the name has changed");
    }

    #[test]
    fn admission_and_count_out_of_a_generation_differ() {
        let admission = AdmissionWord::default();
        assert!(admission.admit(admission.read(), record(1, 0)));
        clear_unfinished(&admission);
        assert!(admission.admit(admission.read(), record(2, 0)));
        clear_unfinished(&admission);
        let seen = admission.read();
        assert!(admission.count_out(seen, record(2, 0)));
        clear_unfinished(&admission);
        assert_ne!(admission.read().0 & NAME_MASK, seen.0 & NAME_MASK);
    }

    #[test]
    fn an_old_read_clears_no_later_step() {
        let admission = AdmissionWord::default();
        assert!(admission.admit(admission.read(), record(1, 0)));
        let late = admission.read();
        clear_unfinished(&admission);
        assert!(admission.admit(admission.read(), record(2, 0)));
        admission.clear_unfinished(late);
        assert_eq!(admission.read().unfinished(), Some((2, Step::Admit)));
    }
}
