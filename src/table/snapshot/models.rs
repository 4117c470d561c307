//! Models of the snapshot: of its trees, of arrivals, and of changes beside merges.

mod arrivals;
mod changes;
mod free_units;
mod slots;
mod tiers;
mod tree;

use super::context::SelectionSettings;
use super::fixture::Relays;
use super::leaf::{Leaf, SummaryWord};
use super::leaf_state::LeafState;
use super::leaves::Leaves;
use super::publication::Snapshot;
use crate::sync::Arc;
use crate::table::record::{BackOff, Failure, Fault};
use crate::time::Tick;

pub(super) const CAPACITY: u32 = 2;

pub(super) fn relays(count: usize) -> Arc<Relays> {
    Arc::new(Relays::new(count, CAPACITY))
}

/// Relays that are in the base.
pub(super) fn merged(count: usize) -> Arc<Relays> {
    let relays = relays(count);
    (0..relays.len()).for_each(|index| relays.arrive(index));
    relays.merge();
    relays
}

impl Relays {
    /// The indices of all relays in the current snapshot, in ascending order.
    pub(super) fn seen(&self) -> Vec<u32> {
        let snapshot = Arc::clone(&self.publication.load());
        let mut seen: Vec<u32> = snapshot.iter().map(|relay| relay.index).collect();
        seen.sort_unstable();
        seen
    }

    /// The summary words of the leaves of a relay in a snapshot, where they are not empty.
    pub(super) fn leaves_in(&self, snapshot: &Snapshot, index: usize) -> Vec<u64> {
        let relay = Some(self.subject(index).handle);
        let of_part = |part: &Leaves| {
            let slots = 0..part.len();
            let at = slots.filter(|&slot| part.at(slot) == relay);
            at.map(|slot| part.all.leaves_at(slot).map(|(_, leaf)| leaf).collect())
                .next()
        };
        let leaves: Vec<Vec<u64>> = snapshot.parts().filter_map(of_part).collect();
        let leaves = leaves.into_iter().flatten();
        leaves.filter(|&leaf| leaf != 0).collect()
    }

    /// The state of a relay in the current snapshot. It has one leaf, which agrees with the
    /// record.
    pub(super) fn consistent_state(&self, index: usize) -> LeafState {
        let snapshot = Arc::clone(&self.publication.load());
        let bins = snapshot.base.leaves.precision.bins;
        let tick = self.publication.context.leaf_tick();
        let (subject, context) = (self.subject(index), &self.publication.context);
        let expected = Leaf::of(&subject, context, bins, tick);
        assert_eq!(self.leaves_in(&snapshot, index), [expected.summary]);
        let tiers = snapshot.parts().flat_map(|part| part.all.each_tier());
        for (tier, trees) in tiers.filter(|&(tier, _)| tier != subject.tier()) {
            assert_eq!(trees.root().score_rank, 0, "in tier {tier}");
        }
        SummaryWord(expected.summary).state()
    }

    /// Whether any root of the current snapshot has an eligible relay.
    pub(super) fn has_any(&self) -> bool {
        let snapshot = Arc::clone(&self.publication.load());
        let mut tiers = snapshot.parts().flat_map(|part| part.all.each_tier());
        tiers.any(|(_, trees)| trees.root().score_rank > 0)
    }
}

pub(super) fn back_off() -> BackOff {
    BackOff {
        now: Tick(0),
        tick_nanos: SelectionSettings::FOR_TESTS.tick_nanos,
        jitter: 0,
        back_off_range: SelectionSettings::FOR_TESTS.back_off_range,
    }
}

pub(super) fn fault() -> Fault {
    Fault::reported(Failure::TimedOut)
}
