//! What is known not to be there, for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::relay::NodeId;

/// Nodes that are not worth asking for until some time; a bounded number of them, of
/// which those whose time ends first are forgotten first.
#[derive(Clone, Debug)]
pub(in crate::dht) struct NegativeCache {
    until: BTreeMap<NodeId, Duration>,
    by_end: BTreeSet<(Duration, NodeId)>,
    capacity: usize,
}

impl NegativeCache {
    pub(in crate::dht) const fn new(capacity: usize) -> Self {
        Self {
            until: BTreeMap::new(),
            by_end: BTreeSet::new(),
            capacity,
        }
    }

    pub(in crate::dht) fn insert(&mut self, node: NodeId, until: Duration) {
        self.remove(&node);
        self.until.insert(node, until);
        self.by_end.insert((until, node));
        while self.until.len() > self.capacity {
            self.forget_first();
        }
    }

    pub(in crate::dht) fn remove(&mut self, node: &NodeId) {
        if let Some(until) = self.until.remove(node) {
            self.by_end.remove(&(until, *node));
        }
    }

    pub(in crate::dht) fn contains(&mut self, node: &NodeId, now: Duration) -> bool {
        self.end(node, now).is_some()
    }

    /// Until when, if it is not over.
    pub(in crate::dht) fn end(&mut self, node: &NodeId, now: Duration) -> Option<Duration> {
        while self.by_end.first().is_some_and(|(until, _)| *until <= now) {
            self.forget_first();
        }
        self.until.get(node).copied()
    }

    fn forget_first(&mut self) {
        if let Some((_, node)) = self.by_end.pop_first() {
            self.until.remove(&node);
        }
    }

    pub(in crate::dht) fn len(&self) -> usize {
        self.until.len()
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    #[test]
    fn absences_end_and_are_bounded() {
        let id = |n: u8| NodeId::from([n; 32]);
        let s = Duration::from_secs;
        let mut negative_cache = NegativeCache::new(2);
        negative_cache.insert(id(1), s(10));
        negative_cache.insert(id(1), s(20));
        assert!(negative_cache.contains(&id(1), s(19)) && !negative_cache.contains(&id(1), s(20)));
        (1..=3).for_each(|n| negative_cache.insert(id(n), s(30 + u64::from(n))));
        assert_eq!(negative_cache.len(), 2);
        assert!(!negative_cache.contains(&id(1), s(0)) && negative_cache.contains(&id(3), s(0)));
        negative_cache.remove(&id(3));
        assert!(!negative_cache.contains(&id(3), s(0)));
    }
}
