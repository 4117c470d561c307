//! A broker on a network of its own: it learns relays through the DHT, reaches a peer behind a
//! NAT through the best one, and through another one when that is killed.

use std::error::Error;
use std::time::Instant;

use lexopt::prelude::*;
use relay_libp2p::autorelay;
use relay_libp2p::broker::Broker;
use relay_libp2p::ids::{node_of, peer_of};
use relay_libp2p::network::{Network, reach, until};
use relay_libp2p::node::{Node, RelayConfig};

const USAGE: &str = "broker [--storage N] [--relays N]

Starts N storage nodes (default 4) and N relays (default 4) on 127.0.0.1, a peer behind a NAT, and a broker.
Then kills the relays that the broker uses, one after the other, until one is left, and restarts them.";

struct Options {
    storage: usize,
    relays: usize,
}

fn options() -> Result<Options, lexopt::Error> {
    let mut options = Options {
        storage: 4,
        relays: 4,
    };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("storage") => options.storage = arguments.value()?.parse()?,
            Long("relays") => options.relays = arguments.value()?.parse()?,
            Short('h') | Long("help") => {
                println!("{USAGE}");
                std::process::exit(0);
            }
            other => return Err(other.unexpected()),
        }
    }
    match options.relays {
        2..=64 => Ok(options),
        other => Err(format!("--relays is {other}, and must be within 2..=64").into()),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let mut network = Network::start(options.storage).await?;
    for name in 0..options.relays {
        let relay = RelayConfig {
            failure_domain: Some(format!("rack-{name}")),
            ..RelayConfig::default()
        };
        network.add_relay(relay).await?;
    }
    println!(
        "{} storage nodes, {} relays",
        options.storage, options.relays
    );
    let broker = network.add_broker().await?;
    show_relays(&broker);
    let peer = network.add_natted(autorelay::Config::default()).await?;
    print_events(&peer);
    println!("the peer behind a NAT is {}", peer.peer());

    let mut session = reach(&broker, peer.peer()).await?;
    println!(
        "reached through {}, round trip {:?}",
        session.relay, session.circuit.rtt
    );
    let mut killed = Vec::new();
    for _ in 1..options.relays {
        println!("killing {}", session.relay);
        killed.push(session.relay);
        let begun = Instant::now();
        network.kill(session.relay).await?;
        session.ended().await;
        session = reach(&broker, peer.peer()).await?;
        let (relay, failed) = (session.relay, session.failed);
        println!(
            "reached through {relay} after {:?}; {failed} relays were tried before",
            begun.elapsed()
        );
    }
    show_relays(&broker);
    for relay in killed {
        network.restart(relay).await?;
    }
    let begun = Instant::now();
    until(&peer, "there are two reservations", |status| {
        status.reservations.len() == 2
    })
    .await?;
    println!(
        "after the restart of all relays: two reservations after {:?}",
        begun.elapsed()
    );
    Ok(())
}

/// What the broker's registry knows.
fn show_relays(broker: &Broker) {
    println!("the broker knows:");
    for relay in broker.node().registry().relays() {
        let (Some(peer), Some(latency)) = (peer_of(&relay.node_id()), relay.latency()) else {
            continue;
        };
        println!(
            "  {peer} at {}, {latency:?}, {:?}, {}",
            relay.endpoint(),
            relay.circuit(),
            relay.failure_domain().unwrap_or("-"),
        );
        debug_assert_eq!(node_of(&peer), Some(relay.node_id()));
    }
}

/// Prints what happens to the reservations of a peer, in a task of its own.
fn print_events(peer: &Node) {
    let mut events = peer.events();
    tokio::spawn(async move {
        while let Ok(event) = events.recv().await {
            println!("  peer: {event:?}");
        }
    });
}
