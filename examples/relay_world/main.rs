//! The registry in a simulated world of relays.
//!
//! The program makes two runs, then a report. The first is a discrete-event simulation on an injected
//! clock. Relays join, renew, lapse and leave. Several embedding nodes share them, each with a registry
//! of its own, and sessions hold leases. The second is one registry at full speed: threads call it
//! while another thread generates churn.
//!
//! What was found is also written as a page with charts, one HTML file that needs no network.
//!
//! With `--compare` there is only the simulation, for each rule that chooses relays and each of several
//! seeds. The report then has one line per rule, and says what follows from them.
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
mod conclusion;
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
mod page;
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
use page::{Beside, Found, PageFile};
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
    let page = PageFile::open(args)?;
    let world = World::new(matrix.clone(), args)?;
    let progress = Progress::new(args.seconds);
    let simulated = simulation::run(&world, args, &progress)?;
    let full_speed = full_speed::run(&world, args, &progress)?;
    progress.finish();
    let report = Report::new(args, &world, &simulated, &full_speed);
    let written = match page {
        Some(file) => {
            let beside = Beside::simulate(&matrix, args)?;
            let page = page::page(&Found {
                args,
                world: &world,
                simulated: &simulated,
                full_speed: &full_speed,
                beside: &beside,
                sections: report.sections(),
            });
            let page = page.map_err(|error| file.fail(error))?;
            Some(file.write(&page)?)
        }
        None => None,
    };
    Ok(match written {
        _ if args.json => report.json(),
        Some(path) => format!(
            "{}\n\nThe same as a page, with charts: {}",
            report.table(),
            path.display()
        ),
        None => report.table(),
    })
}

fn print(text: &str) -> Result<(), Failure> {
    output::print(text).map_err(Failure::Output)
}
