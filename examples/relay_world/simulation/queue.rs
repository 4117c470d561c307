//! The event queue of the simulation.
//!
//! Time is in whole microseconds. Events of one time leave the queue in the order in which they entered, so
//! nothing depends on chance or rounding.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Simulated microseconds since the start.
pub type Micros = u64;

pub const SECOND: Micros = 1_000_000;

pub fn seconds(seconds: f64) -> Micros {
    (seconds * SECOND as f64).round() as Micros
}

pub fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}

pub struct Queue<E> {
    heap: BinaryHeap<Reverse<(Micros, u64, E)>>,
    pushed: u64,
}

impl<E: Ord> Queue<E> {
    pub fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            pushed: 0,
        }
    }

    pub fn push(&mut self, at: Micros, event: E) {
        self.heap.push(Reverse((at, self.pushed, event)));
        self.pushed += 1;
    }

    /// The next event that is due before `end`.
    pub fn pop_before(&mut self, end: Micros) -> Option<(Micros, E)> {
        let Reverse((at, _, _)) = self.heap.peek()?;
        if *at >= end {
            return None;
        }
        self.heap.pop().map(|Reverse((at, _, event))| (at, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_ordered_by_time_then_by_insertion() {
        let mut queue = Queue::new();
        for (at, event) in [(5, 'c'), (1, 'b'), (5, 'a'), (9, 'z')] {
            queue.push(at, event);
        }
        let due: Vec<_> = std::iter::from_fn(|| queue.pop_before(9)).collect();
        assert_eq!(due, [(1, 'b'), (5, 'c'), (5, 'a')]);
        assert_eq!(queue.pop_before(10), Some((9, 'z')));
        assert_eq!(queue.pop_before(10), None);
    }
}
