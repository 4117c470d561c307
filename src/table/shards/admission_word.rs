//! The word of a shard that decides each admission: how many places the shard has, and which
//! record was admitted or counted out last.
//!
//! ```text
//!  63    52 51    41     40     39  38 37        27 26         0
//! +--------+--------+----------+-------+------------+------------+
//! | places |  tag   |unfinished| step  | generation |   index    |
//! +--------+--------+----------+-------+------------+------------+
//! ```
//!
//! A record that is admitted takes one of the *places* of its shard, and gives it back when it
//! is counted out. The *tag* changes when places go to another shard, or come from one, as
//! [`places`](super::places) says. The rest names the record that was admitted, counted out or
//! added as a placeholder last, and which of the three. Each of these steps is one
//! compare-and-swap that names the record, with *unfinished* set. Then the lifecycle of the
//! record is changed (to live, closing, or gone), and *unfinished* is cleared. A thread that
//! finds *unfinished* set does the rest itself
//! ([`help_unfinished`](crate::table::Table::help_unfinished)), so no thread waits for another.
//!
//! The word decides two things:
//!
//! - the bound: there are `max_relays` places in all, so no more relays are admitted at once.
//!   No admission is undone.
//! - uniqueness: a thread looks for another record of its id *after* it loaded the word, and
//!   its record enters only if no other one has entered since. All records of an id are in one
//!   shard.
//!
//! # Why the word never has an old value again
//!
//! A step names a record with its generation. The generation is raised when a relay departs,
//! when a record is withdrawn, and when a placeholder is forgotten. So a record that is reused,
//! for the same id or another, enters under another name, also if it was the last one that the
//! word named. The first value names no record: its step is none of the three. For an old value,
//! a record would have to enter and leave exactly 2,048 times, or a multiple, during one step of a
//! thread; or places would have to be moved so often, while no record enters or leaves.

use crate::sync::{AtomicU64, Ordering, Touch};
use crate::table::record::Handle;

/// See the module's description.
#[derive(Debug)]
pub(in crate::table) struct AdmissionWord(AtomicU64);

/// A reading of the admission word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::table) struct AdmissionState(u64);

const INDEX_BITS: u32 = 27;
const GENERATION_SHIFT: u32 = INDEX_BITS;
const GENERATION_MASK: u32 = 0x7ff;
const STEP_SHIFT: u32 = 38;
const UNFINISHED: u64 = 1 << 40;
const TAG_SHIFT: u32 = 41;
const PLACES_SHIFT: u32 = TAG_SHIFT + Tag::BITS;
const ONE_PLACE: u64 = 1 << PLACES_SHIFT;
const NAME_MASK: u64 = UNFINISHED - 1;
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;
const STEP_MASK: u64 = 0b11;
/// Before any record has entered: with a step that is none, so no record has this name.
const NO_NAME: u64 = STEP_MASK << STEP_SHIFT;

/// Indices of records stay below this.
pub(in crate::table) const INDICES: u32 = 1 << INDEX_BITS;

/// Changes with each transfer of places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(u16);

impl Tag {
    /// Models have few tags, which come round.
    pub(super) const BITS: u32 = if cfg!(relay_loom) { 2 } else { 11 };

    /// Other bits are ignored.
    pub(super) fn of_bits(bits: u64) -> Self {
        Self(bits as u16 & ((1 << Self::BITS) - 1))
    }

    pub(super) fn bits(self) -> u64 {
        self.0.into()
    }

    pub(super) fn after(self, changes: u16) -> Self {
        Self((self.0 + changes) & ((1 << Self::BITS) - 1))
    }
}

/// What happens to the record that the word names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::table) enum Step {
    Admit,
    CountOut,
    AddPlaceholder,
}

impl AdmissionState {
    /// The most places that the word holds.
    pub(in crate::table) const MOST_PLACES: u32 = (1 << (u64::BITS - PLACES_SHIFT)) - 1;

    /// How many records may be admitted.
    pub(in crate::table) fn places(self) -> u32 {
        (self.0 >> PLACES_SHIFT) as u32
    }

