//! The relays of strangers: candidates, and those whose probes succeed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::newcomers::{Newcomers, Ticket};
use super::quotas::{PerPrefix, Prefix, Quotas};
use crate::dht::SignedRecord;
use crate::relay::{Endpoint, NodeId};

/// What is known of one relay of a stranger.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) record: SignedRecord,
    pub(super) endpoint: Endpoint,
    prefix: Prefix,
    /// Whether it is in the registry.
    pub(super) is_verified: bool,
    /// Whether it ever was.
    pub(super) was_verified: bool,
    pub(super) is_probing: bool,
    /// What it drew when it came.
    ticket: Ticket,
    /// Whether it waits among the newcomers, and not for an appointed time.
    is_new: bool,
    probe_at: Duration,
    ask_at: Duration,
    /// Probes that failed since the last that succeeded.
    pub(super) failures: u32,
    /// When a probe last succeeded.
    pub(super) measured_at: Option<Duration>,
    /// Its place in the order of arrival.
    arrival: u64,
    /// Where in the directory it was last seen.
    pub(super) shard: Option<u16>,
    /// The minute that news are counted in, and how many came in it.
    pub(super) news: (Duration, u32),
}

impl Entry {
    /// Whether no probe of it has ended yet.
    pub(super) fn is_untried(&self) -> bool {
        !self.was_verified && self.failures == 0
    }
}

/// A bounded number of entries, in order of what is due.
#[derive(Debug)]
pub(super) struct Pool {
    entries: BTreeMap<NodeId, Entry>,
    /// Those that are to be probed as soon as may be.
    newcomers: Newcomers,
    /// By when the others are to be probed: candidates, then those that are verified.
    by_probe: [BTreeSet<(Duration, NodeId)>; 2],
    /// Whose turn it is among those three.
    turn: usize,
    /// By when they are to be asked for again.
    by_ask: BTreeSet<(Duration, NodeId)>,
    /// By the end of validity, since the Unix epoch.
    by_end: BTreeSet<(Duration, NodeId)>,
    quotas: Quotas,
    verified: usize,
    arrivals: u64,
}

impl Pool {
    pub(super) const fn new(per_prefix: PerPrefix, newcomers: Newcomers) -> Self {
        Self {
            entries: BTreeMap::new(),
            newcomers,
            by_probe: [BTreeSet::new(), BTreeSet::new()],
            turn: 0,
            by_ask: BTreeSet::new(),
            by_end: BTreeSet::new(),
            quotas: Quotas::new(per_prefix),
            verified: 0,
            arrivals: 0,
        }
    }

    pub(super) fn get(&self, id: &NodeId) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// For anything but what the other methods keep in order.
    pub(super) fn get_mut(&mut self, id: &NodeId) -> Option<&mut Entry> {
        self.entries.get_mut(id)
    }

    pub(super) fn candidates(&self) -> usize {
        self.entries.len() - self.verified
    }

    pub(super) fn verified(&self) -> usize {
        self.verified
    }

    /// Whether one more of the prefix of `endpoint` may come in, `id` being left
    /// out of account.
    pub(super) fn has_room(&self, id: &NodeId, endpoint: &Endpoint) -> bool {
        let prefix = Prefix::of(endpoint);
        let is_there = |entry: &Entry| entry.prefix == prefix;
        self.entries.get(id).is_some_and(is_there) || self.quotas.has_room(&prefix)
    }

    /// How many of the prefix there may be.
    pub(super) const fn most_of(&self, prefix: &Prefix) -> usize {
        self.quotas.most_of(prefix)
    }

