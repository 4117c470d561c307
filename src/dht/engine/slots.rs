//! No more requests at once than an engine carries.

use std::time::{Duration, Instant};

use super::DhtError;
use crate::sync::unmodelled::{Condvar, Mutex};

/// How often those who wait look whether a request that was left behind ended.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A request that nobody waits for any more but that still runs beneath.
pub(super) trait Abandoned: Send {
    /// Whether it has ended; does not block.
    fn has_ended(&mut self) -> bool;
}

/// A fixed number of slots, each held by one request from before it is sent
/// until nothing of it runs any more.
pub(super) struct RequestSlots {
    max: usize,
    state: Mutex<State>,
    given_back: Condvar,
}

struct State {
    free: usize,
    left_behind: Vec<Box<dyn Abandoned>>,
    #[cfg(test)]
    waits: u32,
}

impl RequestSlots {
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

    /// Waits for a slot until `deadline`.
    pub(super) fn take(&self, deadline: Instant) -> Result<RequestSlot<'_>, DhtError> {
        let mut state = self.state.lock();
        loop {
            state.release_ended();
            if state.free > 0 {
                state.free -= 1;
                return Ok(RequestSlot { slots: self });
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
                left.min(POLL_INTERVAL)
            };
            #[cfg(test)]
            {
                state.waits += 1;
            }
            self.given_back.wait_for(&mut state, pause);
        }
    }
}

impl State {
    /// Frees the slots of what was left behind and has ended since.
    fn release_ended(&mut self) {
        let before = self.left_behind.len();
        self.left_behind.retain_mut(|request| !request.has_ended());
        self.free += before - self.left_behind.len();
    }
}

/// One request's slot, given back when dropped.
pub(super) struct RequestSlot<'a> {
    slots: &'a RequestSlots,
}

impl RequestSlot<'_> {
    /// Keeps the slot taken until `request` has ended, without waiting for it.
    #[cfg_attr(not(any(test, feature = "mainline")), allow(dead_code))]
    pub(super) fn abandon(self, request: Box<dyn Abandoned>) {
        self.slots.state.lock().left_behind.push(request);
        // Those who wait must from now on look whether it has ended.
        self.slots.given_back.notify_all();
        std::mem::forget(self);
    }
}

impl Drop for RequestSlot<'_> {
    fn drop(&mut self) {
        self.slots.state.lock().free += 1;
        self.slots.given_back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    struct Flag(Arc<AtomicBool>);

    impl Abandoned for Flag {
        fn has_ended(&mut self) -> bool {
            self.0.load(Ordering::SeqCst)
        }
    }

    #[test]
    fn there_are_no_more_turns_than_that() {
        let slots = RequestSlots::new(2);
        let first = slots.take(Instant::now());
        let second = slots.take(Instant::now());
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(
            slots.take(Instant::now()).err(),
            Some(DhtError::Busy { max_in_flight: 2 })
        );
        drop(first);
        assert!(slots.take(Instant::now()).is_ok());
    }

    #[test]
    fn what_was_left_behind_holds_its_turn_until_it_ends() {
        let slots = RequestSlots::new(1);
        let ended = Arc::new(AtomicBool::new(false));
        let slot = slots.take(Instant::now()).expect("the only slot is free");
        slot.abandon(Box::new(Flag(Arc::clone(&ended))));
        assert!(slots.take(Instant::now()).is_err());
        ended.store(true, Ordering::SeqCst);
        let slot = slots.take(Instant::now());
        assert!(slot.is_ok());
        assert!(slots.take(Instant::now()).is_err(), "it was freed once");
    }

    #[test]
    fn a_waiter_gets_the_turn_that_is_given_back() {
        let slots = RequestSlots::new(1);
        let slot = slots.take(Instant::now()).expect("the only slot is free");
        std::thread::scope(|scope| {
            let waiter =
                scope.spawn(|| slots.take(Instant::now() + Duration::from_secs(60)).is_ok());
            drop(slot);
            assert!(waiter.join().expect("it does not panic"));
        });
    }

    /// Says when it is asked whether it has ended.
    struct Asked(std::sync::mpsc::Sender<()>);

    impl Abandoned for Asked {
        fn has_ended(&mut self) -> bool {
            self.0.send(()).is_ok()
        }
    }

    #[test]
    fn who_waits_already_looks_after_what_is_left_behind_then() {
        let slots = RequestSlots::new(1);
        let slot = slots.take(Instant::now()).expect("the only slot is free");
        let (sender, asked) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let far = Instant::now() + Duration::from_secs(30);
                slots.take(far).is_ok()
            });
            while slots.state.lock().waits == 0 {
                std::thread::yield_now();
            }
            slot.abandon(Box::new(Asked(sender)));
            let long_before = Duration::from_secs(10);
            assert!(asked.recv_timeout(long_before).is_ok(), "nobody looked");
            assert!(waiter.join().expect("it does not panic"));
        });
    }
}
