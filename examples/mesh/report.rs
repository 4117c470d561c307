//! The report: a table, or one JSON object.

use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use serde_json::{Map, Value, json};

use crate::args::{Args, Engine};
use crate::outcome::{Outcome, Spread};

const WIDTH: u16 = 100;

/// One figure: its name in the JSON object, its value, and its meaning.
type Figure = (&'static str, Value, &'static str);

pub fn json(outcome: &Outcome) -> String {
    let object: Map<String, Value> = figures(outcome)
        .into_iter()
        .map(|(name, value, _)| (name.to_owned(), value))
        .collect();
    Value::Object(object).to_string()
}

pub fn table(args: &Args, outcome: &Outcome) -> String {
    let intro = format!(
        "{}, {} relays and {} joining nodes that want {} of them; it took {:.1} seconds.\n\
         Each relay publishes again after {} seconds at the latest.",
        dht(args),
        args.relays,
        args.joining,
        args.wanted,
        outcome.seconds,
        outcome.refresh.as_secs(),
    );
    let figures = figures(outcome).into_iter();
    let lines = figures.map(|(name, value, meaning)| {
        let value = match value {
            Value::Null => "never".to_owned(),
            value => value.to_string(),
        };
        [name.to_owned(), value, meaning.to_owned()]
    });
    let refusals = outcome
        .refused
        .iter()
        .map(|(reason, count)| [String::new(), count.to_string(), reason.to_string()]);
    format!(
        "{intro}\n\n{}\n\nWhat joining nodes refused, and why\n{}",
        aligned(lines),
        aligned(refusals)
    )
}

fn dht(args: &Args) -> String {
    match args.engine {
        Engine::Redis => "A Redis server".to_owned(),
        engine => format!("A DHT of {} nodes ({})", args.nodes, engine.name()),
    }
}

fn aligned(lines: impl Iterator<Item = [String; 3]>) -> String {
    let mut table = Table::new();
    table
        .load_preset(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH);
    for line in lines {
        table.add_row(line);
    }
    if let Some(values) = table.column_mut(1) {
        values.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

fn figures(outcome: &Outcome) -> Vec<Figure> {
    [
        of_discovery(outcome),
        of_faults(outcome),
        of_attack(outcome),
    ]
    .concat()
}

fn of_discovery(outcome: &Outcome) -> Vec<Figure> {
    let median = |spread: Option<Spread>| spread.map(|spread| spread.median);
    let most = |spread: Option<Spread>| spread.map(|spread| spread.most);
    vec![
        whole(
            "registries",
            outcome.registries as u64,
            "relays, each with a registry of its own",
        ),
        whole(
            "published",
            outcome.published as u64,
            "of these, published themselves through the DHT",
        ),
        millis(
            "published_ms",
            Some(outcome.published_in),
            "until all were, the start of the DHT included",
        ),
        whole(
            "wanted",
            outcome.wanted as u64,
            "relays that each joining node wants",
        ),
        share(
            "discovered_share",
            outcome.discovered_share,
            "of these, found by each joining node (must be 1)",
        ),
        millis(
            "first_relay_ms",
            outcome.first_relay,
            "until the slowest joining node was handed a relay",
        ),
        millis(
            "all_relays_ms",
            outcome.all_relays,
            "until the slowest joining node had found all that it wants",
        ),
        millis(
            "all_relays_median_ms",
            outcome.all_relays_median,
            "until the median joining node had",
        ),
        maybe(
            "requests_shards",
            median(outcome.requests_shards),
            "requests for shards of the directory that it had made then (median)",
        ),
        maybe(
            "requests_shards_most",
            most(outcome.requests_shards),
            "the same, of the joining node that made most",
        ),
        maybe(
            "requests_records",
            median(outcome.requests_records),
            "requests for records of single relays (median)",
        ),
        maybe(
            "requests_records_most",
            most(outcome.requests_records),
            "the same, of the joining node that made most",
        ),
        maybe(
            "bytes",
            median(outcome.bytes),
            "bytes of records and ids that it had read (median), without framing",
        ),
        maybe(
            "bytes_most",
            most(outcome.bytes),
            "the same, of the joining node that read most",
        ),
    ]
}

fn of_faults(outcome: &Outcome) -> Vec<Figure> {
    vec![
        millis(
            "withdrawn_ms",
            outcome.withdrawn_in,
            "until no joining node handed out the relay that withdrew",
        ),
        whole(
            "withdrawn_seen",
            outcome.withdrawn_seen,
            "times it was handed out later than one refresh (must be 0)",
        ),
        whole(
            "killed",
            outcome.killed as u64,
            "nodes of the DHT that stopped (redis: the server, which lost everything)",
        ),
        share(
            "after_kill_share",
            outcome.after_kill_share,
            "of those wanted, found by each node that joined later (must be 1)",
        ),
        millis(
            "after_kill_ms",
            outcome.after_kill,
            "until the slowest of them had found all that it wants",
        ),
    ]
}

fn of_attack(outcome: &Outcome) -> Vec<Figure> {
    let refused: u64 = outcome.refused.iter().map(|(_, count)| count).sum();
    vec![
        whole(
            "forged_offered",
            outcome.forged_offered,
            "forged records offered: to the DHT, by its nodes, and directly",
        ),
        whole(
            "forged_accepted",
            outcome.forged_accepted,
            "forged records that a joining node accepted (must be 0)",
        ),
        whole(
            "replayed_offered",
            outcome.replayed_offered,
            "old records offered, after newer ones and a withdrawal",
        ),
        whole(
            "replayed_accepted",
            outcome.replayed_accepted,
            "of these, accepted (must be 0)",
        ),
        whole(
            "attacks_stored",
            outcome.stored,
            "of all these, stored by the DHT",
        ),
        whole(
            "attacks_not_stored",
            outcome.not_stored,
            "of all these, refused by the DHT already",
        ),
        whole(
            "attacks_refused",
            refused,
            "records that joining nodes refused",
        ),
    ]
}

fn whole(name: &'static str, value: u64, meaning: &'static str) -> Figure {
    (name, json!(value), meaning)
}

fn maybe(name: &'static str, value: Option<u64>, meaning: &'static str) -> Figure {
    (name, json!(value), meaning)
}

fn share(name: &'static str, value: f64, meaning: &'static str) -> Figure {
    (name, json!((value * 1e4).round() / 1e4), meaning)
}

/// Whole milliseconds, or null for what never happened.
fn millis(name: &'static str, value: Option<Duration>, meaning: &'static str) -> Figure {
    let value = value.map(|value| u64::try_from(value.as_millis()).unwrap_or(u64::MAX));
    (name, json!(value), meaning)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{self, Command};

    #[test]
    fn the_object_has_every_promised_figure() {
        let object: Value = serde_json::from_str(&json(&Outcome::default())).expect("an object");
        for name in [
            "registries",
            "published",
            "wanted",
            "requests_shards",
            "requests_records",
            "bytes",
            "discovered_share",
            "first_relay_ms",
            "all_relays_ms",
            "after_kill_share",
            "withdrawn_seen",
            "forged_offered",
            "forged_accepted",
            "replayed_accepted",
        ] {
            assert!(object.get(name).is_some(), "{name}");
        }
        assert_eq!(object["all_relays_ms"], Value::Null);
    }

    #[test]
    fn a_missing_time_is_shown_as_never() {
        let Ok(Command::Run(args)) = args::parse(["mesh".into()]) else {
            panic!("there are defaults");
        };
        let table = table(&args, &Outcome::default());
        assert!(table.contains("never"), "{table}");
    }
}