    /// Takes in a record, in place of what there is: a candidate, to be probed
    /// as soon as may be, unless it only renews what is verified. One that was in
    /// the registry before is no newcomer.
    pub(super) fn put(
        &mut self,
        record: &SignedRecord,
        endpoint: Endpoint,
        returns: bool,
        now: Duration,
    ) {
        let id = record.node_id();
        let before = self.remove(&id);
        let prefix = Prefix::of(&endpoint);
        self.quotas.add(&prefix);
        self.by_end.insert((record.record().expires_at(), id));
        let mut entry = Entry {
            record: record.clone(),
            endpoint,
            prefix,
            is_verified: false,
            was_verified: returns,
            is_probing: false,
            ticket: self.newcomers.draw(&id, now),
            is_new: !returns,
            probe_at: if returns { Duration::ZERO } else { now },
            ask_at: now,
            failures: 0,
            measured_at: None,
            arrival: self.arrivals,
            shard: None,
            news: (now, 0),
        };
        self.arrivals += 1;
        if let Some(before) = before {
            entry.arrival = before.arrival;
            entry.news = before.news;
            entry.shard = before.shard;
            entry.was_verified = before.was_verified;
            entry.ticket = before.ticket;
            entry.is_new = before.is_new;
            if before.endpoint == entry.endpoint {
                entry.is_verified = before.is_verified;
                entry.is_probing = before.is_probing;
                entry.probe_at = before.probe_at;
                entry.failures = before.failures;
                entry.measured_at = before.measured_at;
            }
        }
        self.verified += usize::from(entry.is_verified);
        self.enqueue(&id, &entry);
        self.by_ask.insert((entry.ask_at, id));
        self.entries.insert(id, entry);
    }

    pub(super) fn remove(&mut self, id: &NodeId) -> Option<Entry> {
        let entry = self.entries.remove(id)?;
        self.dequeue(id, &entry);
        self.by_ask.remove(&(entry.ask_at, *id));
        self.by_end
            .remove(&(entry.record.record().expires_at(), *id));
        self.quotas.remove(&entry.prefix);
        self.verified -= usize::from(entry.is_verified);
        Some(entry)
    }

    pub(super) fn set_verified(&mut self, id: &NodeId) {
        self.requeue(id, |entry| {
            entry.is_verified = true;
            entry.was_verified = true;
        });
    }

    /// One that was verified is a candidate again.
    pub(super) fn set_candidate(&mut self, id: &NodeId) {
        self.requeue(id, |entry| entry.is_verified = false);
    }

    /// Who is to be probed now. Newcomers, other candidates and those that are
    /// verified take turns, so that however many there are of the ones, the others
    /// are probed.
    pub(super) fn begin_probe(&mut self, now: Duration) -> Option<(NodeId, Endpoint)> {
        let turn = self.turn;
        let mut queues = (0..3).map(|ahead| (turn + ahead) % 3);
        let (queue, id) = queues.find_map(|queue| Some((queue, self.pop_due(queue, now)?)))?;
        self.turn = (queue + 1) % 3;
        let entry = self.entries.get_mut(&id)?;
        entry.is_new = false;
        entry.is_probing = true;
        Some((id, entry.endpoint.clone()))
    }

    fn pop_due(&mut self, queue: usize, now: Duration) -> Option<NodeId> {
        let Some(queue) = queue.checked_sub(1) else {
            return self.newcomers.pop();
        };
        let (_, id) = self.by_probe[queue]
            .first()
            .filter(|(due, _)| *due <= now)?;
        let id = *id;
        self.by_probe[queue].pop_first();
        Some(id)
    }

    /// How many wait for their first probe.
    pub(super) fn newcomers(&self) -> usize {
        self.newcomers.len()
    }

    /// Appoints when a relay is to be probed next.
    pub(super) fn probe_again(&mut self, id: &NodeId, at: Duration) {
        self.requeue(id, |entry| {
            entry.is_new = false;
            entry.is_probing = false;
            entry.probe_at = at;
        });
    }

    /// Changes what decides when an entry is probed.
    fn requeue(&mut self, id: &NodeId, change: impl FnOnce(&mut Entry)) {
        let Some(mut entry) = self.entries.remove(id) else {
            return;
        };
        self.dequeue(id, &entry);
        self.verified -= usize::from(entry.is_verified);
        change(&mut entry);
        self.verified += usize::from(entry.is_verified);
        self.enqueue(id, &entry);
        self.entries.insert(*id, entry);
    }

    fn enqueue(&mut self, id: &NodeId, entry: &Entry) {
        if entry.is_probing {
            return;
        }
        if entry.is_new {
            self.newcomers.insert(*id, entry.ticket);
        } else {
            self.by_probe[queue_of(entry)].insert((entry.probe_at, *id));
        }
    }

    fn dequeue(&mut self, id: &NodeId, entry: &Entry) {
        self.newcomers.remove(id, entry.ticket);
        self.by_probe[queue_of(entry)].remove(&(entry.probe_at, *id));
    }

