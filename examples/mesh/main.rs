//! A DHT with relays that publish themselves, newcomers that find them, and an
//! attacker.
//!
//! A DHT of its own is started, as large as `--nodes` says. Relays, each with a
//! registry and a key, publish themselves through it. Newcomers, who know one
//! bootstrap address and nothing else, find them all. Then things go wrong:
//! records are forged, one relay withdraws and another says something new, what
//! they said before is replayed, and half of the DHT's nodes die.
//!
//! ```text
//! cargo run --release --example mesh --features conformance,mainline
//! cargo run --release --example mesh --features conformance -- --engine kad
//! cargo run --release --example mesh --features conformance -- --help
//! ```

mod args;
mod attack;
mod census;
mod error;
mod intervals;
mod net;
mod newcomer;
mod outcome;
#[path = "../common/output.rs"]
mod output;
mod phases;
mod progress;
#[path = "../common/progress_bar.rs"]
mod progress_bar;
mod relay;
mod report;
mod service;
mod siege;

use std::process::ExitCode;

use args::{Args, Command};
use error::Failure;
use progress::Progress;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => output::fail("mesh", &failure, failure.exit_code()),
    }
}

fn run() -> Result<(), Failure> {
    match args::parse(std::env::args_os()).map_err(Failure::Usage)? {
        Command::Help => print(args::HELP),
        Command::Run(args) => play(&args),
    }
}

/// Runs all phases, says what came of them, and fails if a promise was broken.
fn play(args: &Args) -> Result<(), Failure> {
    let progress = Progress::new();
    let outcome = phases::run(args, &progress);
    progress.finish();
    let outcome = outcome?;
    print(&if args.json {
        report::json(&outcome)
    } else {
        report::table(args, &outcome)
    })?;
    let broken = outcome.broken_promises();
    if broken.is_empty() {
        Ok(())
    } else {
        Err(Failure::Broken(broken))
    }
}

fn print(text: &str) -> Result<(), Failure> {
    output::print(text).map_err(Failure::Output)
}
