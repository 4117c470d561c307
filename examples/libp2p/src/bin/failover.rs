//! Measures how long a peer behind a NAT is out of reach after its relay was killed.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::prelude::*;
use relay_libp2p::autorelay;
use relay_libp2p::network::{Failover, Network, NetworkError, reach};
use relay_libp2p::node::RelayConfig;

const USAGE: &str = "failover [--runs N] [--peers N]

Kills the relay of a peer N times (default 10), each time in a network of 8 storage nodes, 6 relays, a broker and N
peers (default 10), with one reservation for each peer and with two. Prints how long it took to reach the peer again,
and whether that was below 5 s. Exits with 1 if it was not.";

/// The goal.
const GOAL: Duration = Duration::from_secs(5);

const RELAYS: usize = 6;
const STORAGE: usize = 8;

struct Options {
    runs: usize,
    peers: usize,
}

fn options() -> Result<Options, lexopt::Error> {
    let mut options = Options {
        runs: 10,
        peers: 10,
    };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("runs") => options.runs = arguments.value()?.parse()?,
            Long("peers") => options.peers = arguments.value()?.parse()?,
            Short('h') | Long("help") => {
                println!("{USAGE}");
                std::process::exit(0);
            }
            other => return Err(other.unexpected()),
        }
    }
    if options.runs == 0 || options.peers == 0 {
        return Err("--runs and --peers must be above 0".into());
    }
    Ok(options)
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = options()?;
    let mut is_met = true;
    for reservations in [1, 2] {
        let mut failovers = Vec::new();
        for _ in 0..options.runs {
            failovers.push(run(reservations, options.peers).await?);
        }
        println!(
            "{reservations} reservation(s) for each of {} peers:",
            options.peers
        );
        print("the circuit had ended", &failovers, |failover| {
            failover.noticed
        });
        print("the peer was reached again", &failovers, |failover| {
            failover.reached
        });
        print("it had all reservations again", &failovers, |failover| {
            failover.restored
        });
        is_met &= failovers.iter().all(|failover| failover.reached < GOAL);
    }
    println!(
        "reached again within {GOAL:?} in each run: {}",
        if is_met { "yes" } else { "no" }
    );
    Ok(if is_met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// One failover in a network of its own.
async fn run(reservations: usize, peers: usize) -> Result<Failover, NetworkError> {
    let mut network = Network::start(STORAGE).await?;
    for _ in 0..RELAYS {
        network.add_relay(RelayConfig::default()).await?;
    }
    let autorelay = autorelay::Config {
        reservations,
        ..autorelay::Config::default()
    };
    let peers = (0..peers).map(|_| network.add_natted(autorelay.clone()));
    let peers = futures::future::try_join_all(peers).await?;
    let broker = network.add_broker().await?;
    let session = reach(&broker, peers[0].peer()).await?;
    let (failover, _) = network.fail_over(&broker, &peers[0], session).await?;
    Ok(failover)
}

fn print(what: &str, failovers: &[Failover], time: impl Fn(&Failover) -> Duration) {
    let mut times: Vec<_> = failovers.iter().map(time).collect();
    times.sort_unstable();
    let [min, median, max] =
        [0, times.len() / 2, times.len() - 1].map(|at| times[at].as_secs_f64());
    println!("  {what} after {median:.3} s (median), {min:.3} to {max:.3} s");
}
