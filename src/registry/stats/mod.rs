//! Counters and gauges.

mod live_relays;
mod memory;
mod metric;
mod metrics;
#[cfg(feature = "dht")]
mod metrics_of_dht;
mod refusals;

pub use live_relays::RelayStates;
pub use memory::MemoryStats;
pub use metric::{Metric, MetricKind, MetricUnit};
pub use refusals::Refusals;

use crate::registry::Registry;
use crate::registry::inner::Inner;
use live_relays::LiveRelays;
use std::time::Duration;

/// What a registry has done so far, and what it holds now.
///
/// Each figure is right on its own. Together they are no snapshot, because other calls go
/// on while they are gathered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
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
    /// Calls of [`find_relay`](Registry::find_relay), [`find_relay_with`](Registry::find_relay_with),
    /// [`find_relay_wait`](Registry::find_relay_wait),
    /// [`find_relay_async`](Registry::find_relay_async), [`find_home_relay`](Registry::find_home_relay)
    /// and [`find_relays`](Registry::find_relays), whether they found a relay or not. One that waits
    /// counts once.
    pub finds: u64,
    /// Calls of [`reserve`](Registry::reserve), whether they got a lease or not.
    pub reservations: u64,
    /// Those of both that found no relay, by their main reason.
    pub refusals: Refusals,
    /// Live relays.
    pub relays: usize,
    /// The same by state.
    pub relay_states: RelayStates,
    /// Units that all live relays announce that they can carry.
    pub capacity: u64,
    /// Units that all live relays carry: those in leases of this registry, and those that were
    /// [reported](Registry::report_load).
    pub load: u64,
    /// Relays that left or expired and whose grace has not ended. Those that are kept for
    /// their leases, a ban or draining are not counted.
    pub remembered: usize,
    /// Units of capacity in the leases that are held, also of those on relays that left. A lease
    /// of [several units](crate::FindOptions::units) counts as so many.
    pub leases: usize,
    /// Records of forgotten relays that are not reclaimed yet: a thread may still see them, or
    /// neither a registration nor a maintenance pass has reclaimed them. While a thread is stalled
    /// inside a call they add up. With the relays that are registered or remembered they are at
    /// most three times `max_relays` plus 2,048, and as many more as were kept at one time for their
    /// leases, a ban or draining.
    pub awaiting_reclamation: usize,
    /// Time since relays were last sorted, in whole ticks.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "snapshot_age_seconds",
            serialize_with = "crate::serde_impls::seconds"
        )
    )]
    pub snapshot_age: Duration,
    /// Relays in sorted order, including those departed since.
    pub snapshot_len: usize,
    /// Relays that arrived since and are not sorted in yet.
    pub arrivals: usize,
    /// Records on the timer wheel.
    pub wheel_len: usize,
    /// Bytes of memory, by what they are for.
    pub memory: MemoryStats,
    /// Maintenance passes completed.
    pub maintenance_passes: u64,
    /// Panics of the clock in the [maintenance threads](crate::Maintenance::Thread), which
    /// go on; and, with the feature `metrics`, of the recorder, and with `tracing` of the
    /// subscriber.
    pub maintenance_panics: u64,
    /// Saves to a file that the registry made [by itself](crate::guide::persistence). 0 without the
    /// feature `persistence`, here and below.
    pub saves: u64,
    /// Such saves that failed.
    pub failed_saves: u64,
    /// What is published and learned; `None` without
    /// [`dht`](crate::RegistryBuilder::dht).
    #[cfg(feature = "dht")]
    pub dht: Option<crate::dht::DhtStats>,
}

impl Registry {
    /// Counters and gauges.
    ///
    /// Visits all records twice, at most a thousand under one pin. Takes the locks of maintenance
    /// and, one after another, of what it measures the memory of: it waits for a pass that removes
    /// relays, for the calls about coordinates and peers, and for
    /// [`due_for_probe`](Self::due_for_probe). No call on the hot path waits for it. For a metrics
    /// endpoint, not for a hot path.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner().stats()
    }
}

impl Inner {
    pub(super) fn stats(&self) -> Stats {
        let now = self.relays.present();
        let totals = self.relays.counters.totals();
        let calls = totals.calls;
        let live = LiveRelays::at(&self.relays, now);
        let (wheel_len, expiry) = self.expiry.wheel_len_and_footprint();
        let snapshot = self.relays.publication().load();
        let sorted_at = Duration::from_nanos(self.sorter.sorted_at());
        Stats {
            registrations: totals.registrations,
            renewals: totals.renewals,
            unregistrations: totals.unregistrations,
            expirations: totals.expirations,
            refused: totals.refused,
            finds: calls.finds,
            reservations: calls.reservations,
            refusals: Refusals::of(&calls),
            relays: self.relay_count_at(now),
            relay_states: live.states,
            capacity: live.capacity,
            load: live.load,
            remembered: self.relays.table.remembered(),
            leases: self.relays.table.leases(),
            awaiting_reclamation: self.relays.table.awaiting_reclamation(),
            snapshot_age: self.relays.timeline.elapsed().saturating_sub(sorted_at),
            snapshot_len: snapshot.base.len(),
            arrivals: snapshot.arrivals(),
            wheel_len,
            memory: self.memory(live.details, expiry),
            maintenance_passes: self.relays.counters.passes(),
            maintenance_panics: self.relays.counters.panics(),
            saves: self.relays.counters.saves(),
            failed_saves: self.relays.counters.failed_saves(),
            #[cfg(feature = "dht")]
            dht: self.link.stats(),
        }
    }
}
