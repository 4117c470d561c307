//! The program: reads the configuration, starts the broker, and ends it when it is told.

use broker::broker::Broker;
use broker::config::Config;
use broker::metrics;
use broker::tokens::{Role, token};
use lexopt::{Arg, Parser};
use relay_registry::NodeId;
use std::error::Error;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

const HELP: &str = "\
broker: which relay, for this pair of peers, now

Usage: broker [--config FILE]
       broker [--config FILE] token relay|peer ID    print the token of an id

Options:
  --config FILE    the configuration [default: broker.toml]
  -h, --help       print this help
";

enum Command {
    Help,
    Run(PathBuf),
    Token(PathBuf, Role, NodeId),
}

fn parse(mut parser: Parser) -> Result<Command, lexopt::Error> {
    let (mut config, mut words) = (PathBuf::from("broker.toml"), Vec::new());
    while let Some(option) = parser.next()? {
        match option {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Long("config") => config = parser.value()?.into(),
            Arg::Value(word) => words.push(word.to_string_lossy().into_owned()),
            other => return Err(other.unexpected()),
        }
    }
    match &words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(Command::Run(config)),
        ["token", role @ ("relay" | "peer"), id] => {
            let role = if *role == "relay" {
                Role::Relay
            } else {
                Role::Peer
            };
            let id = id.parse().map_err(|error| format!("{id:?}: {error}"))?;
            Ok(Command::Token(config, role, id))
        }
        _ => Err("expected nothing, or `token relay ID`, or `token peer ID`".into()),
    }
}

async fn run(file: PathBuf) -> Result<(), Box<dyn Error>> {
    let config = Config::read(&file)?;
    let broker = Broker::start(config, Some(file), metrics::install()?).await?;
    tracing::info!("relays and peers: http://{}", broker.public);
    tracing::info!("page and metrics: http://{}", broker.admin);
    asked_to_end().await?;
    tracing::info!("ending: sessions have their grace; a second signal ends at once");
    tokio::select! {
        () = broker.shut_down() => Ok(()),
        again = asked_to_end() => Err(again.map_or_else(Into::into, |()| "ended at once".into())),
    }
}

/// Waits for ctrl-c or SIGTERM.
async fn asked_to_end() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

fn execute(command: Command) -> Result<(), Box<dyn Error>> {
    match command {
        Command::Help => print!("{HELP}"),
        Command::Token(file, role, id) => {
            println!("{}", token(&Config::read(&file)?.secret, role, &id));
        }
        Command::Run(file) => {
            let filter = EnvFilter::try_from_default_env();
            let filter = filter.unwrap_or_else(|_| "info".into());
            tracing_subscriber::fmt()
                .with_env_filter(filter)
                .with_ansi(io::stdout().is_terminal())
                .init();
            tokio::runtime::Runtime::new()?.block_on(run(file))?;
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let command = parse(Parser::from_env()).map_err(|error| format!("{error} (try --help)"));
    match command.map_err(Into::into).and_then(execute) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("broker: {error}");
            ExitCode::FAILURE
        }
    }
}
