//! [`MainlineBuilder`].

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use mainline::{Dht, DhtBuilder, SigningKey};
use sha2::{Digest, Sha256};

use super::block_on::catch_panic;
use super::{DEFAULT_DEPTH, MAX_IN_FLIGHT, Mainline, SHARDS};
use crate::dht::engine::Limits;
use crate::dht::record::{MAX_VALUE_LEN, Network};

/// Builds a [`Mainline`]; see [`Mainline::builder`].
#[must_use = "a builder does nothing until it builds"]
pub struct MainlineBuilder {
    dht: DhtBuilder,
    network: Network,
    refresh: Duration,
    directory_key: SigningKey,
    max_depth: u8,
}

impl MainlineBuilder {
    pub(super) fn new(network: Network) -> Self {
        let public_seed = [b"relay-registry directory ", network.salt()].concat();
        Self {
            dht: Dht::builder(),
            network,
            refresh: Duration::from_secs(3_600),
            directory_key: SigningKey::from_bytes(&Sha256::digest(public_seed).into()),
            max_depth: DEFAULT_DEPTH,
        }
    }

    /// Sets the bootstrap nodes as `host:port`. This call resolves the names and
    /// blocks meanwhile. An empty list starts a new DHT. Default: the public
    /// bootstrap nodes.
    pub fn bootstrap<S: AsRef<str>>(mut self, nodes: impl IntoIterator<Item = S>) -> Self {
        let nodes: Vec<String> = nodes.into_iter().map(|node| node.as_ref().into()).collect();
        self.dht.bootstrap(&nodes);
        self
    }

    /// Sets the UDP port; 0 for any free port. Default: 6881, or any free port if
    /// 6881 is in use.
    pub fn port(mut self, port: u16) -> Self {
        self.dht.port(port);
        self
    }

    /// Sets the local address to bind to. Default: all.
    pub fn bind_address(mut self, address: Ipv4Addr) -> Self {
        self.dht.bind_address(address);
        self
    }

    /// Sets this node's public address, from which its DHT node id is derived
    /// (BEP 42). Default: the address that other nodes report.
    pub fn public_ip(mut self, address: Ipv4Addr) -> Self {
        self.dht.public_ip(address);
        self
    }

    /// Sets how long the engine waits for the answer of a node. Default: 2 seconds. On
    /// a local network, a few hundred milliseconds are enough.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.dht.request_timeout(timeout);
        self
    }

    /// Makes this a server node from the start, for publicly reachable nodes. Default:
    /// a client, which becomes a server node when it proves to be reachable.
    pub fn server_mode(mut self) -> Self {
        self.dht.server_mode();
        self
    }

    /// Sets the interval at which records and memberships are written again, clamped
    /// to 1 second to 1 day. A membership ends after two intervals, so all nodes of a
    /// network should use the same. Storage nodes evict the least recently used
    /// items, so a busy DHT needs a shorter interval. Default: 1 hour, as BEP 44
    /// recommends.
    pub fn refresh(mut self, refresh: Duration) -> Self {
        self.refresh = refresh;
        self
    }

    /// Sets the secret from which the key of the directory is derived, for a closed
    /// network: only nodes that know it can find and write the directory. Default:
    /// derived from the tag of the network, which is public.
    pub fn directory_secret(mut self, secret: [u8; 32]) -> Self {
        self.directory_key = SigningKey::from_bytes(&secret);
        self
    }

    /// Sets how often a shard of the directory that is full may divide: at most
    /// [`Limits::MAX_DEPTH`] times, 0 for never. Nodes with another number find each other only
    /// in the shards that both have. Default: 16.
    pub fn max_depth(mut self, max_depth: u8) -> Self {
        self.max_depth = max_depth;
        self
    }

    /// Opens the socket and starts the thread of the DHT actor.
    ///
    /// # Errors
    ///
    /// The error of the operating system if the socket or the thread cannot be
    /// created.
    pub fn build(self) -> io::Result<Mainline> {
        let dht = catch_panic(|| self.dht.build())
            .map_err(|_| io::Error::other("the actor of the DHT did not start"))??;
        let limits = Limits::new(MAX_VALUE_LEN, MAX_IN_FLIGHT, self.refresh, SHARDS)
            .dividing(self.max_depth)
            .clamped();
        Ok(Mainline::from_parts(
            dht,
            self.network,
            limits,
            self.directory_key,
        ))
    }
}

impl fmt::Debug for MainlineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MainlineBuilder")
            .field("network", &self.network)
            .field("refresh", &self.refresh)
            .finish_non_exhaustive()
    }
}
