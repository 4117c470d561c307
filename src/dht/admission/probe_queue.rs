//! Relays that nobody has probed yet, and whose turn it is among them.
//!
//! Names and addresses cost a stranger nothing, so a crowd of them can be told
//! from honest newcomers by a probe alone, and probes are few. What can be had
//! is fairness: each probe goes to the latest to come or to who waits longest,
//! by turns, so a crowd that came earlier holds up nobody, and nobody waits for
//! ever. Among those that came within the same while, and where there is no room
//! for all, a secret lot decides, which no choice of a name can better. It is
//! drawn anew the next while.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;

use crate::relay::NodeId;

/// When one came, and what it drew: the lower, the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueKey {
    came_in: u128,
    pub(super) lot: u64,
}

/// All newcomers, by the while in which they came, and by lot.
#[derive(Debug)]
pub(super) struct ProbeQueue {
    waiting: BTreeMap<u128, BTreeSet<(u64, NodeId)>>,
    count: usize,
    /// Whether it is the turn of the latest to come.
    latest_first: bool,
    /// How long one lot counts.
    span: Duration,
    secret: ahash::RandomState,
}

impl ProbeQueue {
    pub(super) fn new(span: Duration, random: &mut Rng) -> Self {
        let mut seed = || random.u64(..);
        Self {
            waiting: BTreeMap::new(),
            count: 0,
            latest_first: true,
            span,
            secret: ahash::RandomState::with_seeds(seed(), seed(), seed(), seed()),
        }
    }

    /// What `id` draws at `now`, however often it asks.
    pub(super) fn draw(&self, id: &NodeId, now: Duration) -> QueueKey {
        let came_in = now.as_nanos() / self.span.as_nanos().max(1);
        QueueKey {
            came_in,
            lot: self.secret.hash_one((came_in, id)),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn insert(&mut self, id: NodeId, queue_key: QueueKey) {
        let peers = self.waiting.entry(queue_key.came_in).or_default();
        self.count += usize::from(peers.insert((queue_key.lot, id)));
    }

    pub(super) fn remove(&mut self, id: &NodeId, queue_key: QueueKey) {
        let Some(peers) = self.waiting.get_mut(&queue_key.came_in) else {
            return;
        };
        self.count -= usize::from(peers.remove(&(queue_key.lot, *id)));
        if peers.is_empty() {
            self.waiting.remove(&queue_key.came_in);
        }
    }

    /// Whose turn it is.
    pub(super) fn first(&self) -> Option<NodeId> {
        let mut peers = self.waiting.values();
        let peers = if self.latest_first {
            peers.next_back()?
        } else {
            peers.next()?
        };
        peers.first().map(|(_, id)| *id)
    }

    /// Takes out whose turn it is.
    pub(super) fn pop(&mut self) -> Option<NodeId> {
        let mut peers = if self.latest_first {
            self.waiting.last_entry()?
        } else {
            self.waiting.first_entry()?
        };
        self.latest_first = !self.latest_first;
        let (_, id) = peers.get_mut().pop_first()?;
        self.count -= 1;
        if peers.get().is_empty() {
            peers.remove();
        }
        Some(id)
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn id(n: u8) -> NodeId {
        NodeId::from([n; 32])
    }

    fn newcomers(came: &[(u8, u64)]) -> ProbeQueue {
        let mut newcomers = ProbeQueue::new(S(60), &mut Rng::with_seed(1));
        for &(n, at) in came {
            let queue_key = newcomers.draw(&id(n), S(at));
            newcomers.insert(id(n), queue_key);
        }
        newcomers
    }

    #[test]
    fn the_latest_and_the_earliest_take_turns() {
        let mut newcomers = newcomers(&[(1, 0), (2, 60), (3, 120), (4, 180)]);
        let first_then_out = |newcomers: &mut ProbeQueue| {
            let first = newcomers.first();
            assert_eq!(newcomers.pop(), first);
            first
        };
        let order: Vec<_> = std::iter::from_fn(|| first_then_out(&mut newcomers)).collect();
        assert_eq!(order, [4, 1, 3, 2].map(id));
        assert_eq!(newcomers.len(), 0);
        assert_eq!(newcomers.first(), None);
    }

    #[test]
    fn a_lot_is_drawn_once_in_a_while() {
        let newcomers = newcomers(&[]);
        let draw = |at| newcomers.draw(&id(1), S(at));
        assert_eq!(draw(0), draw(59));
        assert_ne!(draw(0).lot, draw(60).lot);
        assert_ne!(draw(0).lot, newcomers.draw(&id(2), S(0)).lot);
    }

    #[test]
    fn who_is_taken_out_does_not_get_a_turn() {
        let mut newcomers = newcomers(&[(1, 0), (2, 0)]);
        let queue_key = newcomers.draw(&id(1), S(0));
        newcomers.remove(&id(1), queue_key);
        newcomers.remove(&id(1), queue_key);
        assert_eq!((newcomers.len(), newcomers.pop()), (1, Some(id(2))));
    }
}
