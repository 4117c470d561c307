//! One round: a registry is built, used by all threads at once, looked through at
//! rest or dropped while leases are out, and all its memory has to come back.

use std::iter;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use fastrand::Rng;
use relay_registry::{FindOptions, Maintenance, RegisterOptions, Registry, Stats};

use crate::args::Args;
use crate::client::{self, Client, SharedLeases};
use crate::clock::{HoldingClock, Time};
use crate::events::{Conditions, EventThread};
use crate::ledger::{Ledger, Terms, micros};
use crate::memory;
use crate::operator::Operator;
use crate::owner::{BRIEFLY, FOR_LONG, Owner, TICK};
use crate::relays::{self, Announced, BOUNDLESS, PERMANENT};
use crate::tally::Tally;
use crate::transients::{self, Transients};

/// How long one who asks lives, before another takes its place.
const LIFE_OF_ASKER: Duration = Duration::from_millis(150);
const PAUSE: Duration = Duration::from_millis(200);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Attempts to have all memory back; each is a step of the epoch.
const PATIENCE: usize = 500;
/// How often a registry at rest is looked through until the looks agree.
const LOOKS: usize = 1_000;
/// For how long permanent relays are registered: longer than all jumps of the clock together.
const STEADFAST_TTL: Duration = Duration::from_secs(10_000_000);
/// Until nothing is remembered any more.
const FOR_EVER: Duration = Duration::from_secs(30_000_000);
/// Transients-by, and the operator, do this much at a time, and rest.
const BURST: u32 = 32;

pub struct Outcome {
    pub tally: Tally,
    pub faults: u64,
    pub told: Vec<String>,
    /// Bytes that the process held at most.
    pub peak_bytes: usize,
    /// The least that it held in the second half: what did not go away.
    pub floor_bytes: usize,
}

/// What the threads of a round share.
struct Round {
    number: u64,
    ledger: Arc<Ledger>,
    conditions: Conditions,
    time: Time,
    clock: HoldingClock,
    shared: Arc<SharedLeases>,
    /// Held by every announcement of the registry, and by nothing else for long.
    label: Arc<str>,
    seeds: AtomicU64,
    over: AtomicBool,
}

type Running<'scope> = ScopedJoinHandle<'scope, Tally>;

