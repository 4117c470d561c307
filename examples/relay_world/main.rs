//! A world of relays, and the registry at work in it.
//!
//! Two runs, then a report. First a discrete-event simulation on an injected
//! clock: relays join, renew, lapse and leave, several embedding nodes share
//! them, each through a registry of its own, and sessions hold leases. Then one
//! registry at full speed, asked by real threads while another thread churns it.
//!
//! Or, with `--compare`, the simulation alone, once for each rule by which a
//! relay can be chosen and for each of several seeds, and a line per rule.
//!
//! ```text
//! cargo run --release --example relay_world
//! cargo run --release --example relay_world -- --compare --load 0.85
//! cargo run --release --example relay_world -- --help
//! ```

mod args;
mod checks;
#[path = "../common/cities.rs"]
mod cities;
mod comparison;
#[path = "../common/error.rs"]
mod error;
#[path = "../common/figures.rs"]
mod figures;
mod full_speed;
#[path = "../common/matrix.rs"]
mod matrix;
mod measures;
#[path = "../common/output.rs"]
mod output;
mod progress;
#[path = "../common/progress_bar.rs"]
mod progress_bar;
mod report;
mod simulation;
mod world;

use std::process::ExitCode;

use args::{Args, Command};
use error::Failure;
use matrix::Matrix;
use progress::Progress;
use report::Report;
use world::World;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => output::fail("relay_world", &failure, failure.exit_code()),
    }
}

fn run() -> Result<(), Failure> {
    match args::parse(std::env::args_os()).map_err(Failure::Usage)? {
        Command::Help => print(args::HELP),
        Command::Run(args) => {
            let matrix = match &args.rtt {
                Some(path) => matrix::load(path)?,
                None => cities::matrix(),
            };
            print(&if args.compare {
                comparison::run(&matrix, &args)?
            } else {
                play(matrix, &args)?
            })
        }
    }
}

/// Builds the world, runs both runs in it and says what came of it.
fn play(matrix: Matrix, args: &Args) -> Result<String, Failure> {
    let world = World::new(matrix, args)?;
    let progress = Progress::new(args.seconds);
    let simulated = simulation::run(&world, args, &progress)?;
    let raced = full_speed::run(&world, args, &progress)?;
    progress.finish();
    let report = Report::new(args, &world, &simulated, &raced);
    Ok(if args.json {
        report.json()
    } else {
        report.table()
    })
}

fn print(text: &str) -> Result<(), Failure> {
    output::print(text).map_err(Failure::Output)
}
