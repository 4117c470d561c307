//! What the distribution asks of the registry that it belongs to.

use std::time::Duration;

use crate::dht::record::Announcement;
use crate::relay::NodeId;

/// The registry, as its distribution sees it: learned relays, which it may let
/// in and take out, and local ones, which it may only read.
pub(crate) trait RegistryBackend: Send + Sync {
    /// The registry's monotonic time, by its clock.
    fn now(&self) -> Duration;

    /// The time by which relays have expired so far. Does not read the clock.
    fn elapsed(&self) -> Duration;

    /// What a local registration of `id` says at this moment, and how it stands.
    fn local(&self, id: &NodeId) -> Option<LocalRelay>;

    /// Whether `id` is registered, and locally.
    fn is_local(&self, id: &NodeId) -> bool;

    /// Whether `id` is registered, and learned.
    fn is_learned(&self, id: &NodeId) -> bool;

    /// Registers or renews a learned relay for so long from `now`.
    fn enter(
        &self,
        id: &NodeId,
        announcement: &Announcement,
        capacity: u32,
        ttl: Duration,
        now: Duration,
    ) -> EnterOutcome;

    /// A probe of a learned relay took so long.
    fn measured(&self, id: &NodeId, rtt: Duration);

    /// A probe of a learned relay failed.
    fn failed(&self, id: &NodeId);

    /// Removes a relay if it is a learned one.
    fn leave(&self, id: &NodeId) -> bool;

    /// How many relays are registered, about, whoever brought them.
    fn held(&self) -> usize;
}

/// What is to be said of a local relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalRelay {
    /// What it announces; as full if nobody is sent to it.
    pub(crate) announcement: Announcement,
    /// Whether callers are sent to it: it neither drains nor is banned here.
    pub(crate) is_open: bool,
}

/// How an attempt to let a learned relay in ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EnterOutcome {
    /// It is in.
    Entered,
    /// Its record has ended.
    Ended,
    /// It is registered locally, and that counts.
    HeldLocally,
    /// There is no room for it at present.
    NoRoom,
    /// The registry would not have it from anyone.
    Invalid,
}

/// The two clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// The registry's: decides when.
    pub(super) at: Duration,
    /// Since the Unix epoch: goes into what is signed.
    pub(super) wall: Duration,
}
