//! The clock of a round. It can jump ahead, as after hours of suspension, and it can
//! hold up those who read it: a registry reads it in a registration, and either on the
//! thread that raises its tick or in each call.

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

/// Holds up this thread for so long when it next reads the clock.
pub fn stall_next_reading(stall: Duration) {
    STALL.set(stall);
}

/// What the registry and the ledger of one round take for the time. Clones share it.
#[derive(Clone)]
pub struct Time {
    start: Instant,
    ahead: Arc<Ahead>,
}

/// How far the time is ahead of the machine's.
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

    /// The machine's time is read first, so that a later call reads no less.
    pub fn now(&self) -> Duration {
        let elapsed = self.start.elapsed();
        elapsed + Duration::from_micros(self.ahead.micros.load(SeqCst))
    }

    /// Goes ahead at once.
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
pub struct HoldingClock {
    time: Time,
    housekeeping_stops: Arc<AtomicBool>,
}

impl HoldingClock {
    pub fn new(time: Time) -> Self {
        Self {
            time,
            housekeeping_stops: Arc::default(),
        }
    }

    /// Stops the thread that raises the tick at its next reading, or lets it go on.
    pub fn stop_housekeeping(&self, stops: bool) {
        self.housekeeping_stops.store(stops, Relaxed);
    }
}

impl Clock for HoldingClock {
    /// A thread that is held up comes back with an old reading.
    fn now(&self) -> Duration {
        let now = self.time.now();
        let stall = STALL.take();
        if !stall.is_zero() {
            thread::sleep(stall);
        } else if self.housekeeping_stops.load(Relaxed) && is_clock_thread() {
            while self.housekeeping_stops.load(Relaxed) {
                thread::sleep(STEP);
            }
        }
        now
    }
}

fn is_clock_thread() -> bool {
    thread::current().name() == Some("relay-clock")
}
