//! The rules beside each other, in short simulations.

use maud::Markup;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::chart::{self, Error, SMALL, TEXT, WIDTH, text, write};
use super::palette::{INK, OTHER, REGISTRY, SOFT};
use super::{Found, section};
use crate::args::Args;
use crate::comparison;
use crate::conclusion::{conclusion, percent};
use crate::error::Failure;
use crate::matrix::Matrix;
use crate::measures::{self, Measured};
use crate::simulation::{Rule, Views, WARM_UP_SHARE};

/// How long each rule is simulated at most, so that the page costs little time.
const MOST_SECONDS: u64 = 200;
const ROW: i32 = 32;
const TOP: i32 = 56;
const LEFT: i32 = 222;

/// The settings of a simulation, and what was measured.
type Line = (Args, Measured);

pub struct Beside {
    /// A line for each rule, in order.
    rules: Vec<Line>,
    /// The registry with what targets could publish, if they publish nothing in the run.
    published: Option<Line>,
    seconds: u64,
}

/// One figure of all rules, as bars.
struct Panel {
    title: &'static str,
    unit: &'static str,
    measure: &'static str,
    shown: fn(f64) -> String,
}

const PANELS: [Panel; 3] = [
    Panel {
        title: "Paths",
        unit: "× the shortest, 90 % at most",
        measure: "stretch_p90",
        shown: times,
    },
    Panel {
        title: "Relays almost full",
        unit: "of the time, 95 % or more",
        measure: "saturated_share",
        shown: percent,
    },
    Panel {
        title: "Attempts",
        unit: "relays asked by a session",
        measure: "tries_mean",
        shown: times,
    },
];

impl Beside {
    /// Simulates every rule with the settings of the run, but not as long.
    pub fn simulate(matrix: &Matrix, args: &Args) -> Result<Self, Failure> {
        let seconds = args.seconds.min(MOST_SECONDS);
        let of_rule = |rule| Args {
            rule,
            seconds,
            ..args.clone()
        };
        let publishing = (args.views == Views::None).then(|| Args {
            views: Views::Published,
            ..of_rule(Rule::Registry)
        });
        // What takes longest begins first.
        let is_published = publishing.is_some();
        let rules = Rule::ALL.into_iter().map(of_rule);
        let plans: Vec<Args> = publishing.into_iter().chain(rules).collect();
        let measured = comparison::beside_each_other(matrix, &plans)?;
        let mut lines = plans.into_iter().zip(measured);
        Ok(Self {
            published: if is_published { lines.next() } else { None },
            rules: lines.collect(),
            seconds,
        })
    }

    fn of_rules(&self) -> Vec<(Rule, Measured)> {
        let lines = self.rules.iter();
        lines
            .map(|(args, measured)| (args.rule, *measured))
            .collect()
    }

    /// The registry's lines first, then the others.
    fn lines(&self) -> Vec<&Line> {
        let (own, others): (Vec<_>, Vec<_>) = self
            .rules
            .iter()
            .partition(|(args, _)| args.rule == Rule::Registry);
        own.into_iter()
            .chain(&self.published)
            .chain(others)
            .collect()
    }
}

pub fn rules(found: &Found<'_>) -> Result<Markup, Error> {
    let beside = found.beside;
    let see = format!(
        "Other rules chose in the same world, for the same sessions. Each was simulated for {} seconds with \
         one seed, of which the first {} are not measured: enough to see the great differences, not the \
         small ones. --compare simulates longer, and several seeds. What to see: shorter bars are better, \
         and a good rule has no long one.",
        beside.seconds,
        beside.seconds as f64 * WARM_UP_SHARE,
    );
    let mut outcome = conclusion(&beside.of_rules());
    if let Some((_, published)) = &beside.published {
        let path = measures::value(published, "stretch_p90");
        let more = format!(
            " If targets publish the round trips that they measured, the registry's paths are at most {} \
             times the shortest for nine of ten sessions.",
            times(path)
        );
        outcome.push_str(&more);
    }
    Ok(section(
        "rules",
        "The rules beside each other",
        &see,
        &draw(beside)?,
        &outcome,
    ))
}

