//! The relays as one call sees them.

use crate::relay::Rejection;
use crate::select::best_so_far::BestSoFar;
use crate::select::criteria::Criteria;
use crate::simd::{Lanes, splats};
use crate::sync::epoch::Guard;
use crate::table::snapshot::{Bins, LeastFigures, Leaves, SummaryWord};
use crate::table::{RecordRef, Table};

/// See the module's description.
pub(crate) struct SearchScope<'g> {
    pub(crate) table: &'g Table,
    pub(crate) guard: &'g Guard,
    pub(crate) criteria: Criteria<'g>,
    pub(crate) latency_limit: LatencyLimit,
}

/// Which round trips from this node meet the maximum latency, in terms of summaries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LatencyLimit {
    /// The rank of the longest round trip that is eligible; 0 if all are.
    rtt_rank: u16,
    unmeasured: bool,
}

impl LatencyLimit {
    pub(crate) fn of(criteria: &Criteria<'_>) -> Self {
        let options = criteria.options;
        // Summaries have the legs of this node. Those of another requester are checked for
        // each relay.
        let is_own_leg = criteria.requester().is_none();
        match options.max_latency.filter(|_| is_own_leg) {
            Some(limit) => Self {
                rtt_rank: Bins::FINE.rank(crate::rtt::micros_at_most(limit) as f32),
                unmeasured: options.allow_unmeasured,
            },
            None => Self {
                rtt_rank: 0,
                unmeasured: true,
            },
        }
    }

    /// The bounds of children below which there may be a relay within the limit; infinite for
    /// the others.
    #[inline(always)]
    pub(crate) fn restrict<L: Lanes>(self, least: &LeastFigures<L>, bound: L) -> L {
        let [longest, infinite] = splats(&[self.longest(), f32::INFINITY]);
        let unmeasured = match self.unmeasured {
            true => least.unmeasured.if_below(infinite, bound, infinite),
            false => infinite,
        };
        least.rtt.if_below(longest, bound, unmeasured)
    }

    /// The float after the longest round trip that is eligible.
    #[inline(always)]
    fn longest(self) -> f32 {
        match self.rtt_rank {
            0 => f32::INFINITY,
            rank => f32::from_bits(Bins::FINE.least(rank).to_bits() + 1),
        }
    }

    /// Whether every relay is within the limit.
    #[inline(always)]
    pub(crate) fn is_unlimited(self) -> bool {
        self.rtt_rank == 0 && self.unmeasured
    }

    /// Whether there may be a relay within the limit below a word.
    #[inline(always)]
    pub(crate) fn admits(self, summary: SummaryWord) -> bool {
        summary.rtt_rank() >= self.rtt_rank || (self.unmeasured && summary.has_unmeasured())
    }
}

impl<'g> SearchScope<'g> {
    /// The record of the relay in a slot. If the relay has departed, its leaf is refreshed; if
    /// there is none, it is zeroed.
    pub(crate) fn resolve(&self, part: &Leaves, slot: usize) -> Option<RecordRef<'g>> {
        let Some(relay) = part.at(slot) else {
            part.clear_vacant(slot);
            return None;
        };
        let record = self.table.resolve(relay, self.guard);
        if record.is_none() {
            self.table.refresh(relay);
        }
        record
    }

    /// Offers a relay at the end of a path to the best so far, if it is eligible and good
    /// enough.
    #[inline]
    pub(crate) fn visit(
        &self,
        record: &RecordRef<'g>,
        path_micros: u32,
        best_so_far: &mut impl BestSoFar<'g>,
    ) {
        let (estimate, load) = self.criteria.estimate(record, path_micros);
        if !best_so_far.wants(estimate.score) && load.rejection().is_none() {
            return;
        }
        let offer = |candidate| best_so_far.offer(candidate);
        if let Err(reason) = self.criteria.with_path(record, path_micros, offer) {
            self.refresh_rejected(record, reason);
        }
    }

    /// Refreshes the leaf of a relay that was rejected, if its record rejects it for all
    /// callers.
    #[cold]
    pub(crate) fn refresh_rejected(&self, record: &RecordRef<'g>, reason: Rejection) {
        match reason {
            Rejection::Excluded
            | Rejection::Labels
            | Rejection::Family
            | Rejection::TooFar
            | Rejection::Tier => {}
            Rejection::Unmeasured => {
                if record.has_lapsed(self.criteria.tick) {
                    record.refresh_rtt(self.criteria.tick);
                }
            }
            Rejection::Departed => {
                let context = &self.table.publication().context;
                context.raise_leaf_tick(self.criteria.tick);
                record.refresh(false);
            }
            // Its leaf says rightly that others may have it.
            Rejection::Full if record.load().rejection().is_none() => {}
            Rejection::Full | Rejection::Draining | Rejection::BackingOff | Rejection::Banned => {
                record.refresh(false)
            }
        }
    }
}
