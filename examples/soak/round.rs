//! One round: a registry is built, used by all threads at once, then checked at rest or dropped while
//! leases are held. All its memory must be freed.

mod at_rest;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use fastrand::Rng;
use relay_registry::{FindOptions, Maintenance, RegisterOptions, Registry};

use crate::args::Args;
use crate::client::{self, Client, SharedLeases};
use crate::clock::{StallingClock, Time};
use crate::events::{Conditions, EventThread};
use crate::ledger::{Ledger, Settings, micros};
use crate::memory;
use crate::operator::Operator;
use crate::owner::{LONG_STALL, Owner, SHORT_STALL, TICK};
use crate::relays::{self, Announced, BOUNDLESS, MAX_PEERS, PERMANENT};
use crate::tally::Tally;
use crate::transients::{self, Transients};

/// How long a client runs before another replaces it.
const CLIENT_LIFETIME: Duration = Duration::from_millis(150);
const PAUSE: Duration = Duration::from_millis(200);
const SAMPLE_INTERVAL: Duration = Duration::from_millis(20);
/// The TTL of permanent relays: longer than all jumps of the clock together.
const PERMANENT_TTL: Duration = Duration::from_secs(10_000_000);
/// How many steps the operator and the transients make between two pauses.
const BURST: u32 = 32;
/// No small registry is built while more announcements of earlier ones wait to be freed.
const MAX_SMALL_RELAYS: usize = 8 * 8;

pub struct Outcome {
    pub tally: Tally,
    pub faults: u64,
    pub messages: Vec<String>,
    /// The most bytes that the process held.
    pub peak_bytes: usize,
    /// The fewest bytes that it held in the second half of the round.
    pub floor_bytes: usize,
}

/// What the threads of a round share.
struct Round {
    number: u64,
    ledger: Arc<Ledger>,
    conditions: Conditions,
    time: Time,
    clock: StallingClock,
    shared: Arc<SharedLeases>,
    /// A failure domain that every announcement of the registry holds, so that its reference count shows
    /// what was freed.
    label: Arc<str>,
    /// The same for small registries.
    small_label: Arc<str>,
    seeds: AtomicU64,
    over: AtomicBool,
}

type Running<'scope> = ScopedJoinHandle<'scope, Tally>;

pub fn run(
    number: u64,
    args: &Args,
    length: Duration,
    mut on_sample: impl FnMut(),
) -> Result<Outcome, String> {
    let time = Time::new();
    let settings = settings(number, args);
    let round = Round {
        number,
        ledger: Arc::new(Ledger::new(args.relays, time.clone(), settings)),
        conditions: Conditions::default(),
        clock: StallingClock::new(time.clone()),
        time,
        shared: Arc::default(),
        label: Arc::from(relays::DOMAIN),
        small_label: Arc::from("small"),
        seeds: AtomicU64::new(args.seed.wrapping_add(number << 20)),
        over: AtomicBool::new(false),
    };
    let mut tally = Tally {
        rounds: 1,
        ..Tally::default()
    };
    let registry = round.build()?;
    round.register_permanent(&registry);
    let (mut peak_bytes, mut floor_bytes) = (0, usize::MAX);
    thread::scope(|scope| {
        let releaser = scope.spawn(|| round.release_shared());
        let mut running = round.start(scope, &registry, args.threads);
        let mut clients = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < length {
            thread::sleep(SAMPLE_INTERVAL);
            let bytes = memory::live_bytes();
            peak_bytes = peak_bytes.max(bytes);
            if begun.elapsed() > length / 2 {
                floor_bytes = floor_bytes.min(bytes);
            }
            round.pause_or_resume(begun.elapsed());
            round.replace_clients(scope, &registry, args.threads / 2, &mut clients, &mut tally);
            on_sample();
        }
        round.end();
        running.append(&mut clients);
        for thread in running {
            join(&round.ledger, thread, &mut tally);
        }
        tally.expired += registry.stats().expirations;
        tally.passes += registry.stats().maintenance_passes;
        if round.number % 2 == 0 {
            round.check_counts(&registry, &mut tally);
            round.check_empties(&registry);
        }
        // The drop waits for no thread: without this, one of them might free the memory later.
        registry.close();
        // In odd rounds, leases are released during the drop and after it.
        drop(registry);
        join(&round.ledger, releaser, &mut tally);
    });
    round.await_reclamation();
    let (faults, messages) = round.ledger.faults();
    Ok(Outcome {
        tally,
        faults,
        messages,
        peak_bytes,
        floor_bytes,
    })
}

fn join(ledger: &Ledger, thread: Running<'_>, tally: &mut Tally) {
    tally.threads += 1;
    match thread.join() {
        Ok(done) => *tally += done,
        Err(_) => ledger.fault("a thread panicked".to_owned()),
    }
}

