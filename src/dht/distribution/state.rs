//! What the workers share behind one lock: the three state machines, and what
//! is counted. Nothing here calls an engine or a probe.

use std::collections::BTreeSet;
use std::time::Duration;

use fastrand::Rng;

use crate::dht::admission::{Admission, OfferOutcome};
use crate::dht::backend::{Now, RegistryBackend};
use crate::dht::discovery::{Discovery, Query, QueryOutcome};
use crate::dht::engine::{DhtError, Limits};
use crate::dht::options::DhtOptions;
use crate::dht::probe::ProbeError;
use crate::dht::publisher::{Action, Publisher};
use crate::dht::record::SignedRecord;
use crate::dht::reject_reason::RejectReason;
use crate::dht::retry::EngineBreaker;
use crate::dht::stats::DhtStats;
use crate::dht::wake_flags::Flags;
use crate::relay::{Endpoint, NodeId};
use crate::sync::{Thread, current_thread};

/// Something to do that may take long, and is done without the lock.
#[derive(Clone, Debug)]
pub(super) enum Job {
    Publish(Action),
    Query {
        query: Query,
        newer_than: Option<u64>,
    },
    Probe {
        relay: NodeId,
        endpoint: Endpoint,
        is_short: bool,
    },
}

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Engine,
    Prober,
    Both,
}

