//! One bar on standard error, silent when that is not a terminal.

use crate::progress_bar::progress_bar;
use indicatif::ProgressBar;

/// How much of the bar the full-speed run takes, in simulated seconds' worth.
const FULL_SPEED_SHARE: f64 = 0.4;

pub struct Progress {
    bar: ProgressBar,
    simulated: u64,
    full_speed: u64,
}

impl Progress {
    pub fn new(simulated_seconds: u64) -> Self {
        let full_speed = (simulated_seconds as f64 * FULL_SPEED_SHARE).ceil() as u64;
        Self {
            bar: bar(simulated_seconds + full_speed),
            simulated: simulated_seconds,
            full_speed,
        }
    }

    /// Of so many simulations, some of them at the same time.
    pub fn of_simulations(count: usize) -> Self {
        Self {
            bar: bar(count as u64),
            simulated: 0,
            full_speed: 0,
        }
    }

    /// For one of many.
    pub fn silent() -> Self {
        Self {
            bar: ProgressBar::hidden(),
            simulated: 0,
            full_speed: 0,
        }
    }

    /// One more simulation is over.
    pub fn one_over(&self) {
        self.bar.set_message("comparing");
        self.bar.inc(1);
    }

    /// So many seconds have been simulated.
    pub fn simulated(&self, seconds: u64) {
        self.bar.set_message("simulating");
        self.bar.set_position(seconds);
    }

    /// So much of the full-speed run is over, from 0 to 1.
    pub fn raced(&self, share: f64) {
        self.bar.set_message("full speed");
        let raced = (self.full_speed as f64 * share) as u64;
        self.bar.set_position(self.simulated + raced);
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn bar(length: u64) -> ProgressBar {
    progress_bar(length, "{msg:>12} [{bar:40}] {percent:>3} %")
}
