//! The relays of strangers: candidates, and those whose probes succeed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::limiter::ProbeLimiter;
use super::probe_queue::{ProbeQueue, QueueKey};
use super::quotas::{PerPrefix, Prefix, Quotas};
use super::reputation::Reputation;
use crate::dht::record::SignedRecord;
use crate::relay::{Endpoint, NodeId};

/// What is known of one relay of a stranger.
#[derive(Debug)]
pub(super) struct RemoteRelay {
    pub(super) record: SignedRecord,
    pub(super) endpoint: Endpoint,
    prefix: Prefix,
    /// Whether it is in the registry.
    pub(super) is_verified: bool,
    /// When its record ends, if so, by the registry's time.
    pub(super) verified_until: Duration,
    /// Whether its key ever was.
    pub(super) was_verified: bool,
    /// Whether it was since its key last came first for that.
    pub(super) may_come_first: bool,
    pub(super) is_probing: bool,
    /// Whether a probe of it has ended where it is now.
    pub(super) is_tried: bool,
    /// What it drew when it came.
    queue_key: QueueKey,
    queue: Queue,
    probe_at: Duration,
    /// When that was first, if its prefix had to rest.
    due_since: Duration,
    ask_at: Duration,
    pub(super) reputation: Reputation,
    /// When a probe last succeeded.
    pub(super) measured_at: Option<Duration>,
    /// Its place in the order of arrival.
    pub(super) arrival: u64,
    /// Where in the directory it was last seen.
    pub(super) shard: Option<u16>,
}

/// What a probe of one that is not verified waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    /// Its turn among the newcomers.
    Newcomers,
    /// Its turn among those that were in the registry.
    Returning,
    /// Its appointed time.
    Others,
}

/// What is known of a key that comes in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Past {
    /// Whether it was in the registry.
    pub(super) was_verified: bool,
    /// Whether it is to be probed before newcomers for that.
    pub(super) comes_first: bool,
    pub(super) reputation: Reputation,
}

/// A bounded number of entries, in order of what is due.
#[derive(Debug)]
pub(super) struct RemoteRelays {
    entries: BTreeMap<NodeId, RemoteRelay>,
    /// Those that are to be probed as soon as may be.
    probe_queue: ProbeQueue,
    /// By when the others are to be probed: those that return, other candidates, and
    /// those that are verified.
    by_probe: [BTreeSet<Appointment>; 3],
    /// Whose turn it is: that of newcomers, other candidates, or those that are
    /// verified.
    turn: usize,
    /// Whether those that return go before other candidates.
    returning_first: bool,
    limiter: ProbeLimiter,
    /// By when they are to be asked for again.
    by_ask: BTreeSet<(Duration, NodeId)>,
    /// By the end of validity, since the Unix epoch.
    by_end: BTreeSet<(Duration, NodeId)>,
    quotas: Quotas,
    verified: usize,
    arrivals: u64,
}

/// When one is to be probed, since when it waits for that, its place in the order of
/// arrival, and who it is. So where several wait for one prefix to rest, nobody
/// overtakes another there.
type Appointment = (Duration, Duration, u64, NodeId);

const RETURNING: usize = 0;
const OTHERS: usize = 1;
const VERIFIED: usize = 2;

impl RemoteRelays {
    pub(super) const fn new(
        per_prefix: PerPrefix,
        probe_queue: ProbeQueue,
        limiter: ProbeLimiter,
    ) -> Self {
        Self {
            entries: BTreeMap::new(),
            probe_queue,
            by_probe: [BTreeSet::new(), BTreeSet::new(), BTreeSet::new()],
            turn: 0,
            returning_first: true,
            limiter,
            by_ask: BTreeSet::new(),
            by_end: BTreeSet::new(),
            quotas: Quotas::new(per_prefix),
            verified: 0,
            arrivals: 0,
        }
    }

    pub(super) fn get(&self, id: &NodeId) -> Option<&RemoteRelay> {
        self.entries.get(id)
    }

    /// For anything but what the other methods keep in order.
    pub(super) fn get_mut(&mut self, id: &NodeId) -> Option<&mut RemoteRelay> {
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
        let is_there = |entry: &RemoteRelay| entry.prefix == prefix;
        self.entries.get(id).is_some_and(is_there) || self.quotas.has_room(&prefix)
    }

