//! The guide to a last resort: of the relays that are left alone, the one that has
//! been for longest.

use crate::select::criteria::Candidate;
use crate::select::explore::Guide;
use crate::select::search::Look;
use crate::snapshot::{Earliest, LEAVES, Leaves, Said};
use crate::time::Tick;

/// See the module's description.
pub(crate) struct LastResort<'l, 'g> {
    look: &'l Look<'g>,
    pub(crate) found: Option<Candidate<'g>>,
    limit: u64,
}

impl<'l, 'g> LastResort<'l, 'g> {
    pub(crate) fn new(look: &'l Look<'g>) -> Self {
        Self {
            look,
            found: None,
            limit: u64::MAX,
        }
    }
}

impl Guide for LastResort<'_, '_> {
    type Key = u64;

    const NEVER: u64 = u64::MAX;
    const IS_FAIR: bool = false;

    fn keys(&mut self, part: &Leaves, level: usize, node: usize, keys: &mut [u64; LEAVES]) {
        let reach = self.look.reach;
        let key = |since: u64, said: u64| match Earliest::tick(since) {
            Some(Tick(since)) if reach.admits(Said(said)) => since,
            _ => u64::MAX,
        };
        if level == 0 {
            let (since, said) = (part.since.leaves_of(node), part.summaries.leaves_of(node));
            *keys = std::array::from_fn(|at| key(since[at], said[at]));
        } else {
            let since = part.since.branches_of(level, node);
            let said = part.summaries.branches_of(level, node);
            for (at, place) in keys.iter_mut().enumerate().take(since.len()) {
                *place = key(since[at], said[at]);
            }
        }
    }

    fn limit(&self) -> u64 {
        self.limit
    }

    fn land(&mut self, part: &Leaves, place: usize) {
        let Some(record) = self.look.resolve(part, place) else {
            return;
        };
        let Ok(worth) = self.look.criteria.judge_as_last_resort(&record) else {
            return;
        };
        let candidate = Candidate::last_resort(record, worth);
        let now = self.look.criteria.tick;
        let Tick(since) = candidate
            .circuit
            .ejected_at(self.look.table.back_off(&record, now));
        if since < self.limit {
            (self.found, self.limit) = (Some(candidate), since);
        }
    }
}
