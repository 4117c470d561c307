//! How long the calls take by one thread, and how many more two threads make.
//!
//! Each sample is of a map of its own, so all are alike. The time of a call is from the median of short
//! chunks, so few disturbances change it; the ratio is from whole samples. The best sample counts. Prints, separated by tabs:
//!
//! ```text
//! MAP OPERATION NANOS RATIO    by one thread; the rate of two threads over that of one
//! line moves NANOS             between two threads that write it in turns
//! ```

use relay_registry_sharing::operations::{Runner, run_all};
use std::hint::spin_loop;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CALLS: usize = 65_536;
/// The share of the calls that come first and are not timed, as a divisor.
const WARM_UP: usize = 8;
const CHUNK: usize = 512;
const ROUNDS: usize = 5;
/// How long moves of a line are timed.
const MOVING: Duration = Duration::from_secs(1);
const ENDED: u64 = 2;

fn main() {
    let mut samples = Vec::new();
    for _ in 0..ROUNDS {
        let [by_one, by_two] = [1, 2].map(|threads| {
            let mut sample = Sample::by(threads);
            run_all(&mut sample);
            sample.rates
        });
        samples.push((by_one, by_two));
    }
    for (at, (name, _)) in samples[0].0.iter().enumerate() {
        let by_one = samples.iter().map(|(one, _)| one[at].1);
        let by_two = samples.iter().map(|(_, two)| two[at].1);
        let nanos = 1.0 / best(by_one.clone().map(|rates| rates.of_chunks));
        let ratio = best(by_two.map(|it| it.of_all)) / best(by_one.map(|it| it.of_all));
        println!("{name}\t{nanos}\t{ratio}");
    }
    println!("line moves\t{}", nanos_of_a_move());
}

/// One sample of each operation.
struct Sample {
    threads: usize,
    /// By the name of each operation.
    rates: Vec<(String, Rates)>,
}

/// Calls per nanosecond of all threads.
#[derive(Clone, Copy)]
struct Rates {
    /// In the median chunk.
    of_chunks: f64,
    of_all: f64,
}

impl Sample {
    fn by(threads: usize) -> Self {
        Self {
            threads,
            rates: Vec::new(),
        }
    }
}

impl Runner for Sample {
    fn calls(&self) -> usize {
        CALLS
    }

    fn run(&mut self, map: &'static str, operation: &'static str, call: &(dyn Fn(usize) + Sync)) {
        let share = CALLS / self.threads;
        let barrier = Barrier::new(self.threads);
        let work = |thread| {
            let calls = thread * share..(thread + 1) * share;
            let (first, timed) = (calls.start + share / WARM_UP, calls.end);
            (calls.start..first).for_each(call);
            barrier.wait();
            let all = Instant::now();
            let each = (first..timed).step_by(CHUNK).map(|chunk| {
                let start = Instant::now();
                (chunk..chunk + CHUNK).for_each(call);
                rate(CHUNK, start)
            });
            let chunks = each.collect();
            Rates {
                of_chunks: median(chunks),
                of_all: rate(timed - first, all),
            }
        };
        let rates = thread::scope(|scope| {
            let start = |thread| scope.spawn(move || work(thread));
            let running: Vec<_> = (0..self.threads).map(start).collect();
            let ended = running.into_iter().map(|it| it.join().expect("no panic"));
            ended.reduce(Rates::add).expect("there are threads")
        });
        self.rates.push((format!("{map}\t{operation}"), rates));
    }
}

impl Rates {
    fn add(self, other: Self) -> Self {
        Self {
            of_chunks: self.of_chunks + other.of_chunks,
            of_all: self.of_all + other.of_all,
        }
    }
}

/// Calls per nanosecond since then.
fn rate(calls: usize, start: Instant) -> f64 {
    calls as f64 / start.elapsed().as_nanos() as f64
}

/// How long a line takes from one core to the other and back, halved; in the best of many short chunks.
fn nanos_of_a_move() -> f64 {
    const ROUND_TRIPS: usize = 32;
    let word = AtomicU64::new(0);
    let spin_until = |wanted: fn(u64) -> bool| {
        loop {
            match word.load(Ordering::Acquire) {
                seen if wanted(seen) => break seen,
                _ => spin_loop(),
            }
        }
    };
    let (start, mut best) = (Instant::now(), f64::MAX);
    thread::scope(|scope| {
        scope.spawn(|| {
            while spin_until(|turn| turn > 0) != ENDED {
                word.store(0, Ordering::Release);
            }
        });
        while start.elapsed() < MOVING {
            let chunk = Instant::now();
            for _ in 0..ROUND_TRIPS {
                word.store(1, Ordering::Release);
                spin_until(|turn| turn == 0);
            }
            best = best.min(0.5 / rate(ROUND_TRIPS, chunk));
        }
        word.store(ENDED, Ordering::Release);
    });
    best
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// What was disturbed least.
fn best(rates: impl Iterator<Item = f64>) -> f64 {
    rates.max_by(f64::total_cmp).expect("there are samples")
}
