//! What the recorder of the crate `metrics` gets, and when.

#[path = "common/mod.rs"]
mod common;

use common::*;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString,
    Unit, with_local_recorder,
};
use relay_registry::{FindOptions, Metric, MetricKind, MetricUnit, Registry, RegistryBuilder};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_secs(10);

/// Keeps what it is given.
#[derive(Default)]
struct Kept(Arc<Mutex<Content>>);

#[derive(Default)]
struct Content {
    /// Kind, unit and description, by name, as often as it was described.
    described: BTreeMap<String, Vec<(MetricKind, Option<Unit>, String)>>,
    /// By name and labels.
    values: BTreeMap<Series, f64>,
    /// How often any value was set.
    writes: usize,
}

type Series = (String, Vec<(String, String)>);

/// One series of a recorder.
struct Handle {
    content: Arc<Mutex<Content>>,
    series: Series,
}

impl Handle {
    fn put(&self, value: f64) {
        let mut content = lock(&self.content);
        content.values.insert(self.series.clone(), value);
        content.writes += 1;
    }
}

impl CounterFn for Handle {
    fn increment(&self, _: u64) {
        panic!("counters are given by their absolute value");
    }

    fn absolute(&self, value: u64) {
        self.put(value as f64);
    }
}

impl GaugeFn for Handle {
    fn increment(&self, _: f64) {
        panic!("gauges are set");
    }

    fn decrement(&self, _: f64) {
        panic!("gauges are set");
    }

    fn set(&self, value: f64) {
        self.put(value);
    }
}

fn lock(content: &Mutex<Content>) -> std::sync::MutexGuard<'_, Content> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    fn handle(&self, key: &Key) -> Arc<Handle> {
        let label = |it: &metrics::Label| (it.key().to_owned(), it.value().to_owned());
        Arc::new(Handle {
            content: Arc::clone(&self.0),
            series: (key.name().to_owned(), key.labels().map(label).collect()),
        })
    }

    fn describe(&self, name: KeyName, kind: MetricKind, unit: Option<Unit>, help: SharedString) {
        let mut content = lock(&self.0);
        let described = content.described.entry(name.as_str().to_owned());
        described.or_default().push((kind, unit, help.into_owned()));
    }

    fn writes(&self) -> usize {
        lock(&self.0).writes
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        let series = (name.to_owned(), labels.iter().map(owned).collect());
        lock(&self.0).values.get(&series).copied()
    }
}

impl Recorder for Kept {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.describe(name, MetricKind::Counter, unit, help);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.describe(name, MetricKind::Gauge, unit, help);
    }

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
        panic!("there are no histograms");
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.handle(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.handle(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("there are no histograms");
    }
}

/// A maintenance pass after some time, with this recorder.
fn pass_with(world: &World, recorder: &dyn Recorder, by: Duration) {
    world.advance(by);
    with_local_recorder(recorder, || _ = world.maintain());
}

fn visited(world: &World) -> Vec<Metric> {
    let mut all = Vec::new();
    world.stats().visit(&mut |metric| all.push(metric));
    all
}

#[test]
fn every_figure_is_recorded_with_its_labels() {
    let (world, kept) = (world(), Kept::default());
    world.join_with(1, &capacity(7));
    assert!(world.find_relay(&non_relay()).is_ok());
    assert!(world.find_relay_with(&id(1), &FindOptions::new()).is_err());
    pass_with(&world, &kept, INTERVAL);
    for metric in visited(&world) {
        let value = kept.value(metric.name, metric.labels);
        assert_eq!(value, Some(metric.value), "{metric:?}");
    }
    let refusals = "relay_registry_refusals_total";
    assert_eq!(kept.value(refusals, &[("reason", "excluded")]), Some(1.0));
    assert_eq!(kept.value("relay_registry_capacity_units", &[]), Some(7.0));
}

#[test]
fn each_name_is_described_once() {
    let (world, kept) = (world(), Kept::default());
    for _ in 0..3 {
        pass_with(&world, &kept, INTERVAL);
    }
    let content = lock(&kept.0);
    for metric in visited(&world) {
        let unit = match metric.unit {
            MetricUnit::Seconds => Unit::Seconds,
            MetricUnit::Bytes => Unit::Bytes,
            _ => Unit::Count,
        };
        let expected = (metric.kind, Some(unit), metric.help.to_owned());
        assert_eq!(content.described[metric.name], [expected]);
    }
}

#[test]
fn figures_are_recorded_at_the_interval_and_not_in_between() {
    let (world, kept) = (world(), Kept::default());
    pass_with(&world, &kept, Duration::ZERO);
    pass_with(&world, &kept, INTERVAL - TICK);
    assert_eq!(kept.writes(), 0);
    pass_with(&world, &kept, TICK);
    let all = visited(&world).len();
    assert_eq!(kept.writes(), all);
    pass_with(&world, &kept, INTERVAL - TICK);
    assert_eq!(kept.writes(), all);
    pass_with(&world, &kept, TICK);
    assert_eq!(kept.writes(), 2 * all);
    // A pass that comes late does it once, and the next one an interval later.
    pass_with(&world, &kept, 5 * INTERVAL);
    pass_with(&world, &kept, INTERVAL - TICK);
    assert_eq!(kept.writes(), 3 * all);
}

