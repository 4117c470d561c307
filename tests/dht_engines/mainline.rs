//! BitTorrent's DHT, on nodes of its own on this machine.

use mainline::{Dht, MutableItem, SigningKey};
use relay_registry::NodeId;
use relay_registry::dht::{
    Coverage, DhtError, Mainline, MainlineBuilder, Network, RelayDht, ShardPath, SignedRecord,
    conformance,
};
use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::relays::{announced, withdrawn};

/// Nodes on loopback that know only each other.
pub(crate) struct Net {
    nodes: Vec<Mainline>,
    bootstrap: Vec<String>,
}

impl Net {
    pub(crate) fn new() -> Self {
        Self::of(16)
    }

    /// A network of so many nodes. Each keeps 1,000 mutable items at most.
    pub(crate) fn of(nodes: usize) -> Self {
        let first = start(Network::default(), &[]);
        let address = first.local_addr(soon()).expect("it listens");
        let bootstrap = vec![address.to_string()];
        let others = (1..nodes).map(|_| start(Network::default(), &bootstrap));
        Self {
            nodes: std::iter::once(first).chain(others).collect(),
            bootstrap,
        }
    }

    /// Stops so many of the nodes.
    fn stop(&mut self, nodes: usize) {
        self.nodes.drain(..nodes);
    }

    pub(crate) fn join(&self, network: Network) -> Mainline {
        start(network, &self.bootstrap)
    }
}

/// A node on any port: those that are stopped must not be met again.
fn start(network: Network, bootstrap: &[String]) -> Mainline {
    builder(network, bootstrap)
        .build()
        .expect("a socket on loopback")
}

fn builder(network: Network, bootstrap: &[String]) -> MainlineBuilder {
    Mainline::builder(network)
        .bootstrap(bootstrap)
        .bind_address(Ipv4Addr::LOCALHOST)
        .port(0)
        .request_timeout(Duration::from_millis(300))
        .server_mode()
}

#[test]
fn what_a_node_is_built_with_is_what_it_says() {
    let refresh = Duration::from_secs(1_200);
    let builder = builder(Network::default(), &[])
        .public_ip(Ipv4Addr::LOCALHOST)
        .refresh(refresh);
    assert!(format!("{builder:?}").contains("1200s"), "{builder:?}");
    let node = builder.build().expect("a socket on loopback");
    assert_eq!(node.limits().refresh, refresh);
    assert!(format!("{node:?}").contains("Mainline"));
}

