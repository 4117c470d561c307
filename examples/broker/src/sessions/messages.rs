//! What is said over the WebSocket of a session.

use axum::extract::ws::Message;
use relay_registry::{Failure, Lease, RelayInfo};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the peer says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Report {
    /// The relay serves the session.
    Succeeded,
    /// It does not: another one, please.
    Failed { failure: Failure },
}

/// What the broker says.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Answer<'a> {
    /// Use this relay.
    Relay {
        relay: &'a RelayInfo,
        payload: Option<String>,
    },
    /// There is no relay, or no further one; the connection ends.
    None { error: &'a Value },
    /// The broker ends, and this connection with it, unless the peer ends it earlier.
    Closing { grace_seconds: f64 },
}

impl<'a> Answer<'a> {
    pub fn lease(lease: &'a Lease) -> Self {
        Self::Relay {
            relay: lease.relay(),
            payload: lease.payload().map(hex::encode),
        }
    }

    pub fn message(&self) -> Message {
        let text = serde_json::to_string(self).expect("it has no map with keys that are no text");
        Message::text(text)
    }
}
