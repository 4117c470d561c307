//! The figures of a DHT as [metrics](crate::Metric).

use crate::dht::{DhtStats, RejectReason};
use crate::registry::stats::metric::{Family, Visitor};

/// The labels of the count of each reason, by its number.
static REASONS: [[(&str, &str); 1]; RejectReason::ALL.len()] = {
    let mut labels = [[("reason", "")]; RejectReason::ALL.len()];
    let mut at = 0;
    while at < labels.len() {
        labels[at] = [("reason", RejectReason::ALL[at].name())];
        at += 1;
    }
    labels
};

impl DhtStats {
    pub(super) fn visit(&self, visitor: &mut Visitor<'_>) {
        let &Self {
            publishes,
            learns,
            pending,
            published,
            puts,
            learned,
            candidates,
            admitted,
            accepted,
            withdrawn,
            probes,
            failed_probes,
            sweeps,
            fetches,
            changes,
            wanted,
            absent,
            engine_failures,
            panics,
            breaker_open,
            ref refused,
        } = self;
        visitor.gauge(
            "relay_registry_dht_publishes",
            "Whether the registry has a key, which it needs to publish.",
            publishes.into(),
        );
        visitor.gauge(
            "relay_registry_dht_learns",
            "Whether the registry has a probe, which it needs to learn relays.",
            learns.into(),
        );
        visitor.gauge(
            "relay_registry_dht_pending",
            "Whether a change of this node's relay is not yet published or withdrawn.",
            pending.into(),
        );
        visitor.gauge(
            "relay_registry_dht_published",
            "Whether the last record that the engine stored is an announcement.",
            published.into(),
        );
        visitor.counter(
            "relay_registry_dht_puts_total",
            "Records and withdrawals that the engine stored.",
            puts,
        );
        visitor.gauge(
            "relay_registry_dht_learned_relays",
            "Learned relays that are registered.",
            learned,
        );
        visitor.gauge(
            "relay_registry_dht_candidates",
            "Remote relays that are not registered.",
            candidates,
        );
        visitor.counter(
            "relay_registry_dht_admitted_total",
            "Learned relays that were registered after a probe.",
            admitted,
        );
        visitor.counter(
            "relay_registry_dht_accepted_total",
            "Announcements from other nodes that were accepted.",
            accepted,
        );
        visitor.counter(
            "relay_registry_dht_withdrawn_total",
            "Withdrawals from other nodes that were accepted.",
            withdrawn,
        );
        visitor.counter(
            "relay_registry_dht_successful_probes_total",
            "Probes that succeeded.",
            probes,
        );
        visitor.counter(
            "relay_registry_dht_failed_probes_total",
            "Probes that failed.",
            failed_probes,
        );
        visitor.counter(
            "relay_registry_dht_sweeps_total",
            "Shards of the directory that were read.",
            sweeps,
        );
        visitor.counter(
            "relay_registry_dht_fetches_total",
            "Lookups of one relay's record.",
            fetches,
        );
        visitor.counter(
            "relay_registry_dht_changes_total",
            "Changes that the engine reported.",
            changes,
        );
        visitor.gauge(
            "relay_registry_dht_wanted_records",
            "Lookups that are queued or in flight.",
            wanted,
        );
        visitor.gauge(
            "relay_registry_dht_absent_relays",
            "Relays of which a complete lookup found no record.",
            absent,
        );
        visitor.counter(
            "relay_registry_dht_engine_failures_total",
            "Requests that failed because of the engine.",
            engine_failures,
        );
        visitor.counter(
            "relay_registry_dht_panics_total",
            "Panics of the engine, the probe or a clock.",
            panics,
        );
        visitor.gauge(
            "relay_registry_dht_breaker_open",
            "Whether requests pause because the engine failed.",
            breaker_open.into(),
        );
        let family = Family::counter(
            "relay_registry_dht_refused_records_total",
            "Records from other nodes that were rejected, by the reason.",
        );
        let counts = refused.iter().map(|(_, count)| count as f64);
        let labels = REASONS.iter().map(|labels| &labels[..]);
        visitor.visit_each(family, labels.zip(counts));
    }
}
