//! The clock of a round. It can jump ahead, as after hours of suspension, and can stall the threads that
//! read it. A registry reads it in each registration, and either on its clock thread or in each call.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::thread;
use std::time::{Duration, Instant};

use relay_registry::Clock;

const STEP: Duration = Duration::from_millis(1);

thread_local! {
    static STALL: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Stalls this thread at its next reading of the clock.
pub fn stall_next_reading(stall: Duration) {
    STALL.set(stall);
}

/// The time of one round, for its registry and its ledger. Clones share it.
#[derive(Clone)]
pub struct Time {
    start: Instant,
    ahead: Arc<Ahead>,
}

/// How far this time is ahead of the machine's.
#[derive(Default)]
struct Ahead {
    micros: AtomicU64,
    jumps: AtomicU64,
}

impl Time {
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            ahead: Arc::default(),
        }
    }

    /// The machine's time is read first, so a later call never reads less.
    pub fn now(&self) -> Duration {
        let elapsed = self.start.elapsed();
        elapsed + Duration::from_micros(self.ahead.micros.load(SeqCst))
    }

    pub fn jump(&self, by: Duration) {
        self.ahead.jumps.fetch_add(1, SeqCst);
        let micros = u64::try_from(by.as_micros()).unwrap_or(0);
        self.ahead.micros.fetch_add(micros, SeqCst);
    }

    /// How many jumps have begun.
    pub fn jumps(&self) -> u64 {
        self.ahead.jumps.load(SeqCst)
    }
}

#[derive(Clone)]
pub struct StallingClock {
    time: Time,
    is_maintenance_paused: Arc<AtomicBool>,
}

impl StallingClock {
    pub fn new(time: Time) -> Self {
        Self {
            time,
            is_maintenance_paused: Arc::default(),
        }
    }

    /// Stalls the clock thread at its next reading, or lets it continue.
    pub fn pause_maintenance(&self, stops: bool) {
        self.is_maintenance_paused.store(stops, Relaxed);
    }
}

impl Clock for StallingClock {
    /// A stalled thread returns an old reading.
    fn now(&self) -> Duration {
        let now = self.time.now();
        let stall = STALL.take();
        if !stall.is_zero() {
            thread::sleep(stall);
        } else if self.is_maintenance_paused.load(Relaxed) && is_clock_thread() {
            while self.is_maintenance_paused.load(Relaxed) {
                thread::sleep(STEP);
            }
        }
        now
    }
}

fn is_clock_thread() -> bool {
    thread::current().name() == Some("relay-clock")
}
