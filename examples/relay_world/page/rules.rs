//! The rules beside each other, in short simulations.

use maud::{Markup, html};
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::chart::{self, Error, SMALL, TEXT, WIDTH, text, write};
use super::palette::{INK, OTHER, REGISTRY, SOFT};
use super::{Found, prose, section};
use crate::args::Args;
use crate::comparison;
use crate::conclusion::{conclusion, percent};
use crate::error::Failure;
use crate::matrix::Matrix;
use crate::measures::{self, Measured};
use crate::simulation::{Meter, Rule, Views, WARM_UP_SHARE};

/// How long each rule is simulated at most, so that the page costs little time.
const MOST_SECONDS: u64 = 200;
const ROW: i32 = 32;
const TOP: i32 = 56;
const LEFT: i32 = 186;

/// The least share of the time for which relays that are almost full are worth a word.
const WORTH_A_WORD: f64 = 0.002;

/// A simulation: its settings, and what was measured.
struct Line {
    args: Args,
    measured: Measured,
    /// For each relay.
    meters: Vec<Meter>,
}

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
        let lines = plans.into_iter().zip(measured);
        let mut lines = lines.map(|(args, (measured, meters))| Line {
            args,
            measured,
            meters,
        });
        Ok(Self {
            published: if is_published { lines.next() } else { None },
            rules: lines.collect(),
            seconds,
        })
    }

    fn of_rules(&self) -> Vec<(Rule, Measured)> {
        let lines = self.rules.iter();
        lines.map(|line| (line.args.rule, line.measured)).collect()
    }

    /// The registry's lines first, then the others.
    fn lines(&self) -> Vec<&Line> {
        let (own, others): (Vec<_>, Vec<_>) = self
            .rules
            .iter()
            .partition(|line| line.args.rule == Rule::Registry);
        own.into_iter()
            .chain(&self.published)
            .chain(others)
            .collect()
    }

    fn line(&self, rule: Rule) -> Option<&Line> {
        self.rules.iter().find(|line| line.args.rule == rule)
    }
}

impl Line {
    fn value(&self, name: &str) -> f64 {
        measures::value(&self.measured, name)
    }

    /// The relay that was almost full for most of the time, and its share of this time of all relays.
    fn fullest(&self) -> Option<(usize, f64)> {
        let relays = self.meters.iter().map(Meter::saturated).enumerate();
        let (relay, most) = relays.max_by_key(|&(_, time)| time)?;
        (most > 0).then(|| (relay, self.share_of(|it| it == relay)))
    }

    /// How much of the time that relays were almost full is that of the relays meant.
    fn share_of(&self, is_meant: impl Fn(usize) -> bool) -> f64 {
        let all: u64 = self.meters.iter().map(Meter::saturated).sum();
        let meant = self.meters.iter().enumerate();
        let meant = meant.filter(|&(relay, _)| is_meant(relay));
        let time: u64 = meant.map(|(_, meter)| meter.saturated()).sum();
        time as f64 / all.max(1) as f64
    }
}

/// What it costs that targets publish nothing, if they do not.
pub fn cost_of_no_views(beside: &Beside) -> Option<String> {
    let with = beside.published.as_ref()?.value("stretch_p90");
    let without = beside.line(Rule::Registry)?.value("stretch_p90");
    let is_known = with.is_finite() && without.is_finite();
    is_known.then(|| {
        format!(
            "In this run targets publish nothing: --views none. So a registry knows only the half of each path \
             from itself to the relay. That makes paths longer: in the comparison of rules below, nine of ten \
             sessions take at most {} times the shortest path, but {} times if each target publishes the round \
             trips that it measured. A run with --views published shows that world.",
            times(without),
            times(with),
        )
    })
}

pub fn rules(found: &Found<'_>) -> Result<Markup, Error> {
    let beside = found.beside;
    let see = format!(
        "Other rules chose in the same world, for the same sessions. Each was simulated for {} seconds with \
         one seed, of which the first {} are not measured: enough to see the great differences, not the \
         small ones.{} --compare simulates longer, and several seeds. What to see: shorter bars are better, \
         and a good rule has no long one.",
        beside.seconds,
        beside.seconds as f64 * WARM_UP_SHARE,
        if beside.seconds < found.args.seconds {
            format!(
                " The parts above show the run of {} seconds, so their figures for the same rule differ from these.",
                found.args.seconds
            )
        } else {
            String::new()
        },
    );
    let mut outcome = conclusion(&beside.of_rules());
    if let Some(published) = &beside.published {
        let path = published.value("stretch_p90");
        let more = format!(
            " If targets publish the round trips that they measured, the registry's paths are at most {} \
             times the shortest for nine of ten sessions.",
            times(path)
        );
        outcome.push_str(&more);
    }
    let chart = html! {
        p.see {
            b { "random" } " takes any relay with room. "
            b { "nearest" } " takes the relay with room that is nearest to the requester. "
            b { "p2c" } " (power of two choices) takes the emptier of two random relays. "
            b { "oracle" } " scores as the registry does, but knows every true round trip and load. No real program \
             can, so it shows the limit."
        }
        (draw(beside)?)
        @if let Some(why) = almost_full(found) {
            p { b { "Which relays are almost full where targets publish, and why: " } (prose(&why)) }
        }
    };
    Ok(section(
        "rules",
        "The rules beside each other",
        &see,
        &chart,
        &outcome,
    ))
}

