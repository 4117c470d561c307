//! [`DhtState`]: the three state machines and the counters, behind one lock. Nothing here calls
//! the engine or the probe.

use std::collections::BTreeSet;
use std::time::Duration;

use fastrand::Rng;

use crate::dht::admission::{Admission, OfferOutcome, Prefix};
use crate::dht::backend::{Now, RegistryBackend};
use crate::dht::discovery::{Discovery, Query, QueryOutcome, QueryResult};
use crate::dht::engine::{Change, DhtError, Limits, Put, ShardPath};
use crate::dht::options::DhtOptions;
use crate::dht::probe::ProbeError;
use crate::dht::publisher::{Action, Publisher};
use crate::dht::record::Announcement;
use crate::dht::record::SignedRecord;
use crate::dht::reject_reason::RejectReason;
use crate::dht::retry::EngineBreaker;
use crate::dht::stats::DhtStats;
use crate::dht::wake_flags::Flags;
use crate::relay::NodeId;
use crate::trace::{DhtNotes, Issue};

use super::watch::Watch;

/// A call of the engine or the probe, to be made without the lock.
#[derive(Clone, Debug)]
pub(super) enum Job {
    Publish(Action),
    Query {
        query: Query,
        newer_than: Option<u64>,
    },
    Probe {
        relay: NodeId,
        announcement: Announcement,
        is_short: bool,
    },
}

/// Which jobs a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Engine,
    Probe,
    Both,
}

pub(super) struct DhtState {
    own: Option<NodeId>,
    publisher: Option<Publisher>,
    discovery: Option<Discovery>,
    admission: Option<Admission>,
    /// How many relays this node wants to know of.
    wanted_relays: usize,
    breaker: EngineBreaker,
    watch: Watch,
    random: Rng,
    stats: DhtStats,
    pub(super) notes: DhtNotes,
    /// Whether a call waited for a relay at the last step.
    is_awaited: bool,
    last_error: Option<DhtError>,
    /// The highest sequence that this node signed, once the publisher has ended.
    #[cfg(feature = "persistence")]
    last_own_sequence: Option<u64>,
}

impl DhtState {
    pub(super) fn new(
        options: &DhtOptions,
        limits: Limits,
        max_relays: usize,
        tick: Duration,
    ) -> Self {
        let publisher = options.key.clone().map(|key| {
            let intervals = options.publisher_intervals(limits);
            Publisher::new(key, options.network, limits, intervals)
        });
        let learns = options.probe.is_some();
        let discovery = || Discovery::new(limits, options.discovery_intervals());
        let mut random = options.seed.map_or_else(Rng::new, Rng::with_seed);
        let admission_random = random.fork();
        let admission = || {
            let policy = options.admission_policy(max_relays, tick, limits);
            Admission::new(policy, options.per_prefix(), admission_random)
        };
        Self {
            own: options.own(),
            stats: DhtStats {
                publishes: publisher.is_some(),
                learns,
                ..DhtStats::default()
            },
            publisher,
            discovery: learns.then(discovery),
            admission: learns.then(admission),
            wanted_relays: options.wanted_relays_of(max_relays),
            breaker: EngineBreaker::new(),
            watch: Watch::new(),
            random,
            notes: DhtNotes::default(),
            is_awaited: false,
            last_error: None,
            #[cfg(feature = "persistence")]
            last_own_sequence: None,
        }
    }

    /// Applies the wake flags, the present state of the registry and the time.
    pub(super) fn observe(&mut self, flags: Flags, backend: &dyn RegistryBackend, now: Now) {
        self.is_awaited = backend.is_relay_awaited();
        if let (Some(own), Some(publisher)) = (&self.own, &mut self.publisher) {
            publisher.observe(backend.local_relay(own), now.at);
        }
        if let Some(discovery) = self.discovery.as_mut().filter(|_| flags.missed()) {
            discovery.sweep_soon(now.at);
        }
        if let Some(admission) = &mut self.admission {
            admission.remove_expired(backend, now);
        }
    }

    /// The next job of a role.
    pub(super) fn next(&mut self, role: Role, now: Now) -> Option<Job> {
        let engine = || role != Role::Probe;
        let prober = || role != Role::Engine;
        (engine().then(|| self.next_request(now)).flatten())
            .or_else(|| prober().then(|| self.next_probe(now)).flatten())
    }

