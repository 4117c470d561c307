//! Other ways to choose among the same relays.

use ahash::RandomState;
use pingora_load_balancing::LoadBalancer;
use pingora_load_balancing::selection::Random;
use relay_registry::{Endpoint, NodeId, Registry};
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::RwLock;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tower::Service;
use tower::balance::p2c::Balance;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, PeakEwma};

/// The assumed round trip of an unmeasured leg, in microseconds.
const ASSUMED_MICROS: u32 = 100_000;

/// A relay in a registry behind a lock.
#[derive(Clone)]
pub struct Relay {
    pub id: NodeId,
    pub endpoint: Endpoint,
    pub capacity: u32,
    pub load: u32,
    pub rtt_micros: Option<u32>,
    pub deadline: u64,
}

impl Relay {
    fn will_do(&self, target: &NodeId, now: u64) -> bool {
        self.deadline > now && self.load < self.capacity && self.id != *target
    }

    /// The score by which the registry chooses.
    pub fn score(&self) -> f32 {
        let path_micros = ASSUMED_MICROS + self.rtt_micros.unwrap_or(ASSUMED_MICROS);
        let utilisation = self.load as f32 / self.capacity as f32;
        path_micros as f32 / (1.0 - utilisation.powi(4))
    }
}

/// Copies all relays of a registry.
pub fn relays_of(registry: &Registry) -> Vec<Relay> {
    let relays = registry.relays().into_iter();
    let relay = |relay: relay_registry::RelayInfo| Relay {
        id: relay.node_id(),
        endpoint: relay.endpoint().clone(),
        capacity: relay.capacity(),
        load: relay.current_load(),
        rtt_micros: relay.latency().map(|rtt| rtt.as_micros() as u32),
        deadline: u64::MAX,
    };
    relays.map(relay).collect()
}

/// A map behind a lock; each choice scans it.
pub struct Locked(RwLock<HashMap<NodeId, Relay, RandomState>>);

impl Locked {
    pub fn of(relays: &[Relay]) -> Self {
        let relays = relays.iter().map(|relay| (relay.id, relay.clone()));
        Self(RwLock::new(relays.collect()))
    }

    /// Clones the eligible relays, sorts them by load and latency, and takes the first, as the reference
    /// system does.
    pub fn clone_filter_sort(&self, target: &NodeId) -> Option<Relay> {
        let now = black_box(1);
        let relays = self.0.read().unwrap();
        let fitting = relays.values().filter(|relay| relay.will_do(target, now));
        let mut fitting: Vec<Relay> = fitting.cloned().collect();
        drop(relays);
        fitting.sort_by_key(|relay| (relay.load, relay.rtt_micros.unwrap_or(0)));
        fitting.into_iter().next()
    }

    /// Finds the lowest score, and clones that relay only.
    pub fn min_by_key(&self, target: &NodeId) -> Option<Relay> {
        let now = black_box(1);
        let relays = self.0.read().unwrap();
        let fitting = relays.values().filter(|relay| relay.will_do(target, now));
        fitting
            .min_by(|a, b| a.score().total_cmp(&b.score()))
            .cloned()
    }
}

/// tower's balancer: of two random relays, the one with the lower Peak-EWMA. It belongs to one caller;
/// several would have to lock it.
pub struct TwoChoices(Balance<ServiceList<Vec<PeakEwma<Answer>>>, ()>);

/// A service that returns its relay.
pub struct Answer(NodeId);

impl Service<()> for Answer {
    type Response = NodeId;
    type Error = Infallible;
    type Future = Ready<Result<NodeId, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(self.0))
    }
}

impl TwoChoices {
    pub fn of(relays: &[Relay]) -> Self {
        let service = |relay: &Relay| {
            let rtt = Duration::from_micros(relay.rtt_micros.unwrap_or(ASSUMED_MICROS).into());
            let decay_nanos = 10e9;
            let answer = Answer(relay.id);
            PeakEwma::new(answer, rtt, decay_nanos, CompleteOnResponse::default())
        };
        let services = ServiceList::new::<()>(relays.iter().map(service).collect());
        let mut balance = Balance::new(services);
        while balance.len() < relays.len() {
            _ = balance.poll_ready(&mut Context::from_waker(Waker::noop()));
        }
        Self(balance)
    }

    pub fn choose(&mut self) -> NodeId {
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(Ok(())) = self.0.poll_ready(&mut context) else {
            panic!("always ready");
        };
        match pin!(self.0.call(())).poll(&mut context) {
            Poll::Ready(Ok(id)) => id,
            _ => panic!("answers at once"),
        }
    }
}

/// pingora's weighted random choice among healthy backends.
pub struct Pingora(LoadBalancer<Random>);

impl Pingora {
    /// `None` for more relays than it supports.
    pub fn of(relays: usize) -> Option<Self> {
        if relays >= 1 << 16 {
            return None;
        }
        let first = u32::from(Ipv4Addr::new(10, 0, 0, 0));
        let address = |number: u32| SocketAddr::from((Ipv4Addr::from(first + number), 4433));
        let addresses = (0..relays as u32).map(address);
        Some(Self(
            LoadBalancer::try_from_iter(addresses).expect("addresses"),
        ))
    }

    pub fn choose(&self) -> bool {
        self.0.select(b"", 16).is_some()
    }
}
