//! Questions to an engine, and what is made of its answers: nothing in them is
//! trusted, and only so much of them is looked at.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::{Shared, catch_panic};
use crate::dht::admission::OfferOutcome;
use crate::dht::discovery::{Query, QueryOutcome};
use crate::dht::engine::{Answer, Candidate, Coverage, DhtError, Member};
use crate::dht::reject_reason::RejectReason;
use crate::relay::NodeId;
use crate::sync::random_hasher;

/// So much worthless content ends a read: each costs a signature check. It is far
/// more than an engine hands out of those that answer first before it comes to the
/// others.
const MAX_WORTHLESS: u32 = 4_096;

/// No more members of one shard are looked at in one sweep.
const MAX_MEMBERS: u32 = 16_384;

/// One read: how much more of it is looked at, and what it has brought.
struct Reading<'a> {
    shared: &'a Shared,
    /// Which shard of the directory is read, if it is one.
    shard: Option<u16>,
    worthless_left: u32,
    left: u32,
    found: bool,
    /// Whether an announcement came that was not known.
    has_candidate: bool,
    seen: BTreeSet<NodeId>,
    /// Fingerprints of what was judged, with a key that nobody outside knows: many
    /// nodes hand out the same, and each check of a signature costs.
    judged: BTreeSet<u64>,
    hasher: ahash::RandomState,
}

impl Shared {
    /// Asks; how that ended, and whether the engine panicked.
    pub(super) fn ask(
        &self,
        query: &Query,
        newer_than: Option<u64>,
    ) -> (Result<QueryOutcome, DhtError>, bool) {
        let deadline = self.options.deadline(self.options.request_deadline);
        let shard = match *query {
            Query::Sweep(shard) => Some(shard),
            Query::Fetch { .. } => None,
        };
        let mut reading = Reading::new(self, shard);
        let answer = catch_panic(|| match *query {
            Query::Sweep(shard) => {
                let mut sink = |member: Member<'_>| reading.member(&member);
                self.engine.members(shard, deadline, &mut sink)
            }
            Query::Fetch {
                node,
                first_will_do,
            } => {
                let mut sink = |candidate: Candidate<'_>| {
                    let flow = reading.candidate(&node, &candidate);
                    if first_will_do && reading.has_candidate {
                        return ControlFlow::Break(());
                    }
                    flow
                };
                self.engine.get(&node, newer_than, deadline, &mut sink)
            }
        });
        let panicked = answer.is_err();
        let answer = answer.unwrap_or(Err(DhtError::Closed));
        if let (Some(shard), Ok(_)) = (shard, &answer) {
            reading.note_seen(shard);
        }
        (answer.map(|answer| reading.ending(&answer)), panicked)
    }
}

impl<'a> Reading<'a> {
    fn new(shared: &'a Shared, shard: Option<u16>) -> Self {
        Self {
            shared,
            shard,
            worthless_left: MAX_WORTHLESS,
            left: MAX_MEMBERS,
            found: false,
            has_candidate: false,
            seen: BTreeSet::new(),
            judged: BTreeSet::new(),
            hasher: random_hasher(),
        }
    }

    fn is_over(&self) -> bool {
        self.left == 0 || self.worthless_left == 0
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
        self.left -= 1;
        self.found = true;
        self.seen.insert(member.node);
        let shared = self.shared;
        let now = shared.backend().and_then(|backend| shared.now(&*backend));
        if let (Some(shard), Some(now)) = (self.shard, now) {
            shared.state.lock().want_member(member.node, shard, now);
        }
        self.flow()
    }

    fn candidate(&mut self, node: &NodeId, candidate: &Candidate<'_>) -> ControlFlow<()> {
        self.flow()?;
        self.left -= 1;
        if !self.judged.insert(self.fingerprint(node, candidate)) {
            return self.flow();
        }
        let shared = self.shared;
        match candidate.verify(node, &shared.options.network) {
            Ok(record) => match shared.offer_record(&record, self.shard) {
                Some(Ok(offered)) => {
                    self.found = true;
                    self.has_candidate |=
                        matches!(offered, OfferOutcome::Candidate | OfferOutcome::Renewed);
                    self.seen.insert(*node);
                }
                // What is refused for lack of room or trust is good content.
                Some(Err(reason)) if !is_worthless(reason) => {}
                _ => self.worthless_left -= 1,
            },
            Err(error) => {
                shared.state.lock().refuse(RejectReason::from(&error));
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

    /// Whom the shard used to list and no longer does may have withdrawn: ask.
    fn note_seen(&self, shard: u16) {
        let shared = self.shared;
        if let Some(now) = shared.backend().and_then(|backend| shared.now(&*backend)) {
            let is_whole = !self.is_over();
            shared.state.lock().listed(shard, &self.seen, is_whole, now);
        }
    }

    fn ending(&self, answer: &Answer) -> QueryOutcome {
        let found = self.found;
        match answer.coverage() {
            Coverage::Complete if !self.is_over() => QueryOutcome::Complete { found },
            Coverage::Complete | Coverage::Partial => QueryOutcome::Partial { found },
            Coverage::Unreachable => QueryOutcome::Failed,
        }
    }
}

/// Whether whoever stored this should not have.
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
