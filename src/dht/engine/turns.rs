//! No more requests at once than an engine carries.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::DhtError;

/// How often those who wait look whether a request that was left behind ended.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A request that nobody waits for any more but that still runs beneath.
pub(super) trait LeftBehind: Send {
    /// Whether it has ended; does not block.
    fn has_ended(&mut self) -> bool;
}

/// A fixed number of turns, each held by one request from before it is sent
/// until nothing of it runs any more.
pub(super) struct Turns {
    max: usize,
    state: Mutex<State>,
    given_back: Condvar,
}

struct State {
    free: usize,
    left_behind: Vec<Box<dyn LeftBehind>>,
    #[cfg(test)]
    waits: u32,
}

impl Turns {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            state: Mutex::new(State {
                free: max,
                left_behind: Vec::new(),
                #[cfg(test)]
                waits: 0,
            }),
            given_back: Condvar::new(),
        }
    }

    /// Waits for a turn until `deadline`.
    pub(super) fn take(&self, deadline: Instant) -> Result<Turn<'_>, DhtError> {
        let mut state = self.lock();
        loop {
            state.collect_ended();
            if state.free > 0 {
                state.free -= 1;
                return Ok(Turn { turns: self });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(DhtError::Busy {
                    max_in_flight: self.max,
                });
            }
            let pause = if state.left_behind.is_empty() {
                left
            } else {
                left.min(LOOK_AGAIN)
            };
            #[cfg(test)]
            {
                state.waits += 1;
            }
            state = self
                .given_back
                .wait_timeout(state, pause)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change of the state is one assignment: none can be half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Frees the turns of what was left behind and has ended since.
    fn collect_ended(&mut self) {
        let before = self.left_behind.len();
        self.left_behind.retain_mut(|request| !request.has_ended());
        self.free += before - self.left_behind.len();
    }
}

/// One request's turn, given back when dropped.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
}

impl Turn<'_> {
    /// Keeps the turn taken until `request` has ended, without waiting for it.
    #[cfg_attr(not(any(test, feature = "mainline")), allow(dead_code))]
    pub(super) fn leave_behind(self, request: Box<dyn LeftBehind>) {
        self.turns.lock().left_behind.push(request);
        // Those who wait must from now on look whether it has ended.
        self.turns.given_back.notify_all();
        std::mem::forget(self);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.lock().free += 1;
        self.turns.given_back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    struct Flag(Arc<AtomicBool>);

    impl LeftBehind for Flag {
        fn has_ended(&mut self) -> bool {
            self.0.load(Ordering::SeqCst)
        }
    }

    #[test]
    fn there_are_no_more_turns_than_that() {
        let turns = Turns::new(2);
        let first = turns.take(Instant::now());
        let second = turns.take(Instant::now());
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(
            turns.take(Instant::now()).err(),
            Some(DhtError::Busy { max_in_flight: 2 })
        );
        drop(first);
        assert!(turns.take(Instant::now()).is_ok());
    }

    #[test]
    fn what_was_left_behind_holds_its_turn_until_it_ends() {
        let turns = Turns::new(1);
        let ended = Arc::new(AtomicBool::new(false));
        let turn = turns.take(Instant::now()).expect("the only turn is free");
        turn.leave_behind(Box::new(Flag(Arc::clone(&ended))));
        assert!(turns.take(Instant::now()).is_err());
        ended.store(true, Ordering::SeqCst);
        let turn = turns.take(Instant::now());
        assert!(turn.is_ok());
        assert!(turns.take(Instant::now()).is_err(), "it was freed once");
    }

    #[test]
    fn a_waiter_gets_the_turn_that_is_given_back() {
        let turns = Turns::new(1);
        let turn = turns.take(Instant::now()).expect("the only turn is free");
        std::thread::scope(|scope| {
            let waiter =
                scope.spawn(|| turns.take(Instant::now() + Duration::from_secs(60)).is_ok());
            drop(turn);
            assert!(waiter.join().expect("it does not panic"));
        });
    }

    /// Says when it is asked whether it has ended.
    struct Asked(std::sync::mpsc::Sender<()>);

    impl LeftBehind for Asked {
        fn has_ended(&mut self) -> bool {
            self.0.send(()).is_ok()
        }
    }

    #[test]
    fn who_waits_already_looks_after_what_is_left_behind_then() {
        let turns = Turns::new(1);
        let turn = turns.take(Instant::now()).expect("the only turn is free");
        let (sender, asked) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let far = Instant::now() + Duration::from_secs(30);
                turns.take(far).is_ok()
            });
            while turns.lock().waits == 0 {
                std::thread::yield_now();
            }
            turn.leave_behind(Box::new(Asked(sender)));
            let long_before = Duration::from_secs(10);
            assert!(asked.recv_timeout(long_before).is_ok(), "nobody looked");
            assert!(waiter.join().expect("it does not panic"));
        });
    }
}
