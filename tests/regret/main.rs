//! Regret: the score of the chosen relay divided by the best eligible score at that moment.
//!
//! Each scene has the true state of every relay (round trip, load, capacity, eligibility), and computes the
//! exact best before each call. All tests use one thread and a manual clock, so nothing changes in between.
//! `cargo test --test regret -- --nocapture` prints the figures of each state and size.

#[path = "../common/mod.rs"]
mod common;

mod bars;
mod question;
mod scene;
mod states;
mod topology;

mod fairness;
mod home;
mod limits;
mod lists;
mod membership;
mod pairs;
mod single;