    pub(super) fn tag(self) -> Tag {
        Tag::of_bits(self.0 >> TAG_SHIFT)
    }

    /// The index of the record whose step is unfinished, and that step.
    pub(in crate::table) fn unfinished(self) -> Option<(u32, Step)> {
        let step = match self.0 >> STEP_SHIFT & STEP_MASK {
            0 => Step::Admit,
            1 => Step::CountOut,
            _ => Step::AddPlaceholder,
        };
        (self.0 & UNFINISHED != 0).then_some(((self.0 & INDEX_MASK) as u32, step))
    }

    /// Whether no record has entered or left between the two readings.
    pub(in crate::table) fn names_as(self, other: Self) -> bool {
        self.0 & NAME_MASK == other.0 & NAME_MASK
    }

    fn naming(self, name: Handle, step: Step) -> u64 {
        debug_assert!(name.index < INDICES);
        let generation = u64::from(name.generation & GENERATION_MASK) << GENERATION_SHIFT;
        let step = (step as u64) << STEP_SHIFT;
        self.0 & !NAME_MASK | UNFINISHED | step | generation | u64::from(name.index)
    }

    fn with_places_and_tag(self, places: u32, tag: Tag) -> u64 {
        debug_assert!(places <= Self::MOST_PLACES);
        let rest = self.0 & ((1 << TAG_SHIFT) - 1);
        u64::from(places) << PLACES_SHIFT | tag.bits() << TAG_SHIFT | rest
    }
}

impl AdmissionWord {
    pub(super) fn with_places(places: u32) -> Self {
        debug_assert!(places <= AdmissionState::MOST_PLACES);
        Self(AtomicU64::new(u64::from(places) << PLACES_SHIFT | NO_NAME))
    }

    /// Reads the word.
    #[inline]
    pub(in crate::table) fn read(&self) -> AdmissionState {
        // Acquire: a record that was admitted before is seen live, or named as unfinished.
        AdmissionState(self.0.load(Ordering::Acquire))
    }

    /// Gives a record one of the places, at least one, unless the word has changed since `seen`.
    /// Here and below, returns the word that names the record.
    #[must_use]
    pub(in crate::table) fn admit(
        &self,
        seen: AdmissionState,
        record: Handle,
    ) -> Option<AdmissionState> {
        debug_assert!(seen.unfinished().is_none() && seen.places() > 0);
        self.change(seen, seen.naming(record, Step::Admit) - ONE_PLACE)
    }

    /// Admits a record in the place of another one, unless the word has changed since `seen`.
    #[must_use]
    pub(in crate::table) fn replace(
        &self,
        seen: AdmissionState,
        record: Handle,
    ) -> Option<AdmissionState> {
        debug_assert!(seen.unfinished().is_none());
        self.change(seen, seen.naming(record, Step::Admit))
    }

    /// Takes back the place of a record, unless the word has changed since `seen`. There is room
    /// for one more.
    #[must_use]
    pub(in crate::table) fn count_out(
        &self,
        seen: AdmissionState,
        record: Handle,
    ) -> Option<AdmissionState> {
        debug_assert!(seen.unfinished().is_none());
        debug_assert!(seen.places() < AdmissionState::MOST_PLACES);
        self.change(seen, seen.naming(record, Step::CountOut) + ONE_PLACE)
    }

    /// Names a record that has no place, unless the word has changed since `seen`.
    #[must_use]
    pub(in crate::table) fn add_placeholder(
        &self,
        seen: AdmissionState,
        record: Handle,
    ) -> Option<AdmissionState> {
        debug_assert!(seen.unfinished().is_none());
        self.change(seen, seen.naming(record, Step::AddPlaceholder))
    }

    /// Finishes the step that `seen` names.
    pub(in crate::table) fn clear_unfinished(&self, seen: AdmissionState) {
        let _ = self.change(seen, seen.0 & !UNFINISHED);
    }

    /// Sets how many places there are, and the tag, unless the word has changed since `seen`.
    pub(super) fn set_places(&self, seen: AdmissionState, places: u32, tag: Tag) {
        let _ = self.change(seen, seen.with_places_and_tag(places, tag));
    }