pub fn run(
    number: u64,
    args: &Args,
    length: Duration,
    mut look: impl FnMut(),
) -> Result<Outcome, String> {
    let time = Time::new();
    let terms = terms(number, args);
    let round = Round {
        number,
        ledger: Arc::new(Ledger::new(args.relays, time.clone(), terms)),
        conditions: Conditions::default(),
        clock: HoldingClock::new(time.clone()),
        time,
        shared: Arc::default(),
        label: Arc::from("soak"),
        seeds: AtomicU64::new(args.seed.wrapping_add(number << 20)),
        over: AtomicBool::new(false),
    };
    let mut tally = Tally {
        rounds: 1,
        ..Tally::default()
    };
    let registry = round.build()?;
    round.settle_permanent(&registry);
    let (mut peak_bytes, mut floor_bytes) = (0, usize::MAX);
    thread::scope(|scope| {
        let hands = scope.spawn(|| round.give_back());
        let mut running = round.start(scope, &registry, args.threads);
        let mut clients = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < length {
            thread::sleep(LOOK_EVERY);
            let bytes = memory::live_bytes();
            peak_bytes = peak_bytes.max(bytes);
            if begun.elapsed() > length / 2 {
                floor_bytes = floor_bytes.min(bytes);
            }
            round.stop_or_resume(begun.elapsed());
            round.replace_clients(scope, &registry, args.threads / 2, &mut clients, &mut tally);
            look();
        }
        round.end();
        running.append(&mut clients);
        for thread in running {
            join(&round.ledger, thread, &mut tally);
        }
        tally.expired += registry.stats().expirations;
        tally.passes += registry.stats().maintenance_passes;
        if round.number % 2 == 0 {
            round.take_inventory(&registry, &mut tally);
            round.let_all_go(&registry);
        }
        // In odd rounds leases are given back beside this, and after it.
        drop(registry);
        join(&round.ledger, hands, &mut tally);
    });
    round.await_reclamation();
    let (faults, told) = round.ledger.faults();
    Ok(Outcome {
        tally,
        faults,
        told,
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

/// What the registry of a round is built with.
fn terms(number: u64, args: &Args) -> Terms {
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
    Terms {
        max_relays: relays * 5 / 8,
        grace: graces[(number % 5) as usize],
        max_ejected_share: shares[(number % 3) as usize],
        max_kept: relays + client::PILE + client::QUOTA * clients + transients::QUOTA,
        has_keeper: has_keeper(number),
        has_passers: number % 7 >= 4,
    }
}

/// Whether this round has a maintenance thread.
const fn has_keeper(number: u64) -> bool {
    number % 4 < 2
}

impl Round {
    fn build(&self) -> Result<Registry, String> {
        let maintenance = match has_keeper(self.number) {
            true => Maintenance::Thread,
            false => Maintenance::Manual,
        };
        let terms = self.ledger.terms();
        let builder = match terms.grace {
            Some(grace) => Registry::builder().return_grace(grace),
            None => Registry::builder(),
        };
        builder
            .max_relays(terms.max_relays)
            .tick(TICK)
            .maintenance(maintenance)
            .clock(self.clock.clone())
            .local_id(relays::id(relays::local(&self.ledger)))
            .max_ejected_share(terms.max_ejected_share)
            .build()
            .map_err(|error| error.to_string())
    }

    /// How long the thread that is held up is.
    fn stalls(&self) -> RangeInclusive<u64> {
        match self.number % 5 {
            3 => FOR_LONG,
            _ => BRIEFLY,
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
        self.clock.stop_housekeeping(false);
    }

    /// Registers those that stay.
    fn settle_permanent(&self, registry: &Registry) {
        let options = RegisterOptions::new()
            .capacity(BOUNDLESS)
            .ttl(STEADFAST_TTL)
            .latency(Duration::from_millis(900))
            .failure_domain(Arc::clone(&self.label));
        for relay in 0..PERMANENT {
            let announced = Announced { life: 0, terms: 0 };
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

    /// Starts the threads that work throughout.
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
                    owner.turn();
                }
                owner.tally()
            }));
        }
        running.push(self.start_operator(scope, registry));
        running.push(self.start_events(scope, registry));
        if self.ledger.terms().has_passers {
            running.push(self.start_transients(scope, registry));
        }
        if !has_keeper(self.number) {
            let registry = registry.clone();
            running.push(scope.spawn(move || self.maintain(&registry)));
        }
        // What is dropped while a thread is held up waits for it.
        if self.stalls() == BRIEFLY {
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
            self.in_bursts(|| operator.turn());
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
            self.in_bursts(|| transients.turn());
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
        let fate = EventThread {
            conditions: &self.conditions,
            ledger: &self.ledger,
            time: &self.time,
            registry: registry.clone(),
            witness: Client::new(ledger, registry.clone(), shared, self.rng().u64(..)),
            stalls: self.stalls(),
            rng: self.rng(),
            suspensions: 0,
            tally: Tally::default(),
        };
        scope.spawn(move || fate.bring_events(|| self.is_over()))
    }

    fn in_bursts(&self, mut turn: impl FnMut()) {
        while !self.is_over() {
            (0..BURST).for_each(|_| turn());
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Housekeeping by hand, with pauses.
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

    /// The maintenance thread stands still in every other stretch of time.
    fn stop_or_resume(&self, elapsed: Duration) {
        let stretch = micros(elapsed) / micros(PAUSE);
        let stops = has_keeper(self.number) && stretch % 2 == 1;
        self.clock.stop_housekeeping(stops);
    }

    /// Fills up those who ask, who live for a short time only.
    fn replace_clients<'scope>(
        &'scope self,
        scope: &'scope thread::Scope<'scope, '_>,
        registry: &Registry,
        wanted: u32,
        clients: &mut Vec<Running<'scope>>,
        tally: &mut Tally,
    ) {
        let (dead, alive) = clients.drain(..).partition(ScopedJoinHandle::is_finished);
        *clients = alive;
        let dead: Vec<_> = dead;
        dead.into_iter()
            .for_each(|client| join(&self.ledger, client, tally));
        while clients.len() < wanted.max(1) as usize {
            let mut client = Client::new(
                Arc::clone(&self.ledger),
                registry.clone(),
                Arc::clone(&self.shared),
                self.rng().u64(..),
            );
            clients.push(scope.spawn(move || {
                let born = Instant::now();
                while born.elapsed() < LIFE_OF_ASKER && !self.is_over() {
                    client.turn();
                }
                client.finish()
            }));
        }
    }

    /// Gives back the leases of others, until all are back after the round's end.
    fn give_back(&self) -> Tally {
        let mut rng = self.rng();
        let mut tally = Tally::default();
        loop {
            let is_over = self.is_over();
            let given = client::give_back(&self.shared, &mut rng);
            if is_over {
                tally.orphans += given as u64;
                if given == 0 && Arc::strong_count(&self.ledger) == 1 {
                    return tally;
                }
            }
        }
    }

    /// Small registries, dropped while other threads hold leases on them.
    fn build_and_drop(&self) -> Tally {
        let mut rng = self.rng();
        let mut tally = Tally::default();
        while !self.is_over() {
            self.short_client(&mut rng);
            tally.ephemeral += 1;
            thread::sleep(Duration::from_millis(rng.u64(..10)));
        }
        tally
    }

    fn short_client(&self, rng: &mut Rng) {
        let built = Registry::builder()
            .max_relays(8)
            .maintenance(Maintenance::Manual)
            .build();
        let Ok(registry) = built else {
            return self
                .ledger
                .fault("a small registry was not built".to_owned());
        };
        let options = RegisterOptions::new().failure_domain(Arc::clone(&self.label));
        for relay in 0..8 {
            let endpoint = relays::endpoint(relay, Announced { life: 0, terms: 0 });
            if let Err(error) = registry.register_with(relays::id(relay), endpoint, &options) {
                self.ledger
                    .fault(format!("refused by a small one: {error}"));
            }
        }
        let reserve = |_| registry.reserve(&relays::non_relay(), &FindOptions::new());
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

    /// At rest everything is certain.
    fn take_inventory(&self, registry: &Registry, tally: &mut Tally) {
        tally.inventories += 1;
        while self.shared.give_back(usize::MAX) > 0 || Arc::strong_count(&self.ledger) > 1 {
            thread::yield_now();
        }
        // Time goes on, and more relays may expire between one look and the next.
        let look = || {
            registry.maintain();
            let stats = registry.stats();
            let departed = stats.unregistrations + stats.expirations;
            let counts = [
                registry.relays().len() as u64,
                registry.relay_count() as u64,
                stats.registrations - departed,
            ];
            (stats, counts)
        };
        let is_settled = |&(_, [listed, counted, balance]): &(Stats, [u64; 3])| {
            listed == counted && listed == balance
        };
        let mut looks = iter::repeat_with(look).take(LOOKS);
        let (stats, [listed, counted, balance]) = looks.find(is_settled).unwrap_or_else(look);
        let expected = [
            ("counted", counted, listed),
            ("come and not gone", balance, listed),
            ("leases", stats.leases as u64, 0),
            (
                "new",
                stats.registrations,
                tally.arrived + tally.returned + u64::from(PERMANENT),
            ),
            ("renewed", stats.renewals, tally.renewed),
            (
                "left",
                stats
                    .unregistrations
                    .clamp(tally.unregistered, tally.unregistered + tally.displaced),
                stats.unregistrations,
            ),
            (
                "refused",
                stats.refused,
                tally.full + tally.backlogged + tally.impossible,
            ),
            ("panics", stats.maintenance_panics, 0),
        ];
        for (what, is, should) in expected {
            if is != should {
                self.ledger
                    .fault(format!("at rest: {what}: {is}, not {should}"));
            }
        }
        let most = self.ledger.max_remembered();
        if stats.remembered > most {
            let remembered = stats.remembered;
            self.ledger
                .fault(format!("at rest: {remembered} remembered, {most} at most"));
        }
        self.check_loads(registry);
    }

    /// Once all have left, no word holds any more and time has passed, nothing is left.
    fn let_all_go(&self, registry: &Registry) {
        for relay in 0..self.ledger.relays() {
            registry.unregister(&relays::id(relay));
            registry.lift(&relays::id(relay));
        }
        self.time.jump(FOR_EVER);
        let left = || {
            registry.maintain();
            let stats = registry.stats();
            // Some are remembered for ever, where the grace is that long.
            let is_for_ever = self.ledger.terms().grace == Some(Duration::MAX);
            let bound = if is_for_ever {
                self.ledger.max_remembered()
            } else {
                0
            };
            [
                ("relays", stats.relays, 0),
                ("leases", stats.leases, 0),
                ("remembered", stats.remembered, bound),
                ("on the wheel", stats.wheel_len, 4 * bound),
                ("awaiting reclamation", stats.awaiting_reclamation, 0),
            ]
            .into_iter()
            .filter(|(_, is, most)| is > most)
            .collect::<Vec<_>>()
        };
        if let Some(left) = (0..PATIENCE)
            .map(|_| left())
            .take_while(|left| !left.is_empty())
            .nth(PATIENCE - 1)
        {
            self.ledger.fault(format!("after all had gone: {left:?}"));
        }
    }

    /// Load is what was reported, and what was leased since.
    fn check_loads(&self, registry: &Registry) {
        for info in registry.relays() {
            let id = info.node_id();
            let load_is = |wanted: u32, when: &str| {
                let load = registry.relay(&id).map(|info| info.current_load());
                if load.is_some_and(|load| load != wanted) {
                    let relay = relays::name(relays::number(&id));
                    self.ledger
                        .fault(format!("{relay}: load {load:?} {when}, not {wanted}"));
                }
            };
            if !registry.report_load(&id, 1) {
                continue;
            }
            load_is(1, "as reported");
            let lease = registry.lease(&id);
            load_is(1 + u32::from(lease.is_ok()), "with a lease");
            drop(lease);
            load_is(1, "without it");
            let lease = registry.lease(&id);
            registry.report_load_of_others(&id, 2);
            load_is(2 + u32::from(lease.is_ok()), "with a late report");
            drop(lease);
            load_is(2, "of others");
        }
    }

    /// Every announcement that was ever made must be freed.
    fn await_reclamation(&self) {
        for _ in 0..PATIENCE {
            if Arc::strong_count(&self.label) == 1 {
                return;
            }
            // Building and dropping a registry also reclaims memory of earlier ones.
            drop(
                Registry::builder()
                    .max_relays(1)
                    .maintenance(Maintenance::Manual)
                    .build(),
            );
        }
        let left = Arc::strong_count(&self.label) - 1;
        self.ledger
            .fault(format!("{left} records were never freed"));
    }
}
