//! One bar on standard error, silent when that is not a terminal.

use crate::progress_bar::progress_bar;
use indicatif::ProgressBar;

/// The share of the bar for the full-speed run, as a share of the simulated seconds.
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

    /// For several simulations, which may run at once.
    pub fn of_simulations(count: usize) -> Self {
        Self {
            bar: bar(count as u64),
            simulated: 0,
            full_speed: 0,
        }
    }

    /// For one of several simulations.
    pub fn silent() -> Self {
        Self {
            bar: ProgressBar::hidden(),
            simulated: 0,
            full_speed: 0,
        }
    }

    /// One more simulation has ended.
    pub fn one_ended(&self) {
        self.bar.set_message("comparing");
        self.bar.inc(1);
    }

    /// Sets how many seconds were simulated.
    pub fn simulated(&self, seconds: u64) {
        self.bar.set_message("simulating");
        self.bar.set_position(seconds);
    }

    /// Sets the share of the full-speed run that is done, from 0 to 1.
    pub fn full_speed(&self, share: f64) {
        self.bar.set_message("full speed");
        let done = (self.full_speed as f64 * share) as u64;
        self.bar.set_position(self.simulated + done);
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn bar(length: u64) -> ProgressBar {
    progress_bar(length, "{msg:>12} [{bar:40}] {percent:>3} %")
}
