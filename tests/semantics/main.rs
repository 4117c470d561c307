//! One or more tests for each numbered rule of the registry, named after it.
//!
//! Rule 11 has a file beside this folder. All run on a clock that only the test moves, without a maintenance thread.

#[path = "../common/mod.rs"]
mod common;

mod addresses;
mod completeness;
mod eligibility;
mod expiry;
mod latency;
mod leases;
mod listing;
mod load;
mod membership;
mod renewal;
mod visibility;
