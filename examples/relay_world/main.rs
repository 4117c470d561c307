//! The registry in a simulated world of relays.
//!
//! The program makes two runs, then a report. The first is a discrete-event simulation on an injected
//! clock. Relays join, renew, lapse and leave. Several embedding nodes share them, each with a registry
//! of its own, and sessions hold leases. The second is one registry at full speed: threads call it
//! while another thread generates churn.
//!
//! With `--compare` there is only the simulation, for each rule that chooses relays and each of several
//! seeds. The report then has one line per rule.
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
                run_and_report(matrix, &args)?
            })
        }
    }
}

fn run_and_report(matrix: Matrix, args: &Args) -> Result<String, Failure> {
    let world = World::new(matrix, args)?;
    let progress = Progress::new(args.seconds);
    let simulated = simulation::run(&world, args, &progress)?;
    let full_speed = full_speed::run(&world, args, &progress)?;
    progress.finish();
    let report = Report::new(args, &world, &simulated, &full_speed);
    Ok(if args.json {
        report.json()
    } else {
        report.table()
    })
}

fn print(text: &str) -> Result<(), Failure> {
    output::print(text).map_err(Failure::Output)
}
