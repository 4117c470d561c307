//! Many relays in the directory of BitTorrent's DHT, on nodes of its own on this machine.
//!
//! `ci/mainline.sh` runs it with more of them.

use relay_registry::dht::{DhtOptions, Mainline, SecretKey};
use relay_registry::{Endpoint, Maintenance, ManualClock, NodeId, Registry};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::mainline::Net;

const RELAYS: u32 = 240;
const WANTED: usize = 64;

/// How often a node's record is signed again, by default.
const REFRESH: Duration = Duration::from_secs(900);

/// Each has a connection of its own to the network.
const THREADS: usize = 8;

/// For a machine so busy that relays which join at once take each other's turns for long.
const PATIENCE: Duration = Duration::from_secs(120);

/// A registry without threads, at its own time.
struct Node {
    registry: Registry,
    clock: ManualClock,
}

impl Node {
    fn new(dht: &Arc<Mainline>, options: DhtOptions) -> Self {
        let clock = ManualClock::new();
        let registry = Registry::builder()
            .max_relays(256)
            .ttl(Duration::from_secs(1_000_000))
            .maintenance(Maintenance::Manual)
            .clock(clock.clone())
            .dht(
                Arc::clone(dht),
                options.worker_threads(0).request_deadline(PATIENCE),
            )
            .build()
            .expect("a registry");
        Self { registry, clock }
    }

    fn relay(dht: &Arc<Mainline>, number: u32) -> Self {
        let mut seed = [7; 32];
        seed[..4].copy_from_slice(&number.to_be_bytes());
        let key = SecretKey::from_seed(seed);
        let id = key.node_id();
        let node = Self::new(dht, DhtOptions::new().key(key));
        let [_, a, b, c] = number.to_be_bytes();
        let endpoint = Endpoint::from(([10, a, b, c], 4_433));
        node.registry.register(id, endpoint).expect("it registers");
        node.settle();
        node
    }

    fn newcomer(dht: &Arc<Mainline>) -> Self {
        let options = DhtOptions::new()
            .trust_strangers_with_private_addresses(true)
            .max_per_ipv4_24(256)
            .wanted_relays(WANTED)
            .probe(|_: &_, _: &_, _| Ok(Duration::from_millis(20)));
        Self::new(dht, options)
    }

    /// Publishes what is to be published. On a busy machine requests time out, and are tried again
    /// after a back-off of up to 5 minutes.
    fn settle(&self) {
        for _ in 0..10_000 {
            self.go_on(Duration::from_secs(1));
            if !self.stats().pending {
                return;
            }
        }
        panic!("it is not published: {:?}", self.stats());
    }

    fn go_on(&self, time: Duration) {
        self.clock.advance(time);
        self.registry.run_distribution();
        self.registry.maintain();
    }

    fn stats(&self) -> relay_registry::dht::DhtStats {
        self.registry.stats().dht.expect("it has a DHT")
    }

    fn id(&self) -> NodeId {
        let record = self.registry.own_record().expect("it is published");
        record.node_id()
    }
}

/// Starts relays, some on each connection, and lets them refresh once.
fn start(connections: &[Arc<Mainline>], relays: u32) -> Vec<Node> {
    let share = |(thread, dht): (usize, &Arc<Mainline>)| {
        let numbers = (0..relays).skip(thread).step_by(connections.len());
        let nodes: Vec<Node> = numbers.map(|number| Node::relay(dht, number)).collect();
        for node in &nodes {
            node.clock.advance(REFRESH);
            node.settle();
        }
        nodes
    };
    thread::scope(|scope| {
        let threads = connections.iter().enumerate();
        let threads: Vec<_> = threads.map(|of| scope.spawn(move || share(of))).collect();
        let nodes = threads.into_iter().map(|thread| thread.join());
        nodes.flat_map(|nodes| nodes.expect("no panic")).collect()
    })
}

#[test]
fn a_newcomer_among_many_knows_64_relays_and_sees_one_withdraw() {
    let relays = std::env::var("RELAYS").map_or(RELAYS, |relays| relays.parse().expect("a number"));
    let net = Net::of(16 + relays as usize / 40);
    let connect = || Arc::new(net.join(Default::default()));
    let connections: Vec<_> = (0..THREADS).map(|_| connect()).collect();
    let nodes = start(&connections, relays);

    let newcomer = Node::newcomer(&connect());
    let is_enough = (0..10_000).any(|_| {
        newcomer.go_on(Duration::from_millis(50));
        newcomer.stats().learned >= WANTED
    });
    let stats = newcomer.stats();
    println!(
        "{relays} relays: {} learned after {} shards and {} records were read",
        stats.learned, stats.sweeps, stats.fetches
    );
    assert!(is_enough, "{stats:?}");
    assert!(stats.sweeps <= 30 + stats.engine_failures, "{stats:?}");

    let learned = newcomer.registry.learned_relays();
    let leaves = nodes.iter().find(|node| learned.contains(&node.id()));
    let leaves = leaves.expect("it learned what was started");
    assert!(leaves.registry.unregister(&leaves.id()));
    leaves.settle();
    let minutes = (1..=15).find(|_| {
        newcomer.go_on(Duration::from_secs(60));
        !newcomer.registry.is_relay(&leaves.id())
    });
    println!("its withdrawal was seen after {minutes:?} minutes");
    assert!(minutes.is_some(), "for a refresh, it was handed out");
}
