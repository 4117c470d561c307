//! How a registry was built.

use crate::relay::{AddressPolicy, NodeId};
use crate::sync::Arc;
use crate::table::record::{BackOffRange, Lifecycle};
use crate::time::nanos;
use std::time::Duration;

/// The settings of the builder, checked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The name that tells this registry from others in the process.
    pub(super) name: Option<Arc<str>>,
    pub(super) ttl: Duration,
    pub(super) tick: Duration,
    pub(super) local_id: Option<NodeId>,
    pub(super) address_policy: AddressPolicy,
    pub(super) assumed_rtt_micros: u32,
    pub(super) rtt_lifetime: Duration,
    /// Failures beyond this share of the relays count as an outage of this node.
    pub(super) max_ejected_share: f64,
    /// The first and the longest back-off after failures.
    pub(super) back_off_range: BackOffRange,
    /// For how long a relay that left or expired is remembered; `None`: for its own TTL.
    pub(super) return_grace_nanos: Option<u64>,
    /// How long newcomers start slowly; 0 for not at all.
    pub(super) slow_start_nanos: u64,
    /// Whether a relay is refused at the endpoint of another one.
    pub(super) one_id_per_endpoint: bool,
    /// Whether threads of the registry raise the tick and do the maintenance, until it is closed.
    pub(super) has_maintenance_thread: bool,
}

/// Whether a span is at least a tick, and leaves room to count deadlines.
pub(super) fn is_countable(span: Duration, tick: Duration) -> bool {
    (tick..=longest_ttl(tick)).contains(&span)
}

/// The longest span that leaves room to count deadlines.
pub(super) fn longest_ttl(tick: Duration) -> Duration {
    let ticks = Lifecycle::LAST_DEADLINE.0 / 2 + 1;
    Duration::from_nanos(nanos(tick).saturating_mul(ticks).saturating_sub(1))
}
