//! What a thread's last search came upon, for its next few calls.
//!
//! Nearly all of what a find costs is the search; what it finds is as good a
//! moment later. So a search leaves a few relays that scored about as its best
//! did, and the next calls of that thread take these in turn, judging each anew,
//! as long as
//!
//! - the calls are few, of the same registry, in the same tick, and nobody came
//!   or left since, nor was anything sorted: so nothing better is missed for
//!   longer than that;
//! - the relay still scores about as well: so loads are evened out as by a
//!   search.
//!
//! Small tables, which a search looks at as a whole, need none of this. What is
//! kept is the thread's own: nothing that threads share is written for it.

use crate::select::criteria::{Criteria, Worth};
use crate::select::score::about;
use crate::sync::epoch::Guard;
use crate::sync::{AtomicU64, Ordering, Padded, serial_number};
use crate::table::{Handle, Table};
use std::cell::Cell;
use std::iter;

/// Relays that are kept; a power of two.
const KEPT: usize = 4;
/// Calls that choose from them.
const CALLS: u32 = 63;

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

/// Tells whether what a thread kept is of this registry, and still in order.
#[derive(Debug)]
pub(crate) struct Recent {
    registry: u64,
    sortings: Padded<AtomicU64>,
}

/// When a search was made, as far as it matters for how long its finds serve.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Occasion {
    /// Zero is none.
    registry: u64,
    sortings: u64,
    admissions: u64,
    tick: u64,
}

struct Kept {
    occasion: Cell<Occasion>,
    /// How many calls are left.
    calls: Cell<u32>,
    /// The worst score to be content with.
    enough: Cell<f32>,
    /// Some more than once, where there are fewer.
    relays: [Cell<Handle>; KEPT],
}

thread_local! {
    static KEPT_HERE: Kept = const {
        Kept {
            occasion: Cell::new(Occasion { registry: 0, sortings: 0, admissions: 0, tick: 0 }),
            calls: Cell::new(0),
            enough: Cell::new(0.0),
            relays: [const { Cell::new(Handle { index: 0, generation: 0 }) }; KEPT],
        }
    };
}

impl Recent {
    pub(crate) fn new() -> Self {
        Self {
            registry: serial_number(),
            sortings: Padded(AtomicU64::default()),
        }
    }

    #[inline]
    fn occasion(&self, criteria: &Criteria<'_>, table: &Table) -> Occasion {
        Occasion {
            registry: self.registry,
            // Relaxed: what is missed for a moment is not of another life.
            sortings: self.sortings.load(Ordering::Relaxed),
            admissions: table.admissions().bits(),
            tick: criteria.tick.0,
        }
    }

    /// One of what was kept that still scores about as well.
    #[inline(always)]
    pub(crate) fn recall(
        &self,
        criteria: &Criteria<'_>,
        table: &Table,
        guard: &Guard,
    ) -> Option<Best> {
        let occasion = self.occasion(criteria, table);
        let (calls, enough) = KEPT_HERE.with(|kept| kept.count_call(occasion))?;
        // Each call begins with another one, so that they share what comes.
        for further in 0..KEPT {
            let relay = KEPT_HERE.with(|kept| kept.relay(calls as usize + further));
            let Some(record) = table.resolve(relay, guard) else {
                continue;
            };
            let (worth, load) = criteria.appraise(&record, criteria.path_micros(&record));
            if worth.score <= enough && criteria.admits(&record, &worth, load).is_ok() {
                let index = relay.index;
                return Some(Best { index, worth });
            }
        }
        None
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
        if cfg!(relay_loom) {
            // Models must not depend on what another one left.
            return;
        }
        let best = table.revisit(found.index, guard).handle();
        let enough = about(found.worth.score);
        let others = near.others_than(best, enough);
        let relays = iter::once(best).chain(others).cycle();
        KEPT_HERE.with(|kept| {
            kept.occasion.set(self.occasion(criteria, table));
            kept.enough.set(enough);
            for (place, relay) in kept.relays.iter().zip(relays) {
                place.set(relay);
            }
            kept.calls.set(CALLS);
        });
    }

    /// Lets go of all, when searches may find something else.
    pub(crate) fn forget(&self) {
        self.sortings.fetch_add(1, Ordering::Relaxed);
    }
}

impl Kept {
    /// Takes one of the calls that are left on this occasion; its number, and the
    /// worst score to be content with.
    #[inline(always)]
    fn count_call(&self, occasion: Occasion) -> Option<(u32, f32)> {
        let calls = self.calls.get();
        if calls == 0 || self.occasion.get() != occasion {
            return None;
        }
        self.calls.set(calls - 1);
        Some((calls, self.enough.get()))
    }

    #[inline(always)]
    fn relay(&self, at: usize) -> Handle {
        self.relays[at % KEPT].get()
    }
}
