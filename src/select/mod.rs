//! Which relay to use: a sorted snapshot, and a walk that need not see all of
//! it.

mod criteria;
mod options;
mod run;
mod score;
mod snapshot;
mod walk;

#[cfg(all(test, relay_loom))]
mod models;

pub use options::FindOptions;

pub(crate) use criteria::{Candidate, Criteria};
pub(crate) use snapshot::{Backlog, Merger, Publication};
pub(crate) use walk::Walk;
