//! The command line: what can be set, within which bounds, and the help text.

#[path = "../common/options.rs"]
mod options;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::thread;
use std::time::Duration;

use lexopt::{Arg, Parser};

use options::whole;

pub const HELP: &str = "\
soak: all operations of the registry at once and for long, with every answer
checked against what is certain

Usage: cargo run --release --example soak -- [OPTIONS]

Options:
  --minutes M    duration: 1 to 10000 [default: 1]
  --seconds S    duration in seconds: 1 to 600000
  --threads T    owners and clients, beside a few other threads: 2 to 256
                 [default: twice the number of processors]
  --relays N     number of relays; the registry has room for five in eight:
                 16 to 100000 [default: 200]
  --seed K       seed for random choices; it does not fix how threads interleave
                 [default: 1]
  --json         print one JSON object instead of a table
  -h, --help     print this help

Exits with 1 if an answer was wrong or memory was not freed, and says which.
";

const SECONDS: RangeInclusive<u64> = 1..=600_000;
const MINUTES: RangeInclusive<u64> = 1..=10_000;
const THREADS: RangeInclusive<u32> = 2..=256;
const RELAYS: RangeInclusive<u32> = 16..=100_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Args {
    pub length: Duration,
    pub threads: u32,
    pub relays: u32,
    pub seed: u64,
    pub json: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    Help,
    Run(Args),
}

impl Default for Args {
    fn default() -> Self {
        let parallel = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            length: Duration::from_secs(60),
            threads: (2 * parallel as u32).clamp(*THREADS.start(), *THREADS.end()),
            relays: 200,
            seed: 1,
            json: false,
        }
    }
}

/// Reads a command line, the program's name first.
pub fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut args = Args::default();
    let mut parser = Parser::from_iter(line);
    while let Some(option) = parser.next().map_err(|error| error.to_string())? {
        match option {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Long("json") => args.json = true,
            Arg::Long("minutes") => {
                let minutes: u64 = whole("minutes", &mut parser, MINUTES)?;
                args.length = Duration::from_secs(60 * minutes);
            }
            Arg::Long("seconds") => {
                args.length = Duration::from_secs(whole("seconds", &mut parser, SECONDS)?);
            }
            Arg::Long("threads") => args.threads = whole("threads", &mut parser, THREADS)?,
            Arg::Long("relays") => args.relays = whole("relays", &mut parser, RELAYS)?,
            Arg::Long("seed") => args.seed = whole("seed", &mut parser, 0..=u64::MAX)?,
            other => return Err(other.unexpected().to_string()),
        }
    }
    Ok(Command::Run(args))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &[&str]) -> Result<Command, String> {
        let states = std::iter::once("soak").chain(line.iter().copied());
        parse(states.map(OsString::from))
    }

    #[test]
    fn every_option_is_read() {
        let states = "--minutes 30 --threads 3 --relays 64 --seed 42 --json";
        let states: Vec<&str> = states.split_whitespace().collect();
        let expected = Args {
            length: Duration::from_secs(1800),
            threads: 3,
            relays: 64,
            seed: 42,
            json: true,
        };
        assert_eq!(read(&states), Ok(Command::Run(expected)));
    }

    #[test]
    fn invalid_options_are_refused_by_name() {
        for (line, part) in [
            (&["--minutes", "0"][..], "--minutes \"0\" is not a whole"),
            (&["--seconds", "x"], "--seconds \"x\" is not a whole number"),
            (&["--threads", "1"], "from 2 to 256"),
            (&["--relays"], "--relays needs a value"),
            (&["--frob"], "'--frob'"),
        ] {
            let refused = read(line).expect_err(part);
            assert!(refused.contains(part), "{refused}");
        }
    }
}
