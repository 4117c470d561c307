//! [`Queries`]: the queries that were asked for, beside [`kad::Behaviour`].

use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;
use std::time::Instant;

use libp2p::PeerId;
use libp2p::kad::{
    Event, GetClosestPeersError, GetClosestPeersResult, GetRecordOk, GetRecordResult,
    PutRecordError, PutRecordResult, QueryId, QueryResult, QueryStats, Quorum, Record, RecordKey,
};

use super::Kademlia;

/// What a query tells the caller.
#[derive(Debug)]
pub enum Progress {
    /// A storage node sent this value.
    Value(Vec<u8>),
    /// The query ended.
    Done {
        /// The number of nodes that were asked.
        asked: u32,
        /// The number of nodes that answered; of a write, those that confirmed it.
        answered: u32,
    },
}

/// Receives the progress of a query. `Break` ends the query.
pub type Report = Box<dyn FnMut(Progress) -> ControlFlow<()> + Send>;

/// A query that is asked for.
pub enum Request {
    /// Stores a value on the nodes closest to its key.
    Store {
        /// The key.
        key: RecordKey,
        /// The value.
        value: Vec<u8>,
        /// When the query ends at the latest.
        deadline: Instant,
        /// Receives [`Progress::Done`].
        report: Report,
    },
    /// Reads the values of all nodes closest to a key.
    Find {
        /// The key.
        key: RecordKey,
        /// When the query ends at the latest.
        deadline: Instant,
        /// Receives the values, then [`Progress::Done`].
        report: Report,
    },
}

/// The queries under way. Belongs to the task of the swarm, which passes it the events of
/// Kademlia.
#[derive(Default)]
pub struct Queries {
    running: HashMap<QueryId, Running>,
}

struct Running {
    deadline: Instant,
    report: Report,
    step: Step,
}

enum Step {
    /// Looks for the nodes to write to.
    Closest {
        key: RecordKey,
        value: Vec<u8>,
    },
    /// Writes to so many nodes.
    Put {
        asked: u32,
    },
    Find,
}

impl Queries {
    /// Begins a query.
    pub fn start(&mut self, kad: &mut Kademlia, request: Request) {
        let (id, running) = match request {
            Request::Store {
                key,
                value,
                deadline,
                report,
            } => {
                let step = Step::Closest {
                    key: key.clone(),
                    value,
                };
                let id = kad.get_closest_peers(key.to_vec());
                (
                    id,
                    Running {
                        deadline,
                        report,
                        step,
                    },
                )
            }
            Request::Find {
                key,
                deadline,
                report,
            } => {
                let step = Step::Find;
                (
                    kad.get_record(key),
                    Running {
                        deadline,
                        report,
                        step,
                    },
                )
            }
        };
        self.running.insert(id, running);
    }

    /// Takes the result of a query from an event of Kademlia.
    pub fn on_event(&mut self, kad: &mut Kademlia, event: Event) {
        let Event::OutboundQueryProgressed {
            id,
            result,
            stats,
            step,
            ..
        } = event
        else {
            return;
        };
        match result {
            QueryResult::GetClosestPeers(result) => self.on_closest(kad, id, result, &stats),
            QueryResult::PutRecord(result) => self.on_put(id, result),
            QueryResult::GetRecord(result) => self.on_found(kad, id, result, &stats, step.last),
            _ => {}
        }
    }

    /// Ends the queries whose deadline has passed. What they found was reported.
    pub fn expire(&mut self, kad: &mut Kademlia, now: Instant) {
        for (id, running) in &self.running {
            if running.deadline <= now {
                finish(kad, id);
            }
        }
    }

    /// Writes to the closest nodes. All of them: each one merges lists by itself, so a node that
    /// is left out would lack the entry until the next refresh.
    fn on_closest(
        &mut self,
        kad: &mut Kademlia,
        id: QueryId,
        result: GetClosestPeersResult,
        stats: &QueryStats,
    ) {
        let Some(mut running) = self.running.remove(&id) else {
            return;
        };
        let peers: Vec<PeerId> = match result {
            Ok(found) => found.peers,
            Err(GetClosestPeersError::Timeout { peers, .. }) => peers,
        }
        .into_iter()
        .map(|peer| peer.peer_id)
        .collect();
        let Step::Closest { key, value } = running.step else {
            return;
        };
        if peers.is_empty() || running.deadline <= Instant::now() {
            let asked = stats.num_requests();
            let _ = (running.report)(Progress::Done { asked, answered: 0 });
            return;
        }
        running.step = Step::Put {
            asked: peers.len() as u32,
        };
        let record = Record {
            key,
            value,
            // No publisher: libp2p trusts a publisher to be right.
            publisher: None,
            expires: None,
        };
        let id = kad.put_record_to(record, peers.into_iter(), Quorum::All);
        self.running.insert(id, running);
    }

    fn on_put(&mut self, id: QueryId, result: PutRecordResult) {
        let Some(mut running) = self.running.remove(&id) else {
            return;
        };
        let Step::Put { asked } = running.step else {
            return;
        };
        let answered = match result {
            Ok(_) => asked,
            Err(
                PutRecordError::QuorumFailed { success, .. }
                | PutRecordError::Timeout { success, .. },
            ) => success.len() as u32,
        };
        let _ = (running.report)(Progress::Done { asked, answered });
    }

    fn on_found(
        &mut self,
        kad: &mut Kademlia,
        id: QueryId,
        result: GetRecordResult,
        stats: &QueryStats,
        is_last: bool,
    ) {
        let Some(running) = self.running.get_mut(&id) else {
            return;
        };
        if let Ok(GetRecordOk::FoundRecord(found)) = result {
            let flow = (running.report)(Progress::Value(found.record.value));
            if flow.is_break() {
                self.running.remove(&id);
                finish(kad, &id);
                return;
            }
        }
        if is_last {
            let done = Progress::Done {
                asked: stats.num_requests(),
                answered: stats.num_successes(),
            };
            let _ = (running.report)(done);
            self.running.remove(&id);
        }
    }
}

fn finish(kad: &mut Kademlia, id: &QueryId) {
    if let Some(mut query) = kad.query_mut(id) {
        query.finish();
    }
}

impl fmt::Debug for Queries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queries")
            .field("running", &self.running.len())
            .finish()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, key) = match self {
            Self::Store { key, .. } => ("Store", key),
            Self::Find { key, .. } => ("Find", key),
        };
        f.debug_struct(name)
            .field("key", key)
            .finish_non_exhaustive()
    }
}
