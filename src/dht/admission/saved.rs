//! What the admission remembers, for saves.

use std::ops::Bound;
use std::time::Duration;

use super::Admission;
use crate::dht::record::{MAX_TTL, SavedSequence, SequenceMemory, SignedRecord};
use crate::relay::NodeId;

/// A remote relay that is known.
#[derive(Clone, Debug)]
pub(crate) struct SavedRemote {
    pub(crate) record: SignedRecord,
    /// Whether it is registered.
    pub(crate) is_verified: bool,
    /// Whether this key was ever verified.
    pub(crate) was_verified: bool,
}

impl Admission {
    /// Up to so many remote relays after an id, in the order of their ids.
    pub(in crate::dht) fn some_remote_after(
        &self,
        id: Option<NodeId>,
        most: usize,
    ) -> Vec<SavedRemote> {
        let after = id.map_or(Bound::Unbounded, Bound::Excluded);
        let relays = self.remote.range((after, Bound::Unbounded)).take(most);
        let saved = relays.map(|relay| SavedRemote {
            record: relay.record.clone(),
            is_verified: relay.is_verified,
            was_verified: relay.was_verified,
        });
        saved.collect()
    }

    /// The sequences of removed relays that were verified, or of those that never were.
    pub(in crate::dht) fn departed(&self, verified: bool) -> &SequenceMemory {
        match verified {
            true => &self.departed_verified,
            false => &self.departed_unverified,
        }
    }

    fn departed_mut(&mut self, verified: bool) -> &mut SequenceMemory {
        match verified {
            true => &mut self.departed_verified,
            false => &mut self.departed_unverified,
        }
    }

    pub(in crate::dht) fn restore_sequence(&mut self, verified: bool, saved: SavedSequence) {
        self.departed_mut(verified).restore(saved);
    }

    pub(in crate::dht) fn raise_floor(&mut self, verified: bool, floor: u64) {
        self.departed_mut(verified).raise_floor(floor);
    }

    /// Has a relay that was registered before the restart probed before others.
    pub(in crate::dht) fn prioritise(&mut self, id: NodeId, now: Duration) {
        self.priorities.insert(id, (), now.saturating_add(MAX_TTL));
    }

    /// Whether no further candidate has room.
    pub(in crate::dht) fn is_full(&self) -> bool {
        self.candidates() >= self.policy.max_candidates
    }
}
