//! Lists of `Kad` of which storage nodes have different versions, also made-up ones.

use relay_registry::dht::{
    Answer, DhtError, Kad, Member, Network, Put, RawKad, RawMemory, RelayDht, ShardPath, ValueSink,
};
use sha2::{Digest, Sha256};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::relays::{announced, withdrawn};

/// Two storage nodes, of which a client may reach one or both.
#[derive(Clone)]
struct Sides {
    nodes: Vec<RawMemory>,
    reached: [bool; 2],
}

/// Room for some ten relays.
const MAX_VALUE: usize = 1_500;

impl Sides {
    fn new() -> Self {
        Self {
            nodes: vec![RawMemory::new(1), RawMemory::new(1)],
            reached: [true, true],
        }
    }

    fn reaching(&self, reached: [bool; 2]) -> Kad<Self> {
        let raw = Self {
            reached,
            ..self.clone()
        };
        Kad::new(raw, Network::default()).with_shards(1)
    }

    /// What the second node stores under a key is this.
    fn lie(&self, key: [u8; 32], list: &[u8]) {
        let stored = self.nodes[1].store(key, list, soon());
        stored.expect("it is stored");
    }

    /// What the second node stores under a key.
    fn stored(&self, key: [u8; 32]) -> Vec<u8> {
        let mut stored = Vec::new();
        let mut sink = |value: &[u8]| {
            stored = value.to_vec();
            ControlFlow::Break(())
        };
        let found = self.nodes[1].find_value(key, soon(), &mut sink);
        found.expect("it answers");
        stored
    }

    fn reached(&self) -> impl Iterator<Item = &RawMemory> {
        let nodes = self.nodes.iter().zip(self.reached);
        nodes.filter_map(|(node, is_reached)| is_reached.then_some(node))
    }
}

impl RawKad for Sides {
    fn max_value(&self) -> usize {
        MAX_VALUE
    }

    fn store(&self, key: [u8; 32], value: &[u8], deadline: Instant) -> Result<Put, DhtError> {
        let (size, max) = (value.len(), MAX_VALUE);
        if size > max {
            return Err(DhtError::TooLarge { size, max });
        }
        for node in self.reached() {
            node.store(key, value, deadline)?;
        }
        Ok(Put::new(2, 2))
    }

    fn find_value(
        &self,
        key: [u8; 32],
        deadline: Instant,
        sink: &mut ValueSink<'_>,
    ) -> Result<Answer, DhtError> {
        for node in self.reached() {
            node.find_value(key, deadline, sink)?;
        }
        Ok(Answer::complete(2, 2))
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn is_divided(dht: &impl RelayDht, path: ShardPath) -> bool {
    let mut sink = |_: Member<'_>| ControlFlow::Continue(());
    let answer = dht.members_at(path, soon(), &mut sink);
    answer.expect("a read").is_divided()
}

/// Joins the shard until it is full. The relays that joined.
fn fill(dht: &impl RelayDht, path: ShardPath, relays: std::ops::Range<u8>) -> usize {
    let join = |relay| dht.join_at(path, &announced(relay, 1), soon()).is_ok();
    relays.take_while(|relay| join(*relay)).count()
}

/// After a partition, or if one storage node makes a list up.
#[test]
fn lists_that_together_are_too_long_make_a_shard_divide() {
    let (sides, root) = (Sides::new(), ShardPath::root(0));
    // Neither side is full.
    for (side, relays) in [([true, false], 1..8), ([false, true], 101..108)] {
        assert_eq!(fill(&sides.reaching(side), root, relays), 7);
    }
    let healed = sides.reaching([true, true]);
    assert!(!is_divided(&healed, root));
    let joined = healed.join_at(root, &announced(50, 1), soon());
    assert!(matches!(joined, Err(DhtError::Full { .. })), "{joined:?}");
    assert!(is_divided(&healed, root));
    // Its mark can be renewed as well.
    healed.divide(root, soon()).expect("it is renewed");
}

/// The key of the list of a shard.
fn key_of(path: &str) -> [u8; 32] {
    Sha256::digest(format!("relay.list{path}")).into()
}

/// One storage node lists relays of other shards: the same ones in all lists would do. They are
/// not in the way of those that belong there.
#[test]
fn relays_of_other_shards_take_no_room() {
    let sides = Sides::new();
    let healed = sides.reaching([true, true]);
    // A full list of the root names no path, so it can be passed off as that of any shard.
    assert!(fill(&sides.reaching([false, true]), ShardPath::root(0), 101..130) >= 8);
    let list = sides.stored(key_of(""));
    let own = announced(50, 1);
    let path = ShardPath::of(&own.node_id(), &healed.limits(), 16).expect("it is not too deep");
    sides.lie(key_of(&format!(".{path}")), &list);
    let joined = healed.join_at(path, &own, soon());
    assert!(joined.is_ok(), "{joined:?}");
    let mut members = Vec::new();
    let mut sink = |member: Member<'_>| {
        members.push(member.node);
        ControlFlow::Continue(())
    };
    healed.members_at(path, soon(), &mut sink).expect("a read");
    assert_eq!(members, [own.node_id()]);
}

/// A registry joins only the shards that its relay belongs to.
#[test]
fn a_relay_does_not_join_a_shard_that_it_does_not_belong_to() {
    let dht = Kad::new(RawMemory::new(1), Network::default());
    let record = announced(1, 1);
    let own = dht
        .limits()
        .shard_of(&record.node_id())
        .expect("there is one");
    let other = (own + 1) % dht.limits().shards;
    let joined = dht.join(other, &record, soon());
    assert!(
        matches!(joined, Err(DhtError::Unsupported { .. })),
        "{joined:?}"
    );
    dht.leave(other, &withdrawn(1, 2), soon())
        .expect("it is not listed");
    let undivided = Kad::new(RawMemory::new(1), Network::default()).with_max_depth(0);
    undivided
        .join(other, &record, soon())
        .expect("its own may be full");
}