/// The settings of the registry of a round.
fn settings(number: u64, args: &Args) -> Settings {
    let shares = [1.0, 0.5, 0.1];
    let hour = Duration::from_secs(3600);
    let graces = [
        None,
        Some(hour),
        Some(Duration::ZERO),
        Some(20 * TICK),
        Some(Duration::MAX),
    ];
    let (relays, clients) = (args.relays as usize, args.threads as usize);
    Settings {
        max_relays: relays * 5 / 8,
        grace: graces[(number % 5) as usize],
        max_ejected_share: shares[(number % 3) as usize],
        max_kept: relays + client::MAX_SHARED + client::MAX_HELD * clients + transients::MAX_HELD,
        has_maintenance_thread: has_maintenance_thread(number),
        has_transients: number % 7 >= 4,
    }
}

const fn has_maintenance_thread(number: u64) -> bool {
    number % 4 < 2
}

impl Round {
    fn build(&self) -> Result<Registry, String> {
        let maintenance = match has_maintenance_thread(self.number) {
            true => Maintenance::Thread,
            false => Maintenance::Manual,
        };
        let settings = self.ledger.settings();
        let builder = match settings.grace {
            Some(grace) => Registry::builder().return_grace(grace),
            None => Registry::builder(),
        };
        builder
            .max_relays(settings.max_relays)
            .tick(TICK)
            .maintenance(maintenance)
            .clock(self.clock.clone())
            .local_id(relays::id(relays::local(&self.ledger)))
            .max_ejected_share(settings.max_ejected_share)
            .max_peers(MAX_PEERS)
            .build()
            .map_err(|error| error.to_string())
    }

    /// How long stalls are, in ms.
    fn stalls(&self) -> RangeInclusive<u64> {
        match self.number % 5 {
            3 => LONG_STALL,
            _ => SHORT_STALL,
        }
    }

    fn rng(&self) -> Rng {
        Rng::with_seed(self.seeds.fetch_add(1, Relaxed))
    }

    fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    fn end(&self) {
        self.over.store(true, Relaxed);
        self.clock.pause_maintenance(false);
    }

    /// Registers the permanent relays.
    fn register_permanent(&self, registry: &Registry) {
        for relay in 0..PERMANENT {
            let announced = Announced {
                incarnation: 0,
                capacity_index: 0,
            };
            let options = relays::options(relay, announced)
                .capacity(BOUNDLESS)
                .ttl(PERMANENT_TTL)
                .latency(Duration::from_millis(900))
                .failure_domain(Arc::clone(&self.label));
            let endpoint = relays::endpoint(relay, announced);
            let account = self.ledger.account(relay);
            account.set_expiry(u64::MAX - 1, u64::MAX);
            self.ledger.may_arrive();
            match registry.register_with(relays::id(relay), endpoint, &options) {
                Ok(_) => {
                    account.held.enter(&self.ledger);
                    account.usable.enter(&self.ledger);
                }
                Err(error) => self.ledger.fault(format!("not registered: {error}")),
            }
        }
    }

