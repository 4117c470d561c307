//! The command line: what can be set, within which bounds, and the help text.

#[path = "../common/options.rs"]
mod options;

use std::ffi::OsString;
use std::time::Duration;

use lexopt::{Arg, Parser};

use crate::intervals::default_deadline;
use options::{one_of, whole};

/// The most relays of a run.
pub const MAX_RELAYS: usize = 20_000;

/// A joining node wants all relays if there are no more.
const FEW_RELAYS: usize = 200;

/// How many relays it wants if there are more.
const WANTED_OF_MANY: usize = 64;

/// The most nodes of a DHT.
const MAX_NODES: usize = 1_000;

pub const HELP: &str = "\
mesh: relays that publish themselves through a DHT, joining nodes that find
them, and an attacker

Usage: cargo run --release --example mesh --features conformance[,mainline][,redis] -- [OPTIONS]

Options:
  --engine NAME     memory (nodes within the process), kad (lists and records
                    over a raw Kademlia store), mainline (BitTorrent's DHT on
                    loopback; needs the feature mainline) or redis (starts a
                    redis-server of its own; needs the feature redis, and Unix)
                    [default: mainline if it is there, or else memory]
  --relays N        registries that publish themselves: 2 to 20000 [default: 50]
  --wanted N        relays that each joining node looks for: 1 to all
                    [default: all of up to 200 relays, or else 64]
  --joining N       nodes that join, and know one address: 1 to 50 [default: 5]
  --nodes N         nodes of the DHT, without effect on redis: 4 to 1000
                    [default: 20; mainline: 16 and one for each 40 relays, if
                    that is more, as each of its nodes keeps 1000 items]
  --seed K          seed for keys and order [default: 1]
  --deadline S      seconds that relays may take to publish, and joining nodes
                    to find them: 1 to 7200 [default: 60, and more beyond 200
                    relays]
  --json            print one JSON object instead of a table
  -h, --help        print this help

Relays publish again every 5 seconds (mainline: 10), and for each relay beyond 200
later by 4 ms over memory and redis, 25 ms over kad and 150 ms over mainline.
The other intervals grow in proportion; the deadline by four times as much. A run
takes some 100 KB of memory for each relay.

It fails unless each joining node finds as many relays as it wants, also after half
of the nodes stopped (redis: after the server lost everything), no forged or replayed
record is accepted, and the relay that withdraws is gone within one refresh.
";

/// What carries the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Memory,
    Kad,
    Mainline,
    Redis,
}

