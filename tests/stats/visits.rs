//! `Stats::visit`, and the text format of Prometheus that is made of it.

use crate::common::*;
use relay_registry::{Failure, FindOptions, Metric, MetricKind, MetricUnit, Stats};
use std::collections::{BTreeMap, BTreeSet};

fn visited(stats: &Stats) -> Vec<Metric> {
    let mut all = Vec::new();
    stats.visit(&mut |metric| all.push(metric));
    all
}

/// A registry in which most figures differ from zero, and from each other.
fn busy() -> World {
    let world = world();
    for n in 0..9 {
        world.join_with(n, &capacity(10 + n));
    }
    world.renew_with(0, &capacity(10));
    world.leave(8);
    world.drain(1);
    world.ban_for(2, secs(60));
    world.fail(3, Failure::TimedOut);
    world.report(4, 14);
    world.maintain();
    world.join(9);
    for n in 0..5 {
        assert!(world.find_relay(&id(n)).is_ok());
    }
    for _ in 0..3 {
        assert!(world.find_relay_with(&non_relay(), &within(ms(1))).is_err());
    }
    assert!(world.reserve(&non_relay(), &FindOptions::new()).is_ok());
    world.advance(secs(1));
    world
}

#[test]
fn names_follow_the_conventions() {
    for metric in visited(&busy().stats()) {
        let Metric {
            name,
            help,
            unit,
            kind,
            labels,
            ..
        } = metric;
        let is_word = |text: &str| text.bytes().all(|it| it.is_ascii_lowercase() || it == b'_');
        assert!(
            name.starts_with("relay_registry_") && is_word(name),
            "{name}"
        );
        assert_eq!(
            name.ends_with("_total"),
            kind == MetricKind::Counter,
            "{name}"
        );
        let base = name.trim_end_matches("_total");
        assert_eq!(
            base.ends_with("_seconds"),
            unit == MetricUnit::Seconds,
            "{name}"
        );
        assert_eq!(
            base.ends_with("_bytes"),
            unit == MetricUnit::Bytes,
            "{name}"
        );
        assert!(
            help.ends_with('.') && !help.contains(['\n', '\\']),
            "{help}"
        );
        assert!(
            labels
                .iter()
                .all(|(name, value)| is_word(name) && is_word(value))
        );
    }
}

#[test]
fn figures_are_unique_and_those_of_one_name_are_alike() {
    let metrics = visited(&busy().stats());
    let series: BTreeSet<_> = metrics.iter().map(|it| (it.name, it.labels)).collect();
    assert_eq!(series.len(), metrics.len());
    let mut names = Vec::new();
    for group in metrics.chunk_by(|one, other| one.name == other.name) {
        names.push(group[0].name);
        let common = |it: &Metric| (it.help, it.unit, it.kind);
        assert!(group.iter().all(|it| common(it) == common(&group[0])));
    }
    let distinct: BTreeSet<_> = names.iter().collect();
    assert_eq!(
        distinct.len(),
        names.len(),
        "those of one name are not together"
    );
}

#[test]
fn each_figure_has_its_value() {
    let world = busy();
    let stats = world.stats();
    let by_name: BTreeMap<_, _> = visited(&stats)
        .into_iter()
        .map(|it| {
            let label = it.labels.first().map_or("", |(_, value)| value);
            (
                (it.name.trim_start_matches("relay_registry_"), label),
                it.value,
            )
        })
        .collect();
    let is = |name: &str, label: &str, value: f64| {
        assert_eq!(by_name.get(&(name, label)), Some(&value), "{name} {label}");
    };
    is("registrations_total", "", 10.0);
    is("renewals_total", "", 1.0);
    is("unregistrations_total", "", 1.0);
    is("finds_total", "", 8.0);
    is("reservations_total", "", 1.0);
    is("refusals_total", "unmeasured", 3.0);
    is("refusals_total", "full", 0.0);
    is("relays", "", 9.0);
    is("relays_by_state", "eligible", 5.0);
    is("relays_by_state", "full", 1.0);
    is("relays_by_state", "draining", 1.0);
    is("relays_by_state", "banned", 1.0);
    is("relays_by_state", "failing", 1.0);
    is("capacity_units", "", stats.capacity as f64);
    is("load_units", "", 14.0);
    is("remembered_relays", "", 1.0);
    is("snapshot_age_seconds", "", 1.0);
    is("memory_bytes", "records", stats.memory.records as f64);
    is("reserved_memory_bytes", "", stats.memory.reserved as f64);
    is("maintenance_passes_total", "", 1.0);
}

/// As the documentation of `Stats::visit` writes it.
fn prometheus(stats: &Stats) -> String {
    let (mut text, mut last) = (String::new(), "");
    stats.visit(&mut |metric| {
        if metric.name != last {
            text += &format!("# HELP {} {}\n", metric.name, metric.help);
            text += &format!("# TYPE {} {}\n", metric.name, metric.kind);
            last = metric.name;
        }
        let labels = metric
            .labels
            .iter()
            .map(|(name, value)| format!("{name}={value:?}"));
        let labels = labels.collect::<Vec<_>>().join(",");
        text += &format!("{}{{{labels}}} {}\n", metric.name, metric.value);
    });
    text
}

/// What a server reads of a page: values by series, and the type of each name.
#[derive(Default)]
struct Page<'a> {
    values: BTreeMap<&'a str, f64>,
    types: BTreeMap<&'a str, &'a str>,
    helps: BTreeSet<&'a str>,
}

/// Reads the text format by its rules: help and type once for each name and before its series,
/// series of one name together, no series twice.
fn parsed(text: &str) -> Page<'_> {
    let mut page = Page::default();
    let mut current = "";
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, _) = help.split_once(' ').expect("a name and a help");
            assert!(page.helps.insert(name), "two helps of {name}");
            current = name;
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a name and a type");
            assert!(matches!(kind, "counter" | "gauge"), "{line}");
            assert_eq!(name, current, "not below its help");
            assert_eq!(page.types.insert(name, kind), None, "two types of {name}");
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a series and a value");
            let (name, labels) = series.split_once('{').expect("labels");
            let labels = labels.strip_suffix('}').expect("labels that end");
            assert!(page.types.contains_key(name) && name == current, "{line}");
            for label in labels.split(',').filter(|label| !label.is_empty()) {
                let (_, quoted) = label.split_once('=').expect("name and value");
                assert!(quoted.len() > 2 && quoted.starts_with('"') && quoted.ends_with('"'));
            }
            let value = value.parse().expect("a number");
            assert_eq!(page.values.insert(series, value), None, "twice: {series}");
        }
    }
    page
}

#[test]
fn the_text_format_is_read_back() {
    let stats = busy().stats();
    let text = prometheus(&stats);
    let page = parsed(&text);
    let metrics = visited(&stats);
    assert_eq!(page.values.len(), metrics.len());
    assert_eq!(page.values["relay_registry_finds_total{}"], 8.0);
    let unmeasured = "relay_registry_refusals_total{reason=\"unmeasured\"}";
    assert_eq!(page.values[unmeasured], 3.0);
    assert_eq!(page.types["relay_registry_refusals_total"], "counter");
    assert_eq!(page.types["relay_registry_memory_bytes"], "gauge");
    assert_eq!(page.helps.len(), page.types.len());
}
