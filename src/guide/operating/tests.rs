//! The page names all metrics, and neither it nor the alert rules name any other.

use crate::Registry;
use crate::dht::{DhtOptions, Memory};
use std::collections::BTreeSet;

const PAGE: &str = include_str!("../operating.md");
const ALERTS: &str = include_str!("../alerts.yml");

fn metrics() -> BTreeSet<&'static str> {
    let registry = Registry::builder()
        .dht(Memory::new(), DhtOptions::new())
        .build()
        .expect("the options are valid");
    let mut names = BTreeSet::new();
    registry.stats().visit(&mut |metric| {
        names.insert(metric.name);
    });
    names
}

/// The names of metrics in a text. (What follows `relay_registry::` is a target of tracing.)
fn names_in(text: &str) -> BTreeSet<&str> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = text.split(|letter| !is_part(letter));
    words
        .filter(|word| word.starts_with("relay_registry_"))
        .collect()
}

#[test]
fn the_page_names_every_metric_and_no_other() {
    assert_eq!(names_in(PAGE), metrics());
}

#[test]
fn the_alert_rules_name_metrics_that_there_are() {
    let names = names_in(ALERTS);
    assert!(names.len() > 10 && names.is_subset(&metrics()), "{names:?}");
}
