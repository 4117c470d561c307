//! BitTorrent's DHT on loopback, with a few malicious nodes.

mod item;
mod krpc;
mod malicious_node;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mainline::Dht;
use mainline::async_dht::AsyncDht;
use relay_registry::NodeId;
use relay_registry::dht::{Mainline, MainlineBuilder, RelayDht};

use super::Net;
use crate::attack::AttackRecords;
use crate::error::Failure;
use crate::intervals::Intervals;
use item::Item;
use malicious_node::MaliciousNode;

/// How long a node may take to answer. All nodes are on this machine.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(300);

/// How many honest nodes there are for each malicious one.
const HONEST_PER_MALICIOUS: usize = 5;

pub struct MainlineNet {
    intervals: Intervals,
    /// All nodes bootstrap from the first, which is never stopped.
    nodes: Vec<Mainline>,
    bootstrap: SocketAddrV4,
    attack_records: Arc<AttackRecords>,
    malicious: Vec<MaliciousNode>,
    /// The attacker's node, without an engine.
    raw: AsyncDht,
}

impl MainlineNet {
    pub fn start(
        nodes: usize,
        intervals: Intervals,
        attack_records: Arc<AttackRecords>,
    ) -> Result<Self, Failure> {
        let first = serve(builder(intervals, None))?;
        let soon = Instant::now() + Duration::from_secs(5);
        let bootstrap = first.local_addr(soon).map_err(Failure::registry)?;
        let mut all = vec![first];
        for _ in 1..nodes {
            all.push(serve(builder(intervals, Some(bootstrap)))?);
        }
        let raw = Dht::builder()
            .bootstrap(&[bootstrap])
            .bind_address(Ipv4Addr::LOCALHOST)
            .port(0)
            .request_timeout(REQUEST_TIMEOUT)
            .build()
            .map_err(Failure::system("the attacker's own node"))?;
        Ok(Self {
            intervals,
            nodes: all,
            bootstrap,
            attack_records,
            malicious: Vec::new(),
            raw: raw.as_async(),
        })
    }
}

/// A node on loopback that knows one other node, or is the first.
fn builder(intervals: Intervals, bootstrap: Option<SocketAddrV4>) -> MainlineBuilder {
    Mainline::builder(intervals.network)
        .bootstrap(bootstrap.map(|address| address.to_string()))
        .bind_address(Ipv4Addr::LOCALHOST)
        .port(0)
        .request_timeout(REQUEST_TIMEOUT)
        .refresh(intervals.refresh)
}

fn serve(node: MainlineBuilder) -> Result<Mainline, Failure> {
    node.server_mode()
        .build()
        .map_err(Failure::system("a node of the DHT"))
}

impl Net for MainlineNet {
    fn join(&self) -> Result<Arc<dyn RelayDht>, Failure> {
        let engine = builder(self.intervals, Some(self.bootstrap))
            .build()
            .map_err(Failure::system("a client of the DHT"))?;
        Ok(Arc::new(engine))
    }

    fn infiltrate(&mut self) -> Result<(), Failure> {
        for _ in 0..self.nodes.len().div_ceil(HONEST_PER_MALICIOUS) {
            let node = MaliciousNode::start(
                self.bootstrap,
                self.intervals.network,
                Arc::clone(&self.attack_records),
            )
            .map_err(Failure::system("one of the attacker's nodes"))?;
            self.malicious.push(node);
        }
        Ok(())
    }

    /// Any node can put any value that passes the checks of signature, sequence and size.
    fn store_raw(&self, node: &NodeId, bytes: &[u8]) -> Option<bool> {
        let item = Item::of(node, bytes)?.signed(&self.intervals.network);
        Some(pollster::block_on(self.raw.put_mutable(item, None)).is_ok())
    }

    fn kill_half(&mut self) -> Result<usize, Failure> {
        let half = self.nodes.len() / 2;
        self.nodes.truncate(self.nodes.len() - half);
        Ok(half)
    }
}