    /// Orders this thread with every admission: one before this is seen, and one after it
    /// sees what this thread did before.
    pub(in crate::table) fn touch(&self) {
        self.0.touch();
    }

    fn change(&self, seen: AdmissionState, next: u64) -> Option<AdmissionState> {
        // Release: a helping thread sees the record that is named. Acquire: sees what came
        // before. Relaxed: on failure the word is loaded again.
        self.0
            .compare_exchange(seen.0, next, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
            .then_some(AdmissionState(next))
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
    fn places_tag_and_name_share_the_word_without_touching() {
        let admission = AdmissionWord::with_places(3);
        let unfinished = || admission.read().unfinished();
        for (index, generation) in [(INDICES - 1, u32::MAX), (0, 1 << 11), (7, 3)] {
            assert!(
                admission
                    .admit(admission.read(), record(index, generation))
                    .is_some()
            );
            assert_eq!(unfinished(), Some((index, Step::Admit)));
            clear_unfinished(&admission);
        }
        assert_eq!(admission.read().places(), 0);
        assert!(
            admission
                .count_out(admission.read(), record(INDICES - 1, u32::MAX))
                .is_some()
        );
        assert_eq!(unfinished(), Some((INDICES - 1, Step::CountOut)));
        clear_unfinished(&admission);
        assert!(
            admission
                .add_placeholder(admission.read(), record(5, u32::MAX))
                .is_some()
        );
        assert_eq!(unfinished(), Some((5, Step::AddPlaceholder)));
        clear_unfinished(&admission);
        assert_eq!(admission.read().places(), 1);
        let before = admission.read();
        let most = AdmissionState::MOST_PLACES;
        admission.set_places(before, most, before.tag().after(2_047));
        assert_eq!(admission.read().places(), most);
        assert_eq!(admission.read().tag().after(1), before.tag());
        assert!(admission.read().names_as(before));
    }

    /// The first word had the name of the first record. A registration that had read it, before
    /// another one of its id was admitted, did not look for that one: the id had two records.
    #[test]
    fn the_first_admission_changes_the_name() {
        for step in [AdmissionWord::admit, AdmissionWord::add_placeholder] {
            let admission = AdmissionWord::with_places(1);
            let empty = admission.read();
            assert!(step(&admission, empty, record(0, 0)).is_some());
            clear_unfinished(&admission);
            assert!(!admission.read().names_as(empty));
        }
    }

    #[test]
    fn no_record_enters_on_an_old_reading() {
        let admission = AdmissionWord::with_places(3);
        let seen = admission.read();
        assert!(admission.admit(seen, record(1, 0)).is_some());
        clear_unfinished(&admission);
        assert!(
            admission
                .count_out(admission.read(), record(1, 0))
                .is_some()
        );
        clear_unfinished(&admission);
        assert_eq!(admission.read().places(), seen.places());
        assert_eq!(
            admission.admit(seen, record(2, 0)),
            None,
            "the name has changed"
        );
    }

    #[test]
    fn admission_and_count_out_of_a_generation_differ() {
        let admission = AdmissionWord::with_places(3);
        assert!(admission.admit(admission.read(), record(1, 0)).is_some());
        clear_unfinished(&admission);
        assert!(admission.admit(admission.read(), record(2, 0)).is_some());
        clear_unfinished(&admission);
        let seen = admission.read();
        assert!(admission.count_out(seen, record(2, 0)).is_some());
        clear_unfinished(&admission);
        assert_ne!(admission.read().0 & NAME_MASK, seen.0 & NAME_MASK);
    }

    #[test]
    fn an_old_read_clears_no_later_step() {
        let admission = AdmissionWord::with_places(3);
        assert!(admission.admit(admission.read(), record(1, 0)).is_some());
        let late = admission.read();
        clear_unfinished(&admission);
        assert!(admission.admit(admission.read(), record(2, 0)).is_some());
        admission.clear_unfinished(late);
        assert_eq!(admission.read().unfinished(), Some((2, Step::Admit)));
    }
}
