//! What can be told from a record by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::dht::record::{Announcement, Network, RelayRecord, SignedRecord};
use crate::dht::reject_reason::RejectReason;
use crate::relay::{AddressPolicy, Host, NatType, NodeId};

/// Whom and what to take in, and how many.
#[derive(Clone, Debug)]
pub(in crate::dht) struct AdmissionPolicy {
    pub(in crate::dht) network: Network,
    pub(in crate::dht) own: Option<NodeId>,
    pub(in crate::dht) allowed: Option<BTreeSet<NodeId>>,
    pub(in crate::dht) addresses: AddressPolicy,
    pub(in crate::dht) names: bool,
    /// The bound of the registry.
    pub(in crate::dht) max_relays: usize,
    /// Of these, so many are kept for local relays.
    pub(in crate::dht) reserve: usize,
    pub(in crate::dht) max_candidates: usize,
    /// So many newcomers are no crowd yet.
    pub(in crate::dht) crowd: usize,
    /// More than this is not believed.
    pub(in crate::dht) max_capacity: u32,
    pub(in crate::dht) news_per_minute: u32,
    pub(in crate::dht) probe_every: Duration,
    /// How often a relay that is in is asked for again.
    pub(in crate::dht) ask_every: Duration,
    /// So many failed probes in a row are one too many.
    pub(in crate::dht) max_failed_probes: u32,
    /// The registry takes nothing in for less.
    pub(in crate::dht) tick: Duration,
}

impl AdmissionPolicy {
    /// The most that can ever be learned.
    pub(super) fn most_learned(&self) -> usize {
        self.max_relays.saturating_sub(self.reserve)
    }

    /// How many learned relays there may be beside so many local ones: a
    /// sixteenth of all places stays free for the next of those.
    pub(super) fn places(&self, locals: usize) -> usize {
        let ahead = locals.saturating_add(self.max_relays / 16);
        self.max_relays.saturating_sub(ahead.max(self.reserve))
    }

    /// Whose record it is.
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

    /// How long it will count, if that is any time at all by the registry's clock.
    pub(super) fn time_left(&self, record: &RelayRecord, wall: Duration) -> Option<Duration> {
        let left = record.expires_at().saturating_sub(wall);
        (left >= self.tick).then_some(left)
    }

    /// What it announces.
    pub(super) fn check_announcement(
        &self,
        announcement: &Announcement,
    ) -> Result<(), RejectReason> {
        let endpoint = announcement.endpoint();
        if matches!(endpoint.host(), Host::Name(_)) && !self.names {
            return Err(RejectReason::Name);
        }
        if endpoint.check(self.addresses).is_err() {
            return Err(RejectReason::PrivateAddress);
        }
        match announcement.nat() {
            Some(nat) if !nat.can_relay() => Err(RejectReason::NotReachable),
            Some(NatType::PublicIp) if !endpoint.is_public() => Err(RejectReason::NotReachable),
            _ => Ok(()),
        }
    }
}
