//! The clock of the machine is the `Instant` that each call is given; that of the registry is
//! a manual one, which advances with it.

use std::collections::HashMap;
use std::time::Duration;

use relay_registry::dht::SecretKey;
use relay_registry::{CircuitState, Maintenance, ManualClock, RegisterOptions};

use super::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

/// The machine, and a network that does what the test says.
struct World {
    registry: Registry,
    clock: ManualClock,
    now: Instant,
    machine: Reservations,
    /// The open listeners, by relay.
    listeners: HashMap<PeerId, Vec<ListenerId>>,
    attempts: Vec<PeerId>,
    removed: Vec<ListenerId>,
    disconnected: Vec<PeerId>,
    events: Vec<Event>,
}

impl World {
    /// A world with relays at these round trips, each in a failure domain of its own.
    fn new(rtts: &[u64], config: Config) -> Self {
        let clock = ManualClock::new();
        let registry = Registry::builder()
            .clock(clock.clone())
            .maintenance(Maintenance::Manual)
            .build()
            .expect("the settings are valid");
        let now = Instant::now();
        let machine = Reservations::new(registry.clone(), config, now);
        let world = Self {
            registry,
            clock,
            now,
            machine,
            listeners: HashMap::new(),
            attempts: Vec::new(),
            removed: Vec::new(),
            disconnected: Vec::new(),
            events: Vec::new(),
        };
        for (at, rtt) in rtts.iter().enumerate() {
            world.add_relay(at as u8, *rtt, &format!("rack-{at}"));
        }
        world
    }

    fn add_relay(&self, at: u8, rtt: u64, domain: &str) {
        let endpoint = std::net::SocketAddr::from(([192, 0, 2, at + 1], 4001));
        let options = RegisterOptions::new().failure_domain(domain);
        self.registry
            .register_with(node(at), endpoint, &options)
            .expect("it is valid");
        self.registry.record_rtt(&node(at), MS(rtt));
        self.registry.maintain();
    }

    /// Lets time pass, without an event of the network.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.machine.deadline() <= end {
            self.advance_to(self.machine.deadline());
            self.machine.advance(self.now);
            self.take_actions();
            assert!(self.machine.deadline() > self.now, "it would spin");
        }
        self.advance_to(end);
    }

    fn advance_to(&mut self, at: Instant) {
        self.clock.advance(at.saturating_duration_since(self.now));
        self.now = self.now.max(at);
        self.registry.maintain();
    }

    fn start(&mut self) {
        self.machine.advance(self.now);
        self.take_actions();
    }

    fn take_actions(&mut self) {
        while let Some(action) = self.machine.next_action() {
            match action {
                Action::Listen(opts) => {
                    let relay = crate::ids::relay_of(opts.address()).expect("a circuit address");
                    self.attempts.push(relay);
                    let listeners = self.listeners.entry(relay).or_default();
                    listeners.push(opts.listener_id());
                }
                Action::Remove(listener) => self.removed.push(listener),
                Action::Disconnect(relay) => self.disconnected.push(relay),
                Action::Report(event) => self.events.push(event),
            }
        }
    }

    fn listener(&self, relay: PeerId) -> ListenerId {
        *self.listeners[&relay].last().expect("there is one")
    }

    fn accept(&mut self, relay: PeerId) {
        let listener = self.listener(relay);
        self.machine
            .on_accepted(listener, &Multiaddr::empty(), self.now);
        self.take_actions();
    }

    fn close(&mut self, relay: PeerId, reason: Lost) {
        let listener = self.listener(relay);
        self.machine.on_closed(listener, reason, self.now);
        self.take_actions();
    }

    fn circuit(&self, at: u8) -> CircuitState {
        self.registry
            .relay(&node(at))
            .expect("it is live")
            .circuit()
    }
}

fn node(at: u8) -> NodeId {
    SecretKey::from_seed([at; 32]).node_id()
}

fn peer(at: u8) -> PeerId {
    peer_of(&node(at)).expect("an Ed25519 key")
}

fn one() -> Config {
    Config {
        reservations: 1,
        ..Config::default()
    }
}

/// Two reservations, at relays 0 and 1 of the given ones.
fn settled(rtts: &[u64]) -> World {
    let mut world = World::new(rtts, Config::default());
    world.start();
    world.accept(peer(0));
    world.accept(peer(1));
    assert_eq!(world.machine.held(), [peer(0), peer(1)]);
    world.events.clear();
    world.attempts.clear();
    world
}

#[test]
fn the_nearest_relays_are_asked_at_once_and_the_nearest_becomes_the_home() {
    let mut world = World::new(&[10, 18, 30], Config::default());
    world.start();
    assert_eq!(world.attempts, [peer(0), peer(1)]);
    world.accept(peer(1));
    assert_eq!(world.machine.home(), Some(peer(1)), "the only one");
    world.accept(peer(0));
    assert_eq!(
        world.machine.home(),
        Some(peer(1)),
        "8 ms are no reason to move"
    );
    assert_eq!(world.attempts.len(), 2);
}

