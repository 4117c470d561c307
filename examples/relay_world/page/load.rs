//! How full each relay was over time: a line of cells for each relay.

use maud::{Markup, html};
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::chart::{self, Error, SMALL, TEXT, WIDTH, text, write};
use super::palette::{INK, LOAD, SOFT};
use super::{Found, section};
use crate::conclusion::percent;
use crate::simulation::{Rule, Sample, WARM_UP_SHARE};

/// How many relays are shown at most.
const MOST_ROWS: usize = 60;
const ROW: i32 = 15;
const LEFT: i32 = 220;
const TOP: i32 = 30;
const BOTTOM: i32 = 58;
const RIGHT: i32 = 20;
/// Where one step of the colours ends and the next begins; what is at the last or more is saturated.
const STEPS: [f32; 5] = [0.2, 0.4, 0.6, 0.8, 0.95];
const STEP_NAMES: [&str; 6] = [
    "below 20 % full",
    "20 to 40 %",
    "40 to 60 %",
    "60 to 80 %",
    "80 to 95 %",
    "95 % or more",
];

/// One relay over time.
struct Row {
    relay: usize,
    utilisation: Vec<Option<f32>>,
    /// While it was up, after the warm-up.
    mean: f64,
}

/// Cells of one colour side by side: from one sample to before another.
type Run = (usize, usize, usize);

pub fn load(found: &Found<'_>) -> Result<Markup, Error> {
    let samples = &found.simulated.trace.samples;
    let all = rows(samples, found.args.seconds as f64 * WARM_UP_SHARE);
    let shown = thin_out(&all);
    let chart = html! {
        (draw(found, &shown)?)
        p.key {
            @for (step, name) in STEP_NAMES.iter().enumerate() {
                span { i style={ "background:var(--load-" (step) ")" } {} (name) }
            }
            span { i.empty {} "not up" }
        }
        @if shown.len() < all.len() {
            p.note { "Shown are " (shown.len()) " of " (all.len()) " relays, evenly from the fullest to the emptiest." }
        }
    };
    let see = format!(
        "A line for each relay, the fullest on average at the top. Time runs to the right. A gap means that the \
         relay was not up. What to see: little red, because a red relay is about to refuse sessions.{}",
        match found.args.rule {
            Rule::Registry =>
                " The fullest are near the nodes that use them: the registry fills near relays first, and turns \
                 to others before they are full.",
            _ => "",
        }
    );
    Ok(section(
        "load",
        "How full each relay was",
        &see,
        &chart,
        &outcome(found, &all),
    ))
}

/// All relays, the fullest first.
fn rows(samples: &[Sample], warm_up: f64) -> Vec<Row> {
    let relays = samples.first().map_or(0, |sample| sample.utilisation.len());
    let row = |relay| {
        let measured = samples.iter().filter(|sample| sample.seconds >= warm_up);
        let up: Vec<f32> = measured.filter_map(|it| it.utilisation[relay]).collect();
        let sum: f64 = up.iter().copied().map(f64::from).sum();
        Row {
            relay,
            utilisation: samples.iter().map(|it| it.utilisation[relay]).collect(),
            mean: sum / up.len().max(1) as f64,
        }
    };
    let mut rows: Vec<Row> = (0..relays).map(row).collect();
    rows.sort_by(|one, other| other.mean.total_cmp(&one.mean));
    rows
}

/// As many rows as are shown, evenly from all.
fn thin_out(rows: &[Row]) -> Vec<&Row> {
    let shown = rows.len().min(MOST_ROWS);
    let place = |at| at * (rows.len() - 1) / (shown - 1).max(1);
    (0..shown).map(|at| &rows[place(at)]).collect()
}

fn draw(found: &Found<'_>, rows: &[&Row]) -> Result<Markup, Error> {
    let height = TOP + ROW * rows.len() as i32 + BOTTOM;
    let label = "Load of each relay over time, as a share of its capacity";
    chart::chart(label, (WIDTH, height as u32), |canvas, hints| {
        let seconds = found.args.seconds as f64;
        let (right, bottom) = (WIDTH as i32 - RIGHT, height - BOTTOM);
        let x = |at: f64| LEFT + (at / seconds * f64::from(right - LEFT)).round() as i32;
        let samples = &found.simulated.trace.samples;
        let times: Vec<f64> = samples.iter().map(|sample| sample.seconds).collect();
        for (place, row) in rows.iter().enumerate() {
            let top = TOP + ROW * place as i32;
            let name = found.name(found.world.relays[row.relay].node);
            let words = format!("{name} ({})", found.world.relays[row.relay].capacity);
            let style = text(SMALL, INK, HPos::Right);
            write(canvas, &words, (LEFT - 8, top + ROW / 2), style)?;
            for (from, to, step) in runs(&row.utilisation) {
                let end = times.get(to).copied().unwrap_or(seconds);
                let corners = [(x(times[from]), top), (x(end), top + ROW - 2)];
                canvas.draw(&Rectangle::new(corners, LOAD[step].filled()))?;
            }
            hints.add((0, top), (right, top + ROW), hint(found, row));
        }
        let warm = x(seconds * WARM_UP_SHARE);
        let line = PathElement::new([(warm, TOP - 14), (warm, bottom)], INK.stroke_width(1));
        canvas.draw(&line)?;
        let style = text(SMALL, INK, HPos::Left);
        write(canvas, "measured from here on", (warm + 6, TOP - 12), style)?;
        let style = text(SMALL, SOFT, HPos::Right);
        write(
            canvas,
            "relay (room for sessions)",
            (LEFT - 8, TOP - 12),
            style,
        )?;
        let (every, unit, name) = ticks(seconds);
        for tick in 0..=(seconds / every) as u32 {
            let at = x(f64::from(tick) * every);
            canvas.draw(&PathElement::new([(at, bottom), (at, bottom + 5)], SOFT))?;
            let words = ((f64::from(tick) * every / unit * 10.0).round() / 10.0).to_string();
            write(
                canvas,
                &words,
                (at, bottom + 15),
                text(SMALL, SOFT, HPos::Center),
            )?;
        }
        let words = format!("{name} since the simulation began");
        let middle = ((LEFT + right) / 2, bottom + 40);
        write(canvas, &words, middle, text(TEXT, INK, HPos::Center))
    })
}

