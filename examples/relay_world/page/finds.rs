//! How long a find took at full speed.

use hdrhistogram::Histogram as Recorded;
use maud::{Markup, html};

use super::chart::{Error, thousands};
use super::histogram::{Bar, Histogram};
use super::{Found, section};
use crate::conclusion::percent;

/// How many bins there are from one power of ten to the next.
const PER_DECADE: i32 = 20;
/// What is beyond is named in words.
const SHOWN: f64 = 0.9995;
/// Where ticks are, from one power of ten to the next.
const TICKS: [u64; 3] = [1, 2, 5];

pub fn finds(found: &Found<'_>) -> Result<Markup, Error> {
    let full_speed = found.full_speed;
    let times = &full_speed.tally.find_ns;
    let chart = if times.is_empty() {
        html! { p { "No find was timed." } }
    } else {
        html! { (histogram(times).draw()?) (percentiles(times)) }
    };
    let see = format!(
        "{} threads call one registry's find_relay as fast as they can for {:.1} seconds, while another thread \
         makes relays join, renew and leave. On the scale of times each doubling is equally wide. What to see: \
         one narrow hill, and little at the right.",
        full_speed.threads, full_speed.steady_seconds,
    );
    Ok(section(
        "finds",
        "How long a find took at full speed, on this machine",
        &see,
        &chart,
        &outcome(found),
    ))
}

fn histogram(times: &Recorded<u64>) -> Histogram<'static> {
    let bin = |ns: u64| ((ns.max(1) as f64).log10() * f64::from(PER_DECADE)).floor() as i32;
    let powers = (0..10).map(|power| 10_u64.pow(power));
    let ticks = powers.flat_map(|power| TICKS.map(|it| it * power));
    // So that the first bar is between two ticks.
    let least = ticks.clone().filter(|&tick| tick <= times.min()).max();
    let first = bin(least.unwrap_or(1));
    let last = bin(times.value_at_quantile(SHOWN));
    let bars = (first..=last).map(|bin| {
        let (from, to) = (edge(bin), edge(bin + 1));
        // A bin below 10 ns may have no whole number.
        let count = if from < to {
            times.count_between(from, to - 1)
        } else {
            0
        };
        let share = count as f64 / times.len() as f64;
        Bar {
            from: f64::from(bin),
            to: f64::from(bin + 1),
            share,
            hint: format!(
                "{} to {}: {} of the finds",
                time(from),
                time(to),
                percent(share)
            ),
        }
    });
    let place = |ns: u64| (ns as f64).log10() * f64::from(PER_DECADE);
    let is_shown = |ns: &u64| (f64::from(first)..=f64::from(last + 1)).contains(&place(*ns));
    let mark = |share, what: &str| {
        let ns = times.value_at_quantile(share);
        (place(ns.max(1)), format!("{what}: {} or less", time(ns)))
    };
    Histogram {
        label: "Histogram of the times of finds",
        x_title: "time of one find",
        y_title: "share of timed finds",
        ticks: ticks
            .filter(is_shown)
            .map(|ns| (place(ns), time(ns)))
            .collect(),
        bars: bars.collect(),
        marks: vec![
            mark(0.99, "99 of 100 finds"),
            mark(0.5, "half of the finds"),
        ],
    }
}

/// The lower edge of a bin, in ns.
fn edge(bin: i32) -> u64 {
    10_f64.powf(f64::from(bin) / f64::from(PER_DECADE)).ceil() as u64
}

fn percentiles(times: &Recorded<u64>) -> Markup {
    let shares = [0.5, 0.9, 0.99, 0.999, 0.9999];
    html! {
        table.narrow {
            thead { tr { th { "share of finds" } th.number { "took at most" } } }
            tbody {
                @for share in shares {
                    tr { td { (share * 100.0) " %" } td.number { (time(times.value_at_quantile(share))) } }
                }
                tr { td { "all" } td.number { (time(times.max())) } }
            }
        }
    }
}

/// A time, in the unit that makes it short.
pub fn time(ns: u64) -> String {
    let (value, unit) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (ns as f64 / 1e3, "µs"),
        _ => (ns as f64 / 1e6, "ms"),
    };
    if value < 10.0 && value.fract() >= 0.05 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

fn outcome(found: &Found<'_>) -> String {
    let full_speed = found.full_speed;
    let tally = &full_speed.tally;
    let per_second = tally.steady.finds as f64 / full_speed.steady_seconds;
    format!(
        "{} finds each second by all threads together. Half of the timed ones took at most {}, one of a \
         thousand more than {}. Reading the clock is {} of each. The longest are mostly threads that the \
         operating system interrupted, and differ from run to run. {} relays were handed out in this part, \
         each checked.",
        thousands(per_second as u64),
        time(tally.find_ns.value_at_quantile(0.5)),
        time(tally.find_ns.value_at_quantile(0.999)),
        time(full_speed.clock_ns),
        thousands(tally.checks.handed_out),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let shown = [0, 999, 1_000, 1_142, 20_000, 1_040_000, 12_000_000].map(time);
        assert_eq!(
            shown,
            ["0 ns", "999 ns", "1 µs", "1.1 µs", "20 µs", "1 ms", "12 ms"]
        );
    }

    #[test]
    fn every_time_is_in_one_bar() {
        let mut times = Recorded::new_with_bounds(1, 1_000_000, 3).unwrap();
        for ns in 150..=2_000 {
            times.record(ns).unwrap();
        }
        let histogram = histogram(&times);
        assert_eq!(histogram.ticks[0].1, "100 ns");
        let bars = histogram.bars;
        let sum: f64 = bars.iter().map(|bar| bar.share).sum();
        assert!((sum - 1.0).abs() < 0.001, "{sum}");
        assert!(bars.windows(2).all(|two| two[0].to == two[1].from));
    }
}