#[test]
fn the_home_moves_to_a_clearly_nearer_standby() {
    let mut world = World::new(&[10, 80], Config::default());
    world.start();
    world.accept(peer(1));
    world.accept(peer(0));
    assert_eq!(world.machine.held(), [peer(0), peer(1)]);
    assert!(world.removed.is_empty());
}

#[test]
fn a_lost_relay_is_replaced_at_once_and_the_standby_takes_over() {
    let mut world = settled(&[10, 20, 30]);
    world.pass(MS(5_000));
    world.close(peer(0), Lost::Connection);
    assert_eq!(world.machine.home(), Some(peer(1)));
    assert_eq!(world.attempts, [peer(2)], "without a wait");
    world.pass(MS(40));
    world.accept(peer(2));
    let replaced = Event::Replaced {
        lost: peer(0),
        by: peer(2),
        after: MS(40),
    };
    assert!(world.events.contains(&replaced), "{:?}", world.events);
    assert_eq!(world.circuit(0), CircuitState::Open);
}

#[test]
fn a_standby_is_in_another_failure_domain_if_there_is_one() {
    let mut world = World::new(&[], Config::default());
    world.add_relay(0, 10, "rack-a");
    world.add_relay(1, 11, "rack-a");
    world.add_relay(2, 40, "rack-b");
    world.start();
    assert_eq!(world.attempts, [peer(0), peer(2)]);

    let mut crowded = World::new(&[], Config::default());
    crowded.add_relay(0, 10, "rack-a");
    crowded.add_relay(1, 11, "rack-a");
    crowded.start();
    assert_eq!(crowded.attempts, [peer(0), peer(1)], "better than none");
}

#[test]
fn a_relay_that_denies_is_asked_again_only_after_its_back_off() {
    let mut world = World::new(&[10, 20], Config::default());
    world.start();
    world.accept(peer(1));
    world.close(peer(0), Lost::Refused);
    world.attempts.clear();
    world.pass(MS(500));
    assert!(
        world.attempts.is_empty(),
        "it backs off for a second, less a quarter"
    );
    for _ in 0..200 {
        world.pass(MS(300));
        if world.machine.slots.iter().any(Slot::is_pending) {
            world.close(peer(0), Lost::Refused);
        }
    }
    // 1 s, 2 s, 4 s .. 32 s: six or so attempts within a minute.
    assert!(
        (2..=9).contains(&world.attempts.len()),
        "{}",
        world.attempts.len()
    );
}

#[test]
fn a_network_where_all_relays_deny_costs_a_bounded_number_of_attempts() {
    let mut world = World::new(&[10, 20, 30, 40, 50], Config::default());
    world.start();
    for _ in 0..600 {
        for at in 0..5 {
            let is_pending = |slot: &Slot| slot.is_pending() && slot.relay == peer(at);
            if world.machine.slots.iter().any(is_pending) {
                world.close(peer(at), Lost::Refused);
            }
        }
        world.pass(MS(100));
    }
    // Two reservations, one attempt for each in two seconds, and the first ones.
    assert!(
        world.attempts.len() <= 80,
        "{} in a minute",
        world.attempts.len()
    );
    assert!(world.attempts.len() >= 20, "it has given up");
}

#[test]
fn all_relays_gone_and_back_is_recovered_from() {
    let mut world = settled(&[10, 20]);
    world.close(peer(0), Lost::Connection);
    world.close(peer(1), Lost::Connection);
    assert_eq!(world.machine.home(), None);
    for at in 0..2 {
        world.registry.unregister(&node(at));
    }
    world.pass(MS(60_000));
    // Attempts that were under way end.
    for at in 0..2 {
        let is_open = |slot: &Slot| slot.relay == peer(at);
        if world.machine.slots.iter().any(is_open) {
            world.close(peer(at), Lost::Connection);
        }
    }
    let lack = |event: &&Event| matches!(event, Event::NoRelay { .. });
    assert_eq!(world.events.iter().filter(lack).count(), 1, "reported once");
    world.attempts.clear();
    world.add_relay(0, 10, "rack-0");
    world.add_relay(1, 20, "rack-1");
    world.pass(Config::default().max_retry);
    let mut asked = world.attempts.clone();
    asked.dedup();
    assert_eq!(asked.len(), 2, "{asked:?}");
    world.accept(asked[0]);
    world.accept(asked[1]);
    assert_eq!(world.machine.held().len(), 2);
}

#[test]
fn a_slow_relay_is_abandoned_and_its_listener_is_removed_only_after_it_answered() {
    let mut world = World::new(&[10, 20], one());
    world.start();
    assert_eq!(world.attempts, [peer(0)]);
    world.pass(Config::default().reservation_timeout);
    assert_eq!(world.attempts, [peer(0), peer(1)]);
    assert!(world.removed.is_empty(), "libp2p would panic");
    world.accept(peer(1));
    world.accept(peer(0));
    assert_eq!(world.machine.held().len(), 1, "the late one is superfluous");
    assert_eq!(world.removed, [world.listener(peer(0))]);
}

