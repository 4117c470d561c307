//! Figures for `ci/bars.py`.

use std::fs::OpenOptions;
use std::io::Write;

/// Appends a line "GROUP<tab>RELAYS<tab>NAME<tab>VALUE<tab>RATIO" to the file
/// that `BENCH_RESULTS` names, if it names one.
pub fn keep(group: &str, relays: usize, name: &str, value: f64, ratio: f64) {
    let Some(path) = std::env::var_os("BENCH_RESULTS") else {
        return;
    };
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .expect("results can be kept");
    writeln!(file, "{group}\t{relays}\t{name}\t{value:.3}\t{ratio:.6}").expect("results are kept");
}

/// A figure that is compared with nothing.
pub fn note(group: &str, relays: usize, name: &str, value: f64) {
    println!("  {group}, {relays} relays: {name}: {value:.3}");
    keep(group, relays, name, value, 1.0);
}

/// The sizes in the arguments, or the default.
pub fn sizes(default: &[usize]) -> Vec<usize> {
    let given: Vec<usize> = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .collect();
    if given.is_empty() {
        default.to_vec()
    } else {
        given
    }
}
