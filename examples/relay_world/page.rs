//! The page: one HTML file that shows what the run found, without scripts and without a network.
//!
//! The charts are drawn by plotters; `page/chart.rs` says why. The page around them is made by maud, which
//! checks the markup when it compiles, and escapes every text that is put into it.

mod chart;
mod decision;
mod file;
mod finds;
mod histogram;
mod load;
mod map;
mod outlines;
mod palette;
mod paths;
mod places;
mod rules;
mod scaling;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::args::Args;
use crate::conclusion::percent;
use crate::figures::Section;
use crate::report;
use crate::world::World;
use crate::{full_speed, simulation};
use chart::{Error, thousands};
pub use file::PageFile;
pub use rules::Beside;

const STYLE: &str = include_str!("page/style.css");

/// All that the page shows.
pub struct Found<'a> {
    pub args: &'a Args,
    pub world: &'a World,
    pub simulated: &'a simulation::Outcome,
    pub full_speed: &'a full_speed::Outcome,
    pub beside: &'a Beside,
    /// The figures of the report.
    pub sections: &'a [Section],
}

impl Found<'_> {
    fn is_built_in(&self) -> bool {
        self.args.rtt.is_none()
    }

    fn name(&self, node: usize) -> String {
        places::name(node, self.is_built_in())
    }
}

pub fn page(found: &Found<'_>) -> Result<String, Error> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "relay_world: what this run found" }
                style { (PreEscaped(palette::css())) (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (introduction(found))
                    (load::load(found)?)
                    (paths::paths(found)?)
                    (map::map(found)?)
                    (rules::rules(found)?)
                    (decision::decision(found))
                    (finds::finds(found)?)
                    (figures(found))
                }
            }
        }
    };
    Ok(page.into_string())
}

/// One part of the page: what to see, the chart, and what this run showed.
fn section(id: &str, title: &str, see: &str, chart: &Markup, outcome: &str) -> Markup {
    html! {
        section id=(id) {
            h2 { (title) }
            p.see { (prose(see)) }
            (chart)
            p.outcome { b { "In this run: " } (prose(outcome)) }
        }
    }
}

/// A length of time.
fn length(seconds: f64) -> String {
    let (value, unit) = if seconds < 120.0 {
        (seconds, "seconds")
    } else {
        (seconds / 60.0, "minutes")
    };
    format!("{} {unit}", (value * 10.0).round() / 10.0)
}

/// Text in which options and functions are set as code.
fn prose(text: &str) -> Markup {
    // A number and its sign stay on one line.
    let text = text.replace(" %", "\u{a0}%");
    html! {
        @for (at, word) in text.split(' ').enumerate() {
            @if at > 0 { " " }
            @if is_code(word) { code { (word) } } @else { (word) }
        }
    }
}

fn is_code(word: &str) -> bool {
    word.starts_with("--") || word.contains("::") || word.contains("find_relay")
}

fn introduction(found: &Found<'_>) -> Markup {
    let Found {
        args, simulated, ..
    } = found;
    let chooser = match args.rule {
        simulation::Rule::Registry => "The registry chose".to_owned(),
        other => format!("The rule {} chose", other.name()),
    };
    html! {
        header {
            h1 { "relay_world: what this run found" }
            p {
                "Two peers that cannot reach each other directly meet at a relay. A registry answers which relay, \
                 for this pair of peers, now: one with a short path that is not full. This run simulated a world \
                 in which relays come and go, and several nodes, each with a registry of its own, send sessions \
                 through them. Then it called one registry as fast as this machine can."
                @if let Some(cost) = rules::cost_of_no_views(found.beside) { " " (prose(&cost)) }
            }
            p {
                (report::describe_world(args, found.world))
                @if found.is_built_in() {
                    " A node is named after its city and its number there. The number is how it is connected, which \
                     adds to each round trip: " (places::sites()) "."
                }
            }
            p {
                (chooser) " a relay for " (thousands(simulated.requests.made)) " sessions in "
                (length(simulated.measured_seconds)) " of simulated time, after a warm-up of "
                (length(args.seconds as f64 * simulation::WARM_UP_SHARE)) ". Sessions begin so often that they \
                 would fill " (percent(args.load)) " of the capacity that is up. The simulated parts are the same \
                 for the same " code { "--seed" } "; this is seed " (args.seed) "."
            }
            (summary(found))
        }
    }
}

