//! Building a [`Mainline`].

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use mainline::{Dht, DhtBuilder, SigningKey};
use sha2::{Digest, Sha256};

use super::block_on::catch_panic;
use super::{MAX_IN_FLIGHT, Mainline, SHARDS};
use crate::dht::engine::Limits;
use crate::dht::record::{MAX_VALUE_LEN, Network};

/// Builds a [`Mainline`]; see [`Mainline::builder`].
#[must_use = "a builder does nothing until it builds"]
pub struct MainlineBuilder {
    dht: DhtBuilder,
    network: Network,
    refresh: Duration,
    directory: SigningKey,
}

impl MainlineBuilder {
    pub(super) fn new(network: Network) -> Self {
        let public = [b"relay-registry directory ", network.salt()].concat();
        Self {
            dht: Dht::builder(),
            network,
            refresh: Duration::from_secs(3_600),
            directory: SigningKey::from_bytes(&Sha256::digest(public).into()),
        }
    }

    /// Where to enter the DHT: `host:port` of nodes that are in it. They are
    /// looked up while this is called. None at all starts a DHT of one's own.
    /// Default: the usual public ones.
    pub fn bootstrap<S: AsRef<str>>(mut self, nodes: impl IntoIterator<Item = S>) -> Self {
        let nodes: Vec<String> = nodes.into_iter().map(|node| node.as_ref().into()).collect();
        self.dht.bootstrap(&nodes);
        self
    }

    /// The UDP port to listen on; 0 for any. Default: 6881, or any if that is
    /// taken.
    pub fn port(mut self, port: u16) -> Self {
        self.dht.port(port);
        self
    }

    /// The local address to listen on. Default: all.
    pub fn bind_address(mut self, address: Ipv4Addr) -> Self {
        self.dht.bind_address(address);
        self
    }

    /// This node's public address, where it is known: nodes derive their id
    /// from it (BEP 42). Default: what others say it is.
    pub fn public_ip(mut self, address: Ipv4Addr) -> Self {
        self.dht.public_ip(address);
        self
    }

    /// How long a node may take to answer. Default: 2 seconds; a few hundred
    /// milliseconds do on a local network.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.dht.request_timeout(timeout);
        self
    }

    /// Serves others from the start: for nodes that anyone can reach. Default:
    /// only asks, and serves once it turns out to be reachable.
    pub fn server_mode(mut self) -> Self {
        self.dht.server_mode();
        self
    }

    /// How often records and memberships are put again; nodes forget by use and
    /// not by time, so how often depends on how busy they are. A membership is
    /// over after two of these, so all of a network should use the same.
    /// Default: an hour, as BEP 44 advises.
    pub fn refresh(mut self, refresh: Duration) -> Self {
        self.refresh = refresh;
        self
    }

    /// The secret that the key of the directory is made from, for a closed
    /// network: only those who know it can write the directory, and find it.
    /// Default: derived from the tag of the network, which is public.
    pub fn directory_secret(mut self, secret: [u8; 32]) -> Self {
        self.directory = SigningKey::from_bytes(&secret);
        self
    }

    /// Opens the socket and starts the actor's thread.
    ///
    /// # Errors
    ///
    /// What the operating system said of the socket or the thread.
    pub fn build(self) -> io::Result<Mainline> {
        let dht = catch_panic(|| self.dht.build())
            .map_err(|_| io::Error::other("the actor of the DHT did not start"))??;
        let limits = Limits::new(MAX_VALUE_LEN, MAX_IN_FLIGHT, self.refresh, SHARDS).clamped();
        Ok(Mainline::over(dht, self.network, limits, self.directory))
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
