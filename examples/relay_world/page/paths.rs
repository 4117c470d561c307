//! How long the paths were, beside the shortest possible ones.

use maud::{Markup, html};

use super::chart::{Error, thousands};
use super::histogram::{Bar, Histogram};
use super::{Found, section};
use crate::conclusion::percent;
use crate::simulation::{Requests, Rule, Views};

const BIN: f64 = 0.25;
const BINS: usize = 16;
/// A path this much longer than the shortest, or less, counts as the shortest.
const SHORTEST: f32 = 1.001;

pub fn paths(found: &Found<'_>) -> Result<Markup, Error> {
    let requests = &found.simulated.requests;
    let chart = if requests.stretches.is_empty() {
        html! { p { "No session had a path of which both halves were measured." } }
    } else {
        histogram(requests).draw()?
    };
    Ok(section(
        "paths",
        "How long the paths were",
        "Each session's round trip through its relay is divided by the shortest round trip through any relay \
         that was up, however full. 1 is the best possible, 2 is twice as long. What to see: a high bar at \
         the left, and little at the right.",
        &chart,
        &outcome(found),
    ))
}

fn histogram(requests: &Requests) -> Histogram<'static> {
    let shares = shares(&requests.stretches);
    let bars = shares.iter().enumerate().map(|(at, &share)| {
        let from = 1.0 + at as f64 * BIN;
        let range = if at == BINS {
            format!("{from} times the shortest path, or more")
        } else {
            format!("{from} to {} times the shortest path", from + BIN)
        };
        Bar {
            from,
            to: from + BIN,
            share,
            hint: format!("{range}: {} of the sessions", percent(share)),
        }
    });
    let last = 1.0 + BINS as f64 * BIN;
    let whole = (1..=BINS / 4).map(|at| (at as f64, at.to_string()));
    let beyond = (last + BIN / 2.0, format!("{last}+"));
    let mark = |share, what: &str| {
        let stretch = requests.stretch(share);
        (stretch, format!("{what}: {stretch:.2} or less"))
    };
    Histogram {
        label: "Histogram: path of each session divided by the shortest possible one",
        x_title: "round trip, in multiples of the shortest possible one",
        y_title: "share of sessions",
        ticks: whole.chain([beyond]).collect(),
        bars: bars.collect(),
        marks: vec![
            mark(0.9, "nine of ten sessions"),
            mark(0.5, "half of the sessions"),
        ],
    }
}

/// The share of the values in each bin; the last has all that are beyond.
fn shares(stretches: &[f32]) -> Vec<f64> {
    let mut counts = [0_u64; BINS + 1];
    for stretch in stretches {
        let bin = (f64::from(*stretch) - 1.0) / BIN;
        counts[(bin.max(0.0) as usize).min(BINS)] += 1;
    }
    let share = |&count: &u64| count as f64 / stretches.len() as f64;
    counts.iter().map(share).collect()
}

fn outcome(found: &Found<'_>) -> String {
    let requests = &found.simulated.requests;
    let stretches = &requests.stretches;
    if stretches.is_empty() {
        return "nothing can be said about the paths.".to_owned();
    }
    let shortest = stretches.iter().filter(|&&it| it <= SHORTEST).count();
    let share = shortest as f64 / stretches.len() as f64;
    let began = requests.made - requests.refused;
    let unknown = began.saturating_sub(stretches.len() as u64);
    let mut words = format!(
        "{} of {} sessions took the shortest path itself. Half took at most {:.2} times as long, nine of ten \
         at most {:.2} times.",
        percent(share),
        thousands(stretches.len() as u64),
        requests.stretch(0.5),
        requests.stretch(0.9),
    );
    if unknown > 0 {
        let more = format!(
            " {} more sessions are left out, because a half of their path was not measured.",
            thousands(unknown)
        );
        words.push_str(&more);
    }
    words.push_str(known(found));
    words
}

/// What limits the paths that can be found.
fn known(found: &Found<'_>) -> &'static str {
    match (found.args.rule, found.args.views) {
        (Rule::Registry, Views::None) => {
            " The targets published nothing here, so a registry knew only the half of each path from itself \
             to the relay. With --views published it knows more, and paths are shorter."
        }
        (Rule::Registry, Views::Coordinates) => {
            " The half from the relay to the target was estimated from network coordinates. With --views \
             published some of it is measured."
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_is_in_one_bin() {
        let shares = shares(&[1.0, 1.24, 1.25, 4.99, 5.0, 80.0, 0.9, 2.0]);
        assert_eq!(shares.len(), BINS + 1);
        assert_eq!((shares[0], shares[1]), (3.0 / 8.0, 1.0 / 8.0));
        assert_eq!((shares[BINS - 1], shares[BINS]), (1.0 / 8.0, 2.0 / 8.0));
        assert_eq!(shares.iter().sum::<f64>(), 1.0);
    }
}
