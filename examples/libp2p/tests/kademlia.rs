//! The registry's engine over libp2p's Kademlia, on a network on 127.0.0.1.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::future::{join_all, try_join_all};
use relay_libp2p::network::{Network, NetworkError, eventually};
use relay_libp2p::node::{Node, RelayConfig};
use relay_registry::NodeId;
use relay_registry::dht::{
    Announcement, Coverage, DhtError, Kad, Limits, Network as Tag, RawKad, RelayDht, RelayRecord,
    SecretKey, SignedRecord, conformance::Suite,
};

type Tested = Result<(), NetworkError>;

const SHARDS: u16 = 2;
const WRITERS: u8 = 16;

/// As many as the conformance suite has, so that each is a node of its own.
const HANDLES: usize = 18;
const TIMEOUT: Duration = Duration::from_secs(60);

/// A node that only asks the DHT.
async fn client(network: &Network) -> Result<Node, NetworkError> {
    let mut config = network.config()?;
    config.learns = false;
    config.shards = SHARDS;
    Ok(Node::start(config).await?)
}

fn engine(node: &Node) -> Kad<impl RawKad + use<>> {
    Kad::new(node.kademlia(), Tag::default()).with_shards(SHARDS)
}

fn record(key: &SecretKey) -> SignedRecord {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is set");
    let announcement = Announcement::new("192.0.2.7:4433".parse().expect("an endpoint"), 100);
    let announcement = announcement.expect("it is valid");
    let (sequence, ttl) = (now.as_micros() as u64, Duration::from_secs(600));
    let record = RelayRecord::announce(announcement, sequence, now, ttl).expect("it is valid");
    SignedRecord::sign(&record, key, &Tag::default()).expect("it signs")
}

fn deadline() -> Instant {
    Instant::now() + TIMEOUT
}

/// Engines block, so they are called on threads of their own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("it does not panic")
}

/// The key of a relay that belongs to this shard.
fn key_of(shard: u16) -> SecretKey {
    let limits = Limits::new(0, 0, Duration::ZERO, SHARDS);
    let keys = (0..=u8::MAX).map(|seed| SecretKey::from_seed([seed; 32]));
    let mut keys = keys.filter(|key| limits.shard_of(&key.node_id()) == Some(shard));
    keys.next().expect("each shard has one in 256 relays")
}