fn draw(beside: &Beside) -> Result<Markup, Error> {
    let lines = beside.lines();
    let height = TOP + ROW * lines.len() as i32 + 12;
    let label = "Bars for each rule: paths, saturated relays, and relays tried";
    chart::chart(label, (WIDTH, height as u32), |canvas, hints| {
        let width = (WIDTH as i32 - LEFT) / PANELS.len() as i32;
        for (place, (args, _)) in lines.iter().enumerate() {
            let y = TOP + ROW * place as i32 + ROW / 2;
            write(
                canvas,
                line_name(args),
                (LEFT - 12, y),
                text(TEXT, INK, HPos::Right),
            )?;
        }
        for (panel, left) in PANELS.iter().zip((LEFT..).step_by(width as usize)) {
            let value = |measured: &Measured| measures::value(measured, panel.measure);
            let values = lines.iter().map(|(_, measured)| value(measured));
            let most = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
            write(canvas, panel.title, (left, 14), text(TEXT, INK, HPos::Left))?;
            write(
                canvas,
                panel.unit,
                (left, 36),
                text(SMALL, SOFT, HPos::Left),
            )?;
            for (place, (args, measured)) in lines.iter().enumerate() {
                let value = value(measured);
                let top = TOP + ROW * place as i32;
                // Room for the figure beside the longest bar.
                let length = bar(value, most, width - 96);
                let colour = if args.rule == Rule::Registry {
                    REGISTRY
                } else {
                    OTHER
                };
                let corners = [(left, top + 5), (left + length, top + ROW - 5)];
                canvas.draw(&Rectangle::new(corners, colour.filled()))?;
                let at = (left + length + 6, top + ROW / 2);
                write(
                    canvas,
                    &(panel.shown)(value),
                    at,
                    text(SMALL, INK, HPos::Left),
                )?;
                let hint = format!(
                    "{}: {} {}",
                    line_name(args),
                    (panel.shown)(value),
                    panel.unit
                );
                hints.add((left, top), (left + width, top + ROW), hint);
            }
            let bottom = height - 12;
            canvas.draw(&PathElement::new([(left, TOP), (left, bottom)], SOFT))?;
        }
        Ok(())
    })
}

/// From 0 to the longest bar.
fn bar(value: f64, most: f64, longest: i32) -> i32 {
    let share = value / most;
    let length = (share * f64::from(longest)).round();
    if share.is_finite() { length as i32 } else { 0 }
}

fn line_name(args: &Args) -> &'static str {
    match args.rule {
        Rule::Registry if args.views == Views::None => "registry",
        Rule::Registry if args.views == Views::Coordinates => "registry, coordinates",
        Rule::Registry => "registry, targets publish",
        Rule::Random => "random",
        Rule::Nearest => "nearest to the requester",
        Rule::PowerOfTwo => "p2c: emptier of two",
        Rule::Oracle => "oracle: knows everything",
    }
}

pub fn times(value: f64) -> String {
    if value.is_nan() {
        "none".to_owned()
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cities;

    #[test]
    fn bars_begin_at_zero_and_are_in_proportion() {
        assert_eq!(
            [0.0, 1.0, 4.0].map(|value| bar(value, 4.0, 100)),
            [0, 25, 100]
        );
        assert_eq!(bar(0.0, 0.0, 100), 0);
        assert_eq!(bar(f64::NAN, 4.0, 100), 0);
    }

    #[test]
    fn every_rule_has_a_line_of_the_same_length() {
        let args = Args {
            seconds: 60,
            ..Args::default()
        };
        let beside = Beside::simulate(&cities::matrix(), &args).unwrap();
        assert_eq!(beside.seconds, 60);
        let rules: Vec<Rule> = beside.of_rules().iter().map(|line| line.0).collect();
        assert_eq!(rules, Rule::ALL);

        let names: Vec<_> = beside
            .lines()
            .iter()
            .map(|line| line_name(&line.0))
            .collect();
        assert_eq!(names.len(), Rule::ALL.len() + 1);
        assert_eq!(names[..2], ["registry", "registry, targets publish"]);
    }
}
