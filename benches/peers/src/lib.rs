//! What the benches beside peers have in common.
//!
//! Each bench prints a table for people, and appends its figures to the file
//! that `BENCH_RESULTS` names, for `ci/bars.py` to judge and to show.

#[path = "../../instances/mod.rs"]
pub mod instances;
pub mod maps;
pub mod results;
pub mod scaling;
pub mod scan;
pub mod selectors;
pub mod states;
pub mod tails;
pub mod turns;
