//! Time that passes without maintenance, and clocks that hang or call the registry.

use crate::common::*;
use relay_registry::{Clock, Failure, FindOptions, Maintenance, ManualClock, Registry, Verdict};
use std::cell::Cell;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

/// A call, and whether it shows that relay 1 is held.
type Look = (&'static str, fn(&Registry) -> bool);

const LOOKS: [Look; 16] = [
    ("find_relay", |it| it.find_relay(&non_relay()).is_ok()),
    ("find_relays", |it| {
        !it.find_relays(&non_relay(), &all()).is_empty()
    }),
    ("reserve", |it| {
        it.reserve(&non_relay(), &FindOptions::new()).is_ok()
    }),
    ("lease", |it| it.lease(&id(1)).is_ok()),
    ("is_relay", |it| it.is_relay(&id(1))),
    ("relay", |it| it.relay(&id(1)).is_some()),
    ("relays", |it| !it.relays().is_empty()),
    ("relay_count", |it| it.relay_count() > 0),
    ("stats", |it| it.stats().relays > 0),
    ("record_rtt", |it| it.record_rtt(&id(1), ms(1))),
    ("report_load", |it| it.report_load(&id(1), 1)),
    ("report_load_of_others", |it| {
        it.report_load_of_others(&id(1), 1)
    }),
    ("forget_rtt", |it| it.forget_rtt(&id(1))),
    ("report_failure", |it| {
        it.report_failure(&id(1), Failure::TimedOut)
    }),
    ("report_success", |it| it.report_success(&id(1))),
    ("unregister", |it| it.unregister(&id(1))),
];

/// The other calls, except registrations.
const FURTHER: [Look; 5] = [
    ("explain", |it| {
        !it.explain(&non_relay(), &all()).relays().is_empty()
    }),
    ("relay_coordinate", |it| {
        it.relay_coordinate(&id(1)).is_some()
    }),
    ("learn", |it| {
        it.update_peer(&non_relay(), published([(1, ms(1))])) > 0
    }),
    ("unban", |it| it.unban(&id(1))),
    ("banned", |it| !it.banned().is_empty()),
];

/// A world without a thread, in which relay 1 is registered for five seconds.
fn world_with_a_relay() -> World {
    let world = world();
    world.join_with(1, &ttl(secs(5)).latency(ms(10)));
    world
}

#[test]
fn without_a_thread_no_call_hands_out_expired_relays() {
    for (name, is_shown) in LOOKS {
        let world = world_with_a_relay();
        world.advance(secs(5) - ms(1));
        assert!(is_shown(&world), "{name} while it is live");

        let world = world_with_a_relay();
        world.advance(secs(3_600));
        assert!(!is_shown(&world), "{name} an hour later");
    }
}

#[test]
fn without_a_thread_the_dead_are_explained_as_departed() {
    let world = world_with_a_relay();
    world.advance(secs(3_600));
    let explanation = world.explain(&non_relay(), &FindOptions::new());
    assert!(
        explanation
            .of(&id(1))
            .is_none_or(|it| it.verdict == Verdict::Departed)
    );
}

#[test]
fn without_a_thread_a_relay_is_live_up_to_its_deadline_and_no_longer() {
    let world = world_with_a_relay();
    for _ in 0..49 {
        world.advance(TICK);
        assert!(world.is_relay(&id(1)));
    }
    world.advance(TICK);
    assert!(!world.is_relay(&id(1)));
}

#[test]
fn without_a_thread_bans_and_back_offs_end_in_time() {
    let world = world();
    world.join(1);
    world.ban(&id(1), secs(60)).expect("a ban");
    assert!(world.find_relay(&non_relay()).is_err());
    world.advance(secs(60));
    assert!(world.find_relay(&non_relay()).is_ok());
    assert_eq!(world.banned(), []);

    assert!(world.report_failure(&id(1), Failure::TimedOut));
    world.advance(secs(300));
    assert!(world.find_relay(&non_relay()).is_ok());
}

/// Counts how often the thread that made it reads the clock.
#[derive(Clone)]
struct CountingClock {
    time: ManualClock,
    home: ThreadId,
    readings: Arc<Mutex<usize>>,
}

impl CountingClock {
    fn new() -> Self {
        Self {
            time: ManualClock::new(),
            home: thread::current().id(),
            readings: Arc::default(),
        }
    }

    fn readings(&self) -> usize {
        *self.readings.lock().expect("no panic while held")
    }
}

impl Clock for CountingClock {
    fn now(&self) -> Duration {
        if thread::current().id() == self.home {
            *self.readings.lock().expect("no panic while held") += 1;
        }
        self.time.now()
    }
}

#[test]
fn with_a_thread_no_call_but_a_registration_or_ban_reads_the_clock() {
    let clock = CountingClock::new();
    let registry = Registry::builder()
        .clock(clock.clone())
        .build()
        .expect("a valid registry");
    registry.register(id(1), endpoint(1)).expect("room");
    let before = clock.readings();
    for (name, look) in LOOKS.into_iter().chain(FURTHER) {
        look(&registry);
        assert_eq!(clock.readings(), before, "{name}");
    }
}

#[test]
fn without_a_thread_a_call_reads_the_clock_once() {
    for (name, look) in LOOKS {
        let clock = CountingClock::new();
        let registry = Registry::builder()
            .maintenance(Maintenance::Manual)
            .clock(clock.clone())
            .build()
            .expect("a valid registry");
        registry.register(id(1), endpoint(1)).expect("room");
        let before = clock.readings();
        look(&registry);
        assert_eq!(clock.readings(), before + 1, "{name}");
    }
}

/// A call that is made inside the clock.
type Act = fn(&Registry);

const ACTS: [(&str, Act); 6] = [
    ("stats", |it| drop(it.stats())),
    ("find_relay", |it| drop(it.find_relay(&non_relay()))),
    ("reserve", |it| {
        drop(it.reserve(&non_relay(), &FindOptions::new()))
    }),
    ("maintain", |it| {
        it.maintain();
    }),
    ("register", |it| drop(it.register(id(7), endpoint(7)))),
    ("unregister", |it| {
        it.unregister(&id(7));
    }),
];

/// A clock that calls the registry that reads it.
#[derive(Clone)]
struct CallingClock {
    time: ManualClock,
    registry: Arc<Mutex<Option<Registry>>>,
    act: Act,
}

thread_local! {
    static IS_WITHIN: Cell<bool> = const { Cell::new(false) };
}

impl Clock for CallingClock {
    fn now(&self) -> Duration {
        if !IS_WITHIN.replace(true) {
            let registry = self.registry.lock().expect("no panic while held").clone();
            registry.iter().for_each(self.act);
            IS_WITHIN.set(false);
        }
        self.time.now()
    }
}

/// Makes a call in a registry without a thread, with relay 1, whose clock calls the registry.
fn while_the_clock_calls(act: Act, outer: impl Fn(&Registry)) {
    let clock = CallingClock {
        time: ManualClock::new(),
        registry: Arc::default(),
        act,
    };
    let registry = Registry::builder()
        .maintenance(Maintenance::Manual)
        .clock(clock.clone())
        .build()
        .expect("a valid registry");
    registry.register(id(1), endpoint(1)).expect("room");
    let set = |registry| *clock.registry.lock().expect("no panic while held") = registry;
    set(Some(registry.clone()));
    outer(&registry);
    set(None);
}

#[test]
fn a_clock_may_call_the_registry_that_reads_it() {
    for (within, act) in ACTS {
        for (name, look) in LOOKS.into_iter().chain(FURTHER) {
            while_the_clock_calls(act, |registry| {
                println!("{within} within {name}");
                look(registry);
                registry.maintain();
            });
        }
    }
}

#[test]
fn a_clock_may_call_the_registry_that_registers() {
    for (within, act) in ACTS {
        while_the_clock_calls(act, |registry| {
            println!("{within} within register");
            for n in [1, 7, 8] {
                let outcome = registry.register(id(n), endpoint(n));
                assert!(outcome.is_ok(), "{within} within register: {outcome:?}");
            }
            assert_eq!(registry.ban(&id(1), secs(1)), Ok(()));
        });
    }
}

/// A clock that can hang until its [`Hang`] is dropped.
struct HangingClock {
    orders: Mutex<Receiver<Receiver<()>>>,
    hangs: Mutex<Sender<()>>,
}

/// The other end.
struct Hook {
    orders: Sender<Receiver<()>>,
    hangs: Receiver<()>,
}

fn hanging_clock() -> (HangingClock, Hook) {
    let (orders, taken) = channel();
    let (hangs, seen) = channel();
    let clock = HangingClock {
        orders: Mutex::new(taken),
        hangs: Mutex::new(hangs),
    };
    let hook = Hook {
        orders,
        hangs: seen,
    };
    (clock, hook)
}

impl Hook {
    /// Makes the next reading hang until the returned value is dropped.
    fn hang(&self) -> Sender<()> {
        let (release, held) = channel();
        self.orders.send(held).expect("the clock is there");
        release
    }
}

impl Clock for HangingClock {
    fn now(&self) -> Duration {
        let order = self.orders.lock().expect("no panic while held").try_recv();
        if let Ok(held) = order {
            let hangs = self.hangs.lock().expect("no panic while held");
            hangs.send(()).expect("the test is there");
            drop(hangs);
            let _ = held.recv(); // an error, once the other end is dropped
        }
        Duration::ZERO
    }
}

/// While a call in one registry hangs in its clock, relays register and leave in another.
fn others_go_on_while_the_clock_hangs_in(call: impl Fn(&Registry) + Sync) {
    let (clock, hook) = hanging_clock();
    let hanging = Registry::builder()
        .maintenance(Maintenance::Manual)
        .clock(clock)
        .build()
        .expect("a valid registry");
    hanging.register(id(1), endpoint(1)).expect("room");
    let release = hook.hang();
    thread::scope(|scope| {
        let calling = scope.spawn(|| call(&hanging));
        hook.hangs.recv().expect("the clock was read");
        let other = world_of(8);
        for n in 0..5_000 {
            let register = || other.register(id(n), endpoint(n));
            // On a busy machine, the thread of another test may be preempted inside a call for a while.
            let tries = (0..100_000).map(|_| {
                thread::yield_now();
                register()
            });
            let outcome = tries.into_iter().find(Result::is_ok);
            assert!(outcome.is_some(), "{n}: {:?}", register());
            assert!(other.unregister(&id(n)));
        }
        drop(release);
        calling.join().expect("no panic");
    });
}

#[test]
fn a_clock_that_hangs_in_one_registry_holds_up_no_other() {
    for (name, look) in LOOKS {
        println!("{name}");
        others_go_on_while_the_clock_hangs_in(|registry| {
            look(registry);
        });
    }
    others_go_on_while_the_clock_hangs_in(|registry| {
        registry.maintain();
    });
}

#[test]
fn a_clock_that_hangs_in_a_registration_holds_up_no_other_registry() {
    for n in [1, 2] {
        others_go_on_while_the_clock_hangs_in(|registry| {
            assert!(registry.register(id(n), endpoint(n)).is_ok());
        });
    }
    others_go_on_while_the_clock_hangs_in(|registry| {
        assert_eq!(registry.ban(&id(1), secs(1)), Ok(()));
    });
}

/// The clock thread hangs in the clock. Calls and maintenance continue.
#[test]
fn a_clock_that_hangs_in_the_thread_holds_up_no_call() {
    let (clock, hook) = hanging_clock();
    let registry = Registry::builder()
        .tick(ms(1))
        .clock(clock)
        .build()
        .expect("a valid registry");
    let release = hook.hang();
    hook.hangs.recv().expect("the clock was read");
    for n in 0..5_000 {
        let outcome = registry.register(id(n % 8), endpoint(n));
        assert!(outcome.is_ok(), "{n}: {outcome:?}");
        assert!(registry.find_relay(&non_relay()).is_ok());
        assert!(registry.unregister(&id(n % 8)));
    }
    let passes = registry.stats().maintenance_passes;
    while registry.stats().maintenance_passes < passes + 2 {
        thread::yield_now();
    }
    drop(release);
}
