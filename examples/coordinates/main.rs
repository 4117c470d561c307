//! How well network coordinates estimate round trips, and how good relays are that are chosen by them, with
//! and without lying nodes.
//!
//! There are two worlds on one matrix of round trips. In the first, every node probes every other, as usual
//! in studies of Vivaldi. In the second, a tenth of the nodes are relays. Their coordinates are learned
//! from the measurements of the others, and the leg from relay to target is estimated from them.
//!
//! ```text
//! cargo run --release --example coordinates
//! cargo run --release --example coordinates -- --help
//! ```

mod all_to_all;
mod args;
mod bipartite;
#[path = "../common/cities.rs"]
mod cities;
#[allow(dead_code, reason = "shared with another example")]
#[path = "../common/error.rs"]
mod error;
#[allow(dead_code, reason = "what the other example needs beyond this one")]
#[path = "../common/figures.rs"]
mod figures;
mod liars;
#[path = "../common/matrix.rs"]
mod matrix;
#[path = "../common/output.rs"]
mod output;
mod report;
mod round_trip;
mod rule;

use std::process::ExitCode;

use args::{Args, Command};
use error::Failure;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => output::fail("coordinates", &failure, failure.exit_code()),
    }
}

fn run() -> Result<(), Failure> {
    match args::parse(std::env::args_os()).map_err(Failure::Usage)? {
        Command::Help => print(args::HELP),
        Command::Run(args) => print(&study(&args)?),
    }
}

/// Runs both worlds, and reports.
fn study(args: &Args) -> Result<String, Failure> {
    let matrix = match &args.rtt {
        Some(path) => matrix::load(path)?,
        None => cities::matrix(),
    };
    if matrix.nodes() < bipartite::LEAST_NODES {
        let least = bipartite::LEAST_NODES;
        return Err(Failure::Usage(format!("--rtt needs {least} nodes or more")));
    }
    let full_mesh = all_to_all::run(&matrix, args.liars, args.rounds, args.seed);
    let relayed = bipartite::run(&matrix, &args.into());
    let sections = report::sections(args, &matrix, &full_mesh, &relayed);
    Ok(if args.json {
        figures::object(&sections)
    } else {
        let tables = sections.iter().map(figures::Section::table);
        tables.collect::<Vec<_>>().join("\n\n")
    })
}

fn print(text: &str) -> Result<(), Failure> {
    output::print(text).map_err(Failure::Output)
}
