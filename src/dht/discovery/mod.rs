//! Which queries the engine gets, and when: at most one at a time per shard and per relay.
//!
//! - Shards of the [directory] are swept at jittered intervals, in random order. So the sweeps of
//!   many nodes do not coincide, and an attacker can't predict them. A caller that found no relay
//!   makes all shards due, except those swept in the last 2 s.
//! - A relay that a directory lists without its record is looked up.
//! - A relay for which a *complete* answer had no record enters the negative cache. A query that
//!   reached no node is repeated after a back-off.
//! - A relay whose record the engine [saw change](crate::dht::RelayDht::changed) is looked up, also
//!   if it is in a negative cache. After too many such hints in a short time, shards are due instead.
//! - The records of known relays are requested again, whether or not a directory lists them.
//!   These requests alternate with all others.

mod directory;
mod walk;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fastrand::Rng;

use super::engine::{Limits, ShardPath};
use super::expiring_map::ExpiringMap;
use crate::relay::NodeId;
pub(super) use directory::Directory;

/// The most lookups that are queued or in flight.
const MAX_LOOKUPS: usize = 1_024;

/// The most relays in each of the two negative caches.
const MAX_CACHED: usize = 4_096;

/// The most changes within the shortest interval between two sweeps for which relays are looked up.
const MAX_CHANGES: u32 = 256;

/// After so many lookups in a row, a shard that is due goes first: names and changes may be made up
/// without end.
const MAX_LOOKUPS_IN_A_ROW: u32 = 4;

/// The intervals of queries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intervals {
    /// How often each shard is swept.
    pub(super) sweep_interval: Duration,
    /// The shortest interval between two sweeps of a shard, also after misses.
    pub(super) min_sweep_interval: Duration,
    /// How long a relay without a new record is not looked up again.
    pub(super) negative_cache_ttl: Duration,
    /// After this time, a sweep that has not ended no longer prevents the next of its shard.
    pub(super) timeout: Duration,
}

/// A query for the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Query {
    /// Reads a shard of the directory.
    Sweep(ShardPath),
    /// Looks up the record of a relay. If `stop_at_first`, the first new announcement ends the
    /// lookup, because a caller waits for a relay.
    Lookup { node: NodeId, stop_at_first: bool },
}

/// How a query ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueryOutcome {
    /// The answer is complete, and was read to its end.
    Complete { found: bool },
    /// The known record is the latest.
    Unchanged,
    /// There may be more than was read.
    Partial { found: bool },
    /// No node answered, or the engine failed.
    Failed,
    /// The engine does not support the query.
    Unsupported,
}

impl QueryOutcome {
    /// Whether at least one node answered.
    pub(super) const fn was_answered(self) -> bool {
        !matches!(self, Self::Failed | Self::Unsupported)
    }
}

/// What a query found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueryResult {
    pub(super) outcome: QueryOutcome,
    /// Whether the shard that was read has divided.
    pub(super) is_divided: bool,
}

impl From<QueryOutcome> for QueryResult {
    fn from(outcome: QueryOutcome) -> Self {
        Self {
            outcome,
            is_divided: false,
        }
    }
}

/// A lookup that is queued or in flight.
#[derive(Clone, Copy, Debug)]
struct Lookup {
    stop_at_first: bool,
    is_in_flight: bool,
    /// Whether the record changed while the lookup was in flight.
    is_outdated: bool,
    /// The shard of the directory that last listed the relay.
    listed_in: Option<ShardPath>,
}

/// The queries that are scheduled, queued and in flight.
#[derive(Debug)]
pub(super) struct Discovery {
    intervals: Intervals,
    directory: Directory,
    queue: VecDeque<NodeId>,
    /// The lookups that are queued or in flight.
    lookups: BTreeMap<NodeId, Lookup>,
    /// Relays without a record.
    absent: ExpiringMap<NodeId>,
    /// Relays whose known record is the latest.
    unchanged: ExpiringMap<NodeId>,
    /// Whether a requery of a known relay is next.
    requery_next: bool,
    /// The lookups since the last sweep, or since no shard was due.
    lookups_in_a_row: u32,
    /// The changes since this time.
    changes: (Duration, u32),
    /// When shards were last due because of missed changes.
    missed_at: Option<Duration>,
}