impl Engine {
    pub const ALL: [Self; 4] = [Self::Memory, Self::Kad, Self::Mainline, Self::Redis];

    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Kad => "kad",
            Self::Mainline => "mainline",
            Self::Redis => "redis",
        }
    }

    /// Whether this program was built with this engine.
    fn is_there(self) -> bool {
        match self {
            Self::Memory | Self::Kad => true,
            Self::Mainline => cfg!(feature = "mainline"),
            Self::Redis => cfg!(all(feature = "redis", unix)),
        }
    }

    /// What to do if this program was built without it.
    pub fn is_missing(self) -> String {
        let name = self.name();
        let system = if self == Self::Redis { " and Unix" } else { "" };
        format!(
            "--engine {name} needs the feature {name}{system}: cargo run --release --example mesh --features conformance,{name}"
        )
    }

    /// How many nodes store the records of so many relays, unless another number is given.
    fn default_nodes(self, relays: usize) -> usize {
        match self {
            Self::Mainline => (16 + relays / 40).max(20),
            Self::Memory | Self::Kad | Self::Redis => 20,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Args {
    pub engine: Engine,
    pub relays: usize,
    pub wanted: usize,
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

/// What a command line says; the rest follows from it.
struct Given {
    engine: Engine,
    relays: usize,
    wanted: Option<usize>,
    joining: usize,
    nodes: Option<usize>,
    seed: u64,
    deadline: Option<Duration>,
    json: bool,
}

impl Default for Given {
    fn default() -> Self {
        let is_best = Engine::Mainline.is_there();
        Self {
            engine: if is_best {
                Engine::Mainline
            } else {
                Engine::Memory
            },
            relays: 50,
            wanted: None,
            joining: 5,
            nodes: None,
            seed: 1,
            deadline: None,
            json: false,
        }
    }
}

impl Given {
    fn complete(self) -> Result<Args, String> {
        let (engine, relays) = (self.engine, self.relays);
        let wanted = self.wanted.unwrap_or(match relays {
            0..=FEW_RELAYS => relays,
            _ => WANTED_OF_MANY,
        });
        if wanted > relays {
            return Err(format!(
                "--wanted {wanted} is more than there are: --relays {relays}"
            ));
        }
        let deadline = || default_deadline(engine, relays);
        Ok(Args {
            engine,
            relays,
            wanted,
            joining: self.joining,
            nodes: self.nodes.unwrap_or_else(|| engine.default_nodes(relays)),
            seed: self.seed,
            deadline: self.deadline.unwrap_or_else(deadline),
            json: self.json,
        })
    }
}

/// Reads a command line, the program's name first.
pub fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut given = Given::default();
    let mut parser = Parser::from_iter(line);
    while let Some(option) = parser.next().map_err(|error| error.to_string())? {
        let name = match option {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Long(name) => name.to_owned(),
            _ => return Err(option.unexpected().to_string()),
        };
        match name.as_str() {
            "json" => given.json = true,
            "engine" => given.engine = engine(&mut parser)?,
            "relays" => given.relays = whole(&name, &mut parser, 2..=MAX_RELAYS)?,
            "wanted" => given.wanted = Some(whole(&name, &mut parser, 1..=MAX_RELAYS)?),
            "joining" => given.joining = whole(&name, &mut parser, 1..=50)?,
            "nodes" => given.nodes = Some(whole(&name, &mut parser, 4..=MAX_NODES)?),
            "seed" => given.seed = whole(&name, &mut parser, 0..=u64::MAX)?,
            "deadline" => {
                let seconds = whole(&name, &mut parser, 1..=7_200)?;
                given.deadline = Some(Duration::from_secs(seconds));
            }
            _ => return Err(Arg::Long(&name).unexpected().to_string()),
        }
    }
    given.complete().map(Command::Run)
}

fn engine(parser: &mut Parser) -> Result<Engine, String> {
    let engine = one_of("engine", parser, &Engine::ALL, Engine::name)?;
    if engine.is_there() {
        Ok(engine)
    } else {
        Err(engine.is_missing())
    }
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
        let line = "--engine kad --relays 7 --wanted 3 --joining 2 --nodes 9 --seed 42 --deadline 30 --json";
        let words: Vec<&str> = line.split_whitespace().collect();
        let expected = Args {
            engine: Engine::Kad,
            relays: 7,
            wanted: 3,
            joining: 2,
            nodes: 9,
            seed: 42,
            deadline: Duration::from_secs(30),
            json: true,
        };
        assert_eq!(read(&words), Ok(Command::Run(expected)));
    }

    fn read_args(line: &[&str]) -> Args {
        match read(line) {
            Ok(Command::Run(args)) => args,
            other => panic!("{line:?}: {other:?}"),
        }
    }

    #[test]
    fn nothing_said_means_the_defaults_and_help_wins() {
        let args = read_args(&[]);
        assert_eq!((args.relays, args.wanted, args.joining), (50, 50, 5));
        assert_eq!((args.nodes, args.deadline), (20, Duration::from_secs(60)));
        assert_eq!(read(&["--json", "-h"]), Ok(Command::Help));
    }

    #[test]
    fn of_many_relays_a_few_are_wanted_and_there_is_more_time() {
        let few = read_args(&["--engine", "kad", "--relays", "200"]);
        let many = read_args(&["--relays", "201", "--engine", "kad"]);
        assert_eq!((few.wanted, many.wanted), (200, 64));
        assert!(many.deadline > few.deadline, "{many:?}");
        assert_eq!(Engine::Kad.default_nodes(10_000), 20);
        assert_eq!(Engine::Mainline.default_nodes(100), 20);
        assert_eq!(Engine::Mainline.default_nodes(10_000), 266);
    }

    #[test]
    fn an_engine_that_was_not_built_in_says_what_it_needs() {
        for (engine, name) in [(Engine::Mainline, "mainline"), (Engine::Redis, "redis")] {
            match read(&["--engine", name]) {
                Ok(Command::Run(args)) => assert_eq!(args.engine, engine),
                Ok(Command::Help) => panic!("help was not asked for"),
                Err(refused) => {
                    let features = format!("--features conformance,{name}");
                    assert!(refused.contains(&features), "{refused}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (line, part) in [
            (
                &["--engine", "etcd"][..],
                "none of memory, kad, mainline, redis",
            ),
            (
                &["--relays", "1"],
                "--relays \"1\" is not a whole number from 2 to 20000",
            ),
            (&["--joining", "0"], "from 1 to 50"),
            (
                &["--relays", "7", "--wanted", "8"],
                "--wanted 8 is more than there are: --relays 7",
            ),
            (&["--wanted", "0"], "from 1 to 20000"),
            (&["--nodes", "many"], "--nodes \"many\" is not"),
            (&["--deadline", "7201"], "from 1 to 7200"),
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
