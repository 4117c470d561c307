//! What a thread's last search came upon, for its next few calls.
//!
//! Nearly all of what a find costs is the search; what it finds is as good a
//! moment later. So a search leaves a few relays that scored about as its best
//! did, and the next calls of that thread take these in turn, judging each anew,
//! as long as
//!
//! - the calls are few, in the same tick, and nobody came or left since, nor was
//!   anything sorted: so nothing better is missed for longer than that;
//! - the relay still scores about as well: so loads are evened out as by a
//!   search.
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

    fn others_than(&self, best: Handle, enough: f32) -> impl Iterator<Item = Handle> + Clone {
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
    /// How many calls are left.
    calls: AtomicU32,
    /// Some more than once, where there are fewer.
    relays: [AtomicU64; KEPT],
}

impl Recent {
    /// One of what was kept that will still do.
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
        place.calls.store(calls - 1, Ordering::Relaxed);
        place.next(calls, criteria, table, guard)
    }

    /// Keeps what a search found, and others that scored about as well.
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
        let relays = std::iter::once(best).chain(others).cycle();
        for (kept, relay) in place.relays.iter().zip(relays) {
            kept.store(relay.bits(), Ordering::Relaxed);
        }
        place.enough.store(enough.to_bits(), Ordering::Relaxed);
        place.tick.store(criteria.tick.0, Ordering::Relaxed);
        let admissions = table.admissions().bits();
        place.admissions.store(admissions, Ordering::Relaxed);
        place.calls.store(CALLS, Ordering::Relaxed);
    }

    /// Lets go of all, when searches may find something else.
    pub(crate) fn forget(&self) {
        for place in &self.0 {
            place.calls.store(0, Ordering::Relaxed);
        }
    }
}

impl Place {
    /// The next of its relays that still scores about as well; each call begins
    /// with another one, so that they share what comes.
    #[inline(always)]
    fn next(
        &self,
        calls: u32,
        criteria: &Criteria<'_>,
        table: &Table,
        guard: &Guard,
    ) -> Option<Best> {
        let enough = f32::from_bits(self.enough.load(Ordering::Relaxed));
        for further in 0..KEPT {
            let relay = &self.relays[(calls as usize + further) % KEPT];
            let relay = Handle::from_bits(relay.load(Ordering::Relaxed));
            let Some(record) = table.resolve(relay, guard) else {
                continue;
            };
            let (word, load) = (record.lifecycle(), record.load());
            let worth = Worth::new(word, criteria.path_micros(&record), load);
            let admit = || criteria.admit(&record, word, |_| load, check_access);
            if worth.score <= enough && admit().is_ok() {
                let index = relay.index;
                return Some(Best { index, worth });
            }
        }
        None
    }
}
