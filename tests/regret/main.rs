//! Regret: the score of what the registry chose over the best eligible score at
//! that moment.
//!
//! Each scene keeps its own model of every relay (round trip, load, capacity,
//! eligibility) and computes the exact best before each call. All run on one
//! thread, on a clock that only the test moves, so nothing changes between the
//! two. `cargo test --test regret -- --nocapture` prints the figures of each
//! state and size.

#[path = "../common/mod.rs"]
mod common;

mod bars;
mod geography;
mod question;
mod scene;
mod states;

mod fairness;
mod limits;
mod lists;
mod membership;
mod pairs;
mod single;