    /// Takes in a relay that is not here: a candidate, to be probed as soon as may be.
    pub(super) fn insert(
        &mut self,
        record: &SignedRecord,
        endpoint: Endpoint,
        past: Past,
        now: Duration,
    ) {
        let id = record.node_id();
        let entry = RemoteRelay {
            record: record.clone(),
            prefix: Prefix::of(&endpoint),
            endpoint,
            is_verified: false,
            verified_until: Duration::ZERO,
            was_verified: past.was_verified,
            may_come_first: false,
            is_probing: false,
            is_tried: false,
            queue_key: self.probe_queue.draw(&id, now),
            queue: if past.comes_first {
                Queue::Returning
            } else {
                Queue::Newcomers
            },
            probe_at: now,
            due_since: now,
            ask_at: now,
            reputation: past.reputation,
            measured_at: None,
            arrival: self.arrivals,
            shard: None,
        };
        self.arrivals += 1;
        self.add(id, entry);
    }

    /// Takes in another record of a relay that is here and stays where it is.
    pub(super) fn renew(&mut self, record: &SignedRecord) {
        let id = record.node_id();
        if let Some(before) = self.remove(&id) {
            let record = record.clone();
            self.add(id, RemoteRelay { record, ..before });
        }
    }

    /// Takes in that a relay is elsewhere: there it is a newcomer, whatever its key
    /// did before, unless it may come first.
    pub(super) fn relocate(&mut self, record: &SignedRecord, endpoint: Endpoint, now: Duration) {
        let id = record.node_id();
        let Some(before) = self.remove(&id) else {
            return;
        };
        let queue = match before.queue {
            Queue::Others if before.may_come_first => Queue::Returning,
            Queue::Others => Queue::Newcomers,
            waits => waits,
        };
        let queue_key = if before.queue == Queue::Newcomers {
            before.queue_key
        } else {
            self.probe_queue.draw(&id, now)
        };
        let entry = RemoteRelay {
            record: record.clone(),
            prefix: Prefix::of(&endpoint),
            endpoint,
            is_verified: false,
            may_come_first: false,
            is_probing: false,
            is_tried: false,
            queue_key,
            queue,
            probe_at: now,
            due_since: now,
            measured_at: None,
            ..before
        };
        self.add(id, entry);
    }

    fn add(&mut self, id: NodeId, entry: RemoteRelay) {
        self.quotas.add(&entry.prefix);
        self.verified += usize::from(entry.is_verified);
        self.enqueue(&id, &entry);
        self.by_ask.insert((entry.ask_at, id));
        self.by_end.insert((entry.record.record().expires_at(), id));
        self.entries.insert(id, entry);
    }

    pub(super) fn remove(&mut self, id: &NodeId) -> Option<RemoteRelay> {
        let entry = self.entries.remove(id)?;
        self.dequeue(id, &entry);
        self.by_ask.remove(&(entry.ask_at, *id));
        self.by_end
            .remove(&(entry.record.record().expires_at(), *id));
        self.quotas.remove(&entry.prefix);
        self.verified -= usize::from(entry.is_verified);
        Some(entry)
    }

