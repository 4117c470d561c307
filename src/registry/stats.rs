//! Counters and gauges.

use crate::registry::inner::Inner;
use std::time::Duration;

/// What a registry has done so far, and what it holds now.
///
/// Each figure is right on its own. Together they are no snapshot, because other calls go
/// on while they are gathered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Registrations of relays that were not registered, those that returned included.
    pub registrations: u64,
    /// Renewals of relays that are registered already.
    pub renewals: u64,
    /// Relays that were unregistered.
    pub unregistrations: u64,
    /// Relays that were removed past their deadline.
    pub expirations: u64,
    /// Calls of `register` and `register_with` that failed.
    pub refused: u64,
    /// Live relays.
    pub relays: usize,
    /// Relays that left or expired and whose grace has not ended. Those that are kept for
    /// their leases, a ban or draining are not counted.
    pub remembered: usize,
    /// Units of capacity in the leases that are held, also of those on relays that left. A lease
    /// of [several units](crate::FindOptions::units) counts as so many.
    pub leases: usize,
    /// Records of forgotten relays that are not reclaimed yet: a thread may still see them, or
    /// neither a registration nor a maintenance pass has reclaimed them. While a thread is stalled
    /// inside a call they add up. With the relays that are registered or remembered they are at
    /// most three times `max_relays` plus 2,048, not counting those that were kept for their
    /// leases, a ban or draining.
    pub awaiting_reclamation: usize,
    /// Time since relays were last sorted, in whole ticks.
    pub snapshot_age: Duration,
    /// Relays in sorted order, including those departed since.
    pub snapshot_len: usize,
    /// Relays that arrived since and are not sorted in yet.
    pub arrivals: usize,
    /// Records on the timer wheel.
    pub wheel_len: usize,
    /// Maintenance passes completed.
    pub maintenance_passes: u64,
    /// Panics of the clock in the [maintenance threads](crate::Maintenance::Thread), which
    /// go on.
    pub maintenance_panics: u64,
    /// Saves to a file that the registry made [by itself](crate::RegistryBuilder). 0 without the
    /// feature `persistence`, here and below.
    pub saves: u64,
    /// Such saves that failed.
    pub failed_saves: u64,
    /// What is published and learned; `None` without
    /// [`dht`](crate::RegistryBuilder::dht).
    #[cfg(feature = "dht")]
    pub dht: Option<crate::dht::DhtStats>,
}

impl Inner {
    pub(super) fn stats(&self) -> Stats {
        let now = self.relays.present();
        let totals = self.relays.counters.totals();
        let snapshot = self.relays.publication().load();
        let sorted_at = Duration::from_nanos(self.sorter.sorted_at());
        Stats {
            registrations: totals.registrations,
            renewals: totals.renewals,
            unregistrations: totals.unregistrations,
            expirations: totals.expirations,
            refused: totals.refused,
            relays: self.relay_count_at(now),
            remembered: self.relays.table.remembered(),
            leases: self.relays.table.leases(),
            awaiting_reclamation: self.relays.table.awaiting_reclamation(),
            snapshot_age: self.relays.timeline.elapsed().saturating_sub(sorted_at),
            snapshot_len: snapshot.base.len(),
            arrivals: snapshot.arrivals(),
            wheel_len: self.expiry.wheel_len(),
            maintenance_passes: self.relays.counters.passes(),
            maintenance_panics: self.relays.counters.panics(),
            saves: 0,
            failed_saves: 0,
            #[cfg(feature = "dht")]
            dht: None,
        }
    }
}
