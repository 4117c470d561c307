//! [`NodeConfig`]: the roles of a node.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use libp2p::Multiaddr;
use relay_registry::dht::{KeyError, Network, SecretKey};

use crate::autorelay;

/// The roles of a node. A node may have several.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The key of the node. Its peer id and its node id are of this key.
    pub key: Arc<SecretKey>,
    /// The address to listen on, by default none: such a node is reached through relays only.
    pub listen: Option<SocketAddr>,
    /// The addresses of nodes that store records, with their peer ids.
    pub bootstrap: Vec<Multiaddr>,
    /// Whether it stores records for others. Default: no.
    pub stores_records: bool,
    /// Whether it relays for others. Default: no.
    pub relay: Option<RelayConfig>,
    /// Whether it keeps reservations at relays. Default: no.
    pub autorelay: Option<autorelay::Config>,
    /// Whether it learns relays from the DHT. Default: yes.
    pub learns: bool,
    /// The network of relays.
    pub network: Network,
    /// The number of shards of the directory. All nodes must use the same one. Default: 2.
    pub shards: u16,
    /// The intervals.
    pub timing: Timing,
}

/// What a relay offers.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// The number of reservations. With 0 it denies all. Default: 128.
    pub max_reservations: usize,
    /// The name of what fails together with this relay.
    pub failure_domain: Option<String>,
    /// How long a reservation is valid. The relay client renews it in time. Default: an hour.
    pub reservation_duration: Duration,
}

/// The intervals of a node. The defaults are those of a demonstration on one machine: a real
/// network can wait longer.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How often the directory is read. Default: 2 s.
    pub sweep: Duration,
    /// How often each learned relay is probed. Default: 10 s.
    pub probe: Duration,
    /// How often records are written again. All nodes must use the same one. Default: 60 s.
    pub refresh: Duration,
    /// The longest time for a request to the DHT. Default: 5 s.
    pub request: Duration,
    /// How often a connection is pinged. Default: 1 s.
    pub ping: Duration,
    /// After which time without an answer to a ping a relay, or a circuit, counts as dead. It
    /// replaces [`autorelay::Config::max_silence`]. Default: 4 s.
    pub max_silence: Duration,
    /// How long a connection that is not used stays open. Default: 10 s.
    pub idle: Duration,
}

impl NodeConfig {
    /// A node with a new key that stores and relays nothing, and listens nowhere.
    ///
    /// # Errors
    ///
    /// If the system has no randomness.
    pub fn new() -> Result<Self, KeyError> {
        Ok(Self {
            key: Arc::new(SecretKey::generate()?),
            listen: None,
            bootstrap: Vec::new(),
            stores_records: false,
            relay: None,
            autorelay: None,
            learns: true,
            network: Network::default(),
            shards: 2,
            timing: Timing::default(),
        })
    }

    /// Listens on a free port of 127.0.0.1.
    #[must_use]
    pub fn on_loopback(mut self) -> Self {
        self.listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        self
    }
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            max_reservations: 128,
            failure_domain: None,
            reservation_duration: Duration::from_secs(3_600),
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self {
            sweep: secs(2),
            probe: secs(10),
            refresh: secs(60),
            request: secs(5),
            ping: secs(1),
            max_silence: secs(4),
            idle: secs(10),
        }
    }
}
