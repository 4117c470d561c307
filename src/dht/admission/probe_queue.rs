//! The queue of candidates that were never probed.
//!
//! Ids and addresses cost an attacker nothing, and only a probe tells its candidates from honest
//! ones. The number of probes is limited, so the queue is fair instead:
//!
//! - Time is divided into windows. The newest and the oldest window take turns. So candidates
//!   that arrived earlier do not delay a new one, and no candidate waits forever.
//! - Within a window, a random rank decides. It is a keyed hash of the window and the id. So an
//!   attacker can't choose ids with a good rank, and the rank changes with each window.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;

use crate::relay::NodeId;

/// The position of a candidate in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueKey {
    window: u128,
    /// The lowest rank of a window is first.
    pub(super) rank: u64,
}

/// Unprobed candidates, by window and rank.
#[derive(Debug)]
pub(super) struct ProbeQueue {
    windows: BTreeMap<u128, BTreeSet<(u64, NodeId)>>,
    count: usize,
    /// Whether the newest window is next.
    newest_next: bool,
    /// The length of a window.
    window_len: Duration,
    hasher: ahash::RandomState,
}

impl ProbeQueue {
    pub(super) fn new(window_len: Duration, random: &mut Rng) -> Self {
        let mut seed = || random.u64(..);
        Self {
            windows: BTreeMap::new(),
            count: 0,
            newest_next: true,
            window_len,
            hasher: ahash::RandomState::with_seeds(seed(), seed(), seed(), seed()),
        }
    }

    /// The position of `id` if it arrives at `now`. It is the same throughout a window.
    pub(super) fn key(&self, id: &NodeId, now: Duration) -> QueueKey {
        let window = now.as_nanos() / self.window_len.as_nanos().max(1);
        QueueKey {
            window,
            rank: self.hasher.hash_one((window, id)),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn insert(&mut self, id: NodeId, key: QueueKey) {
        let window = self.windows.entry(key.window).or_default();
        self.count += usize::from(window.insert((key.rank, id)));
    }

    pub(super) fn remove(&mut self, id: &NodeId, key: QueueKey) {
        let Some(window) = self.windows.get_mut(&key.window) else {
            return;
        };
        self.count -= usize::from(window.remove(&(key.rank, *id)));
        if window.is_empty() {
            self.windows.remove(&key.window);
        }
    }

    /// The candidate that [`pop`](Self::pop) returns next.
    pub(super) fn first(&self) -> Option<NodeId> {
        let mut windows = self.windows.values();
        let window = if self.newest_next {
            windows.next_back()?
        } else {
            windows.next()?
        };
        window.first().map(|(_, id)| *id)
    }

    pub(super) fn pop(&mut self) -> Option<NodeId> {
        let mut window = if self.newest_next {
            self.windows.last_entry()?
        } else {
            self.windows.first_entry()?
        };
        self.newest_next = !self.newest_next;
        let (_, id) = window.get_mut().pop_first()?;
        self.count -= 1;
        if window.get().is_empty() {
            window.remove();
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

    fn queue(arrivals: &[(u8, u64)]) -> ProbeQueue {
        let mut queue = ProbeQueue::new(S(60), &mut Rng::with_seed(1));
        for &(n, at) in arrivals {
            let key = queue.key(&id(n), S(at));
            queue.insert(id(n), key);
        }
        queue
    }

    #[test]
    fn the_newest_and_the_oldest_window_take_turns() {
        let mut queue = queue(&[(1, 0), (2, 60), (3, 120), (4, 180)]);
        let first_then_pop = |queue: &mut ProbeQueue| {
            let first = queue.first();
            assert_eq!(queue.pop(), first);
            first
        };
        let order: Vec<_> = std::iter::from_fn(|| first_then_pop(&mut queue)).collect();
        assert_eq!(order, [4, 1, 3, 2].map(id));
        assert_eq!(queue.len(), 0);
        assert_eq!(queue.first(), None);
    }

    #[test]
    fn a_rank_is_constant_within_a_window_and_changes_with_it() {
        let queue = queue(&[]);
        let key = |at| queue.key(&id(1), S(at));
        assert_eq!(key(0), key(59));
        assert_ne!(key(0).rank, key(60).rank);
        assert_ne!(key(0).rank, queue.key(&id(2), S(0)).rank);
    }

    #[test]
    fn a_removed_candidate_is_not_popped() {
        let mut queue = queue(&[(1, 0), (2, 0)]);
        let key = queue.key(&id(1), S(0));
        queue.remove(&id(1), key);
        queue.remove(&id(1), key);
        assert_eq!((queue.len(), queue.pop()), (1, Some(id(2))));
    }
}
