//! The records on which a change is under way, so that other threads can check these records
//! themselves. Few changes are under way at a time: each takes one of a few slots. The first few
//! threads have a slot each, which they write by plain stores. The other slots are shared. If
//! these are taken, a count says that there are more.
//!
//! The snapshot has such a set for changes by which a relay may become eligible: a summary
//! lags behind its record while a change is under way. The store has one for departures.

use crate::sync::{AtomicU32, Ordering, thread_index};
use std::array;

/// How many slots of either kind a cache line has.
const SLOTS: usize = if cfg!(relay_loom) { 1 } else { 4 };

/// How many lines the set of the snapshot has.
const LINES: usize = if cfg!(relay_loom) { 1 } else { 4 };

/// See the module's description.
#[derive(Debug)]
pub(crate) struct PendingChanges<const N: usize = LINES> {
    lines: [Line; N],
    /// Changes that found no slot.
    more: AtomicU32,
}

/// Slots: index plus one of a record, or zero.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line {
    /// Each of one thread, by its number.
    owned: [AtomicU32; SLOTS],
    shared: [AtomicU32; SLOTS],
}

/// The changes that were under way when a thread read them.
#[derive(Debug)]
pub(crate) struct PendingSet<const N: usize = LINES> {
    lines: [[[u32; SLOTS]; 2]; N],
    more: u32,
}

/// A change under way; it ends when this is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct PendingChange<'a> {
    /// `None` if it has no slot.
    slot: Option<&'a AtomicU32>,
    more: &'a AtomicU32,
}

impl<const N: usize> Default for PendingChanges<N> {
    fn default() -> Self {
        Self {
            lines: array::from_fn(|_| Line::default()),
            more: AtomicU32::default(),
        }
    }
}

impl<const N: usize> PendingChanges<N> {
    /// Begins a change of the record at `index`. To be called before another thread can see
    /// what the change does.
    ///
    /// A thread that sees what the change did finds it here, since the word that shows it is written
    /// later, with release.
    #[inline]
    pub(crate) fn begin(&self, index: u32) -> PendingChange<'_> {
        self.begin_as(thread_index(), index)
    }

    /// The same for the thread with a number.
    #[inline]
    fn begin_as(&self, thread: usize, index: u32) -> PendingChange<'_> {
        // Relaxed: written by this thread alone.
        let own = self.own_slot(thread);
        let Some(own) = own.filter(|slot| slot.load(Ordering::Relaxed) == 0) else {
            return self.begin_shared(thread, index);
        };
        // Release: a thread that reads this slot sees what led to the change.
        own.store(index + 1, Ordering::Release);
        PendingChange {
            slot: Some(own),
            more: &self.more,
        }
    }

    /// The same for a thread that has no slot, or has a change under way already.
    #[cold]
    fn begin_shared(&self, thread: usize, index: u32) -> PendingChange<'_> {
        let more = &self.more;
        // Acquire: the change that had this slot before is over. Release: as above. Relaxed: nothing
        // is read.
        let slot = self.shared_slots(thread).find(|slot| {
            slot.compare_exchange(0, index + 1, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        });
        if slot.is_none() {
            // AcqRel: as for a slot.
            more.fetch_add(1, Ordering::AcqRel);
        }
        PendingChange { slot, more }
    }

    /// The slot of the thread with a number. Threads with consecutive numbers have different lines.
    #[inline]
    #[allow(clippy::modulo_one, reason = "sets of one line")]
    fn own_slot(&self, thread: usize) -> Option<&AtomicU32> {
        self.lines[thread % N].owned.get(thread / N)
    }

    /// The shared slots. Threads with consecutive numbers begin on different lines, and each mostly
    /// takes the slot that it had before.
    #[allow(clippy::modulo_one, reason = "sets of one line")]
    fn shared_slots(&self, thread: usize) -> impl Iterator<Item = &AtomicU32> {
        (0..N * SLOTS).map(move |nth| {
            let at = thread.wrapping_add(nth);
            &self.lines[at % N].shared[at / N % SLOTS]
        })
    }

    /// The changes that are under way now, if there are any.
    #[inline(always)]
    pub(crate) fn read(&self) -> Option<PendingSet<N>> {
        // Acquire, twice: pairs with `begin`, and with the end of a change: if this thread does
        // not see a change under way, it sees what the change did.
        let mut any = self.more.load(Ordering::Acquire);
        for Line { owned, shared } in &self.lines {
            for slots in [owned, shared] {
                for slot in slots {
                    any |= slot.load(Ordering::Acquire);
                }
            }
        }
        match any {
            0 => None,
            _ => Some(self.read_each()),
        }
    }

    #[cold]
    fn read_each(&self) -> PendingSet<N> {
        // Acquire, twice: as above.
        let read =
            |slots: &[AtomicU32; SLOTS]| slots.each_ref().map(|slot| slot.load(Ordering::Acquire));
        PendingSet {
            lines: self
                .lines
                .each_ref()
                .map(|Line { owned, shared }| [owned, shared].map(read)),
            more: self.more.load(Ordering::Acquire),
        }
    }
}

