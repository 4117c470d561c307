//! What a thread's last search came upon, for its next few calls.
//!
//! Nearly all of what a find costs is the search; what it finds is as good a
//! moment later. So a search leaves a few relays that scored about as its best
//! did, and the next calls of that thread choose from these, judging each anew,
//! as long as
//!
//! - they are few, in the same tick, and nobody came or left since, nor was
//!   anything sorted: so nothing better is missed for longer than that;
//! - the best of them scores about as well as promised: so loads are evened out
//!   as by a search.
//!
//! Small tables, which a search looks at as a whole, need none of this.
//!
//! # Invariant
//!
//! What is kept is advice. Threads that share a place, or a call in the middle of
//! another's writing, may mix what two searches left; each relay is looked up by
//! its generation and judged, whoever left it.

use crate::select::criteria::{Criteria, Worth, check_access};
use crate::select::score::about;
use crate::sync::epoch::Guard;
use crate::sync::{AtomicU32, AtomicU64, Ordering, Padded, stripe};
use crate::table::{Handle, Table};

/// A power of two.
const STRIPES: usize = 16;
/// Relays that are kept; a power of two.
const KEPT: usize = 4;
/// Calls that choose from them.
const CALLS: u32 = 15;
/// Where the number of relays is, beside that of calls.
const LEN_SHIFT: u32 = 8;

/// Where a relay is, and what it is worth.
#[derive(Clone, Copy)]
pub(crate) struct Best {
    pub(crate) index: u32,
    pub(crate) worth: Worth,
}

/// The last relays that scored about as the best did.
#[derive(Debug, Default)]
pub(crate) struct Near {
    relays: [(Handle, f32); KEPT],
    met: usize,
}

impl Near {
    #[inline]
    pub(crate) fn note(&mut self, relay: Handle, score: f32) {
        self.relays[self.met % KEPT] = (relay, score);
        self.met += 1;
    }

    fn others_than(&self, best: Handle, enough: f32) -> impl Iterator<Item = Handle> {
        let met = &self.relays[..self.met.min(KEPT)];
        met.iter()
            .filter(move |&&(relay, score)| relay != best && score <= enough)
            .map(|&(relay, _)| relay)
    }
}

/// For all threads; see the module's description.
#[derive(Debug, Default)]
pub(crate) struct Recent([Padded<Place>; STRIPES]);

/// For the threads of one stripe. Relaxed throughout, for it is advice.
#[derive(Debug, Default)]
struct Place {
    tick: AtomicU64,
    admissions: AtomicU64,
    /// The worst score to be content with, as its bits.
    enough: AtomicU32,
    /// How many calls are left, and how many relays there are.
    calls: AtomicU32,
    relays: [AtomicU64; KEPT],
}

impl Recent {
    /// The best of what was kept, if that will still do.
    #[inline(always)]
    pub(crate) fn recall(
        &self,
        criteria: &Criteria<'_>,
        table: &Table,
        guard: &Guard,
    ) -> Option<Best> {
        if cfg!(relay_loom) {
            // Tables are small there.
            return None;
        }
        let place = &*self.0[stripe(STRIPES)];
        let calls = place.calls.load(Ordering::Relaxed);
        if calls == 0
            || place.tick.load(Ordering::Relaxed) != criteria.tick.0
            || place.admissions.load(Ordering::Relaxed) != table.admissions().bits()
        {
            return None;
        }
        let last = calls & ((1 << LEN_SHIFT) - 1) == 1;
        let left = if last { 0 } else { calls - 1 };
        place.calls.store(left, Ordering::Relaxed);
        place.best(calls, criteria, table, guard)
    }

    /// Keeps what a search found, and others that are about as good.
    #[inline(never)]
    pub(crate) fn keep(
        &self,
        found: &Best,
        near: &Near,
        criteria: &Criteria<'_>,
        table: &Table,
        guard: &Guard,
    ) {
        let place = &*self.0[stripe(STRIPES)];
        let best = table.revisit(found.index, guard).handle();
        let enough = about(found.worth.score);
        let others = near.others_than(best, enough);
        let mut len = 0;
        for (kept, relay) in place.relays.iter().zip(std::iter::once(best).chain(others)) {
            kept.store(relay.bits(), Ordering::Relaxed);
            len += 1;
        }
        place.enough.store(enough.to_bits(), Ordering::Relaxed);
        place.tick.store(criteria.tick.0, Ordering::Relaxed);
        let admissions = table.admissions().bits();
        place.admissions.store(admissions, Ordering::Relaxed);
        place
            .calls
            .store(CALLS | len << LEN_SHIFT, Ordering::Relaxed);
    }

    /// Lets go of all, when searches may find something else.
    pub(crate) fn forget(&self) {
        for place in &self.0 {
            place.calls.store(0, Ordering::Relaxed);
        }
    }
}

impl Place {
    /// The best of its relays, beginning with another one at each call.
    #[inline(always)]
    fn best(
        &self,
        calls: u32,
        criteria: &Criteria<'_>,
        table: &Table,
        guard: &Guard,
    ) -> Option<Best> {
        let len = (calls >> LEN_SHIFT) as usize;
        let mut at = calls as usize % KEPT;
        let mut least = f32::from_bits(self.enough.load(Ordering::Relaxed));
        let mut best = None;
        for _ in 0..len {
            at = if at < len { at } else { 0 };
            let relay = self.relays[at % KEPT].load(Ordering::Relaxed);
            at += 1;
            let Some(record) = table.resolve(Handle::from_bits(relay), guard) else {
                continue;
            };
            let (word, load) = (record.lifecycle(), record.load());
            let worth = Worth::new(word, criteria.path_micros(&record), load);
            if worth.score < least
                && criteria
                    .admit(&record, word, |_| load, check_access)
                    .is_ok()
            {
                least = worth.score;
                let index = record.index();
                best = Some(Best { index, worth });
            }
        }
        best
    }
}