/// Which relays are almost full where targets publish, and why.
fn almost_full(found: &Found<'_>) -> Option<String> {
    let beside = found.beside;
    let registry = beside.line(Rule::Registry)?;
    let own = match &beside.published {
        Some(published) => published,
        None if registry.args.views == Views::Published => registry,
        None => return None,
    };
    let share = own.value("saturated_share");
    let (fullest, of_fullest) = own.fullest().filter(|_| share >= WORTH_A_WORD)?;
    let relays = &found.world.relays;
    let room = relays[fullest].capacity;
    let oracle = beside.line(Rule::Oracle)?;
    let of_oracle = oracle.value("saturated_share");
    let oracle_at_fullest = oracle.share_of(|relay| relay == fullest);
    let verdict = if of_oracle * oracle_at_fullest * 2.0 >= share * of_fullest {
        "So many pairs have their shortest paths through it, and most of this is the price of short paths, not a \
         fault of the registry."
    } else {
        "So most of it comes from what the registry does not know."
    };
    Some(format!(
        "they are so for {} of the time. {} of this time falls on relays with room for {room} sessions, which {} \
         sessions fill to 95 %, and {} on {} alone. The oracle, which knows the true paths and loads, fills relays \
         for {} of the time, and {} of this falls on the same relay. {verdict} Sessions seldom notice: each asked \
         {} relays on average. In so short a run one relay weighs much.",
        percent(share),
        percent(own.share_of(|relay| relays[relay].capacity == room)),
        (u64::from(room) * 95).div_ceil(100),
        percent(of_fullest),
        found.name(relays[fullest].node),
        percent(of_oracle),
        percent(oracle_at_fullest),
        times(own.value("tries_mean")),
    ))
}

fn draw(beside: &Beside) -> Result<Markup, Error> {
    let lines = beside.lines();
    let height = TOP + ROW * lines.len() as i32 + 12;
    let label = "Bars for each rule: paths, saturated relays, and relays tried";
    chart::chart(label, (WIDTH, height as u32), |canvas, hints| {
        let width = (WIDTH as i32 - LEFT) / PANELS.len() as i32;
        for (place, line) in lines.iter().enumerate() {
            let y = TOP + ROW * place as i32 + ROW / 2;
            write(
                canvas,
                line_name(&line.args),
                (LEFT - 12, y),
                text(TEXT, INK, HPos::Right),
            )?;
        }
        for (panel, left) in PANELS.iter().zip((LEFT..).step_by(width as usize)) {
            let values = lines.iter().map(|line| line.value(panel.measure));
            let most = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
            write(canvas, panel.title, (left, 14), text(TEXT, INK, HPos::Left))?;
            write(
                canvas,
                panel.unit,
                (left, 36),
                text(SMALL, SOFT, HPos::Left),
            )?;
            for (place, line) in lines.iter().enumerate() {
                let value = line.value(panel.measure);
                let top = TOP + ROW * place as i32;
                // Room for the figure beside the longest bar.
                let length = bar(value, most, width - 96);
                let colour = if line.args.rule == Rule::Registry {
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
                    line_name(&line.args),
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
        other => other.name(),
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
            .map(|line| line_name(&line.args))
            .collect();
        assert_eq!(names.len(), Rule::ALL.len() + 1);
        assert_eq!(names[..2], ["registry", "registry, targets publish"]);
        let cost = cost_of_no_views(&beside).unwrap();
        assert!(cost.contains("publish nothing"), "{cost}");

        let nearest = beside.line(Rule::Nearest).unwrap();
        let (fullest, share) = nearest.fullest().unwrap();
        assert_eq!(nearest.share_of(|relay| relay == fullest), share);
        assert_eq!(nearest.share_of(|_| true), 1.0);
    }
}