#[test]
fn no_call_but_maintenance_records_anything() {
    let (world, kept) = (world(), Kept::default());
    world.advance(2 * INTERVAL);
    with_local_recorder(&kept, || {
        world.join(1);
        assert!(world.find_relay(&non_relay()).is_ok());
        assert!(world.reserve(&non_relay(), &FindOptions::new()).is_ok());
        assert!(world.stats().finds == 1);
        world.leave(1);
    });
    assert_eq!(kept.writes(), 0);
}

#[test]
fn the_interval_is_a_setting() {
    let kept = Kept::default();
    let each_pass = world_with(|builder| builder.metrics_interval(Duration::ZERO));
    let never = world_with(|builder| builder.metrics_interval(Duration::MAX));
    for passes in 1..=3 {
        let before = kept.writes();
        pass_with(&each_pass, &kept, Duration::ZERO);
        assert!(kept.writes() > before);
        assert_eq!(
            kept.value("relay_registry_maintenance_passes_total", &[]),
            Some(f64::from(passes))
        );
    }
    let before = kept.writes();
    pass_with(&never, &kept, secs(1 << 30));
    assert_eq!(kept.writes(), before);
}

#[test]
fn registries_of_different_names_write_to_different_series() {
    let kept = Kept::default();
    for (name, relays) in [("edge-1", 1), ("edge-2", 2)] {
        let world = world_with(|builder| builder.name(name));
        (0..relays).for_each(|n| world.join(n));
        pass_with(&world, &kept, INTERVAL);
    }
    let relays = "relay_registry_relays";
    assert_eq!(kept.value(relays, &[("registry", "edge-1")]), Some(1.0));
    assert_eq!(kept.value(relays, &[("registry", "edge-2")]), Some(2.0));
    let labels = [("registry", "edge-2"), ("state", "eligible")];
    assert_eq!(
        kept.value("relay_registry_relays_by_state", &labels),
        Some(2.0)
    );
}

/// The recorder of the whole process is used only here: elsewhere, threads have their own.
#[test]
fn the_maintenance_thread_records_by_itself() {
    let kept = Kept::default();
    let content = Arc::clone(&kept.0);
    metrics::set_global_recorder(kept).unwrap_or_else(|_| panic!("there is one"));
    let kept = Kept(content);
    let registry = Registry::builder()
        .name("by itself")
        .metrics_interval(Duration::ZERO)
        .tick(ms(1))
        .build()
        .expect("a valid registry");
    registry.register(id(1), endpoint(1)).unwrap();
    let labels = [("registry", "by itself")];
    while kept.value("relay_registry_relays", &labels) != Some(1.0) {
        thread::sleep(ms(1));
    }
    registry.close();
    let writes = kept.writes();
    registry.unregister(&id(1));
    assert_eq!(kept.writes(), writes, "the thread has ended");
}

/// Panics at the first series.
struct Panicking;

impl Recorder for Panicking {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        panic!("this recorder always panics");
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        panic!("this recorder always panics");
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("this recorder always panics");
    }
}

#[test]
fn a_panic_of_the_recorder_is_counted_and_maintenance_goes_on() {
    let (world, kept) = (world(), Kept::default());
    world.join(1);
    pass_with(&world, &Panicking, INTERVAL);
    assert_eq!(world.stats().maintenance_panics, 1);
    assert_eq!(world.stats().maintenance_passes, 1);
    pass_with(&world, &kept, INTERVAL);
    let panics = "relay_registry_maintenance_panics_total";
    assert_eq!(kept.value(panics, &[]), Some(1.0));
    pass_with(&world, &Panicking, TTL);
    assert!(!world.has(1) && world.stats().expirations == 1);
}

/// Calls the registry whose figures it is given.
struct Calling(Registry);

impl Recorder for Calling {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        if key.name() == "relay_registry_relays" {
            let Self(registry) = self;
            registry.register(id(2), endpoint(2)).unwrap();
            assert!(registry.find_relay(&non_relay()).is_ok());
            assert_eq!(registry.stats().relays, 2);
            let _ = registry.coordinate();
            registry.maintain();
            registry.close();
        }
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// If a lock were held meanwhile, this would wait for ever.
#[test]
fn the_recorder_may_call_the_registry() {
    let each_pass = |builder: RegistryBuilder| {
        let builder = builder.one_id_per_endpoint(true);
        builder.metrics_interval(TICK)
    };
    let world = world_with(each_pass);
    world.join(1);
    world.update_peer(&non_relay(), published([(1, ms(5))]));
    let calling = Calling(world.registry.clone());
    pass_with(&world, &calling, TICK);
    assert_eq!(world.stats().maintenance_panics, 0);
    assert!(world.has(2));
}