fn members(dht: &impl RelayDht, shard: u16) -> BTreeSet<NodeId> {
    let mut found = BTreeSet::new();
    let answer = dht.members(shard, deadline(), &mut |member| {
        found.insert(member.node);
        ControlFlow::Continue(())
    });
    assert!(answer.is_ok(), "{answer:?}");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_passes_the_conformance_suite() -> Tested {
    let network = Network::start(4).await?;
    let clients = try_join_all((0..HANDLES).map(|_| client(&network))).await?;
    blocking(move || {
        let next = RefCell::new(clients.iter().cycle());
        let make = || engine(next.borrow_mut().next().expect("it is endless"));
        let suite = Suite::new(make, &Tag::default()).request_timeout(TIMEOUT);
        suite.check();
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn relays_that_join_at_once_are_all_listed() -> Tested {
    let network = Network::start(5).await?;
    let mut joining = Vec::new();
    for seed in 0..WRITERS {
        let node = client(&network).await?;
        joining.push(blocking_join(node, seed));
    }
    let joined = join_all(joining).await;
    assert!(joined.iter().all(Result::is_ok), "{joined:?}");
    let reader = client(&network).await?;
    let found = blocking(move || {
        let dht = engine(&reader);
        (0..SHARDS).flat_map(|shard| members(&dht, shard)).collect()
    });
    let found: BTreeSet<_> = found.await;
    let expected = (0..WRITERS).map(|seed| SecretKey::from_seed([seed; 32]).node_id());
    assert_eq!(found, expected.collect());
    Ok(())
}

async fn blocking_join(node: Node, seed: u8) -> Result<(), DhtError> {
    blocking(move || {
        let record = record(&SecretKey::from_seed([seed; 32]));
        let dht = engine(&node);
        let shard = dht
            .limits()
            .shard_of(&record.node_id())
            .expect("a directory");
        dht.join(shard, &record, deadline()).map(|_| ())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_does_not_replace_a_record_or_a_list() -> Tested {
    let network = Network::start(4).await?;
    let (relay, attacker) = (Arc::new(client(&network).await?), client(&network).await?);
    let own = record(&key_of(0));
    let (node, writer) = (own.node_id(), relay.clone());
    let (stored, keys) = blocking(move || {
        let dht = engine(&writer);
        dht.join(0, &own, deadline()).expect("it joins");
        let put = dht.put(&own, deadline()).expect("it is stored");
        (put.stored(), [key_of_record(&node), key_of_first_list()])
    })
    .await;
    assert!(stored >= 3, "{stored} of 4 nodes stored it");

    blocking(move || {
        let raw = attacker.kademlia();
        for key in keys {
            // libp2p confirms a write before the storage node has judged it.
            let confirmed = raw.store(key, b"noise", deadline());
            assert!(confirmed.is_ok(), "{confirmed:?}");
            // A list without entries, of the right format.
            let _ = raw.store(key, &[1], deadline());
        }
    })
    .await;
    let found = blocking(move || {
        let dht = engine(&relay);
        let mut found = 0;
        let answer = dht.get(&node, None, deadline(), &mut |candidate| {
            found += u32::from(candidate.verify(&node, &Tag::default()).is_ok());
            ControlFlow::Continue(())
        });
        (answer, found, members(&dht, 0))
    })
    .await;
    let (answer, records, listed) = found;
    assert_eq!(answer.expect("it answers").coverage(), Coverage::Complete);
    assert_eq!((records, listed), (1, BTreeSet::from([node])));
    Ok(())
}

/// As the documentation of `Kad` says.
fn key_of_record(node: &NodeId) -> [u8; 32] {
    sha256(&[b"relay.node.", node.as_bytes()].concat())
}

fn key_of_first_list() -> [u8; 32] {
    sha256(b"relay.list")
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_storage_nodes_nothing_is_proved_absent() -> Tested {
    let network = Network::start(1).await?;
    let config = {
        let mut config = network.config()?;
        config.learns = false;
        config
    };
    let node = Node::start(config).await?;
    drop(network);
    let own = record(&key_of(0));
    let (written, answer) = blocking(move || {
        let raw = node.kademlia();
        let soon = Instant::now() + Duration::from_secs(10);
        let written = raw.store(key_of_record(&own.node_id()), &own.encode(), soon);
        let answer = raw.find_value(key_of_record(&own.node_id()), soon, &mut |_| {
            panic!("there is no other node, and this one keeps nothing")
        });
        (written, answer)
    })
    .await;
    assert!(
        matches!(written, Err(DhtError::Unreachable | DhtError::Timeout)),
        "{written:?}"
    );
    assert_eq!(
        answer.expect("it is no error").coverage(),
        Coverage::Unreachable
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_is_learned_through_the_dht_and_its_withdrawal_too() -> Tested {
    let mut network = Network::start(3).await?;
    let relay = network.add_relay(RelayConfig::default()).await?;
    let broker = network.add_broker().await?;
    let registry = broker.node().registry();
    let node = relay_libp2p::ids::node_of(&relay).expect("an Ed25519 key");
    let info = registry.relay(&node).expect("it was learned");
    assert!(
        info.latency().is_some(),
        "the probe measured the round trip"
    );
    network.close(relay).await?;
    eventually("the withdrawal is learned", || !registry.is_relay(&node)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_at_an_address_of_another_key_is_not_learned() -> Tested {
    let mut network = Network::start(3).await?;
    let honest = network.add_relay(RelayConfig::default()).await?;
    let address = network.address(honest).expect("it runs");
    // It announces the address of the honest relay under its own key.
    let mut config = network.config()?;
    config.learns = false;
    config.relay = Some(RelayConfig::default());
    let liar = Node::start(config).await?;
    let liar_id = relay_libp2p::ids::node_of(&liar.peer()).expect("an Ed25519 key");
    liar.registry()
        .register(liar_id, address)
        .expect("it is valid");
    let broker = network.add_broker().await?;
    let registry = broker.node().registry();
    eventually("the liar is probed", || {
        let stats = registry.stats().dht;
        stats.is_some_and(|stats| stats.failed_probes > 0)
    })
    .await?;
    assert!(!registry.is_relay(&liar_id));
    Ok(())
}
