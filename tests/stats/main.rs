//! Counters and gauges: what each one counts, and how metrics systems get them.

#[path = "../common/mod.rs"]
mod common;

mod calls;
mod states;
mod visits;
