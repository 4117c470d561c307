//! What the DHT of a registry remembers, for saves.

use super::{Distribution, Shared};
use crate::dht::admission::SavedRemote;
use crate::dht::backend::{Now, RegistryBackend};
use crate::dht::record::{MAX_SKEW, SavedSequence, SignedRecord};
use crate::relay::NodeId;
use crate::sync::Arc;
use std::time::Duration;

/// What a DHT remembers. It can be read for as long as it is held, also after the DHT has ended.
#[derive(Clone)]
pub(crate) struct DistributionMemory(Arc<Shared>);

/// What was saved of a DHT, to be taken over by another one.
pub(crate) trait SavedMemory {
    /// When it was saved, since the Unix epoch.
    fn wall(&self) -> Duration;

    fn own_sequence(&self) -> Option<(NodeId, u64)>;

    /// Calls `visit` for each sequence, with whether its relay was verified.
    fn for_each_sequence(&self, visit: &mut dyn FnMut(bool, SavedSequence));

    /// The floors of the sequences of relays that were verified, and of those that were not.
    fn floors(&self) -> Option<[u64; 2]>;

    /// Calls `visit` for the bytes of each record, with whether its relay was registered, until it
    /// returns false.
    fn for_each_record(&self, visit: &mut dyn FnMut(bool, &[u8]) -> bool);
}

impl DistributionMemory {
    /// The id of this node, and the highest sequence that it has signed.
    pub(crate) fn own_sequence(&self) -> Option<(NodeId, u64)> {
        self.0.state.lock().own_sequence()
    }

    pub(crate) fn floors(&self) -> Option<[u64; 2]> {
        let state = self.0.state.lock();
        let admission = state.admission()?;
        Some([true, false].map(|verified| admission.departed(verified).floor()))
    }

    /// Up to so many remote relays after an id, in the order of their ids.
    pub(crate) fn some_remote_after(&self, id: Option<NodeId>, most: usize) -> Vec<SavedRemote> {
        let state = self.0.state.lock();
        let admission = state.admission();
        admission.map_or_else(Vec::new, |it| it.some_remote_after(id, most))
    }

    /// Up to so many sequences of removed relays after a key, in the order of the keys.
    pub(crate) fn some_departed_after(
        &self,
        verified: bool,
        key: Option<[u8; 32]>,
        most: usize,
    ) -> Vec<SavedSequence> {
        let state = self.0.state.lock();
        let admission = state.admission();
        admission.map_or_else(Vec::new, |it| it.departed(verified).some_after(key, most))
    }
}

impl Distribution {
    pub(crate) fn memory(&self) -> DistributionMemory {
        DistributionMemory(Arc::clone(&self.shared))
    }

    /// Takes over what was saved, before the threads start. How many sequences are remembered, and
    /// how many relays are candidates. Reads both clocks.
    ///
    /// A saved record counts as any other one that is offered: its signature is verified, it must
    /// not have expired, and its relay is probed before it is registered.
    pub(crate) fn restore(
        &self,
        saved: &dyn SavedMemory,
        backend: &dyn RegistryBackend,
    ) -> (usize, usize) {
        let shared = &self.shared;
        let Some(now) = shared.now(backend) else {
            return (0, 0);
        };
        let sequences = self.restore_sequences(saved);
        let mut candidates = 0;
        for of_registered in [true, false] {
            saved.for_each_record(&mut |was_registered, bytes| {
                if was_registered == of_registered {
                    let is_candidate = self.offer_saved(bytes, was_registered, backend, now);
                    candidates += usize::from(is_candidate);
                }
                let state = shared.state.lock();
                state.admission().is_some_and(|it| !it.is_full())
            });
        }
        (sequences, candidates)
    }

    fn restore_sequences(&self, saved: &dyn SavedMemory) -> usize {
        let mut state = self.shared.state.lock();
        if let Some((id, sequence)) = saved.own_sequence() {
            state.restore_own_sequence(&id, sequence);
        }
        let Some(admission) = state.admission_mut() else {
            return 0;
        };
        // None that is credible was above, for records from the future are rejected.
        let latest = saved.wall().saturating_add(MAX_SKEW).as_micros();
        let is_credible = |sequence: u64| u128::from(sequence) <= latest;
        let mut count = 0;
        saved.for_each_sequence(&mut |verified, sequence| {
            if is_credible(sequence.sequence) {
                admission.restore_sequence(verified, sequence);
                count += 1;
            }
        });
        for (verified, floor) in [true, false]
            .into_iter()
            .zip(saved.floors().into_iter().flatten())
        {
            if is_credible(floor.saturating_sub(1)) {
                admission.raise_floor(verified, floor);
            }
        }
        count
    }

    fn offer_saved(
        &self,
        bytes: &[u8],
        was_registered: bool,
        backend: &dyn RegistryBackend,
        now: Now,
    ) -> bool {
        // Without the lock: this verifies the signature.
        let Ok(record) = SignedRecord::decode(bytes, &self.shared.options.network) else {
            return false;
        };
        let mut state = self.shared.state.lock();
        let Some(admission) = state.admission_mut() else {
            return false;
        };
        if was_registered {
            admission.prioritise(record.node_id(), now.at);
        }
        admission.offer_record(&record, backend, now).is_ok()
    }
}