#[test]
fn a_clearly_nearer_relay_gets_the_reservation_before_the_old_one_is_given_up() {
    let mut world = World::new(&[80], one());
    world.start();
    world.accept(peer(0));
    world.add_relay(1, 10, "rack-1");
    world.pass(MS(31_000));
    assert_eq!(world.attempts, [peer(0), peer(1)]);
    assert!(world.removed.is_empty(), "the old one still serves");
    world.accept(peer(1));
    assert_eq!(world.removed, [world.listener(peer(0))]);
    assert_eq!(world.machine.held(), [peer(1)]);
    world.close(peer(0), Lost::Connection);
    assert_eq!(world.circuit(0), CircuitState::Closed, "it did not fail");
}

#[test]
fn a_draining_home_is_left_and_a_slightly_nearer_relay_is_no_reason() {
    let mut world = World::new(&[20], one());
    world.start();
    world.accept(peer(0));
    world.add_relay(1, 15, "rack-1");
    world.pass(MS(91_000));
    assert_eq!(world.attempts, [peer(0)]);
    world
        .registry
        .set_draining(&node(0), true)
        .expect("it is live");
    world.pass(MS(31_000));
    assert_eq!(world.attempts, [peer(0), peer(1)]);
}

#[test]
fn a_relay_that_stops_to_answer_pings_is_disconnected_once() {
    let mut world = settled(&[10, 20]);
    let silence = Config::default().max_silence;
    world.pass(silence * 2);
    assert!(world.disconnected.is_empty(), "it was never pinged");
    for _ in 0..3 {
        for relay in [peer(0), peer(1), PeerId::random()] {
            world.machine.on_answer(&relay, world.now);
        }
        world.pass(silence / 2);
    }
    assert!(world.disconnected.is_empty());
    world.pass(silence * 2);
    world.disconnected.sort_unstable();
    let mut both = [peer(0), peer(1)];
    both.sort_unstable();
    assert_eq!(world.disconnected, both);
}

#[test]
fn a_relay_that_never_answered_a_ping_is_disconnected_if_others_did() {
    let mut world = settled(&[10, 20]);
    world.machine.on_answer(&PeerId::random(), world.now);
    world.machine.on_no_pings(&peer(1));
    world.pass(Config::default().max_silence * 2);
    assert_eq!(
        world.disconnected,
        [peer(0)],
        "the other one speaks no pings"
    );
}

#[test]
fn a_process_that_was_stopped_blames_no_relay() {
    let mut world = settled(&[10, 20]);
    let silence = Config::default().max_silence;
    world.machine.on_answer(&peer(0), world.now);
    world.machine.on_no_pings(&peer(1));
    world.now += silence * 3;
    world.machine.advance(world.now);
    world.take_actions();
    assert!(world.disconnected.is_empty());
    world.pass(silence * 2);
    assert_eq!(world.disconnected, [peer(0)]);
}

#[test]
fn a_renewal_changes_nothing() {
    let mut world = settled(&[10, 20]);
    world.pass(MS(10_000));
    world.accept(peer(0));
    assert!(world.events.is_empty() && world.attempts.is_empty());
}

#[test]
fn a_relay_without_a_usable_address_is_skipped() {
    let mut world = World::new(&[], one());
    let name: relay_registry::Endpoint = "relay.example:4001".parse().expect("an endpoint");
    world.registry.register(node(0), name).expect("it is valid");
    world.registry.record_rtt(&node(0), MS(1));
    world.add_relay(1, 30, "rack-1");
    world.start();
    world.pass(Config::default().min_retry);
    assert_eq!(world.attempts, [peer(1)]);
}

#[test]
fn a_relay_that_accepts_and_breaks_off_at_once_costs_a_bounded_number_of_attempts() {
    let mut world = World::new(&[10], one());
    world.start();
    let mut now = 0;
    while now < 60_000 {
        // The network takes 20 ms for each of the two.
        world.pass(MS(20));
        let is_pending = world.machine.slots.iter().any(Slot::is_pending);
        let is_held = world.machine.slots.iter().any(Slot::is_held);
        match (is_pending, is_held) {
            (true, _) => world.accept(peer(0)),
            (_, true) => world.close(peer(0), Lost::Connection),
            _ => {}
        }
        now += 20;
    }
    let attempts = world.attempts.len();
    assert!(attempts <= 60, "{attempts} attempts in a minute");
}

#[test]
fn relays_that_never_answer_do_not_end_all_attempts() {
    let mut world = World::new(&[10, 11, 12, 13, 14, 15, 16, 17, 90], one());
    world.start();
    // libp2p ends an attempt after a minute.
    for _ in 0..55 {
        world.pass(MS(1_000));
        // The connection closes.
        for relay in std::mem::take(&mut world.disconnected) {
            world.close(relay, Lost::Connection);
        }
        if world.attempts.contains(&peer(8)) {
            return;
        }
    }
    panic!("it was not asked: {} attempts", world.attempts.len());
}
