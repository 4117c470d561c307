//! [`Limits`] of an engine.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::relay::NodeId;

/// The limits that an engine declares.
///
/// The registry reads them once, when it is built, and uses the
/// [clamped](Self::clamped) values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The maximum length in bytes of a record's
    /// [value](crate::dht::SignedRecord::value), without what the engine adds (key,
    /// signature, framing).
    pub max_value: usize,
    /// The maximum number of requests in flight. A request is in flight until the
    /// engine returns from the call.
    pub max_in_flight: usize,
    /// The interval at which a record and a membership must be written again, so
    /// that storage nodes keep them.
    pub refresh: Duration,
    /// The number of shards of the directory; 0 for an engine without a directory.
    pub shards: u16,
}

impl Limits {
    /// The maximum number of requests that the registry has in flight: 256.
    pub const MAX_IN_FLIGHT: usize = 256;

    /// The maximum number of shards that the registry reads: 1,024.
    pub const MAX_SHARDS: u16 = 1_024;

    /// The limits with these values: see the fields.
    #[must_use]
    pub const fn new(
        max_value: usize,
        max_in_flight: usize,
        refresh: Duration,
        shards: u16,
    ) -> Self {
        Self {
            max_value,
            max_in_flight,
            refresh,
            shards,
        }
    }

    /// The limits, clamped to 1 to [`MAX_IN_FLIGHT`](Self::MAX_IN_FLIGHT) requests, a
    /// refresh interval of 1 second to 1 day, and at most
    /// [`MAX_SHARDS`](Self::MAX_SHARDS) shards. `max_value` is not clamped.
    #[must_use]
    pub fn clamped(self) -> Self {
        Self {
            max_value: self.max_value,
            max_in_flight: self.max_in_flight.clamp(1, Self::MAX_IN_FLIGHT),
            refresh: self
                .refresh
                .clamp(Duration::from_secs(1), Duration::from_secs(86_400)),
            shards: self.shards.min(Self::MAX_SHARDS),
        }
    }

    /// The shard that `node` joins first: the same on every node with the same
    /// number of shards. `None` if there is no directory.
    ///
    /// If that shard is full, then the relay may join the next one: readers read
    /// all shards.
    #[must_use]
    pub fn shard_of(&self, node: &NodeId) -> Option<u16> {
        let digest = Sha256::digest(node.as_bytes());
        u16::from_be_bytes([digest[0], digest[1]]).checked_rem(self.shards)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(shards: u16) -> Limits {
        Limits::new(900, 4, Duration::from_secs(3_600), shards)
    }

    #[test]
    fn limits_are_clamped() {
        let low = Limits::new(0, 0, Duration::ZERO, u16::MAX).clamped();
        assert_eq!(low.max_in_flight, 1);
        assert_eq!(low.refresh, Duration::from_secs(1));
        assert_eq!(low.shards, Limits::MAX_SHARDS);
        let high = Limits::new(900, usize::MAX, Duration::MAX, 8).clamped();
        assert_eq!(high.max_in_flight, Limits::MAX_IN_FLIGHT);
        assert_eq!(high.refresh, Duration::from_secs(86_400));
        assert_eq!(limits(8).clamped(), limits(8));
    }

    #[test]
    fn members_are_spread_over_all_shards() {
        let mut members = [0_u32; 8];
        for first in 0..=255 {
            let shard = limits(8).shard_of(&NodeId::from([first; 32]));
            members[usize::from(shard.expect("there are shards"))] += 1;
        }
        assert!(members.iter().all(|&count| count > 10), "{members:?}");
        assert_eq!(limits(0).shard_of(&NodeId::from([1; 32])), None);
    }
}
