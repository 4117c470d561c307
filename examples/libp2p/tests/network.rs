//! Networks of nodes on 127.0.0.1, in one process: relays, storage nodes, peers behind NATs and
//! brokers.

use std::time::Instant;

use futures::future::try_join_all;
use relay_libp2p::autorelay::{self, Event, Lost};
use relay_libp2p::ids::relay_of;
use relay_libp2p::network::{LIMIT, Network, NetworkError, eventually, reach, until};
use relay_libp2p::node::{Node, RelayConfig};
use tokio::time::timeout;

type Tested = Result<(), NetworkError>;

/// A relay in a failure domain of its own.
fn relay(name: usize) -> RelayConfig {
    RelayConfig {
        failure_domain: Some(format!("rack-{name}")),
        ..RelayConfig::default()
    }
}

async fn network(storage: usize, relays: usize) -> Result<Network, NetworkError> {
    let mut network = Network::start(storage).await?;
    for name in 0..relays {
        network.add_relay(relay(name)).await?;
    }
    Ok(network)
}

/// A peer with this many reservations.
fn reservations(count: usize) -> autorelay::Config {
    autorelay::Config {
        reservations: count,
        ..autorelay::Config::default()
    }
}

async fn has_all(peer: &Node, count: usize) -> Tested {
    until(peer, "a peer has all reservations", |status| {
        status.reservations.len() == count
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_network_of_30_nodes_peers_are_reached_again_after_their_relay_was_killed() -> Tested {
    let mut network = network(8, 6).await?;
    let peers = (0..10).map(|_| network.add_natted(reservations(2)));
    let peers = try_join_all(peers).await?;
    let brokers = try_join_all((0..6).map(|_| network.add_broker())).await?;
    try_join_all(peers.iter().map(|peer| has_all(peer, 2))).await?;
    for (at, peer) in peers.iter().enumerate() {
        reach(&brokers[at % brokers.len()], peer.peer()).await?;
    }

    let (peer, broker) = (&peers[0], &brokers[0]);
    let session = reach(broker, peer.peer()).await?;
    let dead = session.relay;
    let (failover, session) = network.fail_over(broker, peer, session).await?;
    assert_ne!(session.relay, dead);
    println!(
        "30 nodes: the circuit ended after {:.3} s, the peer was reached again after {:.3} s, and had all \
         reservations again after {:.3} s",
        failover.noticed.as_secs_f64(),
        failover.reached.as_secs_f64(),
        failover.restored.as_secs_f64()
    );
    for (at, peer) in peers.iter().enumerate() {
        let session = reach(&brokers[at % brokers.len()], peer.peer()).await?;
        assert_ne!(session.relay, dead);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_without_a_standby_is_reached_again_through_a_new_relay() -> Tested {
    let mut network = network(4, 3).await?;
    let (peer, broker) = (
        network.add_natted(reservations(1)).await?,
        network.add_broker().await?,
    );
    let session = reach(&broker, peer.peer()).await?;
    let dead = session.relay;
    let (failover, session) = network.fail_over(&broker, &peer, session).await?;
    assert_ne!(session.relay, dead);
    println!(
        "without a standby: reached again after {:.3} s",
        failover.reached.as_secs_f64()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_external_addresses_are_those_of_the_reservations() -> Tested {
    let mut network = network(3, 3).await?;
    let peer = network.add_natted(reservations(2)).await?;
    has_all(&peer, 2).await?;
    let is_consistent = |peer: &Node| {
        let status = peer.status().borrow().clone();
        let mut external: Vec<_> = status.external.iter().filter_map(relay_of).collect();
        let mut reserved = status.reservations;
        external.sort_unstable();
        reserved.sort_unstable();
        external == reserved && reserved.len() == 2
    };
    eventually("both addresses are external", || is_consistent(&peer)).await?;
    let dead = peer.status().borrow().reservations[0];
    network.kill(dead).await?;
    eventually("the address of the dead relay is gone", || {
        is_consistent(&peer) && !peer.status().borrow().reservations.contains(&dead)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_relay_is_used_again() -> Tested {
    let mut network = network(3, 2).await?;
    let peer = network.add_natted(reservations(2)).await?;
    has_all(&peer, 2).await?;
    let relay = peer.status().borrow().reservations[0];
    network.kill(relay).await?;
    has_all(&peer, 1).await?;
    network.restart(relay).await?;
    until(&peer, "the restarted relay is used", |status| {
        status.reservations.len() == 2 && status.reservations.contains(&relay)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_denies_reservations_is_skipped_and_costs_few_attempts() -> Tested {
    let mut network = network(3, 2).await?;
    let denying = RelayConfig {
        max_reservations: 0,
        ..relay(9)
    };
    let denying = network.add_relay(denying).await?;
    // Three are wanted, and two of the three relays accept.
    let begun = Instant::now();
    let peer = network.start_natted(reservations(3)).await?;
    let mut events = peer.events();
    has_all(&peer, 2).await?;
    let mut attempts = 0;
    while attempts < 3 {
        let event = timeout(LIMIT, events.recv())
            .await
            .expect("it is asked again");
        if let Ok(Event::ReservationFailed { relay, reason }) = event {
            assert!(relay != denying || reason == Lost::Refused, "{reason}");
            attempts += u32::from(relay == denying);
        }
        assert!(!peer.status().borrow().reservations.contains(&denying));
    }
    // It backs off for 1 s, then twice as long each time, less a quarter.
    let elapsed = begun.elapsed().as_secs_f64();
    println!("{attempts} attempts at the relay that denies, within {elapsed:.3} s");
    assert!(elapsed > 0.75 * f64::from((1 << (attempts - 1)) - 1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn all_relays_gone_and_back_is_recovered_from() -> Tested {
    let mut network = network(3, 3).await?;
    let (peer, broker) = (
        network.add_natted(reservations(2)).await?,
        network.add_broker().await?,
    );
    drop(reach(&broker, peer.peer()).await?);
    let relays = network.relays();
    for relay in &relays {
        network.kill(*relay).await?;
    }
    until(&peer, "no reservation is left", |status| {
        status.reservations.is_empty() && status.external.is_empty()
    })
    .await?;
    for relay in &relays {
        network.restart(*relay).await?;
    }
    has_all(&peer, 2).await?;
    reach(&broker, peer.peer()).await?;
    Ok(())
}