    /// Starts the threads that run for the whole round.
    fn start<'scope>(
        &'scope self,
        scope: &'scope thread::Scope<'scope, '_>,
        registry: &Registry,
        threads: u32,
    ) -> Vec<Running<'scope>> {
        let owners = threads.div_ceil(2) + 1;
        let mut running = Vec::new();
        for owner in 0..owners {
            let relays = (PERMANENT..self.ledger.relays()).filter(move |n| n % owners == owner);
            let owner_of = Owner::new(
                &self.ledger,
                &self.conditions,
                registry.clone(),
                Arc::clone(&self.label),
                relays,
                self.rng().u64(..),
            );
            let mut owner = match owner {
                0 => owner_of.stalling(self.stalls()),
                _ => owner_of,
            };
            running.push(scope.spawn(move || {
                while !self.is_over() {
                    owner.step();
                }
                owner.tally()
            }));
        }
        running.push(self.start_operator(scope, registry));
        running.push(self.start_events(scope, registry));
        if self.ledger.settings().has_transients {
            running.push(self.start_transients(scope, registry));
        }
        if !has_maintenance_thread(self.number) {
            let registry = registry.clone();
            running.push(scope.spawn(move || self.maintain(&registry)));
        }
        // Memory of a dropped registry cannot be reclaimed while a thread is stalled for long.
        if self.stalls() == SHORT_STALL {
            running.push(scope.spawn(|| self.build_and_drop()));
        }
        running
    }

    fn start_operator<'scope>(
        &'scope self,
        scope: &'scope thread::Scope<'scope, '_>,
        registry: &Registry,
    ) -> Running<'scope> {
        let mut operator = Operator::new(&self.ledger, registry.clone(), self.rng());
        operator.begin();
        scope.spawn(move || {
            self.in_bursts(|| operator.step());
            operator.tally()
        })
    }

    fn start_transients<'scope>(
        &'scope self,
        scope: &'scope thread::Scope<'scope, '_>,
        registry: &Registry,
    ) -> Running<'scope> {
        let label = Arc::clone(&self.label);
        let mut transients = Transients::new(&self.ledger, registry.clone(), label, self.rng());
        scope.spawn(move || {
            self.in_bursts(|| transients.step());
            transients.tally()
        })
    }

    fn start_events<'scope>(
        &'scope self,
        scope: &'scope thread::Scope<'scope, '_>,
        registry: &Registry,
    ) -> Running<'scope> {
        let shared = Arc::clone(&self.shared);
        let ledger = Arc::clone(&self.ledger);
        let events = EventThread {
            conditions: &self.conditions,
            ledger: &self.ledger,
            time: &self.time,
            registry: registry.clone(),
            held_up_client: Client::new(ledger, registry.clone(), shared, self.rng().u64(..)),
            stalls: self.stalls(),
            rng: self.rng(),
            suspensions: 0,
            tally: Tally::default(),
        };
        scope.spawn(move || events.run(|| self.is_over()))
    }

    fn in_bursts(&self, mut step: impl FnMut()) {
        while !self.is_over() {
            (0..BURST).for_each(|_| step());
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Calls `maintain`, with pauses.
    fn maintain(&self, registry: &Registry) -> Tally {
        let mut rng = self.rng();
        let mut tally = Tally::default();
        while !self.is_over() {
            let began = self.ledger.now();
            registry.maintain();
            self.ledger.note_seen(began);
            let is_pause = rng.u32(..40) == 0;
            tally.pauses += u64::from(is_pause);
            thread::sleep(if is_pause { PAUSE } else { TICK });
        }
        tally
    }

    /// Pauses the maintenance thread in every other interval.
    fn pause_or_resume(&self, elapsed: Duration) {
        let interval = micros(elapsed) / micros(PAUSE);
        let stops = has_maintenance_thread(self.number) && interval % 2 == 1;
        self.clock.pause_maintenance(stops);
    }

    /// Joins the clients that ended, and starts others in their place.
    fn replace_clients<'scope>(
        &'scope self,
        scope: &'scope thread::Scope<'scope, '_>,
        registry: &Registry,
        wanted: u32,
        clients: &mut Vec<Running<'scope>>,
        tally: &mut Tally,
    ) {
        let (ended, running) = clients.drain(..).partition(ScopedJoinHandle::is_finished);
        *clients = running;
        let ended: Vec<_> = ended;
        ended
            .into_iter()
            .for_each(|client| join(&self.ledger, client, tally));
        while clients.len() < wanted.max(1) as usize {
            let mut client = Client::new(
                Arc::clone(&self.ledger),
                registry.clone(),
                Arc::clone(&self.shared),
                self.rng().u64(..),
            );
            clients.push(scope.spawn(move || {
                let started = Instant::now();
                while started.elapsed() < CLIENT_LIFETIME && !self.is_over() {
                    client.step();
                }
                client.finish()
            }));
        }
    }

    /// Releases the shared leases, until none is left after the end of the round.
    fn release_shared(&self) -> Tally {
        let mut rng = self.rng();
        let mut tally = Tally::default();
        loop {
            let is_over = self.is_over();
            let released = client::release_shared(&self.shared, &mut rng);
            if is_over {
                tally.released_after_drop += released as u64;
                if released == 0 && Arc::strong_count(&self.ledger) == 1 {
                    return tally;
                }
            }
        }
    }

    /// Builds small registries, and drops each while another thread holds leases on it.
    fn build_and_drop(&self) -> Tally {
        let mut rng = self.rng();
        let mut tally = Tally::default();
        while !self.is_over() {
            // While a thread stalls inside a call, none is freed: they would outweigh the rest.
            if Arc::strong_count(&self.small_label) <= MAX_SMALL_RELAYS {
                self.use_small_registry(&mut rng);
                tally.small_registries += 1;
            }
            thread::sleep(Duration::from_millis(rng.u64(..10)));
        }
        tally
    }

    fn use_small_registry(&self, rng: &mut Rng) {
        let built = Registry::builder()
            .max_relays(8)
            .maintenance(Maintenance::Manual)
            .build();
        let Ok(registry) = built else {
            return self
                .ledger
                .fault("a small registry was not built".to_owned());
        };
        for relay in 0..8 {
            let options = RegisterOptions::new()
                .failure_domain(Arc::clone(&self.small_label))
                .labels(relays::labels(relay))
                .tier(rng.u8(..3));
            let endpoint = relays::endpoint(
                relay,
                Announced {
                    incarnation: 0,
                    capacity_index: 0,
                },
            );
            if let Err(error) = registry.register_with(relays::id(relay), endpoint, &options) {
                self.ledger
                    .fault(format!("refused by a small registry: {error}"));
            }
        }
        let even = FindOptions::new().require(["even"]).units(2);
        let reserve = |_| registry.reserve(&relays::non_relay(), &even);
        let leases: Vec<_> = (0..rng.u32(..32)).filter_map(|n| reserve(n).ok()).collect();
        for relay in 0..rng.u32(..8) {
            registry.unregister(&relays::id(relay));
        }
        thread::scope(|scope| {
            let releasing = scope.spawn(move || drop(leases));
            drop(registry);
            if releasing.join().is_err() {
                self.ledger.fault("releasing panicked".to_owned());
            }
        });
    }
}
