//! BitTorrent's DHT on loopback: nodes that serve, and a few liars among them.

mod item;
mod krpc;
mod liar;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mainline::Dht;
use mainline::async_dht::AsyncDht;
use relay_registry::NodeId;
use relay_registry::dht::{Mainline, MainlineBuilder, RelayDht};

use super::Net;
use crate::attack::Arsenal;
use crate::error::Failure;
use crate::intervals::Intervals;
use item::Item;
use liar::Liar;

/// How long a node may take to answer; all are on this machine.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(300);

/// For one liar there are so many honest nodes.
const HONEST_PER_LIAR: usize = 5;

pub struct MainlineNet {
    intervals: Intervals,
    /// All nodes bootstrap from the first, which stays.
    nodes: Vec<Mainline>,
    bootstrap: SocketAddrV4,
    arsenal: Arc<Arsenal>,
    liars: Vec<Liar>,
    /// The attacker's own, without the engine above it.
    raw: AsyncDht,
}

impl MainlineNet {
    pub fn start(
        nodes: usize,
        intervals: Intervals,
        arsenal: Arc<Arsenal>,
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
            arsenal,
            liars: Vec::new(),
            raw: raw.as_async(),
        })
    }
}

/// A node on loopback that knows one other, or begins a DHT.
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
            .map_err(Failure::system("a way into the DHT"))?;
        Ok(Arc::new(engine))
    }

    fn infiltrate(&mut self) -> Result<(), Failure> {
        for _ in 0..self.nodes.len().div_ceil(HONEST_PER_LIAR) {
            let liar = Liar::start(
                self.bootstrap,
                self.intervals.network,
                Arc::clone(&self.arsenal),
            )
            .map_err(Failure::system("one of the attacker's nodes"))?;
            self.liars.push(liar);
        }
        Ok(())
    }

    /// As any node can put anything: nodes check signatures, sequences and sizes.
    fn store_raw(&self, node: &NodeId, bytes: &[u8]) -> Option<bool> {
        let item = Item::of(node, bytes)?.signed(&self.intervals.network);
        Some(pollster::block_on(self.raw.put_mutable(item, None)).is_ok())
    }

    fn kill_half(&mut self) -> usize {
        let half = self.nodes.len() / 2;
        self.nodes.truncate(self.nodes.len() - half);
        half
    }
}
