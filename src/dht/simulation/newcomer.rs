//! [`Newcomer`]: a node that reads the directory.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use fastrand::Rng;

use super::network::{Simulation, far};
use crate::dht::discovery::{Directory, Intervals, QueryOutcome, QueryResult};
use crate::dht::engine::{Coverage, ShardPath};
use crate::dht::record::Network;
use crate::relay::NodeId;

const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

pub(super) struct Newcomer {
    directory: Directory,
    random: Rng,
    known: BTreeSet<NodeId>,
    requests: u32,
    shards: BTreeSet<ShardPath>,
    now: Duration,
}

impl Newcomer {
    pub(super) fn new(simulation: &Simulation, seed: u64) -> Self {
        let intervals = Intervals {
            sweep_interval: SWEEP_INTERVAL,
            min_sweep_interval: Duration::from_secs(2),
            negative_cache_ttl: Duration::from_secs(30),
            timeout: Duration::from_secs(20),
        };
        Self {
            directory: Directory::new(simulation.dht().limits(), intervals),
            random: Rng::with_seed(seed),
            known: BTreeSet::new(),
            requests: 0,
            shards: BTreeSet::new(),
            now: Duration::from_secs(1),
        }
    }

    pub(super) fn known(&self) -> &BTreeSet<NodeId> {
        &self.known
    }

    pub(super) fn requests(&self) -> u32 {
        self.requests
    }

    /// How many shards it has read.
    pub(super) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Reads until so many relays are known, or nothing is left to read.
    pub(super) fn read_until(&mut self, simulation: &Simulation, wanted: usize) {
        while self.known.len() < wanted && self.read_next(simulation, true) {}
    }

    /// Reads until nothing is left to read, over several sweep intervals.
    pub(super) fn read_all(&mut self, simulation: &Simulation) {
        for _ in 0..20 {
            self.read_until(simulation, usize::MAX);
            self.now += SWEEP_INTERVAL;
        }
    }

    /// Reads for so many seconds what is due.
    pub(super) fn go_on(&mut self, simulation: &Simulation, seconds: u64) {
        for _ in 0..seconds / 10 {
            self.now += Duration::from_secs(10);
            while self.read_next(simulation, false) {}
        }
    }

    /// Reads the next shard. False if none is due.
    fn read_next(&mut self, simulation: &Simulation, wants_more: bool) -> bool {
        let next = self.directory.next(wants_more, self.now, &mut self.random);
        let Some(path) = next else {
            return false;
        };
        self.requests += 1;
        self.shards.insert(path);
        simulation.count_request(path);
        let mut seen = BTreeSet::new();
        let answer = simulation.dht().members_at(path, far(), &mut |member| {
            let record = member.record.expect("a record beside the name");
            let is_genuine = simulation.is_genuine(&member.node, &record);
            if is_genuine || record.verify(&member.node, &Network::default()).is_ok() {
                seen.insert(member.node);
            }
            ControlFlow::Continue(())
        });
        let answer = answer.expect("an answer");
        let found = !seen.is_empty();
        self.known.extend(&seen);
        let result = QueryResult {
            outcome: match answer.coverage() {
                Coverage::Complete => QueryOutcome::Complete { found },
                Coverage::Partial => QueryOutcome::Partial { found },
                Coverage::Unreachable => QueryOutcome::Failed,
            },
            is_divided: answer.is_divided(),
        };
        self.directory
            .was_read(path, result, self.now, &mut self.random);
        true
    }
}

impl fmt::Debug for Newcomer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (known, requests) = (self.known.len(), self.requests);
        write!(f, "{known} relays known after {requests} requests")
    }
}
