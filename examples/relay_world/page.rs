//! The page: one HTML file that shows what the run found, without scripts and without a network.
//!
//! Charts are drawn by plotters (why: `page/chart.rs`), the page around them by maud, which escapes all
//! text that is put into it, and brings no crate that is not there for other reasons but its macro.

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

    fn full_name(&self, node: usize) -> String {
        places::full_name(node, self.is_built_in())
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
            p.see { (see) }
            (chart)
            p.outcome { b { "In this run: " } (outcome) }
        }
    }
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
            }
            p { (report::describe_world(args, found.world)) }
            p {
                (chooser) " a relay for " (thousands(simulated.requests.made)) " sessions in "
                (simulated.measured_seconds / 60.0) " minutes, after a warm-up. They offer "
                (percent(args.load)) " of the capacity that is up. The simulated parts are the same for the \
                 same --seed; this is seed " (args.seed) "."
            }
            (promises(found))
        }
    }
}

/// Whether every hand-out was as promised, from both runs.
fn promises(found: &Found<'_>) -> Markup {
    let mut checks = found.simulated.checks;
    checks += found.full_speed.tally.checks;
    let kinds = [
        (checks.capacity_exceeded, "beyond a relay's capacity"),
        (checks.expired, "after the relay expired"),
        (checks.departed, "after it left"),
        (checks.target, "to reach the relay itself"),
    ];
    let broken: u64 = kinds.iter().map(|(count, _)| count).sum();
    html! {
        ul.tiles {
            li { b { (broken) } "broken promises in " (thousands(checks.handed_out)) " hand-outs, each checked" }
            @for (count, what) in kinds {
                li.small { b { (count) } (what) }
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
                                tr { td { (name) } td.number { (value) } td { (meaning) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
