//! What two threads do in the time in which one does so much.

use std::sync::Barrier;
use std::time::{Duration, Instant};

/// One thread and two take turns so often; the best of each counts.
const TURNS: usize = 15;
const TURN: Duration = Duration::from_millis(20);

/// The calls of two threads over those of one; `worker` makes what a thread
/// does over and over, and says how many calls that is.
pub fn of_two_threads<W: FnMut() -> usize>(worker: impl Fn(usize) -> W + Sync) -> f64 {
    let mut best = [0.0_f64; 2];
    for _ in 0..TURNS {
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
        while start.elapsed() < TURN {
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
