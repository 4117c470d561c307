//! Decides whether a history is linearizable: whether its calls can be put in an order in which each
//! answers as one after another they would, and none comes before a call that had returned when it began
//! (Herlihy and Wing, "Linearizability", 1990).
//!
//! The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993), with Lowe's
//! memory of what was tried ("Testing for linearizability", 2017): the same calls done, in whatever order,
//! with the same state reached, lead nowhere new. A checker of our own, for `lincheck` pins an older loom
//! and stateright does not build under `--cfg crossbeam_loom`, with which our models build all
//! dev-dependencies.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;

/// What something must do when it is used by one at a time.
pub trait Specification: Clone + Debug + Default + Eq + Hash {
    type Operation: Clone + Debug;
    type Answer: Clone + Debug;

    /// The state after an operation, if it may answer so in this state.
    fn after(&self, operation: &Self::Operation, answer: &Self::Answer) -> Option<Self>;
}

/// One call, and when it began and ended, by a counter that all threads share.
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

/// How many calls a history has at most: as many as a word has bits.
pub const MAX_CALLS: usize = 64;

/// Whether the calls of some threads, in any order here, can have happened one after another.
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
    /// Which calls were done, and what state they led to.
    tried: HashSet<(u64, S)>,
}

impl<S: Specification> Search<'_, S> {
    /// Whether what is not yet done can follow.
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
        // What began after another had ended comes after it.
        let mut next = left.filter(|&n| history[n].began < first_end);
        next.any(|n| {
            let call = &history[n];
            let after = state.after(&call.operation, &call.answer);
            after.is_some_and(|after| self.completes(done | 1 << n, &after))
        })
    }
}