    fn next_request(&mut self, now: Now) -> Option<Job> {
        if !self.breaker.permits(now.at) {
            return None;
        }
        let publisher = self.publisher.as_mut();
        let action = publisher.and_then(|publisher| publisher.next(now, &mut self.random));
        let job = match action {
            Some(action) => Job::Publish(action),
            None => {
                let query = self.next_query(now)?;
                Job::Query {
                    query,
                    newer_than: self.known_sequence(&query),
                }
            }
        };
        self.breaker.begin(now.at);
        Some(job)
    }

    /// How many more relays this node wants than it knows of.
    fn wanted(&self) -> usize {
        let known = |admission: &Admission| admission.verified() + admission.candidates();
        let known = self.admission.as_ref().map_or(0, known);
        self.wanted_relays.saturating_sub(known)
    }

    fn next_query(&mut self, now: Now) -> Option<Query> {
        let wanted = self.wanted();
        let admission = &mut self.admission;
        let requery = || admission.as_mut()?.next_requery(now.at);
        self.discovery
            .as_mut()?
            .next(wanted, now.at, &mut self.random, requery)
    }

    /// Only records above this sequence are news.
    fn known_sequence(&self, query: &Query) -> Option<u64> {
        match query {
            Query::Lookup { node, .. } => self.admission.as_ref()?.sequence(node),
            Query::Sweep(_) => None,
        }
    }

    fn next_probe(&mut self, now: Now) -> Option<Job> {
        let admission = self.admission.as_mut()?;
        let (relay, announcement) = admission.next_probe(now.at)?;
        Some(Job::Probe {
            is_short: admission.is_short_probe(&relay),
            relay,
            announcement,
        })
    }

    /// Offers a record to the admission. `shard` is the shard of the directory that listed it;
    /// without one, the shard that listed its relay before. The shard is noted at once: if it
    /// does not list the relay the next time, the relay may have withdrawn.
    pub(super) fn offer_record(
        &mut self,
        record: &SignedRecord,
        shard: Option<ShardPath>,
        backend: &dyn RegistryBackend,
        now: Now,
    ) -> Result<OfferOutcome, RejectReason> {
        let id = record.node_id();
        let listed_in = || self.discovery.as_ref()?.listed_in(&id);
        let shard = shard.or_else(listed_in);
        let outcome = match &mut self.admission {
            Some(admission) => {
                let outcome = admission.offer_record(record, backend, now);
                if outcome.is_ok() {
                    admission.note_shard(&id, shard);
                }
                outcome
            }
            None => Err(RejectReason::NotLearning),
        };
        match outcome {
            Ok(OfferOutcome::Candidate | OfferOutcome::Renewed) => self.stats.accepted += 1,
            Ok(OfferOutcome::Withdrawn) => self.stats.withdrawn += 1,
            Ok(OfferOutcome::Known) => {}
            Err(reason) => {
                self.stats.count_rejected(reason);
                backend.record_rejected(&id, reason);
            }
        }
        let issue = || issue_of(record, self.admission.as_ref()?);
        self.notes.offered(&id, outcome, (now.at, now.wall), issue);
        outcome
    }

    pub(super) fn count_rejected(&mut self, reason: RejectReason) {
        self.stats.count_rejected(reason);
    }

    /// Requests a lookup, unless `node` is this node. False if there will be none.
    pub(super) fn request(&mut self, node: NodeId, stop_at_first: bool, now: Duration) -> bool {
        let is_own = self.own == Some(node);
        let discovery = self.discovery.as_mut().filter(|_| !is_own);
        discovery.is_some_and(|discovery| discovery.request(node, stop_at_first, now))
    }

    /// Requests lookups of relays that a shard lists without their records, unless they are known:
    /// in random order, because there may be room for some alone, and then nodes should learn others.
    pub(super) fn request_members(&mut self, nodes: &mut [NodeId], shard: ShardPath, now: Now) {
        self.random.shuffle(nodes);
        for &node in &*nodes {
            self.request_member(node, shard, now);
        }
    }

    fn request_member(&mut self, node: NodeId, shard: ShardPath, now: Now) {
        if self
            .admission
            .as_ref()
            .is_some_and(|it| !it.is_known(&node))
        {
            self.request(node, self.is_awaited, now.at);
            if let Some(discovery) = &mut self.discovery {
                discovery.note_listed(&node, shard);
            }
        }
    }

    /// Notes that a shard lists the relays `seen`. If it was read completely, those that it
    /// listed before may have withdrawn, so they are looked up.
    pub(super) fn shard_read(
        &mut self,
        shard: ShardPath,
        seen: &BTreeSet<NodeId>,
        is_complete: bool,
        now: Now,
    ) {
        let Some(admission) = &mut self.admission else {
            return;
        };
        let missing = admission.shard_read(shard, seen);
        if is_complete {
            for node in missing {
                self.request(node, false, now.at);
            }
        }
    }

