//! The throughput of two threads, relative to one.

use std::sync::Barrier;
use std::time::{Duration, Instant};

/// How many samples of one thread and of two are taken alternately. The best of each counts.
const SAMPLES: usize = 15;
const SAMPLE: Duration = Duration::from_millis(20);

/// The calls of two threads divided by those of one. `worker` makes the work of a thread, which returns
/// its number of calls.
pub fn of_two_threads<W: FnMut() -> usize>(worker: impl Fn(usize) -> W + Sync) -> f64 {
    let mut best = [0.0_f64; 2];
    for _ in 0..SAMPLES {
        for (threads, best) in (1..).zip(&mut best) {
            *best = best.max(rate(threads, &worker));
        }
    }
    best[1] / best[0]
}

/// Calls per second of all threads.
fn rate<W: FnMut() -> usize>(threads: usize, worker: &(impl Fn(usize) -> W + Sync)) -> f64 {
    let barrier = Barrier::new(threads);
    let run = |number| {
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