/// The main figures, and whether every hand-out was as promised, in both runs.
fn summary(found: &Found<'_>) -> Markup {
    let mut checks = found.simulated.checks;
    checks += found.full_speed.tally.checks;
    let kinds = [
        (checks.capacity_exceeded, "beyond its capacity"),
        (checks.expired, "after it expired"),
        (checks.departed, "after it left"),
        (checks.target, "to reach itself"),
    ];
    let broken: u64 = kinds.iter().map(|(count, _)| count).sum();
    let requests = &found.simulated.requests;
    let tiles = [
        (
            thousands(broken),
            format!(
                "broken promises in {} hand-outs, each checked",
                thousands(checks.handed_out)
            ),
        ),
        (
            rules::times(requests.stretch(0.5)),
            "times the shortest possible round trip, for half of the sessions at most".to_owned(),
        ),
        (
            percent(found.simulated.meter.saturated_share()),
            "of its time a relay was at 95 % of its capacity or more".to_owned(),
        ),
        (
            finds::time(found.full_speed.tally.find_ns.value_at_quantile(0.5)),
            "for half of the finds at most, at full speed on this machine".to_owned(),
        ),
    ];
    html! {
        div id="summary" {
            ul.tiles {
                @for (figure, meaning) in tiles { li { b { (figure) } (prose(&meaning)) } }
            }
            p.note {
                "A hand-out breaks a promise if a relay is handed out "
                @for (at, (count, what)) in kinds.into_iter().enumerate() {
                    @if at > 0 { ", " }
                    (what) " (" (count) ")"
                }
                "."
            }
        }
    }
}

/// The figures of the report, for those who want all of them.
fn figures(found: &Found<'_>) -> Markup {
    html! {
        section id="figures" {
            h2 { "All figures" }
            details {
                summary { "The table that the program printed, each figure with its meaning" }
                @for section in found.sections {
                    h3 { (section.title) }
                    div.scroll {
                        table.figures {
                            @for figure in &section.figures {
                                @let (name, value, meaning) = figure.cells();
                                tr { td.number { (value) } td { (name) } td { (meaning) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cities;
    use crate::matrix::{self, Matrix};
    use crate::progress::Progress;
    use crate::report::Report;

    /// The page of a short run.
    fn page_of(matrix: &Matrix, args: &Args) -> String {
        let world = World::new(matrix.clone(), args).unwrap();
        let progress = Progress::silent();
        let simulated = simulation::run(&world, args, &progress).unwrap();
        let full_speed = full_speed::run(&world, args, &progress).unwrap();
        let report = Report::new(args, &world, &simulated, &full_speed);
        let found = Found {
            args,
            world: &world,
            simulated: &simulated,
            full_speed: &full_speed,
            beside: &Beside::simulate(matrix, args).unwrap(),
            sections: report.sections(),
        };
        page(&found).unwrap()
    }

    #[test]
    fn lengths_of_time_are_short() {
        let shown = [0.8, 60.0, 360.0, 1000.0].map(length);
        assert_eq!(
            shown,
            ["0.8 seconds", "60 seconds", "6 minutes", "16.7 minutes"]
        );
    }

    #[test]
    fn the_page_has_every_part_and_asks_no_other_file() {
        let args = Args {
            seconds: 30,
            threads: 1,
            ..Args::default()
        };
        let page = page_of(&cities::matrix(), &args);
        for id in [
            "summary", "load", "paths", "map", "rules", "decision", "finds", "figures",
        ] {
            assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
        }
        // With a brace too few the rules behind it would not hold.
        let style = page.split("</style>").next().unwrap_or_default();
        assert_eq!(style.matches('{').count(), style.matches('}').count());
        for outside in [
            "http:", "https:", "src=", "href=", "url(", "<script", "@import",
        ] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn a_run_in_which_nearly_nothing_happened_has_a_page_and_names_are_escaped() {
        let args = Args {
            rtt: Some("<i>&\".txt".into()),
            seconds: 1,
            load: 0.001,
            threads: 1,
            ..Args::default()
        };
        let matrix = matrix::parse("0 5 7\n5 0 6\n7 6 0").unwrap();
        let page = page_of(&matrix, &args);
        assert!(
            page.contains("&lt;i&gt;&amp;") && !page.contains("<i>&"),
            "{page}"
        );
        assert!(!page.contains("NaN"), "{page}");
    }
}