    /// One is in the registry, until its record ends, in the registry's time.
    pub(super) fn set_verified(&mut self, id: &NodeId, until: Duration) {
        self.requeue(id, |entry| {
            entry.is_verified = true;
            entry.verified_until = until;
            entry.was_verified = true;
            entry.may_come_first = true;
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
        entry.queue = Queue::Others;
        entry.is_probing = true;
        Some((id, entry.endpoint.clone()))
    }

    fn pop_due(&mut self, queue: usize, now: Duration) -> Option<NodeId> {
        match queue {
            VERIFIED => {
                let id = self.first_due(VERIFIED, now)?;
                self.by_probe[VERIFIED].pop_first();
                Some(id)
            }
            _ if self.limiter.is_exhausted(now) => None,
            0 => self.pop_newcomer(now),
            _ => self.pop_candidate(now),
        }
    }

    fn pop_newcomer(&mut self, now: Duration) -> Option<NodeId> {
        while let Some(id) = self.probe_queue.first() {
            if self.takes_token(&id, now) {
                return self.probe_queue.pop();
            }
        }
        None
    }

    /// Those that return and others take turns.
    fn pop_candidate(&mut self, now: Duration) -> Option<NodeId> {
        let queues = if self.returning_first {
            [RETURNING, OTHERS]
        } else {
            [OTHERS, RETURNING]
        };
        for queue in queues {
            while let Some(id) = self.first_due(queue, now) {
                if self.takes_token(&id, now) {
                    self.by_probe[queue].pop_first();
                    self.returning_first = queue == OTHERS;
                    return Some(id);
                }
            }
        }
        None
    }

    fn first_due(&self, queue: usize, now: Duration) -> Option<NodeId> {
        let (.., id) = self.by_probe[queue]
            .first()
            .filter(|(due, ..)| *due <= now)?;
        Some(*id)
    }

    /// Whether one that is not verified may be probed now; otherwise that is put off
    /// until its prefix has rested.
    fn takes_token(&mut self, id: &NodeId, now: Duration) -> bool {
        let Some(entry) = self.entries.get(id) else {
            return false;
        };
        let most = self.quotas.most_of(&entry.prefix);
        match self.limiter.take(&entry.prefix, most, now) {
            Ok(()) => true,
            Err(until) => {
                self.requeue(id, |entry| {
                    if entry.queue == Queue::Newcomers {
                        entry.queue = Queue::Others;
                    }
                    entry.probe_at = until;
                });
                false
            }
        }
    }

    /// A probe of an endpoint that is not verified failed: its prefix is left alone
    /// for a while.
    pub(super) fn let_rest(&mut self, endpoint: &Endpoint, now: Duration) {
        let prefix = Prefix::of(endpoint);
        let most = self.quotas.most_of(&prefix);
        self.limiter.drain(&prefix, most, now);
    }

    /// How many wait for their first probe.
    pub(super) fn newcomers(&self) -> usize {
        self.probe_queue.len()
    }

    /// Appoints when a relay is to be probed next.
    pub(super) fn probe_again(&mut self, id: &NodeId, at: Duration) {
        self.requeue(id, |entry| {
            entry.queue = Queue::Others;
            entry.is_probing = false;
            entry.probe_at = at;
            entry.due_since = at;
        });
    }

    /// Changes what decides when an entry is probed.
    fn requeue(&mut self, id: &NodeId, change: impl FnOnce(&mut RemoteRelay)) {
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

    fn enqueue(&mut self, id: &NodeId, entry: &RemoteRelay) {
        if entry.is_probing {
            return;
        }
        match entry.appointments() {
            Some(queue) => {
                self.by_probe[queue].insert(entry.appointment(id));
            }
            None => self.probe_queue.insert(*id, entry.queue_key),
        }
    }

    fn dequeue(&mut self, id: &NodeId, entry: &RemoteRelay) {
        match entry.appointments() {
            Some(queue) => {
                self.by_probe[queue].remove(&entry.appointment(id));
            }
            None => self.probe_queue.remove(id, entry.queue_key),
        }
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

    /// What `id` draws if it comes now.
    pub(super) fn lot(&self, id: &NodeId, now: Duration) -> u64 {
        self.probe_queue.draw(id, now).lot
    }

    /// Who was in a shard and is not among those `seen`.
    pub(super) fn missing(&self, shard: u16, seen: &BTreeSet<NodeId>) -> Vec<NodeId> {
        self.entries
            .iter()
            .filter(|(id, entry)| entry.shard == Some(shard) && !seen.contains(id))
            .map(|(id, _)| *id)
            .collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&NodeId, &RemoteRelay)> {
        self.entries.iter()
    }

    /// Those in the registry.
    pub(super) fn iter_verified(&self) -> impl Iterator<Item = (&NodeId, &RemoteRelay)> {
        self.iter().filter(|(_, entry)| entry.is_verified)
    }
}

impl RemoteRelay {
    /// Whether it is of this prefix, if one is given.
    pub(super) fn is_of(&self, prefix: Option<&Prefix>) -> bool {
        prefix.is_none_or(|prefix| *prefix == self.prefix)
    }

    /// What it drew, if it was never probed and does not come first.
    pub(super) fn untried_lot(&self) -> Option<u64> {
        let waits = !self.is_tried && !self.is_probing && self.queue != Queue::Returning;
        waits.then_some(self.queue_key.lot)
    }

    fn appointment(&self, id: &NodeId) -> Appointment {
        (self.probe_at, self.due_since, self.arrival, *id)
    }

    /// Which appointments its next probe is among, if it is appointed.
    fn appointments(&self) -> Option<usize> {
        match self.queue {
            _ if self.is_verified => Some(VERIFIED),
            Queue::Newcomers => None,
            Queue::Returning => Some(RETURNING),
            Queue::Others => Some(OTHERS),
        }
    }
}
