//! The command line: what can be set, within which bounds, and the help text.

#[path = "../common/options.rs"]
mod options;

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser};

use crate::bipartite::Setting;
use options::{number, value, whole};

pub const HELP: &str = "\
coordinates: how well round trips are estimated, and relays chosen by estimates

Usage: cargo run --release --example coordinates -- [OPTIONS]

Options:
  --rtt FILE     measured round-trip times: a square matrix in ms, one row per
                 line, whitespace between values, -1 = missing
                 [default: a built-in world of 60 cities, 6 sites each]
  --liars F      share of the peers that lie: 0 to 0.9 [default: 0]
  --probes N     how many relays, drawn at random, each peer measures
                 [default: 16]
  --rounds N     how many round trips each peer measures: 1 to 100000
                 [default: 500]
  --seed K       the same seed gives the same figures [default: 1]
  --json         print one JSON object instead of tables
  -h, --help     print this help
";

/// How many pairs of peers ask for a relay.
const REQUESTS: usize = 40_000;

#[derive(Debug, Clone, PartialEq)]
pub struct Args {
    pub rtt: Option<PathBuf>,
    pub liars: f64,
    pub probes: usize,
    pub rounds: usize,
    pub seed: u64,
    pub json: bool,
}

#[derive(Debug, PartialEq)]
pub enum Command {
    Help,
    Run(Args),
}

impl Default for Args {
    fn default() -> Self {
        Self {
            rtt: None,
            liars: 0.0,
            probes: 16,
            rounds: 500,
            seed: 1,
            json: false,
        }
    }
}

impl From<&Args> for Setting {
    fn from(args: &Args) -> Self {
        Self {
            liars: args.liars,
            probes: args.probes,
            rounds: args.rounds,
            requests: REQUESTS,
            seed: args.seed,
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
            Arg::Long("rtt") => args.rtt = Some(value("rtt", &mut parser)?.into()),
            Arg::Long("liars") => args.liars = number("liars", &mut parser, 0.0..=0.9)?,
            Arg::Long("probes") => args.probes = whole("probes", &mut parser, 1..=5_000)?,
            Arg::Long("rounds") => args.rounds = whole("rounds", &mut parser, 1..=100_000)?,
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
        let words = std::iter::once("coordinates").chain(line.iter().copied());
        parse(words.map(OsString::from))
    }

    #[test]
    fn every_option_is_read() {
        let line = "--rtt m.txt --liars 0.3 --probes 7 --rounds 20 --seed 42 --json";
        let words: Vec<&str> = line.split_whitespace().collect();
        let expected = Args {
            rtt: Some("m.txt".into()),
            liars: 0.3,
            probes: 7,
            rounds: 20,
            seed: 42,
            json: true,
        };
        assert_eq!(read(&words), Ok(Command::Run(expected)));
        assert_eq!(read(&[]), Ok(Command::Run(Args::default())));
        assert_eq!(read(&["--json", "-h"]), Ok(Command::Help));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (line, part) in [
            (
                &["--liars", "1"][..],
                "--liars \"1\" is not a number from 0 to 0.9",
            ),
            (&["--liars", "NaN"], "--liars \"NaN\" is not"),
            (&["--probes", "0"], "--probes \"0\" is not"),
            (&["--rounds", "0"], "--rounds \"0\" is not"),
            (&["--seed"], "--seed needs a value"),
            (&["--frob"], "'--frob'"),
            (&["stray"], "\"stray\""),
        ] {
            let refused = read(line).expect_err(part);
            assert!(refused.contains(part), "{refused}");
        }
    }
}
