//! [`RequestSlots`]: bounds the number of requests in flight.

use std::time::{Duration, Instant};

use super::DhtError;
use crate::sync::unmodelled::{Condvar, Mutex};

/// The interval at which waiting threads check whether an abandoned request has
/// ended.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A request that still runs, though its caller has returned.
pub(super) trait Abandoned: Send {
    /// Whether the request has ended; does not block.
    fn has_ended(&mut self) -> bool;
}

/// A semaphore: each of `max` slots is held by one request, from before the
/// request is sent until no part of it runs.
pub(super) struct RequestSlots {
    max: usize,
    state: Mutex<State>,
    released: Condvar,
}

struct State {
    free: usize,
    abandoned: Vec<Box<dyn Abandoned>>,
    #[cfg(test)]
    waits: u32,
}

impl RequestSlots {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            state: Mutex::new(State {
                free: max,
                abandoned: Vec::new(),
                #[cfg(test)]
                waits: 0,
            }),
            released: Condvar::new(),
        }
    }

    /// Acquires a slot; waits for it until `deadline`.
    pub(super) fn acquire(&self, deadline: Instant) -> Result<RequestSlot<'_>, DhtError> {
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
            let pause = if state.abandoned.is_empty() {
                left
            } else {
                left.min(POLL_INTERVAL)
            };
            #[cfg(test)]
            {
                state.waits += 1;
            }
            self.released.wait_for(&mut state, pause);
        }
    }
}

impl State {
    /// Releases the slots of abandoned requests that have ended.
    fn release_ended(&mut self) {
        let before = self.abandoned.len();
        self.abandoned.retain_mut(|request| !request.has_ended());
        self.free += before - self.abandoned.len();
    }
}

/// The slot of one request, released when dropped.
pub(super) struct RequestSlot<'a> {
    slots: &'a RequestSlots,
}

impl RequestSlot<'_> {
    /// Returns at once; the slot is released when `request` has ended.
    #[cfg_attr(not(any(test, feature = "mainline")), allow(dead_code))]
    pub(super) fn abandon(self, request: Box<dyn Abandoned>) {
        self.slots.state.lock().abandoned.push(request);
        // Threads that wait already must begin to poll the request.
        self.slots.released.notify_all();
        std::mem::forget(self);
    }
}

impl Drop for RequestSlot<'_> {
    fn drop(&mut self) {
        self.slots.state.lock().free += 1;
        self.slots.released.notify_one();
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
    fn no_more_slots_are_acquired_than_exist() {
        let slots = RequestSlots::new(2);
        let first = slots.acquire(Instant::now());
        let second = slots.acquire(Instant::now());
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(
            slots.acquire(Instant::now()).err(),
            Some(DhtError::Busy { max_in_flight: 2 })
        );
        drop(first);
        assert!(slots.acquire(Instant::now()).is_ok());
    }

    #[test]
    fn an_abandoned_request_holds_its_slot_until_it_ends() {
        let slots = RequestSlots::new(1);
        let ended = Arc::new(AtomicBool::new(false));
        let slot = slots
            .acquire(Instant::now())
            .expect("the only slot is free");
        slot.abandon(Box::new(Flag(Arc::clone(&ended))));
        assert!(slots.acquire(Instant::now()).is_err());
        ended.store(true, Ordering::SeqCst);
        let slot = slots.acquire(Instant::now());
        assert!(slot.is_ok());
        assert!(
            slots.acquire(Instant::now()).is_err(),
            "the slot was released once"
        );
    }

    #[test]
    fn a_waiting_thread_acquires_a_released_slot() {
        let slots = RequestSlots::new(1);
        let slot = slots
            .acquire(Instant::now())
            .expect("the only slot is free");
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                slots
                    .acquire(Instant::now() + Duration::from_secs(60))
                    .is_ok()
            });
            drop(slot);
            assert!(waiter.join().expect("it does not panic"));
        });
    }

    /// Sends a message each time it is polled, and ends at once.
    struct NotifyOnPoll(std::sync::mpsc::Sender<()>);

    impl Abandoned for NotifyOnPoll {
        fn has_ended(&mut self) -> bool {
            self.0.send(()).is_ok()
        }
    }

    #[test]
    fn a_thread_that_waits_already_polls_a_request_that_is_abandoned_then() {
        let slots = RequestSlots::new(1);
        let slot = slots
            .acquire(Instant::now())
            .expect("the only slot is free");
        let (sender, polled) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let far = Instant::now() + Duration::from_secs(30);
                slots.acquire(far).is_ok()
            });
            while slots.state.lock().waits == 0 {
                std::thread::yield_now();
            }
            slot.abandon(Box::new(NotifyOnPoll(sender)));
            let long_before = Duration::from_secs(10);
            assert!(
                polled.recv_timeout(long_before).is_ok(),
                "it was not polled"
            );
            assert!(waiter.join().expect("it does not panic"));
        });
    }
}
