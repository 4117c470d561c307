//! A soak test: all operations at once and for long, with every answer checked against what is certain.
//!
//! Each round has a registry of its own, with or without a maintenance thread. These threads use it:
//!
//! - Owners make their relays register, renew, be late, restart, lapse, leave, fail and return. There are
//!   more relays than the registry has room for.
//! - An operator drains and bans relays, and sets their tiers and costs, whether they are held or not.
//! - Clients call every query, with filters, for other peers and for several units, hold leases, and end after
//!   150 ms. Others replace them. They tell more views of peers than the registry remembers.
//! - One owner stalls inside its calls.
//!
//! Meanwhile maintenance pauses now and then, and the clock jumps by milliseconds or hours. All relays of
//! a site fail at once, or all relays. All relays leave while a thread is stalled inside a call, and
//! return.
//!
//! At the end of a round, the registry is either checked at rest until it is empty, or dropped while
//! other threads release leases. Then every record must be freed. Memory must not grow over the rounds.
//!
//! The ledger counts the leases on each relay over all its registrations. There are never more than its
//! capacity.
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
/// How many rounds a long soak has.
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
        let on_sample = || bar.set_position(begun.elapsed().as_secs());
        report.add(round::run(number, args, length, on_sample)?);
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