/// Neighbouring samples of one step are one run.
fn runs(utilisation: &[Option<f32>]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (at, utilisation) in utilisation.iter().enumerate() {
        let Some(step) = utilisation.map(step) else {
            continue;
        };
        match runs.last_mut() {
            Some((_, to, last)) if *to == at && *last == step => *to = at + 1,
            _ => runs.push((at, at + 1, step)),
        }
    }
    runs
}

fn step(utilisation: f32) -> usize {
    STEPS.iter().filter(|&&from| utilisation >= from).count()
}

/// Seconds from one tick to the next, seconds in the unit of the axis, and its name: at most 12 ticks.
fn ticks(seconds: f64) -> (f64, f64, &'static str) {
    let (unit, name) = match seconds {
        0.0..=120.0 => (1.0, "seconds"),
        0.0..=14_400.0 => (60.0, "minutes"),
        _ => (3600.0, "hours"),
    };
    let steps = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0];
    let is_wide = |step: &f64| seconds / (step * unit) <= 12.0;
    let step = steps.into_iter().find(is_wide).unwrap_or(100.0);
    (step * unit, unit, name)
}

fn hint(found: &Found<'_>, row: &Row) -> String {
    let relay = &found.world.relays[row.relay];
    format!(
        "{}, capacity {}: {} full on average, after the warm-up",
        found.name(relay.node),
        relay.capacity,
        percent(row.mean),
    )
}

fn outcome(found: &Found<'_>, rows: &[Row]) -> String {
    let meter = &found.simulated.meter;
    let (Some(fullest), Some(emptiest)) = (rows.first(), rows.last()) else {
        return "there was no relay.".to_owned();
    };
    let name = |row: &Row| found.name(found.world.relays[row.relay].node);
    format!(
        "the relays were {} full on average. A relay was at 95 % of its capacity or more for {} of the time that \
         it was up. The fullest, {}, was {} full on average, the emptiest, {}, {}.",
        percent(meter.utilisation()),
        percent(meter.saturated_share()),
        name(fullest),
        percent(fullest.mean),
        name(emptiest),
        percent(emptiest.mean),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_colour_are_one_run_and_gaps_part_them() {
        let row = [
            None,
            Some(0.1),
            Some(0.19),
            Some(0.2),
            None,
            Some(0.25),
            Some(1.0),
        ];
        assert_eq!(runs(&row), [(1, 3, 0), (3, 4, 1), (5, 6, 1), (6, 7, 5)]);
        assert_eq!(STEP_NAMES.len(), LOAD.len());
        assert_eq!([0.0, 0.949, 0.95].map(step), [0, 4, 5]);
    }

    #[test]
    fn the_axis_has_a_few_ticks_in_a_fitting_unit() {
        assert_eq!(ticks(1800.0), (300.0, 60.0, "minutes"));
        assert_eq!(ticks(1.0), (0.1, 1.0, "seconds"));
        assert_eq!(ticks(86_400.0), (7200.0, 3600.0, "hours"));
    }

    #[test]
    fn rows_are_ordered_by_their_mean_while_up_and_thinned_out_evenly() {
        let sample = |seconds, utilisation: [Option<f32>; 2]| Sample {
            seconds,
            utilisation: utilisation.to_vec(),
        };
        let samples = [
            sample(0.0, [Some(1.0), None]),
            sample(10.0, [Some(0.2), Some(0.8)]),
            sample(20.0, [Some(0.4), None]),
        ];
        let rows = rows(&samples, 10.0);
        assert_eq!((rows[0].relay, rows[1].relay), (1, 0));
        assert!((rows[1].mean - 0.3).abs() < 1e-6);
        assert_eq!(thin_out(&rows).len(), 2);
        assert!(thin_out(&[]).is_empty());
    }
}