impl Discovery {
    pub(super) fn new(limits: Limits, intervals: Intervals) -> Self {
        Self {
            intervals,
            directory: Directory::new(limits, intervals),
            queue: VecDeque::new(),
            lookups: BTreeMap::new(),
            absent: ExpiringMap::new(MAX_CACHED),
            unchanged: ExpiringMap::new(MAX_CACHED),
            requery_next: false,
            lookups_in_a_row: 0,
            changes: (Duration::ZERO, 0),
            missed_at: None,
        }
    }

    /// A caller found no relay: shards are due.
    pub(super) fn sweep_soon(&mut self, now: Duration) {
        self.directory.sweep_soon(now);
    }

    /// Queues a lookup, and returns whether the relay will be looked up. It will not if it is
    /// in a negative cache, or if there are too many lookups.
    pub(super) fn request(&mut self, node: NodeId, stop_at_first: bool, now: Duration) -> bool {
        if let Some(lookup) = self.lookups.get_mut(&node) {
            lookup.stop_at_first |= stop_at_first;
            return true;
        }
        let is_cached = self.absent.contains(&node, now) || self.unchanged.contains(&node, now);
        if is_cached || self.lookups.len() >= MAX_LOOKUPS {
            return false;
        }
        self.lookups.insert(node, Lookup::new(stop_at_first));
        self.queue.push_back(node);
        true
    }

    /// The engine saw the record of a relay change.
    pub(super) fn changed(&mut self, node: NodeId, now: Duration) {
        if !self.may_follow_change(now) {
            self.missed_changes(now);
            return;
        }
        self.absent.remove(&node);
        self.unchanged.remove(&node);
        self.request(node, false, now);
        if let Some(lookup) = self.lookups.get_mut(&node) {
            lookup.is_outdated |= lookup.is_in_flight;
        }
    }

    fn may_follow_change(&mut self, now: Duration) -> bool {
        let (since, changes) = &mut self.changes;
        if now.saturating_sub(*since) >= self.intervals.min_sweep_interval {
            (*since, *changes) = (now, 0);
        }
        *changes = changes.saturating_add(1);
        *changes <= MAX_CHANGES
    }

    /// The engine may have missed changes: shards are due, at most four times in a sweep interval.
    pub(super) fn missed_changes(&mut self, now: Duration) {
        let since = self.missed_at.map(|at| now.saturating_sub(at));
        if since.is_none_or(|since| since >= self.intervals.sweep_interval / 4) {
            self.missed_at = Some(now);
            self.directory.make_due(now);
        }
    }

    /// Notes the shard that lists a relay, if the relay is being looked up.
    pub(super) fn note_listed(&mut self, node: &NodeId, shard: ShardPath) {
        if let Some(lookup) = self.lookups.get_mut(node) {
            lookup.listed_in = Some(shard);
        }
    }

    /// The shard that last listed a relay, if the relay is being looked up.
    pub(super) fn listed_in(&self, node: &NodeId) -> Option<ShardPath> {
        self.lookups.get(node)?.listed_in
    }

    /// If a lookup stopped at the first announcement, that may be an old one. So the relay is
    /// looked up again, and all answers are read.
    pub(super) fn complete_lookup(&mut self, query: &Query, outcome: QueryOutcome, now: Duration) {
        if let Query::Lookup {
            node,
            stop_at_first: true,
        } = query
        {
            if outcome == (QueryOutcome::Partial { found: true }) {
                self.request(*node, false, now);
            }
        }
    }