#[test]
fn mainline_conforms() {
    let net = Net::new();
    let network = Network::new(b"conformance").expect("a short tag");
    conformance::check(|| net.join(network), &network);
    assert_eq!(net.nodes.len(), 16);
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn read(dht: &Mainline, node: &NodeId, by: Instant) -> (Vec<SignedRecord>, Coverage) {
    let mut found = Vec::new();
    let answer = dht
        .get(node, None, by, &mut |candidate| {
            found.extend(candidate.verify(node, &Network::default()));
            ControlFlow::Continue(())
        })
        .expect("a read");
    (found, answer.coverage())
}

#[test]
fn records_outlive_half_of_the_nodes_and_a_dead_network_is_unreachable() {
    let mut net = Net::new();
    let (writer, reader) = (net.join(Network::default()), net.join(Network::default()));
    let record = announced(1, 1);
    writer.put(&record, soon()).expect("it is stored");
    writer.join(3, &record, soon()).expect("it joins");
    net.stop(8);
    let (found, _) = read(&reader, &record.node_id(), soon());
    assert_eq!(found, std::slice::from_ref(&record));
    net.stop(8);
    drop(writer);
    let absent = announced(2, 1).node_id();
    // The nodes' threads take a moment to notice that they are stopped.
    let is_unreachable = (0..20).any(|_| {
        let (found, coverage) = read(&reader, &absent, soon());
        assert_eq!(found, []);
        coverage == Coverage::Unreachable
    });
    assert!(is_unreachable);
    assert!(matches!(
        reader.put(&announced(2, 1), soon()),
        Err(DhtError::Unreachable | DhtError::Timeout)
    ));
}

/// Requests whose caller no longer waits hold their turns until they end;
/// then everything goes on.
#[test]
fn what_was_abandoned_keeps_its_turn_until_it_ends() {
    let net = Net::new();
    let dht = net.join(Network::default());
    for relay in 1..=8 {
        let by = Instant::now() + Duration::from_millis(1);
        let node = announced(relay, 1).node_id();
        let answer = dht.get(&node, None, by, &mut |_| ControlFlow::Continue(()));
        let is_cut_short = match &answer {
            Ok(answer) => !answer.is_complete(),
            Err(error) => matches!(
                error,
                DhtError::Busy { max_in_flight: 4 } | DhtError::Timeout
            ),
        };
        assert!(is_cut_short, "{answer:?}");
    }
    let record = announced(1, 1);
    dht.put(&record, soon()).expect("turns come free");
    assert_eq!(read(&dht, &record.node_id(), soon()).0, [record]);
}

#[test]
fn a_record_of_another_network_is_not_sent() {
    let net = Net::new();
    let dht = net.join(Network::new(b"other").expect("a short tag"));
    assert!(matches!(
        dht.put(&announced(1, 1), soon()),
        Err(DhtError::Unsupported { .. })
    ));
}

/// Each relay from a node of its own, all at once, as after a power cut.
#[test]
fn relays_that_join_at_once_are_all_found_after_a_refresh() {
    const RELAYS: u8 = 20;
    let net = Net::new();
    let engines: Vec<Mainline> = (0..RELAYS).map(|_| net.join(Network::default())).collect();
    let shard_of = |record: &SignedRecord| engines[0].limits().shard_of(&record.node_id());
    for _refresh in 0..2 {
        std::thread::scope(|scope| {
            for (engine, relay) in engines.iter().zip(1..) {
                scope.spawn(move || {
                    let record = announced(relay, 1);
                    let shard = engine.limits().shard_of(&record.node_id());
                    // A relay that loses too often tries again at the next refresh.
                    let _ = engine.join(shard.expect("there are shards"), &record, soon());
                });
            }
        });
    }
    let newcomer = net.join(Network::default());
    let mut found = Vec::new();
    for shard in 0..newcomer.limits().shards {
        newcomer
            .members(shard, soon(), &mut |member| {
                found.push(member.node);
                ControlFlow::Continue(())
            })
            .expect("a read");
    }
    for relay in 1..=RELAYS {
        let record = announced(relay, 1);
        let is_found = found.contains(&record.node_id());
        assert!(is_found, "relay {relay} of shard {:?}", shard_of(&record));
    }
}

/// Any node can remove all relays from the directory; they rejoin.
#[test]
fn a_directory_that_was_emptied_is_mended_by_rejoining() {
    let net = Net::new();
    let dht = net.join(Network::default());
    let listed = || {
        let mut listed = 0;
        dht.members(0, soon(), &mut |_| {
            listed += 1;
            ControlFlow::Continue(())
        })
        .expect("a read");
        listed
    };
    for relay in 1..=3 {
        dht.join(0, &announced(relay, 1), soon()).expect("it joins");
    }
    assert_eq!(listed(), 3);
    for relay in 1..=3 {
        dht.leave(0, &withdrawn(relay, 2), soon())
            .expect("it leaves");
    }
    assert_eq!(listed(), 0);
    dht.join(0, &announced(2, 3), soon()).expect("it rejoins");
    assert_eq!(listed(), 1);
}

/// A node without the secret can neither read nor write the directory.
#[test]
fn a_directory_with_a_secret_is_for_those_who_know_it() {
    let net = Net::new();
    let knowing = |secret| {
        builder(Network::default(), &net.bootstrap)
            .directory_secret(secret)
            .build()
            .expect("a socket on loopback")
    };
    let (member, other, stranger) = (knowing([1; 32]), knowing([1; 32]), knowing([2; 32]));
    let record = announced(1, 1);
    member.join(0, &record, soon()).expect("it joins");
    let listed = |dht: &Mainline| {
        let mut nodes = Vec::new();
        dht.members(0, soon(), &mut |member| {
            nodes.push(member.node);
            ControlFlow::Continue(())
        })
        .expect("a read");
        nodes
    };
    assert_eq!(listed(&other), [record.node_id()]);
    assert_eq!(listed(&stranger), []);
}

/// A node with the secret can write the directory, also so that no later write succeeds. By default
/// anyone has it.
#[test]
fn relays_are_listed_below_a_shard_whose_sequences_are_used_up() {
    let net = Net::new();
    let secret = [1; 32];
    let member = || {
        builder(Network::default(), &net.bootstrap)
            .directory_secret(secret)
            .build()
            .expect("a socket on loopback")
    };
    let (relay, reader) = (member(), member());
    let attacker = Dht::builder()
        .bootstrap(&net.bootstrap)
        .bind_address(Ipv4Addr::LOCALHOST)
        .port(0)
        .build()
        .expect("a socket on loopback")
        .as_async();
    let use_up = |path: ShardPath| {
        let salt = [Network::default().salt(), format!("/{path}").as_bytes()].concat();
        let last = MutableItem::new(SigningKey::from_bytes(&secret), b"", i64::MAX, Some(&salt));
        pollster::block_on(attacker.put_mutable(last, None)).expect("it is stored");
    };
    let (record, limits) = (announced(1, 1), relay.limits());
    let shard_of = |depth| ShardPath::of(&record.node_id(), &limits, depth).expect("a shard");
    use_up(shard_of(0));
    let joined = relay.join_at(shard_of(0), &record, soon());
    assert!(matches!(joined, Err(DhtError::Full { .. })), "{joined:?}");
    let joined = relay.join_at(shard_of(1), &record, soon());
    assert!(joined.is_ok(), "{joined:?}");
    let read = |path| {
        let mut listed = Vec::new();
        let answer = reader.members_at(path, soon(), &mut |member| {
            listed.push(member.node);
            ControlFlow::Continue(())
        });
        (listed, answer.expect("a read").is_divided())
    };
    assert_eq!(read(shard_of(0)), (vec![], true));
    assert_eq!(read(shard_of(1)), (vec![record.node_id()], false));
    // There is nothing below the deepest.
    use_up(shard_of(limits.max_depth));
    let joined = relay.join_at(shard_of(limits.max_depth), &record, soon());
    let Err(DhtError::Rejected { reason }) = joined else {
        panic!("it joined, or failed otherwise: {joined:?}");
    };
    assert!(reason.contains("sequences"), "{reason}");
    assert!(!read(shard_of(limits.max_depth)).1);
}
