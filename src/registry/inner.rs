//! What all handles of one registry share: its components.
//!
//! Each component owns its fields and knows the layers below, and [`Relays`] where it needs
//! them. The files that implement operations on [`Inner`] put the components together; no
//! component names any of those files, nor `Inner`.

use crate::registry::coordinates::Coordinates;
use crate::registry::dht_bridge::DhtLink;
use crate::registry::distinct_labels::DistinctLabels;
use crate::registry::endpoint_owners::EndpointOwners;
use crate::registry::expiry::Expiry;
use crate::registry::exporter::Exporter;
use crate::registry::peers::Peers;
use crate::registry::probe_schedule::ProbeSchedule;
use crate::registry::relays::Relays;
use crate::registry::sorter::Sorter;
use crate::registry::sources::Sources;
use std::fmt;

/// The components of one registry.
pub(crate) struct Inner {
    pub(super) relays: Relays,
    pub(super) expiry: Expiry,
    pub(super) sorter: Sorter,
    pub(super) coordinates: Coordinates,
    pub(super) probes: ProbeSchedule,
    pub(super) labels: DistinctLabels,
    pub(super) endpoint_owners: EndpointOwners,
    pub(super) peers: Peers,
    /// To the facade for metrics.
    pub(super) exporter: Exporter,
    pub(super) sources: Sources,
    /// To the DHT that publishes this node's relay and learns of others.
    pub(super) link: DhtLink,
}

impl Inner {
    pub(super) fn new(relays: Relays, peers: Peers, exporter: Exporter, link: DhtLink) -> Self {
        let endpoint_owners = EndpointOwners::new(relays.settings.one_id_per_endpoint);
        Self {
            relays,
            expiry: Expiry::new(),
            sorter: Sorter::new(),
            coordinates: Coordinates::default(),
            probes: ProbeSchedule::default(),
            labels: DistinctLabels::default(),
            endpoint_owners,
            peers,
            exporter,
            sources: Sources::default(),
            link,
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("settings", &self.relays.settings)
            .field("timeline", &self.relays.timeline)
            .field("table", &self.relays.table)
            .finish_non_exhaustive()
    }
}
