//! The machine's clock, which can hold up those who read it: a registry reads it
//! in a registration, and on the thread that raises its tick.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
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

#[derive(Clone)]
pub struct HoldingClock {
    start: Instant,
    housekeeping_stops: Arc<AtomicBool>,
}

impl HoldingClock {
    pub fn new(start: Instant) -> Self {
        Self {
            start,
            housekeeping_stops: Arc::default(),
        }
    }

    /// Stops the thread that raises the tick at its next reading, or lets it go on.
    pub fn stop_housekeeping(&self, stops: bool) {
        self.housekeeping_stops.store(stops, Relaxed);
    }
}

impl Clock for HoldingClock {
    /// Who is held up comes back with an old reading.
    fn now(&self) -> Duration {
        let now = self.start.elapsed();
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
