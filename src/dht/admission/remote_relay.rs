//! [`RemoteRelay`]: the state of one relay that another node announced.

use std::time::Duration;

use super::probe_queue::QueueKey;
use super::quotas::Prefix;
use super::track_record::TrackRecord;
use crate::dht::engine::ShardPath;
use crate::dht::record::{Announcement, SignedRecord};
use crate::relay::NodeId;

/// One remote relay: a candidate, or verified.
///
/// Indexes depend on the record and on all that decides the next probe or requery. So these
/// fields are changed only through [`RemoteRelays`](super::remote_relays::RemoteRelays).
#[derive(Debug)]
pub(super) struct RemoteRelay {
    pub(super) record: SignedRecord,
    pub(super) prefix: Prefix,
    /// Whether a probe of what the record announces succeeded, and the relay was registered.
    pub(super) is_verified: bool,
    /// When a verified relay expires in the registry, by the registry's clock.
    pub(super) registered_until: Duration,
    /// Whether this key was ever verified.
    pub(super) was_verified: bool,
    /// Whether this key was verified since it last used its priority.
    pub(super) has_earned_priority: bool,
    pub(super) is_probing: bool,
    /// Whether a probe of what the record announces has ended.
    pub(super) was_probed: bool,
    /// The position in the queue for first probes.
    pub(super) queue_key: QueueKey,
    pub(super) queue: Queue,
    /// When the next probe is due.
    pub(super) probe_at: Duration,
    /// When that probe was due first, before the rate limit of the prefix delayed it.
    pub(super) due_since: Duration,
    /// When the record is requested again.
    pub(super) requery_at: Duration,
    pub(super) track_record: TrackRecord,
    /// When a probe last succeeded.
    pub(super) last_success: Option<Duration>,
    /// The position in the order of arrival.
    pub(super) arrival: u64,
    /// The shard of the directory that last listed this relay.
    pub(super) shard: Option<ShardPath>,
}

/// Which queue a candidate waits in for its next probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    /// The [`ProbeQueue`](super::probe_queue::ProbeQueue): it was never probed at its endpoint.
    Unprobed,
    /// Relays with priority, because they were verified before.
    Returning,
    /// All others, by time.
    Scheduled,
}

/// What is known of a key when its relay becomes a candidate.
#[derive(Clone, Copy, Debug)]
pub(super) struct History {
    pub(super) was_verified: bool,
    /// Whether the relay is probed before those that were never verified.
    pub(super) has_priority: bool,
    pub(super) track_record: TrackRecord,
}

/// The order of scheduled probes: when due, since when, arrival, id. So if several relays wait
/// for a token of one prefix, the one that has waited longest is first.
pub(super) type ScheduleKey = (Duration, Duration, u64, NodeId);

impl RemoteRelay {
    /// Whether a probe of this announcement holds for the relay.
    pub(super) fn has_contact_of(&self, probed: &Announcement) -> bool {
        let announced = self.record.record().announcement();
        announced.is_some_and(|announced| announced.has_same_contact(probed))
    }

    /// Whether its prefix is `prefix`; true if none is given.
    pub(super) fn is_of(&self, prefix: Option<&Prefix>) -> bool {
        prefix.is_none_or(|prefix| *prefix == self.prefix)
    }

    /// Its random rank, if it waits for a first probe without priority.
    pub(super) fn unprobed_rank(&self) -> Option<u64> {
        let waits = !self.was_probed && !self.is_probing && self.queue != Queue::Returning;
        waits.then_some(self.queue_key.rank)
    }

    pub(super) fn schedule_key(&self, id: &NodeId) -> ScheduleKey {
        (self.probe_at, self.due_since, self.arrival, *id)
    }
}
