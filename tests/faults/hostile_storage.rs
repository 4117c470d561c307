//! Storage nodes that send worthless or old values.

use crate::world::{NamesOnly, Node, World, id, secs};
use std::ops::ControlFlow;

use std::time::Instant;

use relay_registry::NodeId;
use relay_registry::dht::{
    Answer, Candidate, CandidateSink, DhtError, Faults, Kad, Lie, Limits, Member, MemberSink,
    Memory, Network, Put, RawKad, RawMemory, RelayDht, SignedRecord, ValueSink,
};

use super::remote_relays::reading;

/// How many worthless values the first storage node sends.
struct NoiseFirst<D>(D, usize);

/// Random bytes. Every second value has the length and form of a record.
fn noise(n: usize, record: &[u8]) -> Vec<u8> {
    let mut noise = record.to_vec();
    let at = if n % 2 == 0 { n / 2 } else { noise.len() / 2 };
    let at = at % noise.len();
    noise[at] ^= 1 + (n % 255) as u8;
    noise.extend_from_slice(&n.to_be_bytes()[..n % 3]);
    noise
}

impl<D: RelayDht> RelayDht for NoiseFirst<D> {
    fn limits(&self) -> Limits {
        self.0.limits()
    }

    fn put(&self, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        self.0.put(record, deadline)
    }

    fn get(
        &self,
        node: &NodeId,
        newer_than: Option<u64>,
        deadline: Instant,
        sink: &mut CandidateSink<'_>,
    ) -> Result<Answer, DhtError> {
        for n in 0..self.1 {
            if sink(Candidate::Encoded(&noise(n, &[7; 220]))).is_break() {
                return Ok(Answer::partial(1, 1));
            }
        }
        self.0.get(node, newer_than, deadline, sink)
    }

    fn members(
        &self,
        shard: u16,
        deadline: Instant,
        sink: &mut MemberSink<'_>,
    ) -> Result<Answer, DhtError> {
        for n in 0..self.1 {
            let noise = noise(n, &[7; 220]);
            let worthless = Member {
                node: id(n as u8),
                record: Some(Candidate::Encoded(&noise)),
            };
            if sink(worthless).is_break() {
                return Ok(Answer::partial(1, 1));
            }
        }
        self.0.members(shard, deadline, sink)
    }
}

pub(super) fn soon() -> Instant {
    Instant::now() + secs(60)
}

#[test]
fn a_storage_node_that_sends_worthless_values_first_hides_no_relay() {
    let world = World::with_shards(1);
    let _relays: Vec<Node> = (1..=3).map(|n| world.relay(n)).collect();
    let engine = NoiseFirst(world.dht.connect(), 1_000);
    let swept = reading(&world, engine, world.options());
    swept.run_distribution();
    assert_eq!(swept.relay_count(), 3);

    let engine = NoiseFirst(NamesOnly(world.dht.connect()), 1_000);
    let asked = reading(&world, engine, world.options());
    assert!(asked.request_record(&id(2)));
    asked.run_distribution();
    assert!(asked.is_relay(&id(2)));
}

/// Three of four storage nodes send random bytes until they are cut off. The fourth is still read.
#[test]
fn storage_nodes_that_send_without_end_hide_no_relay_in_memory() {
    let world = World::with_shards(1);
    let _relays: Vec<Node> = (1..=3).map(|n| world.relay(n)).collect();
    for _ in 0..20 {
        let reader = world.node_with(world.options().request_deadline(secs(3_600)));
        let flood = Faults::new().lie(Lie::Flood, 0.75);
        reader.dht.set_faults(flood);
        let mut found = Vec::new();
        let answer = reader.dht.members(0, soon(), &mut |member: Member<'_>| {
            found.push(member.node);
            if found.len() < 1_000 {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        assert!(!answer.unwrap().is_complete());
        let honest = found.iter().position(|node| *node == id(1));
        assert!(honest.is_none_or(|place| place < 100), "{honest:?}");
    }
    let reader = world.node_with(world.options().request_deadline(secs(3_600)));
    reader.dht.set_faults(Faults::new().lie(Lie::Flood, 0.5));
    reader.work();
    assert_eq!(reader.registry.relay_count(), 3);
}

/// A raw store where one node sends random values before the others answer.
struct NoisyRaw(RawMemory, usize);

impl RawKad for NoisyRaw {
    fn max_value(&self) -> usize {
        self.0.max_value()
    }

    fn store(&self, key: [u8; 32], value: &[u8], deadline: Instant) -> Result<Put, DhtError> {
        self.0.store(key, value, deadline)
    }

    fn find_value(
        &self,
        key: [u8; 32],
        deadline: Instant,
        sink: &mut ValueSink<'_>,
    ) -> Result<Answer, DhtError> {
        for n in 0..self.1 {
            if sink(&noise(n, &[7; 220])).is_break() {
                return Ok(Answer::partial(1, 1));
            }
        }
        self.0.find_value(key, deadline, sink)
    }
}

#[test]
fn a_storage_node_that_sends_worthless_values_first_hides_no_relay_over_a_raw_store() {
    let world = World::with_shards(1);
    let raw = RawMemory::new(20);
    let kad = |noise| {
        Kad::new(NoisyRaw(raw.clone(), noise), Network::default())
            .with_shards(1)
            .with_clock(world.wall.clone())
    };
    let (older, later) = (world.says(1, "5.6.1.1:1"), {
        world.advance(secs(1));
        world.says(1, "5.6.1.2:1")
    });
    kad(0).put(&later, soon()).unwrap();
    kad(0).join(0, &later, soon()).unwrap();
    let refused = kad(500).put(&older, soon());
    assert!(
        matches!(refused, Err(DhtError::Superseded { .. })),
        "{refused:?}"
    );
    for by_name in [false, true] {
        let reader = reading(&world, kad(500), world.options());
        if by_name {
            assert!(reader.request_record(&id(1)));
        }
        reader.run_distribution();
        assert!(reader.is_relay(&id(1)), "{by_name}");
    }
}

/// The first answer may be old. It ends the wait of a caller, but not the request.
#[test]
fn an_old_record_that_arrives_first_does_not_end_the_read() {
    let world = World::with_shards(1);
    let old_withdrawal = world.withdraws(1);
    world.advance(secs(1));
    let old = world.says(1, "5.6.1.1:1");
    world.advance(secs(1));
    let latest = world.says(1, "5.6.1.2:1");
    for first in [old_withdrawal, old] {
        let dht = Memory::builder().nodes(2).build();
        let [one, other] = [0..1, 1..2].map(|reachable| {
            let way = dht.connect();
            way.set_faults(Faults::new().partition(reachable));
            way
        });
        one.put(&first, soon()).unwrap();
        other.put(&latest, soon()).unwrap();
        for _ in 0..10 {
            let reader = reading(&world, dht.connect(), world.options());
            assert!(reader.request_record(&id(1)));
            reader.run_distribution();
            let known = reader.relay(&id(1)).expect("it is found");
            assert_eq!(known.endpoint(), &"5.6.1.2:1".parse().unwrap());
        }
    }
}
