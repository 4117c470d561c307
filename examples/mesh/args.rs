//! The command line: what can be set, within which bounds, and the help text.

#[path = "../common/options.rs"]
mod options;

use std::ffi::OsString;
use std::time::Duration;

use lexopt::{Arg, Parser};

use options::{one_of, whole};

pub const HELP: &str = "\
mesh: relays that publish themselves through a DHT, joining nodes that find
them, and an attacker

Usage: cargo run --release --example mesh --features conformance[,mainline] -- [OPTIONS]

Options:
  --engine NAME     memory (nodes within the process), kad (lists and records
                    over a raw Kademlia store) or mainline (BitTorrent's DHT on
                    loopback; needs the feature mainline)
                    [default: mainline if it is there, or else memory]
  --relays N        registries that publish themselves: 2 to 200 [default: 50]
  --joining N       nodes that join, and know one address: 1 to 50 [default: 5]
  --nodes N         nodes of the DHT: 4 to 200 [default: 20]
  --seed K          seed for keys and order [default: 1]
  --deadline S      seconds that relays may take to publish, and joining nodes
                    to find them: 1 to 600 [default: 60]
  --json            print one JSON object instead of a table
  -h, --help        print this help

It fails unless each joining node finds all relays, also after half of the nodes
stopped, no forged or replayed record is accepted, and the relay that withdraws
is gone within one refresh.
";

/// What carries the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Memory,
    Kad,
    Mainline,
}

impl Engine {
    const ALL: [Self; 3] = [Self::Memory, Self::Kad, Self::Mainline];

    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Kad => "kad",
            Self::Mainline => "mainline",
        }
    }

    /// Whether this program was built with this engine.
    fn is_there(self) -> bool {
        self != Self::Mainline || cfg!(feature = "mainline")
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Args {
    pub engine: Engine,
    pub relays: usize,
    pub joining: usize,
    pub nodes: usize,
    pub seed: u64,
    pub deadline: Duration,
    pub json: bool,
}

#[derive(Debug, PartialEq)]
pub enum Command {
    Help,
    Run(Args),
}

impl Default for Args {
    fn default() -> Self {
        let is_best = Engine::Mainline.is_there();
        Self {
            engine: if is_best {
                Engine::Mainline
            } else {
                Engine::Memory
            },
            relays: 50,
            joining: 5,
            nodes: 20,
            seed: 1,
            deadline: Duration::from_secs(60),
            json: false,
        }
    }
}

/// Reads a command line, the program's name first.
pub fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut args = Args::default();
    let mut parser = Parser::from_iter(line);
    while let Some(option) = parser.next().map_err(|error| error.to_string())? {
        let name = match option {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Long(name) => name.to_owned(),
            _ => return Err(option.unexpected().to_string()),
        };
        match name.as_str() {
            "json" => args.json = true,
            "engine" => args.engine = engine(&mut parser)?,
            "relays" => args.relays = whole(&name, &mut parser, 2..=200)?,
            "joining" => args.joining = whole(&name, &mut parser, 1..=50)?,
            "nodes" => args.nodes = whole(&name, &mut parser, 4..=200)?,
            "seed" => args.seed = whole(&name, &mut parser, 0..=u64::MAX)?,
            "deadline" => {
                args.deadline = Duration::from_secs(whole(&name, &mut parser, 1..=600)?);
            }
            _ => return Err(Arg::Long(&name).unexpected().to_string()),
        }
    }
    Ok(Command::Run(args))
}

fn engine(parser: &mut Parser) -> Result<Engine, String> {
    let engine = one_of("engine", parser, &Engine::ALL, Engine::name)?;
    if engine.is_there() {
        return Ok(engine);
    }
    let name = engine.name();
    Err(format!(
        "--engine {name} needs the feature {name}: cargo run --release --example mesh --features conformance,{name}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &[&str]) -> Result<Command, String> {
        let words = std::iter::once("mesh").chain(line.iter().copied());
        parse(words.map(OsString::from))
    }

    #[test]
    fn every_option_is_read() {
        let line = "--engine kad --relays 7 --joining 2 --nodes 9 --seed 42 --deadline 30 --json";
        let words: Vec<&str> = line.split_whitespace().collect();
        let expected = Args {
            engine: Engine::Kad,
            relays: 7,
            joining: 2,
            nodes: 9,
            seed: 42,
            deadline: Duration::from_secs(30),
            json: true,
        };
        assert_eq!(read(&words), Ok(Command::Run(expected)));
    }

    #[test]
    fn nothing_said_means_the_defaults_and_help_wins() {
        assert_eq!(read(&[]), Ok(Command::Run(Args::default())));
        assert_eq!(read(&["--json", "-h"]), Ok(Command::Help));
    }

    #[test]
    fn an_engine_that_was_not_built_in_says_what_it_needs() {
        match read(&["--engine", "mainline"]) {
            Ok(Command::Run(args)) => assert_eq!(args, Args::default()),
            Ok(Command::Help) => panic!("help was not asked for"),
            Err(refused) => assert!(refused.contains("--features mainline"), "{refused}"),
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (line, part) in [
            (&["--engine", "etcd"][..], "none of memory, kad, mainline"),
            (
                &["--relays", "1"],
                "--relays \"1\" is not a whole number from 2 to 200",
            ),
            (&["--joining", "0"], "from 1 to 50"),
            (&["--nodes", "many"], "--nodes \"many\" is not"),
            (&["--deadline", "601"], "from 1 to 600"),
            (&["--seed"], "--seed needs a value"),
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
