//! An engine over a DHT some of whose nodes are the attacker's: for each request, their answers arrive
//! before those of the others.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use relay_registry::NodeId;
use relay_registry::dht::{
    Answer, Candidate, CandidateSink, ChangeSink, DhtError, Limits, Member, MemberSink, Put,
    RelayDht, ShardPath, SignedRecord,
};

use super::forward::forward_all_but_reads;
use crate::attack::AttackRecords;

pub struct Infiltrated<E> {
    engine: E,
    attack_records: Arc<AttackRecords>,
}

impl<E: RelayDht> Infiltrated<E> {
    pub fn new(engine: E, attack_records: &Arc<AttackRecords>) -> Self {
        Self {
            engine,
            attack_records: Arc::clone(attack_records),
        }
    }
}

/// The answer if the reader stops before an honest node was asked.
fn cut_short() -> Answer {
    Answer::partial(1, 1)
}

impl<E: RelayDht> RelayDht for Infiltrated<E> {
    forward_all_but_reads!();

    fn get(
        &self,
        node: &NodeId,
        newer_than: Option<u64>,
        deadline: Instant,
        sink: &mut CandidateSink<'_>,
    ) -> Result<Answer, DhtError> {
        let flow = self.attack_records.offer(
            |under| under == node,
            |attack| sink(Candidate::Encoded(&attack.bytes)),
        );
        match flow {
            ControlFlow::Break(()) => Ok(cut_short()),
            ControlFlow::Continue(()) => self.engine.get(node, newer_than, deadline, sink),
        }
    }

    fn members_at(
        &self,
        path: ShardPath,
        deadline: Instant,
        sink: &mut MemberSink<'_>,
    ) -> Result<Answer, DhtError> {
        let limits = self.limits();
        let is_here = |under: &NodeId| ShardPath::of(under, &limits, path.depth()) == Some(path);
        let flow = self.attack_records.offer(is_here, |attack| {
            sink(Member {
                node: attack.under,
                record: Some(Candidate::Encoded(&attack.bytes)),
            })
        });
        match flow {
            ControlFlow::Break(()) => Ok(cut_short()),
            ControlFlow::Continue(()) => self.engine.members_at(path, deadline, sink),
        }
    }
}
