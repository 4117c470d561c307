//! The command line: what can be set, within which bounds, and the help text.

#[path = "../common/options.rs"]
mod options;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::thread;

use lexopt::{Arg, Parser};

use crate::matrix::MAX_NODES;
use crate::simulation::{Rule, Views};
use options::{number, one_of, value, whole};

pub const HELP: &str = "\
relay_world: the relay registry in a simulated world, then at full speed

Usage: cargo run --release --example relay_world -- [OPTIONS]

Options:
  --rtt FILE             measured round-trip times: a square matrix in ms, one
                         row per line, whitespace between values, -1 = missing
                         [default: a built-in world of 60 cities, 6 sites each]
  --relays N             how many nodes are relays [default: a tenth of all]
  --registries N         embedding nodes, each with a registry of its own; they
                         share the relays [default: 8]
  --load F               offered load, as a share of the capacity of the relays
                         that are up: 0.001 to 1.5 [default: 0.6]
  --report-interval F    seconds between a relay's reports of its total load to
                         every registry: 0.01 to 3600 [default: 1]
  --rule NAME            how a relay is chosen in the simulation: registry, or
                         for comparison random, nearest (to the requester),
                         p2c (the less utilised of two random ones) or oracle
                         (knows all round trips and loads) [default: registry]
  --views NAME           what targets publish: none, coordinates, or
                         published (coordinates and round trips to the three
                         nearest relays) [default: none]
  --seconds S            simulated seconds, the first fifth of which warms up
                         and is not measured: 1 to 86400 [default: 1800]
  --threads T            client threads at full speed, or with --compare how
                         many simulations run at a time: 1 to 256
                         [default: as many as the machine runs at once]
  --seed K               the same seed gives the same relays and requests; only
                         the back-off of failing relays has random jitter
                         [default: 1]
  --compare              simulate with every rule instead of one, and print the
                         median over several seeds, a line per rule, and what
                         follows from them; nothing runs at full speed
  --seeds N              --compare takes seeds 1 to N: 1 to 1000 [default: 5]
  --json                 print one JSON object instead of tables, or with
                         --compare an array of one object per rule
  --page FILE            where to write the page, one HTML file that shows what
                         was found [default: relay_world.html in the build's
                         target directory; with --json none]
  -h, --help             print this help
";

const THREADS: RangeInclusive<usize> = 1..=256;
const SEEDS: RangeInclusive<u64> = 1..=1_000;

/// The options. `None` means a default by the size of the world.
#[derive(Debug, Clone, PartialEq)]
pub struct Args {
    pub rtt: Option<PathBuf>,
    pub relays: Option<usize>,
    pub registries: Option<usize>,
    pub load: f64,
    pub report_interval: f64,
    pub rule: Rule,
    pub views: Views,
    pub seconds: u64,
    pub threads: usize,
    pub seed: u64,
    pub compare: bool,
    pub seeds: u64,
    pub json: bool,
    pub page: Option<PathBuf>,
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
            relays: None,
            registries: None,
            load: 0.6,
            report_interval: 1.0,
            rule: Rule::Registry,
            views: Views::None,
            seconds: 1800,
            threads: thread::available_parallelism()
                .map_or(1, NonZeroUsize::get)
                .min(*THREADS.end()),
            seed: 1,
            compare: false,
            seeds: 5,
            json: false,
            page: None,
        }
    }
}

/// Reads a command line, the program's name first.
pub fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut args = Args::default();
    let mut parser = Parser::from_iter(line);
    while let Some(option) = parser.next().map_err(|error| error.to_string())? {
        let Some(name) = long_name(&option) else {
            return Err(option.unexpected().to_string());
        };
        match name.as_str() {
            "help" => return Ok(Command::Help),
            "json" => args.json = true,
            "compare" => args.compare = true,
            _ => set(&mut args, &name, &mut parser)?,
        }
    }
    if args.compare && args.page.is_some() {
        return Err("--page: --compare writes no page".to_owned());
    }
    Ok(Command::Run(args))
}

