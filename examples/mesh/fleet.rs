//! All relays of a run: a few threads drive them in turns, and a few sockets answer for them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use relay_registry::dht::SecretKey;

use crate::error::Failure;
use crate::intervals::Intervals;
use crate::net::Net;
use crate::progress::Progress;
use crate::relay::{self, Relay};
use crate::service::Service;

/// How many relays share a socket, unless that would be more than so many sockets.
const RELAYS_PER_SOCKET: usize = 64;
const MAX_SOCKETS: usize = 16;

/// How long a thread sleeps between two rounds: so long for each of its relays, within bounds. A relay
/// that has nothing to do takes a few microseconds.
const REST_PER_RELAY: Duration = Duration::from_micros(100);
const MIN_REST: Duration = Duration::from_millis(5);
const MAX_REST: Duration = Duration::from_millis(500);

/// How often the published relays are counted.
const POLL: Duration = Duration::from_millis(10);

type Relays = Vec<Arc<Relay>>;

pub struct Fleet {
    relays: Relays,
    shared: Arc<Shared>,
    drivers: Vec<JoinHandle<()>>,
    /// They answer until the fleet is dropped.
    _services: Vec<Service>,
}

#[derive(Default)]
struct Shared {
    published: AtomicUsize,
    is_over: AtomicBool,
}

impl Fleet {
    pub fn start(
        relays: usize,
        net: &dyn Net,
        intervals: Intervals,
        seed: u64,
    ) -> Result<Self, Failure> {
        // So runs with consecutive seeds share no seed of a relay.
        let seeds = (0..relays as u64).map(|number| (seed << 16).wrapping_add(number));
        let keys: Vec<(u64, Arc<SecretKey>)> = seeds
            .map(|seed| (seed, Arc::new(relay::key(seed))))
            .collect();
        let (services, addresses) = serve(&keys)?;
        let plans: Vec<Plan> = keys.into_iter().zip(addresses).collect();
        let shares = start_shares(&plans, net, &intervals)?;
        let mut fleet = Self {
            relays: shares.iter().flatten().cloned().collect(),
            shared: Arc::default(),
            drivers: Vec::with_capacity(shares.len()),
            _services: services,
        };
        for share in shares {
            let shared = Arc::clone(&fleet.shared);
            let driver = thread::Builder::new()
                .name("mesh-driver".into())
                .spawn(move || drive(&share, &shared))
                .map_err(Failure::system("a thread"))?;
            fleet.drivers.push(driver);
        }
        Ok(fleet)
    }

    pub fn relays(&self) -> &[Arc<Relay>] {
        &self.relays
    }

    /// Returns how many were published once all were, or the deadline passed. A relay counts once it was
    /// published, since it soon has a next record to publish.
    pub fn wait_for_publication(&self, deadline: Duration, progress: &Progress) -> usize {
        let begun = Instant::now();
        loop {
            let published = self.shared.published.load(Relaxed);
            progress.reached(published);
            if published == self.relays.len() || begun.elapsed() > deadline {
                return published;
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Relaxed);
        for driver in self.drivers.drain(..) {
            // Its panic was reported where it happened.
            let _ = driver.join();
        }
    }
}

/// What makes a relay: its seed, its key and its address.
type Plan = ((u64, Arc<SecretKey>), SocketAddr);

/// Starts the services, and returns the address of each relay.
fn serve(keys: &[(u64, Arc<SecretKey>)]) -> Result<(Vec<Service>, Vec<SocketAddr>), Failure> {
    let share = RELAYS_PER_SOCKET.max(keys.len().div_ceil(MAX_SOCKETS));
    let mut services = Vec::new();
    let mut addresses = Vec::with_capacity(keys.len());
    for keys in keys.chunks(share) {
        let keys: Vec<_> = keys.iter().map(|(_, key)| Arc::clone(key)).collect();
        let service = Service::start(&keys).map_err(Failure::system("a socket"))?;
        addresses.extend(std::iter::repeat_n(service.address(), keys.len()));
        services.push(service);
    }
    Ok((services, addresses))
}

/// Starts the relays, those of each thread with an engine of their own.
fn start_shares(
    plans: &[Plan],
    net: &dyn Net,
    intervals: &Intervals,
) -> Result<Vec<Relays>, Failure> {
    let start_share = |plans: &[Plan]| -> Result<Relays, Failure> {
        let engine = net.join()?;
        let start = |((seed, key), address): &Plan| {
            let relay = Relay::start(key, *address, Arc::clone(&engine), intervals, *seed)?;
            Ok(Arc::new(relay))
        };
        plans.iter().map(start).collect()
    };
    let panicked = |_| Err(Failure::registry("a relay panicked"));
    thread::scope(|scope| {
        let starters: Vec<_> = plans
            .chunks(plans.len().div_ceil(net.writers()))
            .map(|plans| scope.spawn(move || start_share(plans)))
            .collect();
        let shares = starters.into_iter().map(|starter| starter.join());
        shares.map(|share| share.unwrap_or_else(panicked)).collect()
    })
}

/// Drives relays in turns, and counts those that were published.
fn drive(relays: &[Arc<Relay>], shared: &Shared) {
    let count = u32::try_from(relays.len()).unwrap_or(u32::MAX);
    let rest = REST_PER_RELAY
        .saturating_mul(count)
        .clamp(MIN_REST, MAX_REST);
    let mut was_published = vec![false; relays.len()];
    loop {
        for (relay, was_published) in relays.iter().zip(&mut was_published) {
            if shared.is_over.load(Relaxed) {
                return;
            }
            relay.drive();
            if !*was_published && relay.is_published() {
                *was_published = true;
                shared.published.fetch_add(1, Relaxed);
            }
        }
        thread::sleep(rest);
    }
}