    /// The next query. `wanted` is how many more relays are wanted than are known, apart from those
    /// whose lookup is queued or in flight. `requery` returns the next known relay whose record is due again; these
    /// alternate with all other queries. The caller reports the outcome to
    /// [`query_finished`](Self::query_finished).
    pub(super) fn next(
        &mut self,
        wanted: usize,
        now: Duration,
        random: &mut Rng,
        mut requery: impl FnMut() -> Option<NodeId>,
    ) -> Option<Query> {
        let requery_next = std::mem::replace(&mut self.requery_next, false);
        if let Some(query) = requery_next
            .then(|| self.next_requery(&mut requery))
            .flatten()
        {
            return Some(query);
        }
        let query = self.next_lookup_or_sweep(wanted, now, random);
        self.requery_next = query.is_some();
        query.or_else(|| self.next_requery(&mut requery))
    }

    /// Skips relays whose lookup is queued or in flight.
    fn next_requery(&mut self, requery: impl FnMut() -> Option<NodeId>) -> Option<Query> {
        let lookups = &mut self.lookups;
        let node = std::iter::from_fn(requery).find(|node| !lookups.contains_key(node))?;
        lookups.insert(node, Lookup::requery());
        Some(Query::Lookup {
            node,
            stop_at_first: false,
        })
    }

    fn next_lookup_or_sweep(
        &mut self,
        wanted: usize,
        now: Duration,
        random: &mut Rng,
    ) -> Option<Query> {
        if self.lookups_in_a_row < MAX_LOOKUPS_IN_A_ROW {
            if let Some(lookup) = self.next_lookup() {
                self.lookups_in_a_row += 1;
                return Some(lookup);
            }
        }
        self.lookups_in_a_row = 0;
        let wants_more = wanted > self.lookups.len();
        let path = self.directory.next(wants_more, now, random);
        path.map(Query::Sweep).or_else(|| self.next_lookup())
    }

    fn next_lookup(&mut self) -> Option<Query> {
        let node = self.queue.pop_front()?;
        let lookup = self.lookups.get_mut(&node);
        let stop_at_first = lookup.is_some_and(|lookup| {
            lookup.is_in_flight = true;
            lookup.stop_at_first
        });
        Some(Query::Lookup {
            node,
            stop_at_first,
        })
    }

    /// Applies the outcome of a query; of a sweep also whether the shard has divided.
    pub(super) fn query_finished(
        &mut self,
        query: &Query,
        read: QueryResult,
        now: Duration,
        random: &mut Rng,
    ) {
        match query {
            Query::Sweep(path) => {
                self.directory.was_read(*path, read, now, random);
            }
            Query::Lookup { node, .. } => {
                let lookup = self.lookups.remove(node);
                if lookup.is_some_and(|lookup| lookup.is_outdated) {
                    self.request(*node, false, now);
                    return;
                }
                let until = now.saturating_add(self.intervals.negative_cache_ttl);
                match read.outcome {
                    QueryOutcome::Complete { found: false } | QueryOutcome::Unsupported => {
                        self.absent.insert(*node, (), until);
                    }
                    QueryOutcome::Unchanged => self.unchanged.insert(*node, (), until),
                    QueryOutcome::Complete { found: true }
                    | QueryOutcome::Partial { .. }
                    | QueryOutcome::Failed => {}
                }
            }
        }
    }

    /// The number of lookups that are queued or in flight.
    pub(super) fn lookups(&self) -> usize {
        self.lookups.len()
    }

    /// The number of relays that are known to have no record.
    pub(super) fn absent(&self) -> usize {
        self.absent.len()
    }
}

impl Lookup {
    const fn new(stop_at_first: bool) -> Self {
        Self {
            stop_at_first,
            is_in_flight: false,
            is_outdated: false,
            listed_in: None,
        }
    }

    /// The lookup of a known relay's record, which begins at once.
    const fn requery() -> Self {
        Self {
            is_in_flight: true,
            ..Self::new(false)
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests;
