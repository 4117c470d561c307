//! A registry on a manual clock, with helpers for tests.
#![allow(dead_code, reason = "each test crate uses its own part of the world")]

pub mod mirror;

use relay_registry::{
    CircuitState, Coordinate, Endpoint, Failure, FindError, FindOptions, Lease, Maintenance,
    ManualClock, NodeId, PeerView, RegisterOptions, Registration, Registry, RegistryBuilder,
    Rejections, RelayInfo, Verdict,
};
use std::net::SocketAddr;
use std::ops::Deref;
use std::time::Duration;

/// The registry's default tick and TTL.
pub const TICK: Duration = Duration::from_millis(100);
pub const TTL: Duration = Duration::from_secs(600);

/// `assert_is!(value, pattern)`: for values that have no constructor outside of the crate.
#[macro_export]
macro_rules! assert_is {
    ($value:expr, $pattern:pat $(if $guard:expr)?) => {
        match $value {
            $pattern $(if $guard)? => {}
            other => panic!("{other:?} is not {}", stringify!($pattern $(if $guard)?)),
        }
    };
}

pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The node with this number.
pub fn id(n: u32) -> NodeId {
    let mut bytes = [0x5a; 32];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    NodeId::from(bytes)
}

/// The number of a node made by [`id`].
pub fn number(id: NodeId) -> u32 {
    let head = id.as_bytes()[..4].try_into().expect("four bytes");
    u32::from_be_bytes(head)
}

/// A node that is not a relay.
pub fn non_relay() -> NodeId {
    id(u32::MAX)
}

/// A peer that teaches where relays are, and is no target.
pub fn teacher() -> NodeId {
    id(u32::MAX - 1)
}

/// A public address of the node with this number.
pub fn endpoint(n: u32) -> Endpoint {
    let [_, a, b, c] = n.to_be_bytes();
    Endpoint::from(SocketAddr::from(([9, a, b, c], 4_000)))
}

pub fn options() -> RegisterOptions {
    RegisterOptions::new()
}

pub fn capacity(units: u32) -> RegisterOptions {
    options().capacity(units)
}

pub fn ttl(ttl: Duration) -> RegisterOptions {
    options().ttl(ttl)
}

pub fn latency(rtt: Duration) -> RegisterOptions {
    options().latency(rtt)
}

/// Find options that exclude the nodes with these numbers.
pub fn excluding(numbers: impl IntoIterator<Item = u32>) -> FindOptions {
    FindOptions::new().exclude(numbers.into_iter().map(id))
}

pub fn within(max_latency: Duration) -> FindOptions {
    FindOptions::new().max_latency(max_latency)
}

/// The view of a peer that measured the relays with these numbers.
pub fn published(pairs: impl IntoIterator<Item = (u32, Duration)>) -> PeerView {
    pairs.into_iter().fold(PeerView::new(), |view, (n, rtt)| {
        view.measured(id(n), rtt).expect("a sane round trip")
    })
}

/// A coordinate in a plane, in milliseconds, with a small error.
pub fn place(x: f32, y: f32) -> Coordinate {
    let mut position = [0.0; Coordinate::DIMENSIONS];
    (position[0], position[1]) = (x * 1e3, y * 1e3);
    Coordinate::new(position, 10.0, 0.0, 0.1).expect("a sane coordinate")
}

/// Every relay, best first.
pub fn all() -> FindOptions {
    FindOptions::new().max_results(usize::MAX)
}

pub fn numbers(relays: &[RelayInfo]) -> Vec<u32> {
    relays.iter().map(|relay| number(relay.node_id())).collect()
}

pub struct World {
    pub registry: Registry,
    pub clock: ManualClock,
}

/// A world with the registry's defaults.
pub fn world() -> World {
    world_with(|builder| builder)
}

pub fn world_with(configure: impl FnOnce(RegistryBuilder) -> RegistryBuilder) -> World {
    let clock = ManualClock::new();
    let builder = Registry::builder()
        .maintenance(Maintenance::Manual)
        .clock(clock.clone());
    let registry = configure(builder).build().expect("a valid registry");
    World { registry, clock }
}

pub fn world_of(max_relays: usize) -> World {
    world_with(|builder| builder.max_relays(max_relays))
}

impl Deref for World {
    type Target = Registry;

    fn deref(&self) -> &Registry {
        &self.registry
    }
}

impl World {
    /// Registers a relay that must not be held: it is new, or returns.
    #[track_caller]
    pub fn join(&self, n: u32) {
        self.join_with(n, &options());
    }

