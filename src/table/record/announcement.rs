//! What a relay announced when it registered: the part of a record that is replaced as a
//! whole.
//!
//! An announcement never changes once published. A renewal with changes publishes another
//! one, and sets the lifecycle word to its index and the new deadline in one
//! compare-and-swap; the old one is retired. So a thread that read the word sees an
//! endpoint, a capacity and a deadline that belong together.

use crate::relay::{Endpoint, NatType};
use crate::sync::Arc;

/// Where a registration comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Local,
    /// From other nodes.
    Learned,
}

/// The terms under which a relay is registered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Announcement {
    pub(crate) endpoint: Endpoint,
    pub(crate) capacity: u32,
    pub(crate) nat: Option<NatType>,
    pub(crate) origin: Origin,
    /// As long as a TTL can be.
    pub(crate) ttl_nanos: u64,
    pub(crate) failure_domain: Option<Arc<str>>,
    /// Nanoseconds from the registry's origin to the registration that made it a relay.
    pub(crate) registered_at: u64,
}

impl Announcement {
    /// Where the relay is reached.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        std::iter::once(&self.endpoint)
    }

    /// Whether it is reached at this endpoint.
    pub(crate) fn is_at(&self, endpoint: &Endpoint) -> bool {
        self.endpoints().any(|one| one == endpoint)
    }
}

#[cfg(test)]
impl Announcement {
    /// The least that can be announced.
    pub(crate) fn new(endpoint: Endpoint, capacity: u32, ttl: std::time::Duration) -> Self {
        Self {
            endpoint,
            capacity,
            nat: None,
            origin: Origin::Local,
            ttl_nanos: crate::time::nanos(ttl),
            failure_domain: None,
            registered_at: 0,
        }
    }
}
