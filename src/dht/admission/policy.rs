//! [`AdmissionPolicy`]: the rules, and the checks that need only the record.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::dht::record::{Announcement, Network, RelayRecord, SignedRecord};
use crate::dht::reject_reason::RejectReason;
use crate::relay::{AddressPolicy, Host, NatType, NodeId};

/// Which remote relays are accepted, and how many.
#[derive(Clone, Debug)]
pub(in crate::dht) struct AdmissionPolicy {
    pub(in crate::dht) network: Network,
    pub(in crate::dht) own: Option<NodeId>,
    pub(in crate::dht) allowed: Option<BTreeSet<NodeId>>,
    pub(in crate::dht) addresses: AddressPolicy,
    pub(in crate::dht) accept_names: bool,
    /// The limit of the registry, local and learned.
    pub(in crate::dht) max_relays: usize,
    /// The part of `max_relays` that is reserved for local relays.
    pub(in crate::dht) local_reserve: usize,
    pub(in crate::dht) max_candidates: usize,
    /// If more candidates wait for their first probe, first probes have a short deadline.
    pub(in crate::dht) short_probes_above: usize,
    /// A learned relay is registered with this capacity, if it announces more.
    pub(in crate::dht) max_capacity: u32,
    pub(in crate::dht) max_updates_per_minute: u32,
    pub(in crate::dht) probe_interval: Duration,
    /// How often the record of a verified relay is requested again.
    pub(in crate::dht) requery_interval: Duration,
    /// After this many failed probes in a row, a relay is removed.
    pub(in crate::dht) max_failed_probes: u32,
    /// The shortest TTL that the registry accepts.
    pub(in crate::dht) tick: Duration,
}

impl AdmissionPolicy {
    /// The most learned relays, if few local ones are registered.
    pub(super) fn max_learned(&self) -> usize {
        self.max_relays.saturating_sub(self.local_reserve)
    }

    /// The most learned relays beside `locals` local ones. A sixteenth of `max_relays` stays
    /// free for the next local registrations.
    pub(super) fn max_learned_beside(&self, locals: usize) -> usize {
        let for_locals = locals.saturating_add(self.max_relays / 16);
        self.max_relays
            .saturating_sub(for_locals.max(self.local_reserve))
    }

    /// Checks the network and the relay of a record.
    pub(super) fn check_author(&self, record: &SignedRecord) -> Result<(), RejectReason> {
        let id = record.node_id();
        if *record.network() != self.network {
            Err(RejectReason::Invalid)
        } else if self.own == Some(id) {
            Err(RejectReason::Own)
        } else if self.allowed.as_ref().is_some_and(|ids| !ids.contains(&id)) {
            Err(RejectReason::NotAllowed)
        } else {
            Ok(())
        }
    }

    /// The remaining TTL of a record, if it is at least a tick.
    pub(super) fn remaining_ttl(&self, record: &RelayRecord, wall: Duration) -> Option<Duration> {
        let left = record.expires_at().saturating_sub(wall);
        (left >= self.tick).then_some(left)
    }

    pub(super) fn check_announcement(
        &self,
        announcement: &Announcement,
    ) -> Result<(), RejectReason> {
        let endpoint = announcement.endpoint();
        for endpoint in std::iter::once(endpoint).chain(announcement.also_at()) {
            if matches!(endpoint.host(), Host::Name(_)) && !self.accept_names {
                return Err(RejectReason::Name);
            }
            if endpoint.check(self.addresses).is_err() {
                return Err(RejectReason::PrivateAddress);
            }
        }
        match announcement.nat() {
            Some(nat) if !nat.can_relay() => Err(RejectReason::NotReachable),
            Some(NatType::PublicIp) if !endpoint.is_public() => Err(RejectReason::NotReachable),
            _ => Ok(()),
        }
    }
}
