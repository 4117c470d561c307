//! The bounds that the registry's packed representations impose.

use std::time::Duration;

/// The most relays that one registry can be built for.
///
/// A registry's tables are sized once, when it is built. The bound limits their address
/// space.
pub const MAX_RELAYS: usize = 8_000_000;

/// The largest capacity a relay may declare: 1,048,575 units.
///
/// Load and capacity share one atomic word, so that one compare-and-swap decides a
/// reservation. This is the largest number that fits its bits.
pub const MAX_CAPACITY: u32 = (1 << 20) - 1;

/// How many bits of a record's lifecycle word hold a tick. The timer wheel spans more.
pub(crate) const TICK_BITS: u32 = 37;

/// How many placeholders there may be: operator settings of ids without a relay.
pub(crate) const MAX_PLACEHOLDERS: usize = 65_536;

/// The longest name of a failure domain, in bytes.
pub(crate) const MAX_DOMAIN_LEN: usize = 63;

/// The most labels of one relay.
pub(crate) const MAX_LABELS: usize = 8;

/// The most different labels of the relays that are registered locally.
pub(crate) const MAX_DISTINCT_LABELS: usize = 64;

/// The longest label, in bytes.
pub(crate) const MAX_LABEL_LEN: usize = 32;

/// The most endpoints of a relay besides the one that it is registered at.
pub(crate) const MAX_FURTHER_ENDPOINTS: usize = 8;

/// The most events that a registry keeps for its subscribers.
pub(crate) const MAX_EVENT_CAPACITY: usize = 1 << 20;

/// The longest payload, in bytes.
pub(crate) const MAX_PAYLOAD_LEN: usize = 512;

/// The most tags of sources of relays that are listed at a time.
pub(crate) const MAX_TAGS: usize = 64;

/// The longest tag of a source, in bytes.
pub(crate) const MAX_TAG_LEN: usize = 64;

/// The least factor on a relay's score.
pub(crate) const MIN_COST: f64 = 0.1;

/// The greatest factor on a relay's score.
pub(crate) const MAX_COST: f64 = 10.0;

/// The longest round trip that counts as a measurement: 10 seconds.
///
/// A longer one means that the peer is unreachable, not that it is far away.
pub const MAX_RTT: Duration = Duration::from_secs(10);

/// The most peers whose views one registry can be built to
/// [remember](crate::RegistryBuilder::max_peers).
pub const MAX_PEERS: usize = 16_000_000;
