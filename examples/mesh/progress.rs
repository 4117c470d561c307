//! One bar on standard error, silent when that is not a terminal.

use crate::progress_bar::progress_bar;
use indicatif::ProgressBar;

pub struct Progress(ProgressBar);

impl Progress {
    pub fn new() -> Self {
        Self(progress_bar(1, "{msg:>28} [{bar:40}] {pos}/{len}"))
    }

    /// Starts a phase with this many parts.
    pub fn begin(&self, what: &'static str, parts: usize) {
        self.0.set_message(what);
        self.0.set_length(parts as u64);
        self.0.set_position(0);
    }

    /// Sets how many parts are done.
    pub fn reached(&self, parts: usize) {
        self.0.set_position(parts as u64);
    }

    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}
