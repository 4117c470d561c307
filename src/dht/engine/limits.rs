//! [`Limits`] of an engine.

use std::time::Duration;

use super::ShardPath;
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
    /// How often a shard of the directory that is full may divide, and its halves again; 0 for
    /// an engine whose shards do not divide. See [`ShardPath`].
    pub max_depth: u8,
}

impl Limits {
    /// The maximum number of requests that the registry has in flight: 256.
    pub const MAX_IN_FLIGHT: usize = 256;

    /// The maximum number of shards that the registry reads: 1,024.
    pub const MAX_SHARDS: u16 = 1_024;

    /// How often shards can divide: 24 times. At 28 relays in a shard, 8 roots would hold 3.7
    /// billion.
    pub const MAX_DEPTH: u8 = 24;

    /// The limits with these values, without shards that divide: see the fields.
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
            max_depth: 0,
        }
    }

    /// Makes shards that are full divide, up to `max_depth` times: at most
    /// [`MAX_DEPTH`](Self::MAX_DEPTH). The engine must implement
    /// [`join_at`](crate::dht::RelayDht::join_at), `leave_at`, `members_at` and `divide`.
    #[must_use]
    pub const fn dividing(mut self, max_depth: u8) -> Self {
        self.max_depth = max_depth;
        self
    }

    /// The limits, clamped to 1 to [`MAX_IN_FLIGHT`](Self::MAX_IN_FLIGHT) requests, a
    /// refresh interval of 1 second to 1 day, at most [`MAX_SHARDS`](Self::MAX_SHARDS) shards,
    /// and a depth of at most [`MAX_DEPTH`](Self::MAX_DEPTH). `max_value` is not clamped.
    #[must_use]
    pub fn clamped(self) -> Self {
        Self {
            max_value: self.max_value,
            max_in_flight: self.max_in_flight.clamp(1, Self::MAX_IN_FLIGHT),
            refresh: self
                .refresh
                .clamp(Duration::from_secs(1), Duration::from_secs(86_400)),
            shards: self.shards.min(Self::MAX_SHARDS),
            max_depth: self.max_depth.min(Self::MAX_DEPTH),
        }
    }

    /// The shard that `node` joins first: the same on every node with the same
    /// number of shards. `None` if there is no directory.
    ///
    /// If that shard is full, then the relay joins a shard that it divided into
    /// ([`ShardPath::of`]). If shards do not divide, then the relay may join the next one:
    /// readers read all shards.
    #[must_use]
    pub fn shard_of(&self, node: &NodeId) -> Option<u16> {
        ShardPath::of(node, self, 0).map(|path| path.shard())
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
        assert_eq!(low.dividing(u8::MAX).clamped().max_depth, Limits::MAX_DEPTH);
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
