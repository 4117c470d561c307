//! One node in a process of its own.

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lexopt::prelude::*;
use libp2p::{Multiaddr, PeerId};
use relay_libp2p::autorelay;
use relay_libp2p::broker::Broker;
use relay_libp2p::node::{Node, NodeConfig, RelayConfig};

const USAGE: &str = "node [--store] [--relay] [--reserve N] [--reach PEER] [--listen ADDRESS] [--bootstrap MULTIADDR]..

  --store               stores records for others
  --relay               relays for others, and publishes that in the DHT
  --reserve N           keeps N reservations at relays, as a peer behind a NAT does
  --reach PEER          reaches a peer behind a NAT through a relay, and again whenever the circuit ends
  --listen ADDRESS      listens on this address and port; default for --store and --relay: 127.0.0.1:0
  --bootstrap MULTIADDR the address that a node with --store printed; may be given several times

Prints a line for each thing that happens, the first one with its own address or peer id. Ends with Ctrl-C, and then
withdraws its relay from the DHT.";

/// How long a peer may be out of reach.
const REACH_LIMIT: Duration = Duration::from_secs(60);

async fn started() -> Result<(Node, Option<PeerId>), Box<dyn Error>> {
    let mut config = NodeConfig::new()?;
    let mut target = None;
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("store") => config.stores_records = true,
            Long("relay") => config.relay = Some(RelayConfig::default()),
            Long("reserve") => {
                config.autorelay = Some(autorelay::Config {
                    reservations: arguments.value()?.parse()?,
                    ..autorelay::Config::default()
                });
            }
            Long("reach") => target = Some(arguments.value()?.parse::<PeerId>()?),
            Long("listen") => config.listen = Some(arguments.value()?.parse::<SocketAddr>()?),
            Long("bootstrap") => {
                let address = arguments.value()?.parse::<Multiaddr>()?;
                config.bootstrap.push(address);
            }
            Short('h') | Long("help") => {
                println!("{USAGE}");
                std::process::exit(0);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let serves = config.stores_records || config.relay.is_some();
    if serves && config.listen.is_none() {
        config = config.on_loopback();
    }
    config.learns = config.autorelay.is_some() || target.is_some();
    Ok((Node::start(config).await?, target))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (node, target) = started().await?;
    match node.address() {
        Some(address) => println!("listening {address}"),
        None => println!("peer {}", node.peer()),
    }
    print_events(&node);
    match target {
        Some(target) => {
            let broker = Broker::new(node);
            tokio::select! {
                ended = keep_reaching(&broker, target) => ended,
                interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
            }
        }
        None => {
            tokio::signal::ctrl_c().await?;
            node.close().await;
            Ok(())
        }
    }
}

async fn keep_reaching(broker: &Broker, peer: PeerId) -> Result<(), Box<dyn Error>> {
    loop {
        let begun = Instant::now();
        let mut session = broker.reach(peer, REACH_LIMIT).await?;
        let (relay, rtt) = (session.relay, session.circuit.rtt);
        println!(
            "reached through {relay} after {:?}, round trip {rtt:?}",
            begun.elapsed()
        );
        session.ended().await;
        println!("the circuit through {relay} has ended");
    }
}

fn print_events(node: &Node) {
    let (mut events, mut status) = (node.events(), node.status());
    tokio::spawn(async move {
        while let Ok(event) = events.recv().await {
            println!("{event:?}");
        }
    });
    tokio::spawn(async move {
        let mut stored = 0;
        while status.changed().await.is_ok() {
            let published = status.borrow_and_update().published;
            if published > 0 && published != stored {
                println!("published to {published} storage nodes");
            }
            stored = published;
        }
    });
}
