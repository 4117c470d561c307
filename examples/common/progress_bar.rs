//! A bar on standard error, silent when that is not a terminal.

use indicatif::{ProgressBar, ProgressStyle};

pub fn progress_bar(length: u64, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
