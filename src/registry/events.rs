//! Subscribing to what changes, and what refusals publish.

use crate::errors::RegisterError;
use crate::events::{Event, Events};
use crate::registry::Registry;
use crate::registry::relays::Relays;
use crate::relay::NodeId;
use crate::sync::Arc;

impl Registry {
    /// Subscribes to every change of membership and standing from now on: relays that join,
    /// leave, expire, change what they announce, drain or are banned, whose circuits open and
    /// close, and registrations that are refused. See [`Events`] for how to read them, and how
    /// to keep a copy of all relays.
    ///
    /// Finds, leases, renewals that change nothing but the deadline, loads and round trips are
    /// no events.
    ///
    /// While there is a subscription, each change takes a lock for as long as it takes to copy a
    /// [`RelayInfo`](crate::RelayInfo). A subscription that is not read costs no more.
    ///
    /// ```
    /// # use relay_registry::{Event, NodeId, RecvError, Registry};
    /// # use std::net::SocketAddr;
    /// let registry = Registry::new();
    /// let events = registry.events();
    /// let relay = NodeId::from([1; 32]);
    /// registry.register(relay, SocketAddr::from(([192, 0, 2, 1], 4433)))?;
    /// registry.set_draining(&relay, true)?;
    ///
    /// assert!(matches!(events.try_recv()?, Event::Joined { id, .. } if id == relay));
    /// assert!(matches!(events.try_recv()?, Event::Draining { draining: true, .. }));
    /// assert_eq!(events.try_recv(), Err(RecvError::Empty));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(Arc::clone(self.inner().relays.events()))
    }
}

impl Relays {
    pub(super) fn publish_refusal(&self, id: &NodeId, error: &RegisterError) {
        self.publish_limited(|tick| Event::Refused {
            id: *id,
            tick,
            error: error.clone(),
        });
    }

    #[cfg(feature = "dht")]
    pub(super) fn publish_rejection(&self, id: &NodeId, reason: crate::dht::RejectReason) {
        self.publish_limited(|tick| Event::RecordRejected {
            id: *id,
            tick,
            reason,
        });
    }

    fn publish_limited(&self, event: impl FnOnce(u64) -> Event) {
        let (now, tick_nanos) = (self.timeline.tick(), self.timeline.tick_nanos());
        let event = || event(now.0);
        self.events().publish_refusal(now, tick_nanos, event);
    }
}
