//! The throughput of two threads, relative to one.
//!
//! Each thread stays on a processor of its own: samples are so short that the system would often leave two new
//! threads on one. The first thread is on each processor in turn, because some may be slower.

use std::sync::Barrier;
use std::time::{Duration, Instant};

/// How many samples of one thread and of two are taken alternately. The best of each counts.
const SAMPLES: usize = 15;
const SAMPLE: Duration = Duration::from_millis(20);

/// The calls of two threads divided by those of one. `worker` makes the work of a thread, which returns
/// its number of calls.
pub fn of_two_threads<W: FnMut() -> usize>(worker: impl Fn(usize) -> W + Sync) -> f64 {
    let mut best = [0.0_f64; 2];
    for turn in 0..SAMPLES {
        for (threads, best) in (1..).zip(&mut best) {
            *best = best.max(rate(turn, threads, &worker));
        }
    }
    best[1] / best[0]
}

/// Calls per second of all threads, the first of them on the processor whose turn it is.
pub fn rate<W: FnMut() -> usize>(
    turn: usize,
    threads: usize,
    worker: &(impl Fn(usize) -> W + Sync),
) -> f64 {
    let barrier = Barrier::new(threads);
    let run = |number| {
        stay_on_processor(turn + number);
        let mut work = worker(number);
        work();
        barrier.wait();
        let (start, mut calls) = (Instant::now(), 0);
        while start.elapsed() < SAMPLE {
            calls += work();
        }
        calls as f64 / start.elapsed().as_secs_f64()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|number| scope.spawn(move || run(number)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .sum()
    })
}

/// Does nothing if the system does not let threads choose.
fn stay_on_processor(number: usize) {
    let processors = core_affinity::get_core_ids().unwrap_or_default();
    if !processors.is_empty() {
        core_affinity::set_for_current(processors[number % processors.len()]);
    }
}