/// Sets an option that takes a value.
fn set(args: &mut Args, name: &str, parser: &mut Parser) -> Result<(), String> {
    match name {
        "page" => args.page = Some(value(name, parser)?.into()),
        "rtt" => args.rtt = Some(value(name, parser)?.into()),
        "relays" => args.relays = Some(whole(name, parser, 1..=MAX_NODES)?),
        "registries" => args.registries = Some(whole(name, parser, 1..=MAX_NODES)?),
        "load" => args.load = number(name, parser, 0.001..=1.5)?,
        "report-interval" => args.report_interval = number(name, parser, 0.01..=3600.0)?,
        "rule" => args.rule = one_of(name, parser, &Rule::ALL, Rule::name)?,
        "views" => args.views = one_of(name, parser, &Views::ALL, Views::name)?,
        "seconds" => args.seconds = whole(name, parser, 1..=86_400)?,
        "threads" => args.threads = whole(name, parser, THREADS)?,
        "seed" => args.seed = whole(name, parser, 0..=u64::MAX)?,
        "seeds" => args.seeds = whole(name, parser, SEEDS)?,
        _ => return Err(Arg::Long(name).unexpected().to_string()),
    }
    Ok(())
}

fn long_name(option: &Arg<'_>) -> Option<String> {
    match option {
        Arg::Short('h') => Some("help".to_owned()),
        Arg::Long(name) => Some((*name).to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &[&str]) -> Result<Command, String> {
        let words = std::iter::once("relay_world").chain(line.iter().copied());
        parse(words.map(OsString::from))
    }

    #[test]
    fn every_option_is_read() {
        let line = "--rtt m.txt --relays 7 --registries 2 --load 0.85 --report-interval 0.25 \
                    --rule p2c --views published --seconds 30 --threads 3 --seed 42 --compare --seeds 9 --json";
        let words: Vec<&str> = line.split_whitespace().collect();
        let expected = Args {
            rtt: Some("m.txt".into()),
            relays: Some(7),
            registries: Some(2),
            load: 0.85,
            report_interval: 0.25,
            rule: Rule::PowerOfTwo,
            views: Views::Published,
            seconds: 30,
            threads: 3,
            seed: 42,
            compare: true,
            seeds: 9,
            json: true,
            page: None,
        };
        assert_eq!(read(&words), Ok(Command::Run(expected)));
        let expected = Args {
            page: Some("p.html".into()),
            ..Args::default()
        };
        assert_eq!(read(&["--page", "p.html"]), Ok(Command::Run(expected)));
    }

    #[test]
    fn nothing_said_means_the_defaults_and_help_wins() {
        assert_eq!(read(&[]), Ok(Command::Run(Args::default())));
        assert_eq!(read(&["--json", "-h"]), Ok(Command::Help));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (line, part) in [
            (
                &["--load", "0"][..],
                "\"0\" is not a number from 0.001 to 1.5",
            ),
            (&["--load", "1.6"], "--load \"1.6\" is not"),
            (&["--load", "NaN"], "--load \"NaN\" is not"),
            (&["--load", "-1"], "--load \"-1\" is not"),
            (
                &["--seconds", "1.5"],
                "is not a whole number from 1 to 86400",
            ),
            (&["--seconds", "86401"], "--seconds \"86401\" is not"),
            (&["--threads", "0"], "--threads \"0\" is not"),
            (&["--relays", "many"], "--relays \"many\" is not"),
            (&["--report-interval", "0"], "from 0.01 to 3600"),
            (&["--rule", "best"], "--rule \"best\" is none of registry, "),
            (&["--views", "all"], "none of none, coordinates, published"),
            (&["--rule"], "--rule needs a value"),
            (&["--seeds", "0"], "from 1 to 1000"),
            (&["--seed"], "--seed needs a value"),
            (&["--page"], "--page needs a value"),
            (&["--page", "p", "--compare"], "--compare writes no page"),
            (&["--frob", "1"], "'--frob'"),
            (&["stray"], "\"stray\""),
            (&["--json=yes"], "--json"),
        ] {
            let refused = read(line).expect_err(part);
            assert!(refused.contains(part), "{refused}");
            assert!(!refused.contains('\n'), "{refused}");
        }
    }
}
