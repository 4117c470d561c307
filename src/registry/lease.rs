//! [`Lease`]: one unit of a relay's capacity.

use crate::relay::RelayInfo;
use crate::table::Unit;
use std::fmt;

/// One unit of a relay's capacity, given back when dropped.
///
/// It may be sent to another thread and dropped there, and may outlive the
/// relay's registration and the registry itself: it keeps the memory of its
/// record, and nothing else. Dropping it is lock-free and does not allocate.
///
/// ```
/// # use relay_registry::{FindOptions, NodeId, Registry};
/// # use std::net::SocketAddr;
/// let registry = Registry::new();
/// let relay = NodeId::from([1; 32]);
/// registry.register(relay, SocketAddr::from(([192, 0, 2, 1], 4433)))?;
///
/// let lease = registry.reserve(&NodeId::from([9; 32]), &FindOptions::new())?;
/// assert_eq!(lease.relay().node_id(), relay);
/// assert_eq!(registry.relay(&relay).unwrap().current_load(), 1);
/// drop(lease);
/// assert_eq!(registry.relay(&relay).unwrap().current_load(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a lease gives the unit back"]
pub struct Lease {
    relay: RelayInfo,
    _unit: Unit,
}

impl Lease {
    pub(super) fn new(relay: RelayInfo, unit: Unit) -> Self {
        Self { relay, _unit: unit }
    }

    /// The relay as it was when the lease was taken; where it was renewed while
    /// that was under way, on its new terms.
    #[must_use]
    pub fn relay(&self) -> &RelayInfo {
        &self.relay
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&self.relay).finish()
    }
}
