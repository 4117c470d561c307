//! A way into a DHT some of whose nodes are the attacker's: their answers come
//! before those of the others, to everything that is asked.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use relay_registry::NodeId;
use relay_registry::dht::{
    Answer, Candidate, CandidateSink, DhtError, Limits, Member, MemberSink, Put, RelayDht,
    SignedRecord,
};

use crate::attack::Arsenal;

pub struct Infiltrated<E> {
    engine: E,
    arsenal: Arc<Arsenal>,
}

impl<E: RelayDht> Infiltrated<E> {
    pub fn new(engine: E, arsenal: &Arc<Arsenal>) -> Self {
        Self {
            engine,
            arsenal: Arc::clone(arsenal),
        }
    }
}

/// What an answer is when the reader has enough before the honest are asked.
fn cut_short() -> Answer {
    Answer::partial(1, 1)
}

impl<E: RelayDht> RelayDht for Infiltrated<E> {
    fn limits(&self) -> Limits {
        self.engine.limits()
    }

    fn put(&self, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        self.engine.put(record, deadline)
    }

    fn get(
        &self,
        node: &NodeId,
        newer_than: Option<u64>,
        deadline: Instant,
        sink: &mut CandidateSink<'_>,
    ) -> Result<Answer, DhtError> {
        let enough = self.arsenal.fire(
            |under| under == node,
            |shot| sink(Candidate::Encoded(&shot.bytes)),
        );
        match enough {
            ControlFlow::Break(()) => Ok(cut_short()),
            ControlFlow::Continue(()) => self.engine.get(node, newer_than, deadline, sink),
        }
    }

    fn join(&self, shard: u16, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        self.engine.join(shard, record, deadline)
    }

    fn leave(
        &self,
        shard: u16,
        tombstone: &SignedRecord,
        deadline: Instant,
    ) -> Result<Put, DhtError> {
        self.engine.leave(shard, tombstone, deadline)
    }

    fn members(
        &self,
        shard: u16,
        deadline: Instant,
        sink: &mut MemberSink<'_>,
    ) -> Result<Answer, DhtError> {
        let limits = self.limits();
        let is_here = |under: &NodeId| limits.shard_of(under) == Some(shard);
        let enough = self.arsenal.fire(is_here, |shot| {
            sink(Member {
                node: shot.under,
                record: Some(Candidate::Encoded(&shot.bytes)),
            })
        });
        match enough {
            ControlFlow::Break(()) => Ok(cut_short()),
            ControlFlow::Continue(()) => self.engine.members(shard, deadline, sink),
        }
    }
}
