//! One decision of a registry, explained by the registry itself.

use maud::{Markup, html};
use relay_registry::{Explained, Verdict};

use super::{Found, section};
use crate::simulation::{Decision, PAIRS, Rule};

/// How many relays have a line.
const LINES: usize = 8;

pub fn decision(found: &Found<'_>) -> Markup {
    let Some(decision) = &found.simulated.trace.decision else {
        return section(
            "decision",
            "One decision explained",
            "",
            &html! {},
            "there was none.",
        );
    };
    let home = found.name(found.world.homes[decision.home]);
    let target = found.name(decision.target);
    let asked = match found.args.rule {
        Rule::Registry => String::new(),
        other => format!(
            " In this run the rule {} chose; this is what the registry would have chosen.",
            other.name()
        ),
    };
    let see = format!(
        "At the end of the simulation the registry at {home} was asked for a relay to {target}. \
         Registry::explain lists every relay: the two halves of the path (round trips), the load, and the \
         score, which is the path times a penalty for the load. The lowest score is chosen; the others are worse. A half \
         is measured by this registry, published by the target, estimated from coordinates, or assumed. Of {} random pairs \
         this is the one in which the load made the greatest difference.{asked}",
        PAIRS,
    );
    section(
        "decision",
        "One decision explained",
        &see,
        &table(found, decision),
        &outcome(found, decision),
    )
}

fn table(found: &Found<'_>, decision: &Decision) -> Markup {
    let relays = decision.explanation.relays();
    let shown = shown(decision);
    let shown_count = shown.len();
    let hidden = relays.len() - shown_count;
    let unknown = found.world.relays.len() - relays.len();
    html! {
        div.scroll {
            table {
                thead { tr {
                    th { "verdict" }
                    th { "relay" }
                    th.number { "score" }
                    th.number { "load" }
                    th.number { "penalty" }
                    th.number { "requester to relay" }
                    th.number { "relay to target" }
                } }
                tbody {
                    @for relay in shown {
                        tr.chosen[relay.verdict.is_handed_out()] {
                            td { (relay.verdict) }
                            td.name { (name(found, relay)) }
                            td.number { (factor(relay.score_ms())) }
                            td.number { (relay.load) " of " (relay.capacity) }
                            td.number { "× " (factor(relay.penalty)) }
                            td.number { (leg(relay.requester_leg.as_secs_f64())) small { (relay.requester_leg_source) } }
                            td.number { (leg(relay.target_leg.as_secs_f64())) small { (relay.target_leg_source) } }
                        }
                    }
                }
            }
        }
        p.sideways { "The table may be wider than this screen: move it sideways." }
        @if hidden > 0 {
            p.note {
                "The table shows " (shown_count) " of the " (relays.len()) " relays that the registry knew. The verdicts on \
                 the others: " (verdicts(decision, &shown_ids(decision))) "."
            }
        }
        @if unknown > 0 {
            p.note {
                "The world has " (found.world.relays.len()) " relays. The registry did not know the other " (unknown)
                ": they had left or expired."
            }
        }
        @if relays.is_empty() {
            p.note { "The registry knew no relay." }
        }
    }
}

/// The best by score, and that with the shortest path if it is not among them.
fn shown(decision: &Decision) -> Vec<&Explained> {
    let explanation = &decision.explanation;
    let mut shown: Vec<&Explained> = explanation.relays().iter().take(LINES).collect();
    if let Some(shortest) = shortest(decision) {
        if !shown.iter().any(|it| it.relay == shortest.relay) {
            shown.push(shortest);
        }
    }
    shown
}

fn shown_ids(decision: &Decision) -> Vec<relay_registry::NodeId> {
    shown(decision).iter().map(|relay| relay.relay).collect()
}

/// The eligible relay with the shortest expected path: what would be chosen if there were no load.
fn shortest(decision: &Decision) -> Option<&Explained> {
    let relays = decision.explanation.relays().iter();
    let is_eligible =
        |relay: &&Explained| relay.verdict.is_handed_out() || relay.verdict == Verdict::Worse;
    relays.filter(is_eligible).min_by_key(|relay| relay.path())
}

/// How many of the other relays have each verdict.
fn verdicts(decision: &Decision, shown: &[relay_registry::NodeId]) -> String {
    let mut counts: Vec<(Verdict, usize)> = Vec::new();
    let relays = decision.explanation.relays().iter();
    for relay in relays.filter(|relay| !shown.contains(&relay.relay)) {
        match counts.last_mut() {
            Some((verdict, count)) if *verdict == relay.verdict => *count += 1,
            _ => counts.push((relay.verdict, 1)),
        }
    }
    let words = counts
        .iter()
        .map(|(verdict, count)| format!("{count} {verdict}"));
    words.collect::<Vec<_>>().join(", ")
}

fn outcome(found: &Found<'_>, decision: &Decision) -> String {
    let explanation = &decision.explanation;
    let Some(chosen) = explanation.chosen().next() else {
        return "no relay was eligible.".to_owned();
    };
    let of_chosen = format!(
        "{} was chosen: its path is {} ms, its score {}",
        name(found, chosen),
        ms(chosen.path().as_secs_f64()),
        factor(chosen.score_ms()),
    );
    match shortest(decision) {
        Some(shortest) if shortest.relay != chosen.relay => format!(
            "the shortest expected path, {} ms, was over {}. But {} of its {} units were taken, so its score was \
             {}. {of_chosen}.",
            ms(shortest.path().as_secs_f64()),
            name(found, shortest),
            shortest.load,
            shortest.capacity,
            factor(shortest.score_ms()),
        ),
        _ => {
            format!("{of_chosen}. It also had the shortest expected path: no load was in the way.")
        }
    }
}

fn name(found: &Found<'_>, relay: &Explained) -> String {
    match found.world.relay_of(&relay.relay) {
        Some(relay) => found.name(found.world.relays[relay].node),
        None => relay.relay.to_string(),
    }
}

fn leg(seconds: f64) -> String {
    format!("{} ms ", ms(seconds))
}

fn ms(seconds: f64) -> String {
    format!("{:.0}", seconds * 1e3)
}

fn factor(value: f64) -> String {
    match value {
        _ if value.is_infinite() => "∞".to_owned(),
        _ if value < 10.0 => format!("{value:.2}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_short() {
        let shown = [1.0, 3.456, 123.4, f64::INFINITY].map(factor);
        assert_eq!(shown, ["1.00", "3.46", "123", "∞"]);
        assert_eq!(
            (leg(0.0124), ms(0.0126)),
            ("12 ms ".to_owned(), "13".to_owned())
        );
    }
}
