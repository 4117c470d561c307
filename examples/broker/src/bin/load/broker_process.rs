//! The broker that is loaded: in a process of its own, so that its memory and its time can be told from the load's.
//!
//! The process is this program with the argument `serve`. It reads its configuration from standard input, prints where
//! it listens, and ends when standard input does: so it does not outlive this one.

use crate::AnyError;
use crate::args::Args;
use crate::open_files;
use crate::world::{Relay, World};
use broker::broker::Broker;
use broker::config::{Config, Secret};
use broker::metrics;
use relay_registry::NodeId;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use tokio::task::spawn_blocking;

/// The line behind the configuration.
const END: &str = "# end";

/// The broker that is loaded.
pub struct Target {
    pub public: SocketAddr,
    pub admin: SocketAddr,
    pub config: Config,
    pub pid: Option<u32>,
    child: Option<(Child, ChildStdin)>,
}

impl Target {
    /// Starts a broker, or takes the one that runs.
    pub fn find(args: &Args, world: &World) -> Result<Self, AnyError> {
        match &args.config {
            Some(file) => {
                let config = Config::read(file)?;
                if !(config.listen.ip().is_loopback() && config.admin.ip().is_loopback()) {
                    return Err(
                        "the broker does not listen on loopback, and this program loads no other"
                            .into(),
                    );
                }
                Ok(Self {
                    public: config.listen,
                    admin: config.admin,
                    config,
                    pid: args.pid,
                    child: None,
                })
            }
            None => Self::start(args, world),
        }
    }

    fn start(args: &Args, world: &World) -> Result<Self, AnyError> {
        let text = config_text(args, &world.relays);
        let config = Config::parse(&text)?;
        let mut child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (mut input, output) = (
            child.stdin.take().expect("a pipe"),
            child.stdout.take().expect("a pipe"),
        );
        writeln!(input, "{text}\n{END}")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let (public, admin) = line
            .trim()
            .split_once(' ')
            .ok_or("the broker did not start")?;
        Ok(Self {
            public: public.parse()?,
            admin: admin.parse()?,
            config,
            pid: Some(child.id()),
            child: Some((child, input)),
        })
    }

    pub fn secret(&self) -> &Secret {
        &self.config.secret
    }

    /// Ends the broker, if it was started here, and waits for it.
    pub fn end(self) -> Result<(), AnyError> {
        let Some((mut child, input)) = self.child else {
            return Ok(());
        };
        drop(input);
        match child.wait()? {
            status if status.success() => Ok(()),
            status => Err(format!("the broker ended with {status}").into()),
        }
    }
}

/// With secrets that are of no use elsewhere, since it listens on loopback for as long as this program runs.
fn config_text(args: &Args, relays: &[Relay]) -> String {
    let peers = u64::from(args.peers);
    let tier = |relay: &Relay| (relay.tier > 0).then_some((relay.id, relay.tier));
    let tiers = relays.iter().filter_map(tier);
    let settings: String = tiers.map(setting).collect();
    format!(
        r#"listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
secret = "{secret}"
operator_token = "{operator}"
[registry]
name = "load"
max_relays = 10000
max_peers = {max_peers}
[sessions]
labels = ["{label}"]
failures_per_minute = 1000
view_every_seconds = 0
grace_seconds = 2
[limits]
connections = {connections}
{settings}"#,
        secret = random_text(),
        operator = random_text(),
        max_peers = 2 * peers,
        label = crate::world::LABEL,
        connections = 2 * peers + 1_000,
    )
}

fn setting((id, tier): (NodeId, u8)) -> String {
    format!("[[settings]]\nid = \"{id}\"\ntier = {tier}\n")
}

fn random_text() -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .take(40)
        .collect()
}

/// Is the broker, until standard input ends.
pub fn serve() -> Result<(), AnyError> {
    let mut lines = io::stdin().lock().lines();
    let mut text = String::new();
    while let Some(line) = lines.next().transpose()?.filter(|line| line != END) {
        text += &line;
        text += "\n";
    }
    drop(lines);
    let config = Config::parse(&text)?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let broker = Broker::start(config, None, metrics::install()?).await?;
        println!("{} {}", broker.public, broker.admin);
        // The terminal sends ctrl-c to this process, too; but the one that started it decides.
        let ignored = tokio::spawn(async { while tokio::signal::ctrl_c().await.is_ok() {} });
        spawn_blocking(|| io::stdin().lock().read_to_end(&mut Vec::new())).await??;
        ignored.abort();
        broker.shut_down().await;
        Ok(())
    })
}

/// Before a broker is started here, which inherits the limit.
pub fn allow_files(args: &Args) -> Result<(), AnyError> {
    Ok(open_files::allow(args.peers + args.relays)?)
}