    #[track_caller]
    pub fn join_with(&self, n: u32, options: &RegisterOptions) {
        let outcome = self.register_with(id(n), endpoint(n), options);
        let entered = matches!(outcome, Ok(Registration::New | Registration::Returned));
        assert!(entered, "relay {n}: {outcome:?}");
    }

    /// Registers a relay that must be held already.
    #[track_caller]
    pub fn renew(&self, n: u32) {
        self.renew_with(n, &options());
    }

    #[track_caller]
    pub fn renew_with(&self, n: u32, options: &RegisterOptions) {
        let outcome = self.register_with(id(n), endpoint(n), options);
        assert_eq!(outcome, Ok(Registration::Renewed), "relay {n}");
    }

    #[track_caller]
    pub fn leave(&self, n: u32) {
        assert!(self.unregister(&id(n)), "relay {n} was not there");
    }

    #[track_caller]
    pub fn measure(&self, n: u32, rtt: Duration) {
        assert!(self.record_rtt(&id(n), rtt), "relay {n}: {rtt:?} refused");
    }

    #[track_caller]
    pub fn report(&self, n: u32, load: u32) {
        assert!(self.report_load(&id(n), load), "relay {n} was not there");
    }

    #[track_caller]
    pub fn drain(&self, n: u32) {
        self.set_draining(&id(n), true).unwrap();
    }

    #[track_caller]
    pub fn fail(&self, n: u32, failure: Failure) {
        assert!(self.report_failure(&id(n), failure), "relay {n} is unknown");
    }

    /// Reports a success through a lease; by id, if no lease can be taken.
    #[track_caller]
    pub fn succeed(&self, n: u32) {
        let was_held = match self.lease(&id(n)) {
            Ok(lease) => lease.succeeded(),
            Err(_) => self.report_success(&id(n)),
        };
        assert!(was_held, "relay {n} is unknown");
    }

    #[track_caller]
    pub fn ban_for(&self, n: u32, duration: Duration) {
        assert_eq!(self.ban(&id(n), duration), Ok(()), "relay {n}");
    }

    #[track_caller]
    pub fn circuit(&self, n: u32) -> CircuitState {
        self.info(n).circuit()
    }

    /// The verdict on a relay now. It changes nothing.
    #[track_caller]
    pub fn verdict(&self, n: u32) -> Verdict {
        self.verdict_with(n, &FindOptions::new().max_results(1))
    }

    #[track_caller]
    pub fn verdict_with(&self, n: u32, options: &FindOptions) -> Verdict {
        let explanation = self.explain(&non_relay(), options);
        let explained = explanation.of(&id(n));
        explained.expect("a relay that is held").verdict
    }

    /// Takes units of the relay with this number.
    #[track_caller]
    pub fn take(&self, n: u32, units: usize) -> Vec<Lease> {
        let take = |_| self.lease(&id(n)).expect("a free unit");
        (0..units).map(take).collect()
    }

    #[track_caller]
    pub fn info(&self, n: u32) -> RelayInfo {
        let relay = self.relay(&id(n));
        relay.unwrap_or_else(|| panic!("relay {n} is not there"))
    }

    #[track_caller]
    pub fn load(&self, n: u32) -> u32 {
        self.info(n).current_load()
    }

    pub fn has(&self, n: u32) -> bool {
        self.is_relay(&id(n))
    }

    /// The number of the relay that a search for a non-relay returns.
    pub fn found(&self) -> Option<u32> {
        self.found_with(&FindOptions::new())
    }

    pub fn found_with(&self, options: &FindOptions) -> Option<u32> {
        let relay = self.find_relay_with(&non_relay(), options).ok()?;
        Some(number(relay.node_id()))
    }

    /// The numbers of all relays that may be handed out, best first.
    pub fn ranking(&self) -> Vec<u32> {
        numbers(&self.find_relays(&non_relay(), &all()))
    }

    /// The rejections of a find that must fail.
    #[track_caller]
    pub fn rejections(&self, options: &FindOptions) -> Rejections {
        match self.find_relay_with(&non_relay(), options) {
            Err(FindError::NoRelaysAvailable { rejections, .. }) => rejections,
            other => panic!("expected to find nothing, not {other:?}"),
        }
    }

    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Moves the clock and calls `maintain`; returns how many relays expired.
    pub fn pass(&self, by: Duration) -> usize {
        self.advance(by);
        self.maintain().expired
    }
}
