//! The common parts of the benchmarks against other crates ("peers").
//!
//! Each benchmark prints a table, and appends its figures to the file that `BENCH_RESULTS` names, for
//! `ci/bars.py`.

#[path = "../../instances/mod.rs"]
pub mod instances;
pub mod interleaved;
pub mod maps;
pub mod results;
pub mod scaling;
pub mod scan;
pub mod selectors;
pub mod states;
pub mod tails;