impl<const N: usize> PendingSet<N> {
    /// The records of changes that have a slot.
    pub(crate) fn indices(&self) -> impl Iterator<Item = u32> {
        let slots = self.lines.iter().flatten().flatten();
        slots.filter_map(|slot| slot.checked_sub(1))
    }

    /// Whether there are changes without a slot.
    pub(crate) fn has_overflowed(&self) -> bool {
        self.more != 0
    }
}

impl Drop for PendingChange<'_> {
    fn drop(&mut self) {
        // Release: a thread that sees the end sees all that the change did.
        match self.slot {
            Some(slot) => slot.store(0, Ordering::Release),
            None => _ = self.more.fetch_sub(1, Ordering::Release),
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::PendingChanges;

    #[test]
    fn changes_of_one_thread_within_each_other_are_all_found() {
        for thread in [0, 3, 7, 8, 1_000, usize::MAX] {
            let changes = PendingChanges::<2>::default();
            let outer = changes.begin_as(thread, 5);
            let inner = changes.begin_as(thread, 6);
            let found = || -> Vec<u32> {
                let mut found: Vec<_> = changes.read().unwrap().indices().collect();
                found.sort_unstable();
                found
            };
            assert_eq!(found(), [5, 6]);
            drop(inner);
            assert_eq!(found(), [5]);
            drop(outer);
            assert!(changes.read().is_none());
        }
    }

    #[test]
    fn each_of_many_threads_has_its_change_found() {
        let changes = PendingChanges::<2>::default();
        let all: Vec<_> = (0..30)
            .map(|thread| changes.begin_as(thread, thread as u32))
            .collect();
        let pending = changes.read().unwrap();
        assert_eq!(pending.indices().count(), 16, "as many as there are slots");
        assert!(pending.has_overflowed());
        drop(all);
        assert!(changes.read().is_none());
    }
}

#[cfg(all(test, relay_loom))]
mod models {
    use super::PendingChanges;
    use crate::sync::{Arc, AtomicU64, Ordering, check, yield_point};
    use loom::thread;

    /// No thread of a model has a number.
    const NONE: usize = usize::MAX;

    /// A thread that sees part of a change finds it pending, or sees all of it. The changing thread
    /// has this number.
    fn seen_is_pending_or_over(thread_number: usize, is_slot_taken: bool) {
        check(3, move || {
            let changes = Arc::new(PendingChanges::<1>::default());
            let words = Arc::new([AtomicU64::default(), AtomicU64::default()]);
            // Models have one shared slot.
            let taken = is_slot_taken.then(|| changes.begin_as(NONE, 6));
            let (other, theirs) = (Arc::clone(&changes), Arc::clone(&words));
            let changing = thread::spawn(move || {
                let change = other.begin_as(thread_number, 5);
                theirs[0].store(1, Ordering::Release);
                theirs[1].store(1, Ordering::Relaxed);
                drop(change);
                yield_point();
            });
            yield_point();
            if words[0].load(Ordering::Acquire) == 1 {
                let is_pending = changes.read().is_some_and(|pending| {
                    pending.indices().any(|index| index == 5) || pending.has_overflowed()
                });
                assert!(is_pending || words[1].load(Ordering::Relaxed) == 1);
            }
            drop(taken);
            changing.join().unwrap();
            assert!(changes.read().is_none());
        });
    }

    #[test]
    fn a_change_that_is_seen_is_pending_or_over() {
        seen_is_pending_or_over(NONE, false);
    }

    #[test]
    fn a_change_without_a_slot_that_is_seen_is_pending_or_over() {
        seen_is_pending_or_over(NONE, true);
    }

    #[test]
    fn a_change_in_the_slot_of_its_thread_that_is_seen_is_pending_or_over() {
        seen_is_pending_or_over(0, false);
    }
}
