//! The configuration file.

mod check;
mod live;
mod setting;
mod units;

pub use check::Invalid;
pub use units::Seconds;

use relay_registry::{AddressPolicy, NodeId, SourceRelay};
use serde::Deserialize;
use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What the file says. Of the fields marked *live*, a new value is in force as soon as the file is
/// read again; all others need a restart.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where relays and peers call.
    pub listen: SocketAddr,
    /// Where the operator calls, and Prometheus: keep it private.
    pub admin: SocketAddr,
    /// What the tokens of relays and peers are made from.
    pub secret: Secret,
    /// What the operator's calls carry.
    pub operator_token: Secret,
    /// The file to which the registry is saved, and from which it is restored.
    #[serde(default)]
    pub state: Option<PathBuf>,
    #[serde(default)]
    pub registry: RegistryConfig,
    #[serde(default)]
    pub sessions: SessionsConfig,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub probe: ProbeConfig,
    /// Live: how many decisions a second are explained for the page; 0 for none.
    #[serde(default = "two")]
    pub decisions_per_second: u32,
    /// Live: ids whose tokens are not accepted any more.
    #[serde(default)]
    pub revoked: HashSet<NodeId>,
    /// Live: relays that do not announce themselves.
    #[serde(default)]
    pub relays: Vec<SourceRelay>,
    /// Live: what the operator says of relays, whether they are registered or not.
    #[serde(default)]
    pub settings: Vec<Setting>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistryConfig {
    /// The name of this broker in metrics.
    pub name: String,
    pub max_relays: usize,
    /// A relay that has not renewed for as long is gone.
    pub ttl_seconds: Seconds,
    pub address_policy: AddressPolicy,
    /// Of how many peers the view is remembered.
    pub max_peers: usize,
    pub save_every_seconds: Seconds,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionsConfig {
    /// How many sessions one peer may have at a time.
    pub per_peer: usize,
    /// How many relays one session is given, one after another.
    pub max_tries: usize,
    /// How many failures a peer may report in a minute; further ones bring another relay, but do not
    /// count against the relay.
    pub failures_per_minute: u32,
    /// How often a peer may send its view.
    pub view_every_seconds: Seconds,
    /// How long a session waits for a relay if there is none.
    pub wait_seconds: Seconds,
    /// How often a peer must show that it is there.
    pub ping_seconds: Seconds,
    /// How long sessions may go on when the broker ends.
    pub grace_seconds: Seconds,
    /// The labels that sessions may ask for: few, since a combination that is asked for often costs
    /// memory for ever.
    pub labels: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// How many connections relays and peers have together, those of sessions included.
    pub connections: usize,
    pub admin_connections: usize,
    pub body_bytes: usize,
    /// How long a request may take, and how long a connection may wait for the next one.
    pub request_seconds: Seconds,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProbeConfig {
    /// Whether the broker measures the round trip to each relay by a TCP connection.
    pub enabled: bool,
    pub at_a_time: usize,
    pub timeout_seconds: Seconds,
}

/// What the operator says of one relay.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    pub id: NodeId,
    pub tier: Option<u8>,
    pub cost: Option<f64>,
    pub draining: Option<bool>,
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

fn two() -> u32 {
    2
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            name: "broker".into(),
            max_relays: 10_000,
            ttl_seconds: Seconds::new(60.0),
            address_policy: AddressPolicy::Any,
            max_peers: 100_000,
            save_every_seconds: Seconds::new(60.0),
        }
    }
}

impl Default for SessionsConfig {
    fn default() -> Self {
        Self {
            per_peer: 64,
            max_tries: 8,
            failures_per_minute: 10,
            view_every_seconds: Seconds::new(10.0),
            wait_seconds: Seconds::new(2.0),
            ping_seconds: Seconds::new(20.0),
            grace_seconds: Seconds::new(10.0),
            labels: Vec::new(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            admin_connections: 64,
            body_bytes: 16 * 1024,
            request_seconds: Seconds::new(10.0),
        }
    }
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            at_a_time: 16,
            timeout_seconds: Seconds::new(2.0),
        }
    }
}
