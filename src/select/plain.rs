//! The guide where nothing is known of the pair: a relay's summary says all.

use crate::record::Handle;
use crate::select::explore::{Guide, pick};
use crate::select::search::{EXACT, Look, Sink};
use crate::snapshot::{Bins, LEAVES, Leaves, Said, Snapshot, best_of, width};
use crate::sync::random_bits;
use crate::time::Tick;

/// See the module's description.
pub(crate) struct Plain<'l, 'g, S> {
    pub(crate) look: &'l Look<'g>,
    pub(crate) sink: S,
}

impl<'g, S: Sink<'g>> Guide for Plain<'_, 'g, S> {
    type Key = f32;

    const NEVER: f32 = f32::INFINITY;
    const IS_FAIR: bool = true;

    fn keys(&mut self, part: &Leaves, level: usize, node: usize, keys: &mut [f32; LEAVES]) {
        let reach = self.look.reach;
        let key = |word: u64| match Said(word) {
            said if said.merit() > 0 && reach.admits(said) => part.bins.least(said.merit()),
            _ => f32::INFINITY,
        };
        if level == 0 {
            *keys = part.summaries.leaves_of(node).map(key);
        } else {
            let words = part.summaries.branches_of(level, node);
            words
                .into_iter()
                .zip(keys)
                .for_each(|(word, place)| *place = key(word));
        }
    }

    fn limit(&self) -> f32 {
        self.sink.limit()
    }

    fn land(&mut self, part: &Leaves, place: usize) {
        let Some(record) = self.look.resolve(part, place) else {
            return;
        };
        let path_micros = self.look.criteria.path_micros(&record);
        self.look.weigh(&record, path_micros, &mut self.sink);
    }
}

/// One of the best relays by the summaries, each as likely as any other; `None`
/// where it is not that simple.
///
/// Where summaries are fine, a few that are equal by them are compared by `score`.
#[inline(always)]
pub(crate) fn best_relay(
    snapshot: &Snapshot,
    tick: Tick,
    score: impl Fn(Handle) -> Option<f32>,
) -> Option<Handle> {
    let mut random = random_bits();
    let base = &snapshot.base.leaves;
    if base.are_due(tick) {
        return None;
    }
    let mut best = (base, root_merit(base));
    for run in snapshot.runs.iter().filter(|run| run.len() > 0) {
        let merit = root_merit(&run.leaves);
        if run.leaves.are_due(tick) || (merit == best.1 && part_is_fine(base)) {
            return None;
        }
        let is_drawn = || {
            let (run, all) = (run.len() as u64, (snapshot.base.len() + run.len()) as u64);
            (random_bits() >> 32) * all >> 32 < run
        };
        if merit > best.1 || (merit == best.1 && is_drawn()) {
            best = (&run.leaves, merit);
        }
    }
    let (part, merit) = best;
    if merit == 0 {
        return None;
    }
    let mut node = 0;
    for level in (1..=part.summaries.top()).rev() {
        let best = best_of(&part.summaries.branches_of(level, node));
        if best.merit == 0 {
            return None;
        }
        node = node * width(level) + pick(best.mask, random) as usize;
        random >>= 12;
    }
    let best = best_of(&part.summaries.leaves_of(node));
    if best.merit == 0 {
        return None;
    }
    let slot = pick(best.mask, random);
    let at = |slot: u32| part.at(node * LEAVES + slot as usize);
    if part_is_fine(part) && best.mask & (best.mask - 1) != 0 {
        return best_by_score(best.mask, slot, at, score);
    }
    at(slot)
}

fn part_is_fine(part: &Leaves) -> bool {
    part.bins == Bins::FINE
}

/// Of the relays in these slots, from one of them on, the best of a few.
fn best_by_score(
    mask: u64,
    first: u32,
    at: impl Fn(u32) -> Option<Handle>,
    score: impl Fn(Handle) -> Option<f32>,
) -> Option<Handle> {
    let mut rest = mask.rotate_right(first);
    let mut best = (f32::INFINITY, None);
    for _ in 0..EXACT.min(mask.count_ones() as usize) {
        let relay = at((first + rest.trailing_zeros()) % u64::BITS)?;
        rest &= rest - 1;
        let score = score(relay)?;
        if score < best.0 {
            best = (score, Some(relay));
        }
    }
    best.1
}

/// The merit of the best relay of a part.
#[inline(always)]
fn root_merit(part: &Leaves) -> u16 {
    match part.summaries.top() {
        0 => best_of(&part.summaries.leaves_of(0)).merit,
        top => best_of(&part.summaries.branches_of(top, 0)).merit,
    }
}
