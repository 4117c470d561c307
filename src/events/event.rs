//! [`Event`]: one change of a relay.

use crate::errors::RegisterError;
use crate::relay::{NodeId, RelayInfo};
use std::time::SystemTime;

/// A change of the membership or the standing of a relay; see
/// [`Registry::events`](crate::Registry::events).
///
/// `tick` counts the [ticks](crate::RegistryBuilder::tick) of the registry since it was built,
/// up to when the event was published. A registry that was [restored](crate::guide::persistence)
/// counts on from the one that was saved. `relay` is the relay as it was then. It may tell of later
/// changes, too, which then have events of their own.
///
/// The events that have a `relay` without an `Option` are about live relays.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A relay was registered that was not.
    #[non_exhaustive]
    Joined {
        /// The id of the relay.
        id: NodeId,
        /// When the event was published.
        tick: u64,
        /// The relay.
        relay: RelayInfo,
        /// Whether it came back [within its grace](crate::Registration::Returned).
        returned: bool,
        /// Whether it was learned from the DHT.
        learned: bool,
    },
    /// A relay announces something else than before, or restarted, or the operator set its tier
    /// or cost. Rarely also published of a relay that was renewed just when its deadline passed.
    #[non_exhaustive]
    Updated {
        /// The id of the relay.
        id: NodeId,
        /// When the event was published.
        tick: u64,
        /// The relay.
        relay: RelayInfo,
    },
    /// A relay was unregistered. Also published of a learned relay that was withdrawn, or that
    /// made room for a local one.
    #[non_exhaustive]
    Left {
        /// The id of the relay.
        id: NodeId,
        /// When the event was published.
        tick: u64,
    },
    /// A relay was removed because its deadline had passed.
    #[non_exhaustive]
    Expired {
        /// The id of the relay.
        id: NodeId,
        /// When the event was published.
        tick: u64,
    },
    /// A relay began to drain, or its draining was lifted.
    #[non_exhaustive]
    Draining {
        /// The id of the relay.
        id: NodeId,
        /// When the event was published.
        tick: u64,
        /// Whether it drains.
        draining: bool,
        /// The relay, if it is live.
        relay: Option<RelayInfo>,
    },
    /// A relay was banned, or its ban was lifted or changed. The end of a ban that was not
    /// lifted is no event.
    #[non_exhaustive]
    Banned {
        /// The id of the relay.
        id: NodeId,
        /// When the event was published.
        tick: u64,
        /// Until when it is banned; `None` if it is banned no longer.
        until: Option<SystemTime>,
        /// The relay, if it is live.
        relay: Option<RelayInfo>,
    },
    /// The circuit of a relay opened: it failed, and backs off. The end of a back-off, from which
    /// on the relay is on trial, is no event.
    #[non_exhaustive]
    CircuitOpened {
        /// The id of the relay.
        id: NodeId,
        /// When the event was published.
        tick: u64,
        /// The relay, if it is live.
        relay: Option<RelayInfo>,
    },
    /// The circuit of a relay closed: it succeeded often enough, or was reset.
    #[non_exhaustive]
    CircuitClosed {
        /// The id of the relay.
        id: NodeId,
        /// When the event was published.
        tick: u64,
        /// The relay, if it is live.
        relay: Option<RelayInfo>,
    },
    /// A registration was refused. At most 64 refusals a second are published, so that they
    /// displace no other events; [`Stats::refused`](crate::Stats::refused) counts all.
    #[non_exhaustive]
    Refused {
        /// The id that was to be registered.
        id: NodeId,
        /// When the event was published.
        tick: u64,
        /// Why it was refused.
        error: RegisterError,
    },
    /// A record from another node was rejected, under the same limit. Records that cannot be read,
    /// or whose signature is wrong, are not published; [`DhtStats`](crate::dht::DhtStats) counts
    /// all.
    #[cfg(feature = "dht")]
    #[non_exhaustive]
    RecordRejected {
        /// The id that signed the record.
        id: NodeId,
        /// When the event was published.
        tick: u64,
        /// Why it was rejected.
        reason: crate::dht::RejectReason,
    },
    /// So many events were lost to this subscriber, because it read too slowly. It knows all
    /// relays again once it has called [`relays`](crate::Registry::relays) and read on.
    Missed(u64),
}

impl Event {
    /// The relay that it is about; `None` of [`Missed`](Self::Missed).
    #[must_use]
    pub fn id(&self) -> Option<NodeId> {
        self.parts().map(|parts| *parts.id)
    }

    /// When it was published, in ticks of the registry; `None` of [`Missed`](Self::Missed).
    #[must_use]
    pub fn tick(&self) -> Option<u64> {
        self.parts().map(|parts| parts.tick)
    }

    /// The relay as it was then, if it was live.
    #[must_use]
    pub fn relay(&self) -> Option<&RelayInfo> {
        self.parts()?.relay
    }

    fn parts(&self) -> Option<Parts<'_>> {
        let (id, tick, relay) = match self {
            Self::Joined {
                id, tick, relay, ..
            }
            | Self::Updated { id, tick, relay } => (id, tick, Some(relay)),
            Self::Draining {
                id, tick, relay, ..
            }
            | Self::Banned {
                id, tick, relay, ..
            }
            | Self::CircuitOpened { id, tick, relay }
            | Self::CircuitClosed { id, tick, relay } => (id, tick, relay.as_ref()),
            Self::Left { id, tick } | Self::Expired { id, tick } => (id, tick, None),
            Self::Refused { id, tick, .. } => (id, tick, None),
            #[cfg(feature = "dht")]
            Self::RecordRejected { id, tick, .. } => (id, tick, None),
            Self::Missed(_) => return None,
        };
        Some(Parts {
            id,
            tick: *tick,
            relay,
        })
    }
}

struct Parts<'a> {
    id: &'a NodeId,
    tick: u64,
    relay: Option<&'a RelayInfo>,
}
