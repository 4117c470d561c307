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
mod cities;
mod comparison;
mod error;
mod figures;
mod full_speed;
mod matrix;
mod measures;
mod progress;
mod report;
mod simulation;
mod world;

use std::io::{self, Write};
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
        // Whoever reads our output may stop early (`| head`): not a failure.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            // With standard error gone too there is nobody left to tell.
            let _ = writeln!(io::stderr(), "relay_world: {failure}");
            ExitCode::from(failure.exit_code())
        }
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
    let mut out = io::stdout().lock();
    writeln!(out, "{}", text.trim_end())
        .and_then(|()| out.flush())
        .map_err(Failure::Output)
}
