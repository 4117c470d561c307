//! Bad days: one scenario for each, named after the promise that holds through it.

#[path = "../common/mod.rs"]
mod common;
mod coordinates;
