//! Counters and gauges.

use crate::registry::inner::Inner;
use std::time::Duration;

/// What a registry has done so far, and what it holds now.
///
/// Each figure is right on its own; together they are no snapshot, for the
/// registry goes on while they are gathered.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Relays registered that were not held, those that came back included.
    pub registrations: u64,
    /// Renewals of relays already held.
    pub renewals: u64,
    /// Relays that were unregistered.
    pub unregistrations: u64,
    /// Relays that were removed past their deadline.
    pub expirations: u64,
    /// Calls of `register` and `register_with` that were refused.
    pub refused: u64,
    /// Live relays.
    pub relays: usize,
    /// Relays that left or expired and are remembered, in case they come back; not those
    /// that are kept for their leases or for what the operator said.
    pub remembered: usize,
    /// Leases held, also those on relays that left.
    pub leases: usize,
    /// Records that departed and were not given back yet, because a thread may still
    /// see them or because neither a registration nor maintenance has come by. While
    /// a thread is stalled inside a call they add up: with the relays held and those
    /// remembered, to three times `max_relays` and 2,048 at most, and beyond that only
    /// those that were kept for their leases or for what the operator said.
    pub awaiting_reclamation: usize,
    /// Time since relays were last sorted, in whole ticks.
    pub snapshot_age: Duration,
    /// Relays in sorted order, including those departed since.
    pub snapshot_len: usize,
    /// Relays that arrived since and are not yet sorted in.
    pub arrivals: usize,
    /// Records on the timer wheel.
    pub wheel_len: usize,
    /// Housekeeping passes completed.
    pub maintenance_passes: u64,
    /// Panics in the [threads](crate::Maintenance::Thread) that keep the registry,
    /// which the clock can cause; they go on.
    pub maintenance_panics: u64,
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
            #[cfg(feature = "dht")]
            dht: None,
        }
    }
}
