//! [`Stats::visit`]: every figure as a [`Metric`].
//!
//! Each structure is taken apart whole, so that a figure that is added is not forgotten here.

use crate::registry::stats::metric::{Family, Metric, MetricUnit, Visitor};
use crate::registry::stats::{MemoryStats, Refusals, RelayStates, Stats};

/// A label of figures that are told apart by the state of relays.
macro_rules! labelled {
    ($label:literal: $($value:ident),* $(,)?) => {
        [$((&[($label, stringify!($value))] as &'static [_], $value as f64)),*]
    };
}

impl Stats {
    /// Passes every figure to `visitor`, for any system of metrics. Figures of one name come one
    /// after another.
    ///
    /// Names and units follow the conventions of Prometheus. Name and labels are unique within
    /// one registry; for several registries in one process, add a label of your own. Does not
    /// allocate, and calls nothing but `visitor`.
    ///
    /// This writes the text that Prometheus reads:
    ///
    /// ```
    /// use relay_registry::{Registry, Stats};
    ///
    /// fn prometheus(stats: &Stats) -> String {
    ///     let (mut text, mut last) = (String::new(), "");
    ///     stats.visit(&mut |metric| {
    ///         if metric.name != last {
    ///             text += &format!("# HELP {} {}\n", metric.name, metric.help);
    ///             text += &format!("# TYPE {} {}\n", metric.name, metric.kind);
    ///             last = metric.name;
    ///         }
    ///         let labels = metric.labels.iter().map(|(name, value)| format!("{name}={value:?}"));
    ///         let labels = labels.collect::<Vec<_>>().join(",");
    ///         text += &format!("{}{{{labels}}} {}\n", metric.name, metric.value);
    ///     });
    ///     text
    /// }
    ///
    /// let text = prometheus(&Registry::new().stats());
    /// assert!(text.contains("\nrelay_registry_finds_total{} 0\n"));
    /// assert!(text.contains("\nrelay_registry_relays_by_state{state=\"full\"} 0\n"));
    /// ```
    pub fn visit(&self, visitor: &mut dyn FnMut(Metric)) {
        let visitor = &mut Visitor(visitor);
        let &Self {
            registrations,
            renewals,
            unregistrations,
            expirations,
            refused,
            finds,
            reservations,
            ref refusals,
            relays,
            ref relay_states,
            capacity,
            load,
            remembered,
            leases,
            awaiting_reclamation,
            snapshot_age,
            snapshot_len,
            arrivals,
            wheel_len,
            ref memory,
            maintenance_passes,
            maintenance_panics,
            saves,
            failed_saves,
            #[cfg(feature = "dht")]
            ref dht,
        } = self;
        visitor.counter(
            "relay_registry_registrations_total",
            "Registrations of relays that were not registered.",
            registrations,
        );
        visitor.counter(
            "relay_registry_renewals_total",
            "Renewals of registered relays.",
            renewals,
        );
        visitor.counter(
            "relay_registry_unregistrations_total",
            "Relays that were unregistered.",
            unregistrations,
        );
        visitor.counter(
            "relay_registry_expirations_total",
            "Relays that were removed past their deadline.",
            expirations,
        );
        visitor.counter(
            "relay_registry_refused_registrations_total",
            "Registrations that failed.",
            refused,
        );
        visitor.counter(
            "relay_registry_finds_total",
            "Calls that looked for relays.",
            finds,
        );
        visitor.counter(
            "relay_registry_reservations_total",
            "Calls that looked for a relay to lease units of.",
            reservations,
        );
        refusals.visit(visitor);
        visitor.gauge("relay_registry_relays", "Live relays.", relays);
        relay_states.visit(visitor);
        visitor.visit(
            Family::gauge(
                "relay_registry_capacity_units",
                "Units that all live relays can carry.",
            ),
            capacity as f64,
        );
        visitor.visit(
            Family::gauge(
                "relay_registry_load_units",
                "Units that all live relays carry.",
            ),
            load as f64,
        );
        visitor.gauge(
            "relay_registry_remembered_relays",
            "Relays that left or expired and may return.",
            remembered,
        );
        visitor.gauge(
            "relay_registry_leased_units",
            "Units in leases that are held.",
            leases,
        );
        visitor.gauge(
            "relay_registry_records_awaiting_reclamation",
            "Records of forgotten relays that are not reclaimed yet.",
            awaiting_reclamation,
        );
        visitor.visit(
            Family::gauge(
                "relay_registry_snapshot_age_seconds",
                "Time since relays were last sorted.",
            )
            .of(MetricUnit::Seconds),
            snapshot_age.as_secs_f64(),
        );
        visitor.gauge(
            "relay_registry_snapshot_relays",
            "Relays in sorted order, including those departed since.",
            snapshot_len,
        );
        visitor.gauge(
            "relay_registry_snapshot_arrivals",
            "Relays that are not sorted in yet.",
            arrivals,
        );
        visitor.gauge(
            "relay_registry_wheel_records",
            "Records on the timer wheel.",
            wheel_len,
        );
        memory.visit(visitor);
        visitor.counter(
            "relay_registry_maintenance_passes_total",
            "Maintenance passes completed.",
            maintenance_passes,
        );
        visitor.counter(
            "relay_registry_maintenance_panics_total",
            "Panics of the embedder's code in maintenance passes.",
            maintenance_panics,
        );
        visitor.counter(
            "relay_registry_saves_total",
            "Saves at intervals and at the end.",
            saves,
        );
        visitor.counter(
            "relay_registry_failed_saves_total",
            "Such saves that failed.",
            failed_saves,
        );
        #[cfg(feature = "dht")]
        if let Some(dht) = dht {
            dht.visit(visitor);
        }
    }
}

impl Refusals {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        let &Self {
            no_relays,
            departed,
            full,
            draining,
            backing_off,
            banned,
            excluded,
            labels,
            family,
            too_far,
            unmeasured,
            tier,
        } = self;
        let each = labelled!(
            "reason": no_relays, departed, full, draining, backing_off, banned, excluded, labels,
            family, too_far, unmeasured, tier,
        );
        let refusals = Family::counter(
            "relay_registry_refusals_total",
            "Calls that looked for a relay and found none, by the reason for most relays.",
        );
        visitor.visit_each(refusals, each);
    }
}

impl RelayStates {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        let &Self {
            eligible,
            full,
            draining,
            banned,
            failing,
        } = self;
        let each = labelled!("state": eligible, full, draining, banned, failing);
        let by_state = Family::gauge(
            "relay_registry_relays_by_state",
            "Live relays, each in one state.",
        );
        visitor.visit_each(by_state, each);
    }
}

impl MemoryStats {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        let &Self {
            records,
            announcements,
            index,
            search_trees,
            expiry,
            peers,
            other,
            reserved,
        } = self;
        let each = labelled!(
            "component": records, announcements, index, search_trees, expiry, peers, other,
        );
        let memory = Family::gauge(
            "relay_registry_memory_bytes",
            "Memory that was used, by what it is for.",
        );
        visitor.visit_each(memory.of(MetricUnit::Bytes), each);
        let all = Family::gauge(
            "relay_registry_reserved_memory_bytes",
            "Memory that was allocated, used or not.",
        );
        visitor.visit(all.of(MetricUnit::Bytes), reserved as f64);
    }
}
