//! What is printed at the end.

use crate::args::Args;
use crate::ledger::{Ledger, Tallies, histogram, lock};
use crate::process;
use hdrhistogram::Histogram;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

pub struct Report {
    args: Args,
    /// How many views were sent, and how long that took.
    pub views: (u64, Duration),
    /// How many sessions were opened at first, and how long that took.
    pub opened: (u32, Duration),
    pub opened_times: Histogram<u64>,
    /// Sessions that were begun in the steady part.
    pub begun: u64,
    pub steady: Duration,
    /// The memory of the broker when relays have registered, and when all peers have a session.
    pub empty_bytes: Option<u64>,
    pub full_bytes: Option<u64>,
    /// What the broker spent in the steady part.
    pub cpu: Option<Duration>,
    pub leases_left: u64,
}

impl Report {
    pub fn new(args: Args) -> Self {
        Self {
            args,
            views: (0, Duration::ZERO),
            opened: (0, Duration::ZERO),
            opened_times: histogram(),
            begun: 0,
            steady: Duration::ZERO,
            empty_bytes: None,
            full_bytes: None,
            cpu: None,
            leases_left: 0,
        }
    }

    fn bytes_per_peer(&self) -> Option<u64> {
        let bytes = self.full_bytes?.saturating_sub(self.empty_bytes?);
        Some(bytes / u64::from(self.args.peers))
    }

    fn cpu_per_begin(&self) -> Option<Duration> {
        Some(self.cpu?.div_f64(self.begun.max(1) as f64))
    }

    fn cores(&self) -> Option<f64> {
        Some(self.cpu?.as_secs_f64() / self.steady.as_secs_f64())
    }
}

pub fn print(report: &Report, ledger: &Ledger) {
    let Report { args, .. } = report;
    let tallies = &ledger.tallies;
    println!(
        "{}; load and broker share them, over loopback",
        process::machine()
    );
    println!(
        "broker {}, {} build; {} peers with a session each, {} relays",
        env!("CARGO_PKG_VERSION"),
        if cfg!(debug_assertions) {
            "debug (its figures mean little)"
        } else {
            "release"
        },
        args.peers,
        args.relays,
    );
    line("views sent", &per_second(report.views.0, report.views.1));
    line(
        "sessions opened, as fast as it goes",
        &per_second(report.opened.0.into(), report.opened.1),
    );
    line(
        "  from asking to the answer, 64 at a time",
        &times(&report.opened_times),
    );
    line(
        "sessions begun, at a steady rate",
        &per_second(report.begun, report.steady),
    );
    line(
        "  from when it was due to the answer",
        &times(&lock(&ledger.asked)),
    );
    line(
        "  from a failure to the next relay",
        &times(&lock(&ledger.asked_again)),
    );
    line(
        "memory of the broker for each peer",
        &known(report.bytes_per_peer().map(kib)),
    );
    line("  in all", &known(report.full_bytes.map(mib)));
    line(
        "processor time for each session begun",
        &known(
            report
                .cpu_per_begin()
                .map(|it| format!("{} us", it.as_micros())),
        ),
    );
    line(
        "  of all cores, on average",
        &known(report.cores().map(|it| format!("{it:.2}"))),
    );
    line("what happened", &happened(tallies));
    for broken in ledger.broken() {
        println!("BROKEN: {broken}");
    }
    match ledger.broken_count.load(SeqCst) {
        0 => println!(
            "All promises were kept: capacities, draining, an answer to each question, and no place left taken."
        ),
        broken => println!("{broken} promises were broken."),
    }
}

fn line(name: &str, figure: &str) {
    println!("{name:<42} {figure}");
}

fn per_second(count: u64, time: Duration) -> String {
    let rate = count as f64 / time.as_secs_f64().max(1e-9);
    format!("{count} in {:.1} s, {rate:.0} a second", time.as_secs_f64())
}

/// Percentiles, in milliseconds.
fn times(micros: &Histogram<u64>) -> String {
    if micros.is_empty() {
        return "none".into();
    }
    let ms = |micros: u64| micros as f64 / 1e3;
    let (median, tail, most) = (
        micros.value_at_quantile(0.5),
        micros.value_at_quantile(0.99),
        micros.max(),
    );
    format!(
        "median {:.2} ms, 99 % within {:.2} ms, all within {:.2} ms",
        ms(median),
        ms(tail),
        ms(most)
    )
}

fn kib(bytes: u64) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}

fn mib(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / 1024.0 / 1024.0)
}

fn known(figure: Option<String>) -> String {
    figure.unwrap_or_else(|| "not known".into())
}

fn happened(tallies: &Tallies) -> String {
    let get = |tally: &AtomicU64| tally.load(SeqCst);
    format!(
        "{} relays given, {} of them reported as failed; {} questions refused, {} unanswered; {} sessions lost; {} renewals",
        get(&tallies.relays_given),
        get(&tallies.failures_told),
        get(&tallies.refused),
        get(&tallies.unanswered),
        get(&tallies.lost),
        get(&tallies.renewals),
    )
}
