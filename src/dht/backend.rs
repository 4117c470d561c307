//! The trait through which the DHT reaches its registry.

use std::time::Duration;

use crate::dht::record::Announcement;
use crate::dht::reject_reason::RejectReason;
use crate::relay::NodeId;

/// The registry, as the DHT sees it. The DHT may register and remove learned relays; it may
/// only read local ones.
///
/// Only [`now`](Self::now) calls the clock, and only [`wake_waiting`](Self::wake_waiting) wakes
/// tasks, which are the embedder's code. The DHT calls the other methods with its lock held.
pub(crate) trait RegistryBackend: Send + Sync {
    /// Reads the registry's monotonic clock.
    fn now(&self) -> Duration;

    /// The time up to which the registry has expired relays.
    fn elapsed(&self) -> Duration;

    /// The relay that is registered locally as `id`.
    fn local_relay(&self, id: &NodeId) -> Option<LocalRelay>;

    /// Whether `id` is registered locally.
    fn is_local(&self, id: &NodeId) -> bool;

    /// Whether `id` is registered as a learned relay.
    fn is_learned(&self, id: &NodeId) -> bool;

    /// Registers or renews a learned relay, for `ttl` from `now`.
    fn register_learned(
        &self,
        id: &NodeId,
        announcement: &Announcement,
        capacity: u32,
        ttl: Duration,
        now: Duration,
    ) -> Result<(), LearnError>;

    /// Records a probe that succeeded, and its round-trip time.
    fn probe_succeeded(&self, id: &NodeId, rtt: Duration);

    /// Records a probe that failed.
    fn probe_failed(&self, id: &NodeId);

    /// Removes a relay if it is a learned one; false if it is not.
    fn unregister_learned(&self, id: &NodeId) -> bool;

    /// Publishes that a record was rejected.
    fn record_rejected(&self, id: &NodeId, reason: RejectReason);

    /// Whether a call waits for a relay.
    fn is_relay_awaited(&self) -> bool;

    /// Wakes what waits for a change that the DHT made. Not called with the lock held.
    fn wake_waiting(&self);

    /// The approximate number of registered relays, local and learned.
    fn relay_count(&self) -> usize;
}

/// What this node publishes of a local relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalRelay {
    /// The announcement. Its load is full if the relay is not open.
    pub(crate) announcement: Announcement,
    /// Whether it may be handed out: it is neither draining nor banned.
    pub(crate) is_open: bool,
}

/// Why a learned relay was not registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LearnError {
    /// It would have expired already.
    Expired,
    /// The id is registered locally.
    HeldLocally,
    /// There is no room at present.
    NoRoom,
    /// The registry accepts no such relay, also from a local caller.
    Invalid,
}

/// A reading of both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// The registry's clock. All schedules use it.
    pub(super) at: Duration,
    /// The time since the Unix epoch, which records contain.
    pub(super) wall: Duration,
}
