//! A bounded map whose entries expire.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A map of at most `capacity` entries, each with an end. If there are more, those that end
/// first are evicted.
#[derive(Clone, Debug)]
pub(super) struct ExpiringMap<K, V = ()> {
    entries: BTreeMap<K, (Duration, V)>,
    by_end: BTreeSet<(Duration, K)>,
    capacity: usize,
}

impl<K: Clone + Ord, V> ExpiringMap<K, V> {
    pub(super) const fn new(capacity: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            by_end: BTreeSet::new(),
            capacity,
        }
    }

    pub(super) fn insert(&mut self, key: K, value: V, end: Duration) {
        self.remove(&key);
        self.entries.insert(key.clone(), (end, value));
        self.by_end.insert((end, key));
        while self.entries.len() > self.capacity {
            self.evict_first();
        }
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some((end, _)) = self.entries.remove(key) {
            self.by_end.remove(&(end, key.clone()));
        }
    }

    pub(super) fn contains(&mut self, key: &K, now: Duration) -> bool {
        self.get(key, now).is_some()
    }

    pub(super) fn get(&mut self, key: &K, now: Duration) -> Option<&V> {
        self.remove_expired(now);
        self.entries.get(key).map(|(_, value)| value)
    }

    /// When the entry of `key` ends.
    pub(super) fn end(&mut self, key: &K, now: Duration) -> Option<Duration> {
        self.remove_expired(now);
        self.entries.get(key).map(|(end, _)| *end)
    }

    pub(super) fn remove_expired(&mut self, now: Duration) {
        while self.by_end.first().is_some_and(|(end, _)| *end <= now) {
            self.evict_first();
        }
    }

    /// The number of entries, including those that have expired since the last call with a
    /// time.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn evict_first(&mut self) {
        if let Some((_, key)) = self.by_end.pop_first() {
            self.entries.remove(&key);
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn entries_expire_and_their_number_is_bounded() {
        let mut map = ExpiringMap::new(2);
        map.insert(1, 'a', S(10));
        map.insert(1, 'b', S(20));
        assert_eq!(map.get(&1, S(19)), Some(&'b'));
        assert_eq!(
            (map.end(&1, S(19)), map.end(&1, S(20))),
            (Some(S(20)), None)
        );
        (1..=3).for_each(|key| map.insert(key, 'c', S(30 + key)));
        assert_eq!((map.entries.len(), map.by_end.len()), (2, 2));
        assert!(!map.contains(&1, S(0)) && map.contains(&3, S(0)));
        map.remove(&3);
        assert!(!map.contains(&3, S(0)) && map.contains(&2, S(0)));
        assert_eq!((map.entries.len(), map.by_end.len()), (1, 1));
    }
}
