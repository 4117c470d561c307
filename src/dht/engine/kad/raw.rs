//! [`RawKad`]: a Kademlia store that knows neither records nor directories.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::DEFAULT_REFRESH;
use crate::dht::engine::{Answer, DhtError, Put};

/// Receives each value that [`RawKad::find_value`] finds. `Break` ends the lookup.
pub type ValueSink<'a> = dyn FnMut(&[u8]) -> ControlFlow<()> + 'a;

/// A raw Kademlia store: it keeps the last bytes written under a key, and any node
/// can write under any key.
///
/// [`Kad`](super::Kad) makes an engine of one.
pub trait RawKad: Send + Sync + 'static {
    /// The maximum length of a value in bytes. It should be several thousand: the
    /// list of a shard is one value, with about 220 bytes for each relay.
    fn max_value(&self) -> usize;

    /// The maximum number of requests in flight. Default: 8.
    fn max_in_flight(&self) -> usize {
        8
    }

    /// The interval at which a value must be stored again. Default: 1 hour, as in
    /// the Kademlia paper.
    fn refresh(&self) -> Duration {
        DEFAULT_REFRESH
    }

    /// Stores `value` under `key`, in place of the previous value.
    ///
    /// # Errors
    ///
    /// As [`RelayDht::put`](crate::dht::RelayDht::put).
    fn store(&self, key: [u8; 32], value: &[u8], deadline: Instant) -> Result<Put, DhtError>;

    /// Looks up `key`, and passes the values of all nodes that answer to `sink` as
    /// they arrive. Passes on only a few values of each node, so that a node that
    /// sends many does not displace the others.
    ///
    /// # Errors
    ///
    /// As [`RelayDht::get`](crate::dht::RelayDht::get).
    fn find_value(
        &self,
        key: [u8; 32],
        deadline: Instant,
        sink: &mut ValueSink<'_>,
    ) -> Result<Answer, DhtError>;
}
