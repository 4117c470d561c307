//! What a relay announced when it registered: the part of a record that is replaced as a
//! whole.
//!
//! An announcement never changes once published. A renewal with changes publishes another
//! one, and sets the lifecycle word to its index and the new deadline in one
//! compare-and-swap; the old one is retired. So a thread that read the word sees an
//! endpoint, a capacity and a deadline that belong together.

use crate::footprint::Footprint;
use crate::relay::{Cost, Details, Endpoint, Filter, Label, NatType};
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
    /// Nanoseconds from the registry's origin to the registration that made it a relay.
    pub(crate) registered_at: u64,
    pub(crate) tier: u8,
    pub(crate) cost: Cost,
    /// What only some relays announce.
    pub(crate) details: Option<Arc<Details>>,
}

impl Announcement {
    /// Whether the relay passes a filter.
    pub(crate) fn passes(&self, filter: &Filter) -> bool {
        filter.admits_labels(self.labels()) && filter.admits_endpoints(self.endpoints())
    }

    /// All endpoints, the main one first.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        std::iter::once(&self.endpoint).chain(self.also_at())
    }

    /// Whether it is reached at this endpoint.
    pub(crate) fn is_at(&self, endpoint: &Endpoint) -> bool {
        self.endpoints().any(|one| one == endpoint)
    }

    /// Of what it points to.
    pub(crate) fn footprint(&self) -> Footprint {
        let details = self.details.as_ref().map(Details::footprint);
        self.endpoint.footprint() + details.unwrap_or_default()
    }

    pub(crate) fn failure_domain(&self) -> Option<&str> {
        self.details.as_ref()?.failure_domain.as_deref()
    }

    /// In the order of their names.
    pub(crate) fn labels(&self) -> &[Label] {
        let labels = self.details.as_ref().map(|it| it.labels.as_deref());
        labels.flatten().unwrap_or_default()
    }

    /// The endpoints beside the main one.
    pub(crate) fn also_at(&self) -> &[Endpoint] {
        let also_at = self.details.as_ref().map(|it| it.also_at.as_deref());
        also_at.flatten().unwrap_or_default()
    }
}

#[cfg(all(test, not(relay_loom)))]
impl Announcement {
    /// The same in a failure domain.
    pub(crate) fn in_domain(self, name: impl Into<Arc<str>>) -> Self {
        let options = crate::relay::DetailOptions {
            failure_domain: Some(name.into()),
            ..Default::default()
        };
        Self {
            details: crate::relay::DetailOptions::amend(Some(&options), None, &self.endpoint),
            ..self
        }
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
            registered_at: 0,
            tier: 0,
            cost: Cost::ONE,
            details: None,
        }
    }
}
