//! [`Link`]: applies the faults of one handle.

use std::time::{Duration, Instant};

use super::faults::{Faults, Hang, Lie};
use crate::dht::engine::DhtError;
use crate::sync::unmodelled::{Condvar, Mutex, thread};

/// The faults of one handle, which can change while calls wait, and its generator
/// of random numbers.
#[derive(Debug)]
pub(super) struct Link {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    faults: Faults,
    /// The number of times that the faults changed.
    changes: u64,
    random: fastrand::Rng,
}

/// The outcome of one message to one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    Lost,
    Answered,
    AnsweredStale,
    AnsweredWith(Lie),
}

impl Link {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            state: Mutex::new(State {
                faults: Faults::new(),
                changes: 0,
                random: fastrand::Rng::with_seed(seed),
            }),
            changed: Condvar::new(),
        }
    }

    #[cfg(any(test, feature = "conformance"))]
    pub(super) fn set_faults(&self, faults: Faults) {
        let mut state = self.state.lock();
        state.faults = faults;
        state.changes += 1;
        self.changed.notify_all();
    }

    pub(super) fn faults(&self) -> Faults {
        self.state.lock().faults.clone()
    }

    /// Applies the faults of a whole request, before the first message to a node:
    /// panic, hang, failure, delay.
    pub(super) fn begin_request(&self, deadline: Instant) -> Result<(), DhtError> {
        let faults = self.faults();
        assert!(!faults.panic, "an injected panic");
        match faults.hang {
            None => {}
            Some(Hang::UntilDeadline) => self.wait(Some(deadline)),
            Some(Hang::Past(extra)) => self.wait(deadline.checked_add(extra)),
            Some(Hang::UntilReleased) => self.wait(None),
        }
        if let Some(failure) = faults.failure {
            return Err(failure);
        }
        let now = Instant::now();
        let left = deadline.saturating_duration_since(now);
        if left.is_zero() {
            return Err(DhtError::Timeout);
        }
        if !faults.delay.is_zero() {
            thread::sleep(faults.delay.min(left));
        }
        if faults.delay > left {
            return Err(DhtError::Timeout);
        }
        Ok(())
    }

    /// Waits until the faults change, or until `end` if there is one.
    fn wait(&self, end: Option<Instant>) {
        let mut state = self.state.lock();
        let changes = state.changes;
        while state.changes == changes {
            let left = end.map_or(Duration::MAX, |end| {
                end.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                return;
            }
            match end {
                Some(_) => drop(self.changed.wait_for(&mut state, left)),
                None => self.changed.wait(&mut state),
            }
        }
    }

    /// The outcome of a message to the node with this index.
    pub(super) fn delivery(&self, node: usize) -> Delivery {
        let State { faults, random, .. } = &mut *self.state.lock();
        let outside = |reachable: &std::ops::Range<usize>| !reachable.contains(&node);
        if faults.partition.as_ref().is_some_and(outside) || random.f64() < faults.loss {
            return Delivery::Lost;
        }
        match faults.lie {
            Some((lie, share)) if random.f64() < share => Delivery::AnsweredWith(lie),
            _ if random.f64() < faults.stale => Delivery::AnsweredStale,
            _ => Delivery::Answered,
        }
    }

    /// The indices below `nodes` in random order.
    pub(super) fn random_order(&self, nodes: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..nodes).collect();
        self.state.lock().random.shuffle(&mut order);
        order
    }

    pub(super) fn random_bool(&self) -> bool {
        self.state.lock().random.bool()
    }

    /// 1 to `max` random bytes.
    pub(super) fn random_bytes(&self, max: usize) -> Vec<u8> {
        let random = &mut self.state.lock().random;
        let mut bytes = vec![0; random.usize(1..=max)];
        random.fill(&mut bytes);
        bytes
    }

    /// `bytes` with one bit flipped; random bytes if there are none.
    pub(super) fn flip_bit(&self, bytes: Option<&[u8]>) -> Vec<u8> {
        let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else {
            return self.random_bytes(300);
        };
        let bit = self.state.lock().random.usize(..bytes.len() * 8);
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    }
}
