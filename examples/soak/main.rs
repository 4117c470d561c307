//! A soak: everything the registry can do, at once and for long, with every answer
//! checked against what is certain.
//!
//! Time is cut into rounds. In each, a registry of its own, with a maintenance
//! thread or without, is used by threads that own relays and make them come, renew,
//! be late, restart, lapse, leave, fail and come back, more of them than it has room for;
//! by an operator that drains and bans them, there or away; by threads that ask all that
//! can be asked and live for a moment; by one that is held up inside its calls; while
//! maintenance pauses now and then. Meanwhile the clock jumps, by a
//! moment or by hours, all relays of a site fail at once, or all there are, and all leave
//! behind a thread that is held up, and come back. Then the registry
//! is looked through at rest, until nothing is left of it, or dropped while other threads
//! give back leases, and every record must be freed. Over the rounds, memory must not grow.
//!
//! The ledger counts the leases on each relay, whatever registrations there were of it: there
//! are never more than its capacity.
//!
//! ```text
//! cargo run --release --example soak -- --minutes 30
//! cargo run --release --example soak -- --help
//! ```

mod args;
mod client;
mod clock;
mod events;
mod ledger;
mod memory;
mod operator;
#[path = "../common/output.rs"]
mod output;
mod owner;
#[path = "../common/progress_bar.rs"]
mod progress_bar;
mod relays;
mod report;
mod round;
mod tally;
mod transients;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use args::{Args, Command};
use progress_bar::progress_bar;
use report::Report;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

const SHORTEST_ROUND: Duration = Duration::from_secs(2);
/// Rounds that a long soak has.
const ROUNDS: u32 = 40;

fn main() -> ExitCode {
    match args::parse(std::env::args_os()) {
        Ok(Command::Help) => print(args::HELP, true),
        Ok(Command::Run(args)) => match soak(&args) {
            Ok(report) => {
                let text = if args.json {
                    report.json()
                } else {
                    report.table()
                };
                print(&text, report.is_faultless())
            }
            Err(what) => fail(&what, 1),
        },
        Err(what) => fail(&format!("{what} (try --help)"), 2),
    }
}

fn soak(args: &Args) -> Result<Report, String> {
    let bar = progress_bar(args.length.as_secs(), "soaking [{bar:40}] {percent:>3} %");
    let mut report = Report::default();
    let begun = Instant::now();
    let length = SHORTEST_ROUND.max(args.length / ROUNDS).min(args.length);
    for number in 0.. {
        let look = || bar.set_position(begun.elapsed().as_secs());
        report.add(round::run(number, args, length, look)?);
        if begun.elapsed() >= args.length {
            break;
        }
    }
    bar.finish_and_clear();
    report.finish(begun.elapsed());
    Ok(report)
}

fn print(text: &str, is_success: bool) -> ExitCode {
    match output::print(text) {
        Err(error) => fail(&format!("standard output: {error}"), 1),
        Ok(()) if is_success => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
    }
}

fn fail(why: &str, code: u8) -> ExitCode {
    output::fail("soak", why, code)
}
