//! Keeps the relays of a registry as a JSON file lists them: reads it when it changes, and renews
//! the relays so that they do not expire.
//!
//! A file that cannot be read, or is not a list of relays, changes nothing: the last list stays in
//! force. An entry that is refused affects no other. To change the file, rename another one over
//! it, so that no half of it is read.
//!
//! Run it with `cargo run --example config_reload --features serde -- relays.json`.

#[path = "common/options.rs"]
mod options;
#[path = "common/output.rs"]
mod output;

use lexopt::{Arg, Parser};
use options::{number, whole};
use output::{fail, print};
use relay_registry::{Registry, SourceRelay};
use serde_json::json;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

const HELP: &str = "\
config_reload: keeps the relays of a registry as a JSON file lists them

Usage: cargo run --example config_reload --features serde -- FILE [OPTIONS]

FILE is a list, such as
  [{\"id\": \"c0ffee\", \"endpoint\": \"relay.example:4433\", \"options\": {\"capacity\": 500}}]
For each list, one JSON object is printed: what was done, and the relays.

Options:
  --every S      look at the file every S seconds: 0.01 to 3600 [default: 1]
  --ttl S        the TTL of relays without their own: 1 to 86400 seconds
                 [default: 600]
  --reloads N    end after N lists [default: never]
  -h, --help     print this help
";

/// The name of the file among the sources of the registry's relays.
const TAG: &str = "file";

struct Args {
    file: PathBuf,
    every: Duration,
    ttl: Duration,
    reloads: u64,
}

/// The list that is in force, and the file as it was read last.
#[derive(Default)]
struct Source {
    list: Vec<SourceRelay>,
    last: Option<Result<String, String>>,
}

impl Source {
    /// Reads the file. Returns whether it has another list than before. If there is something
    /// wrong with it, says so, once.
    fn read(&mut self, args: &Args) -> bool {
        let text = fs::read_to_string(&args.file).map_err(|error| error.to_string());
        if self.last.as_ref() == Some(&text) {
            return false;
        }
        let list = text.clone().and_then(|text| {
            let list = serde_json::from_str::<Vec<SourceRelay>>(&text);
            list.map_err(|error| error.to_string())
        });
        self.last = Some(text);
        match list {
            Ok(list) => self.list = list,
            Err(error) => {
                eprintln!("config_reload: {}: {error}", args.file.display());
                return false;
            }
        }
        true
    }
}

fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Option<Args>, String> {
    let (mut file, mut every, mut ttl, mut reloads) = (None, 1.0, 600.0, u64::MAX);
    let mut parser = Parser::from_iter(line);
    while let Some(option) = parser.next().map_err(|error| error.to_string())? {
        match option {
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            Arg::Long("every") => every = number("every", &mut parser, 0.01..=3_600.0)?,
            Arg::Long("ttl") => ttl = number("ttl", &mut parser, 1.0..=86_400.0)?,
            Arg::Long("reloads") => reloads = whole("reloads", &mut parser, 1..=u64::MAX)?,
            Arg::Value(value) if file.is_none() => file = Some(value),
            other => return Err(other.unexpected().to_string()),
        }
    }
    let file = file.ok_or("no file is given")?;
    Ok(Some(Args {
        file: file.into(),
        every: Duration::from_secs_f64(every),
        ttl: Duration::from_secs_f64(ttl),
        reloads,
    }))
}

fn run(args: &Args) -> Result<(), String> {
    let registry = Registry::builder().ttl(args.ttl).build();
    let registry = registry.map_err(|error| error.to_string())?;
    let mut source = Source::default();
    let mut reloads = 0;
    let mut renewed_at = Instant::now();
    while reloads < args.reloads {
        let is_new = source.read(args);
        // Also where nothing has changed, so that the relays do not expire.
        if is_new || renewed_at.elapsed() >= args.ttl / 3 {
            renewed_at = Instant::now();
            let report = registry.sync_source(TAG, source.list.iter().cloned());
            let report = report.map_err(|error| error.to_string())?;
            if is_new {
                let shown = json!({ "report": report, "relays": registry.relays() });
                print(&shown.to_string()).map_err(|error| error.to_string())?;
                reloads += 1;
            }
        }
        thread::sleep(args.every.min(args.ttl / 3));
    }
    Ok(())
}

fn main() -> ExitCode {
    let args = match parse(env::args_os()) {
        Ok(Some(args)) => args,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(what) => return fail("config_reload", format!("{what} (try --help)"), 2),
    };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => fail("config_reload", what, 1),
    }
}
