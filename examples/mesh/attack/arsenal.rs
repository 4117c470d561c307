//! What the attacker's nodes answer with.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use relay_registry::NodeId;

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A relay's name and a new endpoint, signed by another.
    WrongSignature,
    /// The record of one relay under the name of another.
    Foreign,
    /// Noise.
    Garbage,
    /// A true record, and far too many bytes after it.
    Huge,
    /// Noise, but properly signed by the attacker.
    SignedGarbage,
    /// The attacker's own, issued an hour ahead.
    Future,
    /// The attacker's own, and over.
    Expired,
    /// The attacker's own, at the address of a relay.
    Impostor,
    /// What a relay said before it said something else.
    Replay,
}

impl Kind {
    pub const ALL: [Self; 9] = [
        Self::WrongSignature,
        Self::Foreign,
        Self::Garbage,
        Self::Huge,
        Self::SignedGarbage,
        Self::Future,
        Self::Expired,
        Self::Impostor,
        Self::Replay,
    ];

    pub fn is_forged(self) -> bool {
        self != Self::Replay
    }
}

/// One record to offer, under the name of a node.
#[derive(Clone, Debug)]
pub struct Shot {
    pub kind: Kind,
    pub under: NodeId,
    /// As `SignedRecord::encode` would write it, or noise.
    pub bytes: Arc<[u8]>,
}

/// Loaded by the attacker, fired by its nodes.
#[derive(Default)]
pub struct Arsenal {
    shots: Mutex<Arc<[Shot]>>,
    fired: [AtomicU64; Kind::ALL.len()],
}

/// So many shots go into one answer: more would end the read, and with it the
/// chance that any of them is believed.
const MAX_VOLLEY: usize = 48;

impl Arsenal {
    /// From now on these and no others.
    fn load(&self, shots: Vec<Shot>) {
        *self.shots.lock().unwrap_or_else(PoisonError::into_inner) = shots.into();
    }

    /// From now on only those of such kinds.
    pub fn keep(&self, is_kept: impl Fn(Kind) -> bool) {
        let kept = self.loaded();
        self.load(
            kept.iter()
                .filter(|shot| is_kept(shot.kind))
                .cloned()
                .collect(),
        );
    }

    /// Adds to what there is.
    pub fn add(&self, shots: Vec<Shot>) {
        self.load(self.loaded().iter().cloned().chain(shots).collect());
    }

    /// Under whose names there is something.
    pub fn names(&self) -> BTreeSet<NodeId> {
        self.loaded().iter().map(|shot| shot.under).collect()
    }

    fn loaded(&self) -> Arc<[Shot]> {
        Arc::clone(&self.shots.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Offers what goes under such names, in random order, until the reader has
    /// enough.
    pub fn fire(
        &self,
        is_aimed_at: impl Fn(&NodeId) -> bool,
        mut offer: impl FnMut(&Shot) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let loaded = self.loaded();
        let mut volley: Vec<&Shot> = (loaded.iter())
            .filter(|shot| is_aimed_at(&shot.under))
            .collect();
        fastrand::shuffle(&mut volley);
        volley.truncate(MAX_VOLLEY);
        volley.into_iter().try_for_each(|shot| {
            self.count(shot.kind);
            offer(shot)
        })
    }

    /// One more was offered.
    pub fn count(&self, kind: Kind) {
        self.fired[kind as usize].fetch_add(1, Relaxed);
    }

    /// How many of these kinds were offered.
    pub fn offered(&self, is_counted: impl Fn(Kind) -> bool) -> u64 {
        Kind::ALL
            .into_iter()
            .filter(|kind| is_counted(*kind))
            .map(|kind| self.fired[kind as usize].load(Relaxed))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fired_is_aimed_and_counted() {
        let [one, other] = [1, 2].map(|n| NodeId::from([n; 32]));
        let shot = |kind, under| Shot {
            kind,
            under,
            bytes: [7].into(),
        };
        let arsenal = Arsenal::default();
        arsenal.add(vec![
            shot(Kind::Garbage, one),
            shot(Kind::Replay, one),
            shot(Kind::Huge, other),
        ]);
        let mut kinds = Vec::new();
        let flow = arsenal.fire(
            |under| *under == one,
            |shot| {
                kinds.push(shot.kind);
                ControlFlow::Continue(())
            },
        );
        kinds.sort();
        assert_eq!(kinds, [Kind::Garbage, Kind::Replay]);
        assert!(flow.is_continue());
        assert_eq!(arsenal.offered(Kind::is_forged), 1);
        assert_eq!(arsenal.offered(|_| true), 2);
        let enough = arsenal.fire(|_| true, |_| ControlFlow::Break(()));
        assert!(enough.is_break());
        assert_eq!(arsenal.offered(|_| true), 3);
    }
}
