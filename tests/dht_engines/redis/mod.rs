//! A Redis server: a real one, and hostile ones.
//!
//! The tests with a real one are ignored unless asked for (`ci/redis.sh`), as not every machine
//! has `redis-server`.

mod access;
mod connections;
mod data;
mod hostile;
mod outages;
mod registries;
mod server;
#[cfg(feature = "redis-tls")]
mod tls;
mod watching;

use relay_registry::NodeId;
use relay_registry::dht::{Coverage, Network, RelayDht, SignedRecord};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn shortly() -> Instant {
    Instant::now() + Duration::from_millis(300)
}

/// The valid records that come back for a node, and how many values are none.
fn read_by(
    dht: &impl RelayDht,
    node: &NodeId,
    by: Instant,
) -> (Vec<SignedRecord>, usize, Coverage) {
    let (mut records, mut worthless) = (Vec::new(), 0);
    let answer = dht
        .get(node, None, by, &mut |candidate| {
            match candidate.verify(node, &Network::default()) {
                Ok(record) => records.push(record),
                Err(_) => worthless += 1,
            }
            ControlFlow::Continue(())
        })
        .expect("a read");
    (records, worthless, answer.coverage())
}

/// The valid records that come back for a node.
fn read(dht: &impl RelayDht, node: &NodeId) -> Vec<SignedRecord> {
    let (records, _, coverage) = read_by(dht, node, soon());
    assert_eq!(coverage, Coverage::Complete);
    records
}

/// The members of a shard, with their records if these are valid.
fn members_by(
    dht: &impl RelayDht,
    shard: u16,
    by: Instant,
) -> (Vec<(NodeId, Option<SignedRecord>)>, Coverage) {
    let mut members = Vec::new();
    let answer = dht
        .members(shard, by, &mut |member| {
            let record = member.record;
            let record = record.and_then(|it| it.verify(&member.node, &Network::default()).ok());
            members.push((member.node, record));
            ControlFlow::Continue(())
        })
        .expect("a read");
    (members, answer.coverage())
}

fn members(dht: &impl RelayDht, shard: u16) -> Vec<(NodeId, Option<SignedRecord>)> {
    let (mut members, coverage) = members_by(dht, shard, soon());
    assert_eq!(coverage, Coverage::Complete);
    members.sort_by_key(|(node, _)| *node);
    members
}
