//! The page names all metrics and alerts, and neither it nor the alert rules name any other.
//! Each alert leads to a section.

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

/// What follows a key, for each rule.
fn values_of(key: &str) -> Vec<&'static str> {
    let value = |line: &'static str| line.trim_start().strip_prefix(key);
    ALERTS.lines().filter_map(value).collect()
}

#[test]
fn the_checklist_names_every_alert_and_no_other() {
    let (_, checklist) = PAGE.split_once("# Checklist").expect("it is a section");
    let alerts = checklist.lines().filter_map(|row| row.split('|').nth(2));
    let in_checklist: BTreeSet<_> = alerts
        .flat_map(|cell| cell.trim().split(", "))
        .filter_map(|name| name.strip_prefix('`')?.strip_suffix('`'))
        .collect();
    let rules = values_of("- alert: RelayRegistry");
    assert_eq!(in_checklist, rules.into_iter().collect());
}

#[test]
fn every_alert_leads_to_a_section() {
    let titles = PAGE.lines().filter_map(|line| line.strip_prefix("# "));
    let sections: BTreeSet<_> = titles
        .map(|title| title.to_lowercase().replace(' ', "-"))
        .collect();
    let runbooks = values_of("runbook: operating.md#");
    assert_eq!(runbooks.len(), values_of("- alert: ").len());
    for runbook in runbooks {
        assert!(sections.contains(runbook), "{runbook}");
    }
}
