//! Measures the round trip from the broker to relays: the time of a TCP connection.
//!
//! Off unless the configuration says otherwise. A relay says itself where it listens, and the broker
//! connects there. So the holder of a relay's token can have it connect to any port of any address
//! that `registry.address_policy` admits. And a relay that listens on UDP alone would count as failed.
//! Names are not resolved: what a name stands for was not checked when the relay registered.

use crate::app::App;
use crate::config::ProbeConfig;
use metrics::counter;
use relay_registry::{Failure, NodeId};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{self, MissedTickBehavior};

/// Measures the relays that are due, a few at a time, until the broker closes.
pub async fn measure(app: Arc<App>, config: ProbeConfig) {
    let mut seconds = time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = seconds.tick() => {}
            () = app.closing.cancelled() => return,
        }
        let mut probes = JoinSet::new();
        for id in app.registry.due_for_probe(config.at_a_time) {
            let relay = app.registry.relay(&id);
            if let Some(address) = relay.and_then(|relay| relay.endpoint().socket_addr()) {
                probes.spawn(probe(
                    Arc::clone(&app),
                    id,
                    address,
                    config.timeout_seconds.get(),
                ));
            }
        }
        probes.join_all().await;
    }
}

async fn probe(app: Arc<App>, id: NodeId, address: SocketAddr, timeout: Duration) {
    let began = Instant::now();
    let outcome = match time::timeout(timeout, TcpStream::connect(address)).await {
        Ok(Ok(_)) => {
            app.registry.record_rtt(&id, began.elapsed());
            "measured"
        }
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            app.registry.report_failure(&id, Failure::Refused);
            "refused"
        }
        // This host has no descriptor or no route: that says nothing of the relay.
        Ok(Err(_)) => "not-made",
        Err(_) => {
            app.registry.report_failure(&id, Failure::TimedOut);
            "timed-out"
        }
    };
    counter!("broker_probes_total", "outcome" => outcome).increment(1);
}