    /// Who is to be asked for again, if that is due.
    pub(super) fn first_to_ask(&self, now: Duration) -> Option<NodeId> {
        let (_, id) = self.by_ask.first().filter(|(due, _)| *due <= now)?;
        Some(*id)
    }

    pub(super) fn ask_again(&mut self, id: &NodeId, at: Duration) {
        if let Some(entry) = self.entries.get_mut(id) {
            self.by_ask.remove(&(entry.ask_at, *id));
            entry.ask_at = at;
            self.by_ask.insert((at, *id));
        }
    }

    /// Whose record ends first, if it has ended at `wall`.
    pub(super) fn first_expired(&self, wall: Duration) -> Option<NodeId> {
        let (_, id) = self.by_end.first().filter(|(end, _)| *end <= wall)?;
        Some(*id)
    }

    /// The candidate that is least worth its place: who failed most probes, then
    /// who came first. One that had no chance yet keeps its place.
    pub(super) fn worst_candidate(&self, of: Option<&Endpoint>) -> Option<NodeId> {
        let prefix = of.map(Prefix::of);
        self.entries
            .iter()
            .filter(|(_, entry)| !entry.is_verified && entry.failures > 0)
            .filter(|(_, entry)| prefix.as_ref().is_none_or(|prefix| *prefix == entry.prefix))
            .min_by_key(|(id, entry)| (u32::MAX - entry.failures, entry.arrival, **id))
            .map(|(id, _)| *id)
    }

    /// What `id` draws if it comes now.
    pub(super) fn lot(&self, id: &NodeId, now: Duration) -> u64 {
        self.newcomers.draw(id, now).lot
    }

    /// The stranger that nobody probed yet who drew the worst lot, if that is worse
    /// than `lot`.
    pub(super) fn unluckiest(&self, lot: u64, of: Option<&Endpoint>) -> Option<NodeId> {
        let prefix = of.map(Prefix::of);
        self.entries
            .iter()
            .filter(|(_, entry)| entry.is_untried() && !entry.is_probing)
            .filter(|(_, entry)| prefix.as_ref().is_none_or(|prefix| *prefix == entry.prefix))
            .map(|(id, entry)| (entry.ticket.lot, *id))
            .max()
            .filter(|(worst, _)| *worst > lot)
            .map(|(_, id)| id)
    }

    /// The verified relay that was not measured for longest.
    pub(super) fn longest_unmeasured(&self, of: Option<&Endpoint>) -> Option<(NodeId, Duration)> {
        let prefix = of.map(Prefix::of);
        self.entries
            .iter()
            .filter(|(_, entry)| entry.is_verified)
            .filter(|(_, entry)| prefix.as_ref().is_none_or(|prefix| *prefix == entry.prefix))
            .map(|(id, entry)| (*id, entry.measured_at.unwrap_or_default()))
            .min_by_key(|&(id, measured_at)| (measured_at, id))
    }

    /// So many verified relays that were not measured for longest.
    pub(super) fn longest_unmeasured_of_all(&self, count: usize) -> Vec<NodeId> {
        if count == 0 {
            return Vec::new();
        }
        let verified = self.entries.iter().filter(|(_, entry)| entry.is_verified);
        let mut order: Vec<_> = verified
            .map(|(id, entry)| (entry.measured_at.unwrap_or_default(), *id))
            .collect();
        order.sort_unstable();
        order.into_iter().take(count).map(|(_, id)| id).collect()
    }

    /// Who was in a shard and is not among those `seen`.
    pub(super) fn missing(&self, shard: u16, seen: &BTreeSet<NodeId>) -> Vec<NodeId> {
        self.entries
            .iter()
            .filter(|(id, entry)| entry.shard == Some(shard) && !seen.contains(id))
            .map(|(id, _)| *id)
            .collect()
    }

    /// Those in the registry.
    pub(super) fn all_verified(&self) -> impl Iterator<Item = &NodeId> {
        let verified = self.entries.iter().filter(|(_, entry)| entry.is_verified);
        verified.map(|(id, _)| id)
    }
}

fn queue_of(entry: &Entry) -> usize {
    usize::from(entry.is_verified)
}
