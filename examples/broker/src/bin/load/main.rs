//! A world of relays and peers that load a broker, on this machine only.
//!
//! Each peer has a token, a view and a session of its own. What the broker answers is checked: no relay has more
//! sessions than its capacity, none is given while it drains, every question is answered, and at the end every place is
//! given back. The order of reading: [`run`] is the story, [`world`] what there is, [`relays`] and [`peers`] what they
//! do, [`ledger`] what is checked, [`report`] what is printed.

mod args;
mod broker_process;
mod ledger;
mod open_files;
mod peers;
mod process;
mod relays;
mod report;
mod run;
mod session;
mod weather;
mod world;

// The same world of cities as that of the example relay_world.
#[path = "../../../../common/cities.rs"]
mod cities;
#[allow(
    dead_code,
    reason = "of these files, only the matrix of the cities is used"
)]
#[path = "../../../../common/error.rs"]
mod error;
#[allow(
    dead_code,
    reason = "of these files, only the matrix of the cities is used"
)]
#[path = "../../../../common/matrix.rs"]
mod matrix;

use args::Command;
use std::process::ExitCode;

pub type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let command = match args::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("load: {error} (try --help)");
            return ExitCode::from(2);
        }
    };
    let outcome = match command {
        Command::Help => {
            print!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Command::Serve => broker_process::serve().map(|()| true),
        Command::Run(args) => run::run(args),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}
