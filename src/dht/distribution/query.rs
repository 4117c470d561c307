//! Queries to the engine. Answers are not trusted: each record is verified, and the number of
//! values that are read is limited.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::{Now, Shared, catch_panic};
use crate::dht::admission::OfferOutcome;
use crate::dht::discovery::{Query, QueryOutcome, QueryResult};
use crate::dht::engine::{Answer, Candidate, Coverage, DhtError, Member, ShardPath};
use crate::dht::reject_reason::RejectReason;
use crate::relay::NodeId;
use crate::sync::random_hasher;

/// This many worthless values end a read, because each costs a signature check. It is far more
/// than the nodes that answer first can send before an engine reads the other nodes.
const MAX_WORTHLESS: u32 = 4_096;

/// This many values end a read.
const MAX_VALUES: u32 = 16_384;

/// What one query has read so far.
struct Read<'a> {
    shared: &'a Shared,
    /// The shard of the directory, if the query is a sweep.
    shard: Option<ShardPath>,
    worthless_left: u32,
    values_left: u32,
    found: bool,
    /// Whether an announcement was new.
    found_new: bool,
    seen: BTreeSet<NodeId>,
    /// The relays that the shard lists without their records, and that are not requested yet.
    listed: Vec<NodeId>,
    /// Keyed hashes of the values read so far. Many nodes send the same value, and each signature
    /// check is expensive.
    fingerprints: BTreeSet<u64>,
    hasher: ahash::RandomState,
}

impl Shared {
    /// Runs a query; also whether the engine panicked.
    pub(super) fn query(
        &self,
        query: &Query,
        newer_than: Option<u64>,
    ) -> (Result<QueryResult, DhtError>, bool) {
        let deadline = self.options.deadline(self.options.request_deadline);
        let shard = match *query {
            Query::Sweep(shard) => Some(shard),
            Query::Lookup { .. } => None,
        };
        let node = match query {
            Query::Sweep(_) => None,
            Query::Lookup { node, .. } => Some(node),
        };
        let span = self.trace.query_span(node, shard);
        let mut read = Read::new(self, shard);
        let answer = catch_panic(|| match *query {
            Query::Sweep(shard) => {
                let mut sink = |member: Member<'_>| read.member(&member);
                self.engine.members_at(shard, deadline, &mut sink)
            }
            Query::Lookup {
                node,
                stop_at_first,
            } => {
                let mut sink = |candidate: Candidate<'_>| {
                    let flow = read.candidate(&node, &candidate);
                    if stop_at_first && read.found_new {
                        return ControlFlow::Break(());
                    }
                    flow
                };
                self.engine.get(&node, newer_than, deadline, &mut sink)
            }
        });
        let panicked = answer.is_err();
        let answer = answer.unwrap_or(Err(DhtError::Closed));
        read.request_listed();
        if let (Some(shard), Ok(_)) = (shard, &answer) {
            read.report_shard(shard);
        }
        let outcome = answer.as_ref().map(|answer| read.outcome(answer));
        span.ended(&outcome, panicked);
        let result = answer.map(|answer| QueryResult {
            outcome: read.outcome(&answer),
            is_divided: answer.is_divided(),
        });
        (result, panicked)
    }
}

impl<'a> Read<'a> {
    fn new(shared: &'a Shared, shard: Option<ShardPath>) -> Self {
        Self {
            shared,
            shard,
            worthless_left: MAX_WORTHLESS,
            values_left: MAX_VALUES,
            found: false,
            found_new: false,
            seen: BTreeSet::new(),
            listed: Vec::new(),
            fingerprints: BTreeSet::new(),
            hasher: random_hasher(),
        }
    }

    fn is_over(&self) -> bool {
        self.values_left == 0 || self.worthless_left == 0
    }

    fn flow(&self) -> ControlFlow<()> {
        if self.is_over() || self.shared.wake_flags.is_stopped() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn member(&mut self, member: &Member<'_>) -> ControlFlow<()> {
        if let Some(candidate) = &member.record {
            return self.candidate(&member.node, candidate);
        }
        self.flow()?;
        self.values_left -= 1;
        self.found = true;
        if self.seen.insert(member.node) {
            self.listed.push(member.node);
            // A caller waits for the first relay, and not for the end of the list.
            if self.is_relay_awaited() {
                self.request_listed();
            }
        }
        self.flow()
    }

    fn candidate(&mut self, node: &NodeId, candidate: &Candidate<'_>) -> ControlFlow<()> {
        self.flow()?;
        self.values_left -= 1;
        if !self.fingerprints.insert(self.fingerprint(node, candidate)) {
            return self.flow();
        }
        let shared = self.shared;
        match candidate.verify(node, &shared.options.network) {
            Ok(record) => match shared.offer_record(&record, self.shard) {
                Some(Ok(outcome)) => {
                    self.found = true;
                    self.found_new |=
                        matches!(outcome, OfferOutcome::Candidate | OfferOutcome::Renewed);
                    self.seen.insert(*node);
                }
                // Rejected by a limit or an option of this node: the value itself is good.
                Some(Err(reason)) if !is_worthless(reason) => {}
                _ => self.worthless_left -= 1,
            },
            Err(error) => {
                shared
                    .state
                    .lock()
                    .count_rejected(RejectReason::from(&error));
                self.worthless_left -= 1;
            }
        }
        self.flow()
    }

    fn fingerprint(&self, node: &NodeId, candidate: &Candidate<'_>) -> u64 {
        match *candidate {
            Candidate::Encoded(bytes) => self.hasher.hash_one((node, bytes)),
            Candidate::Bep44 {
                public_key,
                value,
                sequence,
                signature,
            } => self
                .hasher
                .hash_one((node, public_key, value, sequence, signature)),
        }
    }

    fn now(&self) -> Option<Now> {
        let backend = self.shared.backend()?;
        self.shared.now(&*backend)
    }

    fn is_relay_awaited(&self) -> bool {
        let backend = self.shared.backend();
        backend.is_some_and(|backend| backend.is_relay_awaited())
    }

    /// Requests the relays that the shard listed without their records since the last call.
    fn request_listed(&mut self) {
        let mut listed = std::mem::take(&mut self.listed);
        if listed.is_empty() {
            return;
        }
        if let (Some(shard), Some(now)) = (self.shard, self.now()) {
            let mut state = self.shared.state.lock();
            state.request_members(&mut listed, shard, now);
        }
    }

    /// Reports which relays the shard lists.
    fn report_shard(&self, shard: ShardPath) {
        if let Some(now) = self.now() {
            let is_complete = !self.is_over();
            let mut state = self.shared.state.lock();
            state.shard_read(shard, &self.seen, is_complete, now);
        }
    }

    fn outcome(&self, answer: &Answer) -> QueryOutcome {
        let found = self.found;
        match answer.coverage() {
            Coverage::Complete if !self.is_over() => QueryOutcome::Complete { found },
            Coverage::Complete | Coverage::Partial => QueryOutcome::Partial { found },
            Coverage::Unreachable => QueryOutcome::Failed,
        }
    }
}

/// Whether an honest node would not have stored the value.
fn is_worthless(reason: RejectReason) -> bool {
    matches!(
        reason,
        RejectReason::Replayed
            | RejectReason::Withdrawn
            | RejectReason::Expired
            | RejectReason::FromTheFuture
            | RejectReason::Conflict
    )
}
