//! One bar on standard error, silent when that is not a terminal.

use indicatif::{ProgressBar, ProgressStyle};

pub struct Progress(ProgressBar);

impl Progress {
    pub fn new() -> Self {
        let bar = ProgressBar::new(1);
        if let Ok(style) = ProgressStyle::with_template("{msg:>28} [{bar:40}] {pos}/{len}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self(bar)
    }

    /// Something new is under way, in so many parts.
    pub fn begin(&self, what: &'static str, parts: usize) {
        self.0.set_message(what);
        self.0.set_length(parts as u64);
        self.0.set_position(0);
    }

    /// So many of the parts are done.
    pub fn reached(&self, parts: usize) {
        self.0.set_position(parts as u64);
    }

    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}
