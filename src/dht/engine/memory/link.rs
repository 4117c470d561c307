//! The way from one handle to the nodes: where its faults happen.

use std::time::{Duration, Instant};

use super::faults::{Faults, Hang, Lie};
use crate::dht::engine::DhtError;
use crate::sync::unmodelled::{Condvar, Mutex, thread};

/// The state of one handle: its faults, which can change while calls wait, and
/// its generator of random numbers.
#[derive(Debug)]
pub(super) struct Link {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    faults: Faults,
    /// Raised with each change of the faults.
    changes: u64,
    random: fastrand::Rng,
}

/// What becomes of one message to one node.
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

    /// Goes through what happens to a request as a whole, before any node is
    /// asked: panics, hangs, takes its time, fails.
    pub(super) fn pass(&self, deadline: Instant) -> Result<(), DhtError> {
        let faults = self.faults();
        assert!(!faults.panic, "a panic was asked for");
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

    /// Waits until `end`, or for ever, or until the faults change.
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

    /// What becomes of a message to the node of this number.
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

    /// The numbers below `nodes` in random order.
    pub(super) fn order(&self, nodes: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..nodes).collect();
        self.state.lock().random.shuffle(&mut order);
        order
    }

    /// Up to `most` random bytes.
    pub(super) fn noise(&self, most: usize) -> Vec<u8> {
        let random = &mut self.state.lock().random;
        let mut noise = vec![0; random.usize(1..=most)];
        random.fill(&mut noise);
        noise
    }

    /// `bytes` with one of its bits changed; noise where there are none.
    pub(super) fn forge(&self, bytes: Option<&[u8]>) -> Vec<u8> {
        let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else {
            return self.noise(300);
        };
        let bit = self.state.lock().random.usize(..bytes.len() * 8);
        let mut forged = bytes.to_vec();
        forged[bit / 8] ^= 1 << (bit % 8);
        forged
    }
}