/// The state of a registry's distribution.
pub(super) struct DhtState {
    own: Option<NodeId>,
    publisher: Option<Publisher>,
    discovery: Option<Discovery>,
    admission: Option<Admission>,
    breaker: EngineBreaker,
    random: Rng,
    stats: DhtStats,
    /// Who waits for a relay to enter.
    waiting: Vec<Thread>,
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
        let discovery = || Discovery::new(limits.shards, options.discovery_intervals());
        let mut random = options.seed.map_or_else(Rng::new, Rng::with_seed);
        let lots = random.fork();
        let terms = || options.policy(max_relays, tick, limits);
        let admission = || Admission::new(terms(), options.per_prefix(), lots);
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
            breaker: EngineBreaker::new(),
            random,
            waiting: Vec::new(),
        }
    }

    /// Takes in what was rung, and how the registry and the clocks stand.
    pub(super) fn observe(&mut self, flags: Flags, backend: &dyn RegistryBackend, now: Now) {
        if let (Some(own), Some(publisher)) = (&self.own, &mut self.publisher) {
            publisher.observe(backend.local(own), now.at);
        }
        if let Some(discovery) = self.discovery.as_mut().filter(|_| flags.missed()) {
            discovery.sweep_soon(now.at);
        }
        if let Some(admission) = &mut self.admission {
            admission.remove_expired(backend, now);
        }
    }

    /// What to do next in this role.
    pub(super) fn next(&mut self, role: Role, now: Now) -> Option<Job> {
        let engine = || role != Role::Prober;
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
                    newer_than: self.newest_heard(&query),
                }
            }
        };
        self.breaker.begin(now.at);
        Some(job)
    }

    fn next_query(&mut self, now: Now) -> Option<Query> {
        let admission = &mut self.admission;
        let known = || admission.as_mut()?.next_to_ask(now.at);
        self.discovery
            .as_mut()?
            .next(now.at, &mut self.random, known)
    }

    fn newest_heard(&self, query: &Query) -> Option<u64> {
        match query {
            Query::Fetch { node, .. } => self.admission.as_ref()?.highest(node),
            Query::Sweep(_) => None,
        }
    }

    fn next_probe(&mut self, now: Now) -> Option<Job> {
        let admission = self.admission.as_mut()?;
        let (relay, endpoint) = admission.next_probe(now.at)?;
        Some(Job::Probe {
            is_short: admission.is_short(&relay),
            relay,
            endpoint,
        })
    }

    /// Judges a record from elsewhere, from this shard of the directory or one that
    /// named its relay before. The shard is remembered at once: when it lists the
    /// relay no longer, that may have withdrawn.
    pub(super) fn offer_record(
        &mut self,
        record: &SignedRecord,
        shard: Option<u16>,
        backend: &dyn RegistryBackend,
        now: Now,
    ) -> Result<OfferOutcome, RejectReason> {
        let id = record.node_id();
        let named_in = || self.discovery.as_ref()?.named_in(&id);
        let shard = shard.or_else(named_in);
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
            Err(reason) => self.stats.refuse(reason),
        }
        outcome
    }

    pub(super) fn refuse(&mut self, reason: RejectReason) {
        self.stats.refuse(reason);
    }

    /// A relay is to be asked for.
    pub(super) fn want(&mut self, node: NodeId, first_will_do: bool, now: Duration) -> bool {
        let is_own = self.own == Some(node);
        let discovery = self.discovery.as_mut().filter(|_| !is_own);
        discovery.is_some_and(|discovery| discovery.want(node, first_will_do, now))
    }

    /// A shard of the directory names a relay and says no more: one that is not known
    /// is asked for.
    pub(super) fn want_member(&mut self, node: NodeId, shard: u16, now: Now) {
        if self.admission.as_ref().is_some_and(|it| !it.knows(&node)) {
            let first_will_do = !self.waiting.is_empty();
            self.want(node, first_will_do, now.at);
            if let Some(discovery) = &mut self.discovery {
                discovery.note_named(&node, shard);
            }
        }
    }

    /// A shard was read, and listed these. Who was there before and is not now
    /// may have withdrawn.
    pub(super) fn listed(&mut self, shard: u16, seen: &BTreeSet<NodeId>, is_whole: bool, now: Now) {
        let Some(admission) = &mut self.admission else {
            return;
        };
        let missing = admission.listed(shard, seen);
        if is_whole {
            for node in missing {
                self.want(node, false, now.at);
            }
        }
    }

    pub(super) fn published(
        &mut self,
        action: &Action,
        outcome: &Result<(), DhtError>,
        panicked: bool,
        now: Now,
    ) {
        self.judge_engine(outcome.as_ref().err(), panicked, now.at);
        if outcome.is_ok() && matches!(action, Action::Put(_)) {
            self.stats.puts += 1;
        }
        if let Some(publisher) = &mut self.publisher {
            publisher.done(action, outcome, now, &mut self.random);
        }
    }

    pub(super) fn asked(
        &mut self,
        query: &Query,
        outcome: Result<QueryOutcome, DhtError>,
        panicked: bool,
        now: Now,
    ) {
        let unanswered = (outcome == Ok(QueryOutcome::Failed)).then_some(DhtError::Unreachable);
        let error = outcome.as_ref().err().or(unanswered.as_ref());
        self.judge_engine(error, panicked, now.at);
        let ending = match outcome {
            Ok(ending) => ending,
            Err(DhtError::Unsupported { .. }) => QueryOutcome::Never,
            Err(_) => QueryOutcome::Failed,
        };
        let ending = match query {
            Query::Sweep(_) => {
                self.stats.sweeps += 1;
                ending
            }
            Query::Fetch { node, .. } => {
                self.stats.fetches += 1;
                self.fetched(node, ending, now)
            }
        };
        if let Some(discovery) = &mut self.discovery {
            discovery.ended(query, ending, now.at, &mut self.random);
            discovery.retry_elsewhere(query, ending, now.at);
        }
    }

    /// A relay was asked for. Where one that is known had nothing new, that is no
    /// absence.
    fn fetched(&mut self, node: &NodeId, ending: QueryOutcome, now: Now) -> QueryOutcome {
        let Some(admission) = self.admission.as_mut().filter(|it| it.knows(node)) else {
            return ending;
        };
        admission.asked(node, matches!(ending, QueryOutcome::Complete { .. }), now);
        match ending {
            QueryOutcome::Complete { found: false } => QueryOutcome::NoNews,
            ending => ending,
        }
    }

    /// Some errors are the engine's, others are about what it was asked.
    fn judge_engine(&mut self, error: Option<&DhtError>, panicked: bool, now: Duration) {
        self.stats.panics += u64::from(panicked);
        match error {
            Some(
                DhtError::Timeout
                | DhtError::Unreachable
                | DhtError::Busy { .. }
                | DhtError::Closed,
            ) => {
                self.stats.engine_failures += 1;
                self.breaker.fail(now, &mut self.random);
            }
            _ => self.breaker.succeed(),
        }
    }

    pub(super) fn probed(
        &mut self,
        relay: &NodeId,
        endpoint: &Endpoint,
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
        if admission.probed(relay, endpoint, outcome, backend, now) {
            self.stats.admitted += 1;
            self.wake_waiting();
        }
    }

    /// A clock panicked.
    pub(super) fn count_panic(&mut self) {
        self.stats.panics += 1;
    }

    /// Wakes the current thread when a relay enters.
    pub(super) fn wait(&mut self) {
        self.waiting.push(current_thread());
    }

    /// The current thread waits no longer.
    pub(super) fn leave(&mut self) {
        let me = current_thread().id();
        self.waiting.retain(|thread| thread.id() != me);
    }

    fn wake_waiting(&self) {
        for thread in &self.waiting {
            thread.unpark();
        }
    }

    /// The last word of this node, if it has said anything.
    pub(super) fn final_tombstone(&mut self, wall: Duration) -> Option<(SignedRecord, Vec<u16>)> {
        self.publisher.take()?.final_tombstone(wall)
    }

    /// What this node's relay last said that was stored.
    pub(super) fn own_record(&self) -> Option<SignedRecord> {
        self.publisher.as_ref()?.published().cloned()
    }

    /// The learned relays in the registry.
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
            (stats.wanted, stats.absent) = (discovery.wanted(), discovery.absent());
        }
        if let Some(admission) = &self.admission {
            stats.learned = admission.verified();
            stats.candidates = admission.candidates();
        }
        stats
    }
}
