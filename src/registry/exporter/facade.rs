//! Describes and records metrics, when it is time.

use crate::registry::inner::Inner;
use crate::registry::stats::{Metric, MetricKind, MetricUnit, Stats};
use crate::sync::{Arc, AtomicBool, AtomicU64, Ordering};
use crate::time::{Tick, nanos};
use metrics::{Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};
use std::time::Duration;

/// What every metric says of where it comes from.
const METADATA: Metadata<'static> = Metadata::new("relay_registry", Level::INFO, None);

/// The label that tells the registries of a process apart.
const REGISTRY: &str = "registry";

#[derive(Debug)]
pub(in crate::registry) struct ExporterSettings {
    pub(super) interval: Duration,
}

impl Default for ExporterSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
        }
    }
}

impl ExporterSettings {
    /// The exporter of the registry with this name.
    pub(in crate::registry) fn exporter(&self, name: Option<&Arc<str>>) -> Exporter {
        let interval_nanos = nanos(self.interval);
        Exporter {
            registry: name.cloned(),
            interval_nanos,
            next_at: AtomicU64::new(interval_nanos),
            is_described: AtomicBool::new(false),
        }
    }
}

/// See the module's description.
#[derive(Debug)]
pub(in crate::registry) struct Exporter {
    /// The name of the registry.
    registry: Option<Arc<str>>,
    interval_nanos: u64,
    /// When it is time, in nanoseconds of the registry's time.
    next_at: AtomicU64,
    is_described: AtomicBool,
}

impl Inner {
    /// To be called at the end of a maintenance pass: the recorder is the embedder's code.
    pub(in crate::registry) fn export_if_due(&self, now: Tick) {
        if self.exporter.claim(self.relays.timeline.nanos_of(now)) {
            let stats = self.stats();
            let counters = &self.relays.counters;
            counters.catch_panic(|| self.exporter.export(&stats));
        }
    }
}

impl Exporter {
    /// Whether it is time, and no other thread has claimed that.
    fn claim(&self, now: u64) -> bool {
        // Relaxed, here and below: the words carry nothing but themselves.
        let next_at = self.next_at.load(Ordering::Relaxed);
        let then = now.saturating_add(self.interval_nanos);
        now >= next_at
            && self
                .next_at
                .compare_exchange(next_at, then, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    fn export(&self, stats: &Stats) {
        metrics::with_recorder(|recorder| {
            if !self.is_described.swap(true, Ordering::Relaxed) {
                describe_all(recorder, stats);
            }
            stats.visit(&mut |metric| self.record(recorder, &metric));
        });
    }

    fn record(&self, recorder: &dyn Recorder, metric: &Metric) {
        let key = self.key(metric);
        match metric.kind {
            // A count, so it is whole.
            MetricKind::Counter => {
                let counter = recorder.register_counter(&key, &METADATA);
                counter.absolute(metric.value as u64);
            }
            MetricKind::Gauge => recorder.register_gauge(&key, &METADATA).set(metric.value),
        }
    }

    fn key(&self, metric: &Metric) -> Key {
        let registry = self.registry.iter();
        let registry = registry.map(|name| Label::new(REGISTRY, Arc::clone(name)));
        let labels = metric.labels.iter();
        let labels = labels.map(|&(name, value)| Label::from_static_parts(name, value));
        Key::from_parts(metric.name, registry.chain(labels).collect::<Vec<_>>())
    }
}

/// Describes the figures of each name once.
fn describe_all(recorder: &dyn Recorder, stats: &Stats) {
    let mut last = "";
    stats.visit(&mut |metric| {
        if metric.name != last {
            last = metric.name;
            describe(recorder, &metric);
        }
    });
}

fn describe(recorder: &dyn Recorder, metric: &Metric) {
    let name = KeyName::from_const_str(metric.name);
    let unit = Some(match metric.unit {
        MetricUnit::Count => Unit::Count,
        MetricUnit::Seconds => Unit::Seconds,
        MetricUnit::Bytes => Unit::Bytes,
    });
    let help = SharedString::const_str(metric.help);
    match metric.kind {
        MetricKind::Counter => recorder.describe_counter(name, unit, help),
        MetricKind::Gauge => recorder.describe_gauge(name, unit, help),
    }
}
