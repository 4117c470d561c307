//! The rules under real threads: capacity, admission, visibility, expiry, trials, bans, tiers,
//! labels, and the maintenance thread.
//!
//! Threads synchronise by barriers and channels. Tests poll only for the work of background threads, with a
//! generous deadline.

#[path = "../common/mod.rs"]
mod common;

mod admission;
mod background;
mod bans;
mod capacity;
mod closing;
mod endpoints;
mod events;
mod lists;
mod policies;
mod sources;
mod trials;
mod visibility;
mod waiting;

use common::{World, endpoint, id, options};
use relay_registry::{Endpoint, RegisterError, RegisterOptions, Registration};
use std::sync::Barrier;
use std::sync::mpsc::{TryRecvError, channel};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// How long to wait for what must happen in the end.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// Runs `work(0) .. work(threads - 1)` at once, each on its own thread, and returns what they return.
fn at_once<T: Send>(threads: u32, work: impl Fn(u32) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(threads as usize);
    let run = |n| {
        start.wait();
        work(n)
    };
    thread::scope(|scope| {
        let spawn = |n| scope.spawn(move || run(n));
        let running: Vec<_> = (0..threads).map(spawn).collect();
        let join = |thread: ScopedJoinHandle<'_, T>| thread.join().expect("no panic");
        running.into_iter().map(join).collect()
    })
}

/// Runs `background` on a thread of its own, again and again, until `foreground` is done.
fn while_running<T>(mut background: impl FnMut() + Send, foreground: impl FnOnce() -> T) -> T {
    let start = Barrier::new(2);
    let (stop, stopped) = channel::<()>();
    thread::scope(|scope| {
        let start = &start;
        scope.spawn(move || {
            start.wait();
            while stopped.try_recv() == Err(TryRecvError::Empty) {
                background();
            }
        });
        let _stop = stop; // dropped when the foreground is done, also when it panics
        start.wait();
        foreground()
    })
}

/// Registers relay `n`, and repeats this while the registry is backlogged: while another thread stalls inside
/// a call, departed records cannot be reclaimed.
fn register_patiently(
    world: &World,
    n: u32,
    address: Endpoint,
    options: &RegisterOptions,
) -> Result<Registration, RegisterError> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match world.register_with(id(n), address.clone(), options) {
            Err(RegisterError::Backlogged { .. }) if Instant::now() < deadline => {
                thread::yield_now();
            }
            outcome => return outcome,
        }
    }
}

/// Renews a relay with other options.
#[track_caller]
fn renew_with(world: &World, n: u32, options: &RegisterOptions) {
    let outcome = register_patiently(world, n, endpoint(n), options);
    assert_eq!(outcome, Ok(Registration::Renewed), "relay {n}");
}

/// Registers a relay that must be new.
#[track_caller]
fn join_with(world: &World, n: u32, options: &RegisterOptions) {
    let outcome = register_patiently(world, n, endpoint(n), options);
    let entered = matches!(outcome, Ok(Registration::New | Registration::Returned));
    assert!(entered, "relay {n}: {outcome:?}");
}

#[track_caller]
fn join(world: &World, n: u32) {
    join_with(world, n, &options());
}
