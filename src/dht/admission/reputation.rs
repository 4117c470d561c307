//! What is counted against a key, and outlives its withdrawals.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::relay::NodeId;

/// How many keys that left are remembered for what they did.
const MAX_LEFT: usize = 4_096;

/// Within which new records are counted.
const MINUTE: Duration = Duration::from_secs(60);

/// What is counted against one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reputation {
    /// The minute that news are counted in, and how many came in it.
    news: (Duration, u32),
    /// Probes that failed since the last that succeeded, wherever they went.
    pub(super) failures: u32,
}

impl Reputation {
    /// Nothing was counted yet.
    pub(super) const fn new(now: Duration) -> Self {
        Self {
            news: (now, 0),
            failures: 0,
        }
    }

    /// Counts a new record; false if there were `most` within the minute.
    pub(super) fn count_news(&mut self, most: u32, now: Duration) -> bool {
        let (since, count) = &mut self.news;
        if now.saturating_sub(*since) >= MINUTE {
            (*since, *count) = (now, 0);
        }
        let is_heeded = *count < most;
        *count += u32::from(is_heeded);
        is_heeded
    }

    /// Until when this counts, if failures count until then.
    fn counts_until(&self, failures_until: Duration) -> Duration {
        let (since, count) = self.news;
        let news = since.saturating_add(if count > 0 { MINUTE } else { Duration::ZERO });
        if self.failures > 0 {
            news.max(failures_until)
        } else {
            news
        }
    }
}

/// The reputation of keys that are not here any more; of a bounded number, of which those whose time ends first are
/// forgotten first.
#[derive(Debug, Default)]
pub(super) struct DepartedReputations {
    of: BTreeMap<NodeId, (Duration, Reputation)>,
    by_end: BTreeSet<(Duration, NodeId)>,
}

impl DepartedReputations {
    /// A key leaves, and its failures are to count until then.
    pub(super) fn keep(
        &mut self,
        id: NodeId,
        reputation: Reputation,
        failures_until: Duration,
        now: Duration,
    ) {
        let until = reputation.counts_until(failures_until);
        self.forget_past(now);
        if until > now {
            self.take(&id);
            self.of.insert(id, (until, reputation));
            self.by_end.insert((until, id));
        }
        while self.of.len() > MAX_LEFT {
            self.forget_first();
        }
    }

    /// What still counts against a key.
    pub(super) fn of(&self, id: &NodeId, now: Duration) -> Option<Reputation> {
        let (_, reputation) = self.of.get(id).filter(|(until, _)| *until > now)?;
        Some(*reputation)
    }

    /// A key is here again, and counted by what it is here as.
    pub(super) fn take(&mut self, id: &NodeId) {
        if let Some((until, _)) = self.of.remove(id) {
            self.by_end.remove(&(until, *id));
        }
    }

    fn forget_past(&mut self, now: Duration) {
        while self.by_end.first().is_some_and(|(until, _)| *until <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, id)) = self.by_end.pop_first() {
            self.of.remove(&id);
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn id(n: usize) -> NodeId {
        NodeId::from_bytes(&n.to_be_bytes()).unwrap()
    }

    fn with_failures(failures: u32) -> Reputation {
        Reputation {
            failures,
            ..Reputation::new(S(0))
        }
    }

    #[test]
    fn news_count_within_a_minute_and_anew_in_the_next() {
        let mut reputation = Reputation::new(S(0));
        let heeded = |reputation: &mut Reputation, at| reputation.count_news(2, S(at));
        assert!(heeded(&mut reputation, 1) && heeded(&mut reputation, 2));
        assert!(!heeded(&mut reputation, 3) && !heeded(&mut reputation, 59));
        assert!(heeded(&mut reputation, 60));
    }

    #[test]
    fn what_counts_outlives_the_leaving_and_ends() {
        let mut left = DepartedReputations::default();
        let mut talked = Reputation::new(S(0));
        assert!(talked.count_news(9, S(0)));
        left.keep(id(1), talked, S(100), S(10));
        left.keep(id(2), with_failures(2), S(100), S(10));
        left.keep(id(3), Reputation::new(S(0)), S(100), S(10));
        let known = |at| [1, 2, 3].map(|n| left.of(&id(n), S(at)).is_some());
        assert_eq!(known(59), [true, true, false]);
        assert_eq!(known(60), [false, true, false]);
        assert_eq!(known(100), [false; 3]);
        left.take(&id(2));
        assert_eq!(left.of(&id(2), S(59)), None);
    }

    #[test]
    fn so_many_are_remembered_and_no_more() {
        let mut left = DepartedReputations::default();
        for n in 0..2 * MAX_LEFT {
            left.keep(id(n), with_failures(1), S(100 + n as u64), S(0));
        }
        assert_eq!((left.of.len(), left.by_end.len()), (MAX_LEFT, MAX_LEFT));
        assert!(left.of(&id(0), S(0)).is_none() && left.of(&id(2 * MAX_LEFT - 1), S(0)).is_some());
        left.keep(id(0), with_failures(1), S(1_000_000), S(900_000));
        assert_eq!(left.of.len(), 1, "those that are over are forgotten");
    }
}
