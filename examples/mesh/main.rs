//! A DHT, relays that publish themselves through it, nodes that join and find the relays, and an
//! attacker.
//!
//! The program starts a DHT of its own with `--nodes` nodes, or a Redis server. Relays, each with a
//! registry and a key, publish themselves through it. Joining nodes know one bootstrap address and find
//! as many relays as they want. Then faults are injected: the attacker forges records, one relay
//! withdraws, another publishes a new record, the attacker replays the old records of both, and half of
//! the DHT's nodes stop.
//!
//! ```text
//! cargo run --release --example mesh --features conformance,mainline
//! cargo run --release --example mesh --features conformance -- --engine kad
//! cargo run --release --example mesh --features conformance,redis -- --engine redis --relays 10000
//! cargo run --release --example mesh --features conformance -- --help
//! ```

mod args;
mod attack;
mod error;
mod fleet;
mod ground_truth;
mod intervals;
mod joining_node;
mod net;
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
        Command::Run(args) => run_and_report(&args),
    }
}

/// Fails if a promise was broken.
fn run_and_report(args: &Args) -> Result<(), Failure> {
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