    /// When calls that wait for changes are due.
    pub(super) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Applies what the engine saw change.
    pub(super) fn watched(
        &mut self,
        changes: &[Change],
        outcome: Result<(), DhtError>,
        panicked: bool,
        now: Now,
    ) {
        self.stats.panics += u64::from(panicked);
        self.stats.changes += changes.len() as u64;
        if let Err(error) = &outcome {
            self.note_failure(error);
            let (is_open, failures) = (self.breaker.is_open(), self.stats.engine_failures);
            let states = (is_open, is_open);
            self.notes
                .engine_called(Some(error), panicked, failures, states);
        }
        self.watch.ended(&outcome, now.at, &mut self.random);
        for change in changes {
            match change {
                Change::Relay(node) => self.relay_changed(*node, now.at),
                Change::Missed => {
                    if let Some(discovery) = &mut self.discovery {
                        discovery.missed_changes(now.at);
                    }
                }
            }
        }
    }

    /// A relay that is not known is looked up only if more are wanted.
    fn relay_changed(&mut self, node: NodeId, now: Duration) {
        let is_known = |admission: &Admission| admission.is_known(&node);
        let is_known = self.admission.as_ref().is_some_and(is_known);
        let (wanted, is_own) = (self.wanted(), self.own == Some(node));
        if let Some(discovery) = self.discovery.as_mut().filter(|_| !is_own) {
            if is_known || wanted > discovery.lookups() {
                discovery.changed(node, now);
            }
        }
    }

    pub(super) fn publish_finished(
        &mut self,
        action: &Action,
        outcome: &Result<Put, DhtError>,
        panicked: bool,
        now: Now,
    ) {
        self.count_engine_outcome(outcome.as_ref().err(), panicked, now.at);
        if outcome.is_ok() && matches!(action, Action::Put(_)) {
            self.stats.puts += 1;
        }
        if let Some(publisher) = &mut self.publisher {
            publisher.action_finished(action, outcome, now, &mut self.random);
        }
    }

    pub(super) fn query_finished(
        &mut self,
        query: &Query,
        result: Result<QueryResult, DhtError>,
        panicked: bool,
        now: Now,
    ) {
        let outcome = result.as_ref().map(|result| result.outcome);
        let unanswered = (outcome == Ok(QueryOutcome::Failed)).then_some(DhtError::Unreachable);
        let error = outcome.err().or(unanswered.as_ref());
        self.count_engine_outcome(error, panicked, now.at);
        let mut result = match result {
            Ok(result) => result,
            Err(DhtError::Unsupported { .. }) => QueryOutcome::Unsupported.into(),
            Err(_) => QueryOutcome::Failed.into(),
        };
        match query {
            Query::Sweep(_) => self.stats.sweeps += u64::from(result.outcome.was_answered()),
            Query::Lookup { node, .. } => {
                self.stats.fetches += 1;
                result.outcome = self.lookup_finished(node, result.outcome, now);
            }
        }
        if let Some(discovery) = &mut self.discovery {
            discovery.query_finished(query, result, now.at, &mut self.random);
            discovery.complete_lookup(query, result.outcome, now.at);
        }
    }

    /// Notes the lookup of a known relay. If there was no record above the known one, the relay
    /// is unchanged, not absent.
    fn lookup_finished(&mut self, node: &NodeId, outcome: QueryOutcome, now: Now) -> QueryOutcome {
        let Some(admission) = self.admission.as_mut().filter(|it| it.is_known(node)) else {
            return outcome;
        };
        let is_complete = matches!(outcome, QueryOutcome::Complete { .. });
        admission.requeried(node, is_complete, now);
        match outcome {
            QueryOutcome::Complete { found: false } => QueryOutcome::Unchanged,
            outcome => outcome,
        }
    }

    /// Counts a request that the engine did not carry out.
    fn note_failure(&mut self, error: &DhtError) {
        self.stats.engine_failures += 1;
        self.last_error = Some(error.clone());
    }

    /// The error of the last request that the engine did not carry out.
    pub(super) fn last_error(&self) -> Option<DhtError> {
        self.last_error.clone()
    }

