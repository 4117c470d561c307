//! An engine that counts what is read: the requests, and the bytes that they return.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use relay_registry::NodeId;
use relay_registry::dht::{
    Answer, Candidate, CandidateSink, ChangeSink, DhtError, Limits, Member, MemberSink, Put,
    RelayDht, ShardPath, SignedRecord,
};

use super::forward::forward_all_but_reads;
use crate::outcome::Cost;

/// Requests count when they begin. Bytes are those of records and ids as a reader gets them: without the
/// framing of the transport, and without the copies that an engine reads from several storage nodes and
/// passes on once.
pub struct Counted {
    engine: Arc<dyn RelayDht>,
    shards: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
}

impl Counted {
    pub fn new(engine: Arc<dyn RelayDht>) -> Self {
        Self {
            engine,
            shards: AtomicU64::new(0),
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// What was read so far.
    pub fn cost(&self) -> Cost {
        Cost {
            shards: self.shards.load(Relaxed),
            records: self.records.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
        }
    }

    fn count(&self, node: &NodeId, record: Option<&Candidate<'_>>) {
        let len = node.as_bytes().len() + record.map_or(0, len);
        self.bytes.fetch_add(len as u64, Relaxed);
    }
}

fn len(record: &Candidate<'_>) -> usize {
    match record {
        Candidate::Encoded(bytes) => bytes.len(),
        Candidate::Bep44 {
            public_key,
            value,
            sequence,
            signature,
        } => public_key.len() + value.len() + size_of_val(sequence) + signature.len(),
        // There is no other form yet.
        _ => 0,
    }
}

impl RelayDht for Counted {
    forward_all_but_reads!();

    fn get(
        &self,
        node: &NodeId,
        newer_than: Option<u64>,
        deadline: Instant,
        sink: &mut CandidateSink<'_>,
    ) -> Result<Answer, DhtError> {
        self.records.fetch_add(1, Relaxed);
        let mut counting = |record: Candidate<'_>| {
            self.count(node, Some(&record));
            sink(record)
        };
        self.engine.get(node, newer_than, deadline, &mut counting)
    }

    fn members_at(
        &self,
        path: ShardPath,
        deadline: Instant,
        sink: &mut MemberSink<'_>,
    ) -> Result<Answer, DhtError> {
        self.shards.fetch_add(1, Relaxed);
        let mut counting = |member: Member<'_>| {
            self.count(&member.node, member.record.as_ref());
            sink(member)
        };
        self.engine.members_at(path, deadline, &mut counting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::announced;
    use crate::relay;
    use relay_registry::Endpoint;
    use relay_registry::dht::{Memory, Network};
    use std::ops::ControlFlow;
    use std::time::Duration;

    #[test]
    fn reads_are_counted_with_the_bytes_of_records_and_ids() {
        let engine = Counted::new(Arc::new(Memory::new()));
        let (key, at) = (relay::key(1), Endpoint::from(([127, 0, 0, 1], 1)));
        let record = announced(&key, &at, Duration::from_secs(1), &Network::default());
        let record = record.expect("a record");
        let deadline = Instant::now() + Duration::from_secs(10);
        let shard = engine.limits().shard_of(&key.node_id()).expect("a shard");
        engine.put(&record, deadline).expect("it is stored");
        engine.join(shard, &record, deadline).expect("it is listed");
        assert_eq!(engine.cost(), Cost::default());

        let mut sink = |_: Candidate<'_>| ControlFlow::Break(());
        let read = engine.get(&key.node_id(), None, deadline, &mut sink);
        read.expect("it is read");
        let cost = engine.cost();
        let bytes = 32 + record.encode().len() as u64;
        let (shards, records) = (0, 1);
        assert_eq!(
            cost,
            Cost {
                shards,
                records,
                bytes
            }
        );
        let mut sink = |_: Member<'_>| ControlFlow::Break(());
        let read = engine.members(shard, deadline, &mut sink);
        read.expect("it is read");
        let both = engine.cost();
        assert_eq!((both.shards, both.records), (1, 1));
        assert!(both.bytes >= cost.bytes + 32, "{both:?}");
    }
}
