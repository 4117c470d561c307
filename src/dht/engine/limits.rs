//! [`Limits`]: what an engine can carry.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::relay::NodeId;

/// What an engine can carry, by its own declaration.
///
/// The registry asks once, when it is given the engine, and takes the
/// [clamped](Self::clamped) figures: a limit is advice from the engine, and no
/// figure in it can make the registry do something unreasonable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The longest record value that can be stored, in bytes of
    /// [`SignedRecord::value`](crate::dht::SignedRecord::value). What the
    /// engine adds (key, signature, framing) does not count.
    pub max_value: usize,
    /// How many requests may run at once; more make matters worse. A request
    /// runs until the engine returns from it.
    pub max_in_flight: usize,
    /// How often a record and a membership must be put again so that the
    /// engine still has them. Engines forget; this is how soon.
    pub refresh: Duration,
    /// Into how many shards the directory of members is cut; 0 for an engine
    /// that has none.
    pub shards: u16,
}

impl Limits {
    /// The most requests that the registry runs at once on any engine.
    pub const MAX_IN_FLIGHT: usize = 256;

    /// The most shards of a directory that the registry will sweep.
    pub const MAX_SHARDS: u16 = 1_024;

    /// Declares the four limits; see the fields.
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

    /// The same, within reason: 1 to [`MAX_IN_FLIGHT`](Self::MAX_IN_FLIGHT)
    /// requests, a refresh every second at most and every day at least, no more
    /// than [`MAX_SHARDS`](Self::MAX_SHARDS) shards.
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

    /// The shard that `node` joins first: the same on every node that uses the
    /// same number of shards. `None` where there is no directory.
    ///
    /// A full shard is no reason to stay out: readers sweep all of them, so a
    /// relay may join the next one instead.
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
    fn absurd_limits_are_brought_within_reason() {
        let absurd = Limits::new(0, 0, Duration::ZERO, u16::MAX).clamped();
        assert_eq!(absurd.max_in_flight, 1);
        assert_eq!(absurd.refresh, Duration::from_secs(1));
        assert_eq!(absurd.shards, Limits::MAX_SHARDS);
        let lavish = Limits::new(900, usize::MAX, Duration::MAX, 8).clamped();
        assert_eq!(lavish.max_in_flight, Limits::MAX_IN_FLIGHT);
        assert_eq!(lavish.refresh, Duration::from_secs(86_400));
        assert_eq!(limits(8).clamped(), limits(8));
    }

    #[test]
    fn members_spread_over_all_shards() {
        let mut members = [0_u32; 8];
        for first in 0..=255 {
            let shard = limits(8).shard_of(&NodeId::from([first; 32]));
            members[usize::from(shard.expect("there are shards"))] += 1;
        }
        assert!(members.iter().all(|&count| count > 10), "{members:?}");
        assert_eq!(limits(0).shard_of(&NodeId::from([1; 32])), None);
    }
}