    /// Counts failures, and updates the breaker.
    fn count_engine_outcome(&mut self, error: Option<&DhtError>, panicked: bool, now: Duration) {
        self.stats.panics += u64::from(panicked);
        let was_open = self.breaker.is_open();
        match error {
            Some(
                error @ (DhtError::Timeout
                | DhtError::Unreachable
                | DhtError::Busy { .. }
                | DhtError::Closed),
            ) => {
                self.note_failure(error);
                self.breaker.fail(now, &mut self.random);
            }
            // It answers: what it does not refuse goes on.
            Some(
                error @ (DhtError::Unavailable { .. }
                | DhtError::Rejected { .. }
                | DhtError::TooLarge { .. }
                | DhtError::Unsupported { .. }),
            ) => {
                self.note_failure(error);
                self.breaker.succeed();
            }
            // Other nodes were faster, or there is no room in this shard: part of publishing.
            Some(DhtError::Superseded { .. } | DhtError::Conflict | DhtError::Full { .. })
            | None => self.breaker.succeed(),
        }
        let opened = (was_open, self.breaker.is_open());
        self.notes
            .engine_called(error, panicked, self.stats.engine_failures, opened);
    }

    pub(super) fn probe_finished(
        &mut self,
        relay: &NodeId,
        probed: &Announcement,
        outcome: Result<Duration, ProbeError>,
        panicked: bool,
        backend: &dyn RegistryBackend,
        now: Now,
    ) {
        self.stats.panics += u64::from(panicked);
        self.stats.probes += u64::from(outcome.is_ok());
        self.stats.failed_probes += u64::from(outcome.is_err());
        let Some(admission) = &mut self.admission else {
            return;
        };
        if admission.probe_finished(relay, probed, outcome, backend, now) {
            self.stats.admitted += 1;
            self.notes.admitted(relay);
        }
    }

    pub(super) fn count_panic(&mut self) {
        self.stats.panics += 1;
    }

    /// The withdrawal of this node's relay, and the shards to leave, if it was published. Later
    /// calls return none, and nothing more is published.
    pub(super) fn final_tombstone(
        &mut self,
        wall: Duration,
    ) -> Option<(SignedRecord, Vec<ShardPath>)> {
        let mut publisher = self.publisher.take()?;
        let tombstone = publisher.final_tombstone(wall);
        #[cfg(feature = "persistence")]
        {
            self.last_own_sequence = publisher.last_sequence();
        }
        tombstone
    }

    /// The latest record of this node that the engine stored.
    pub(super) fn own_record(&self) -> Option<SignedRecord> {
        self.publisher.as_ref()?.published().cloned()
    }

    /// The ids of the learned relays.
    pub(super) fn learned_relays(&self) -> Vec<NodeId> {
        let admission = self.admission.iter();
        admission
            .flat_map(Admission::all_verified)
            .copied()
            .collect()
    }

    pub(super) fn stats(&self) -> DhtStats {
        let mut stats = self.stats.clone();
        stats.breaker_open = self.breaker.is_open();
        if let Some(publisher) = &self.publisher {
            stats.pending = !publisher.is_settled();
            stats.published = publisher
                .published()
                .is_some_and(|record| !record.is_tombstone());
        }
        if let Some(discovery) = &self.discovery {
            (stats.wanted, stats.absent) = (discovery.lookups(), discovery.absent());
        }
        if let Some(admission) = &self.admission {
            stats.learned = admission.verified();
            stats.candidates = admission.candidates();
        }
        stats
    }
}

/// When an announcement was issued, and whether its relay passed a probe at that endpoint.
fn issue_of(record: &SignedRecord, admission: &Admission) -> Option<Issue> {
    let announcement = record.record().announcement()?;
    let prefix = Prefix::of(announcement.endpoint());
    Some(Issue {
        is_proven: admission.is_proven(&record.node_id(), &prefix),
        prefix,
        issued_at: record.record().issued_at(),
        expires_at: record.record().expires_at(),
    })
}

#[cfg(feature = "persistence")]
impl DhtState {
    /// The id of this node, and the highest sequence that it has signed.
    pub(super) fn own_sequence(&self) -> Option<(NodeId, u64)> {
        let publisher = self.publisher.as_ref();
        let last = publisher.and_then(Publisher::last_sequence);
        Some((self.own?, last.or(self.last_own_sequence)?))
    }

    /// What this node signs next has a higher sequence.
    pub(super) fn restore_own_sequence(&mut self, id: &NodeId, sequence: u64) {
        if let Some(publisher) = self.publisher.as_mut().filter(|_| self.own == Some(*id)) {
            publisher.restore_sequence(sequence);
        }
    }

    pub(super) fn admission(&self) -> Option<&Admission> {
        self.admission.as_ref()
    }

    pub(super) fn admission_mut(&mut self) -> Option<&mut Admission> {
        self.admission.as_mut()
    }
}
