//! Decides whether a history is linearizable: whether there is an order of its calls in which each answer is
//! that of a sequential execution, and no call comes before one that had returned when it began
//! (Herlihy and Wing, "Linearizability", 1990).
//!
//! The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993), with Lowe's
//! cache ("Testing for linearizability", 2017): if the same calls have led to the same state before, in
//! any order, the search does not continue. This is not a dependency because `lincheck` pins an older loom,
//! and stateright does not build under `--cfg crossbeam_loom`, with which the models build all
//! dev-dependencies.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;

/// A sequential specification.
pub trait Specification: Clone + Debug + Default + Eq + Hash {
    type Operation: Clone + Debug;
    type Answer: Clone + Debug;

    /// The state after an operation; `None` if it cannot give this answer in this state.
    fn after(&self, operation: &Self::Operation, answer: &Self::Answer) -> Option<Self>;
}

/// One call, with its begin and end by a counter that all threads share.
#[derive(Clone, Debug)]
pub struct Call<S: Specification> {
    pub began: u64,
    pub operation: S::Operation,
    pub answer: S::Answer,
    pub ended: u64,
}

impl<S: Specification> Call<S> {
    pub fn overlaps(&self, other: &Self) -> bool {
        self.began < other.ended && other.began < self.ended
    }
}

/// The most calls of a history: the bits of a word.
pub const MAX_CALLS: usize = 64;

/// Whether the calls, given in any order, are linearizable.
pub fn is_linearizable<S: Specification>(history: &[Call<S>]) -> bool {
    assert!(history.len() <= MAX_CALLS, "{} calls", history.len());
    Search {
        history,
        tried: HashSet::new(),
    }
    .completes(0, &S::default())
}

struct Search<'a, S: Specification> {
    history: &'a [Call<S>],
    /// Sets of calls with the state that they led to.
    tried: HashSet<(u64, S)>,
}

impl<S: Specification> Search<'_, S> {
    /// Whether the other calls can follow.
    fn completes(&mut self, done: u64, state: &S) -> bool {
        let history = self.history;
        let is_left = |n: &usize| done & (1 << n) == 0;
        let left = (0..history.len()).filter(is_left);
        let Some(first_end) = left.clone().map(|n| history[n].ended).min() else {
            return true;
        };
        if !self.tried.insert((done, state.clone())) {
            return false;
        }
        // A call that began after another had ended comes after it.
        let mut next = left.filter(|&n| history[n].began < first_end);
        next.any(|n| {
            let call = &history[n];
            let after = state.after(&call.operation, &call.answer);
            after.is_some_and(|after| self.completes(done | 1 << n, &after))
        })
    }
}
