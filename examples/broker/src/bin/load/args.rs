//! The command line.

#[allow(dead_code, reason = "not every program takes each kind of value")]
#[path = "../../../../common/options.rs"]
mod options;

use lexopt::{Arg, Parser};
use options::{value, whole};
use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

pub const HELP: &str = "\
load: a world of relays and peers that load a broker, on this machine only

Usage: cargo run --release --bin load -- [OPTIONS]

Options:
  --peers N        peers, each with a session of its own: 2 to 100000 [default: 10000; with --watch 300]
  --relays N       relays: 3 to 2000 [default: 60]
  --seconds S      how long sessions end and begin at a steady rate: 1 to 3600 [default: 20]
  --rate N         sessions that begin in each of these seconds: 1 to 100000
                   [default: a twentieth of the peers]
  --watch          print the address of the broker's page, and go on until ctrl-c
  --config FILE    load the broker that runs by this configuration, on loopback
                   [default: start one, in a process of its own]
  --pid PID        its process, to measure its memory and its time
  --seed N         seed of the world [default: 1]
  -h, --help       print this help

Each peer needs an open file here and one in the broker. Exits with 1 if the broker broke a promise, and says which.
";

const PEERS: RangeInclusive<u32> = 2..=100_000;
const RELAYS: RangeInclusive<u32> = 3..=2_000;
const SECONDS: RangeInclusive<u64> = 1..=3_600;
const RATE: RangeInclusive<u32> = 1..=100_000;

#[derive(Clone, Debug)]
pub struct Args {
    pub peers: u32,
    pub relays: u32,
    pub length: Duration,
    /// Sessions that begin in a second.
    pub rate: u32,
    pub watch: bool,
    pub config: Option<PathBuf>,
    pub pid: Option<u32>,
    pub seed: u64,
}

pub enum Command {
    Help,
    Run(Args),
    /// Be the broker that is loaded: for the process that this program starts.
    Serve,
}

/// Reads a command line, the program's name first.
pub fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut parser = Parser::from_iter(line);
    let (mut peers, mut rate) = (None, None);
    let mut args = Args {
        peers: 0,
        relays: 60,
        length: Duration::from_secs(20),
        rate: 0,
        watch: false,
        config: None,
        pid: None,
        seed: 1,
    };
    while let Some(option) = parser.next().map_err(|error| error.to_string())? {
        match option {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Value(word) if word == "serve" => return Ok(Command::Serve),
            Arg::Long("peers") => peers = Some(whole("peers", &mut parser, PEERS)?),
            Arg::Long("relays") => args.relays = whole("relays", &mut parser, RELAYS)?,
            Arg::Long("seconds") => {
                args.length = Duration::from_secs(whole("seconds", &mut parser, SECONDS)?);
            }
            Arg::Long("rate") => rate = Some(whole("rate", &mut parser, RATE)?),
            Arg::Long("watch") => args.watch = true,
            Arg::Long("config") => args.config = Some(value("config", &mut parser)?.into()),
            Arg::Long("pid") => args.pid = Some(whole("pid", &mut parser, 1..=u32::MAX)?),
            Arg::Long("seed") => args.seed = whole("seed", &mut parser, 0..=u64::MAX)?,
            other => return Err(other.unexpected().to_string()),
        }
    }
    args.peers = peers.unwrap_or(if args.watch { 300 } else { 10_000 });
    args.rate = rate.unwrap_or((args.peers / 20).max(1));
    Ok(Command::Run(args))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Args, String> {
        let words = ["load"].into_iter().chain(line.split_whitespace());
        match parse(words.map(OsString::from))? {
            Command::Run(args) => Ok(args),
            Command::Help | Command::Serve => Err("another command".into()),
        }
    }

    #[test]
    fn defaults_depend_on_what_else_is_given() {
        let args = read("").unwrap();
        assert_eq!((args.peers, args.rate, args.relays), (10_000, 500, 60));
        let args = read("--watch").unwrap();
        assert_eq!((args.peers, args.rate), (300, 15));
        let args = read("--peers 2 --seconds 3").unwrap();
        assert_eq!((args.rate, args.length), (1, Duration::from_secs(3)));
    }

    #[test]
    fn values_out_of_range_are_refused_with_the_range() {
        let error = read("--peers 100001").unwrap_err();
        assert!(error.contains("from 2 to 100000"), "{error}");
        assert!(read("--relays 2").is_err());
        assert!(read("--what").is_err());
    }
}
