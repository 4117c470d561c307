//! Which relay to use: a sorted snapshot, and a walk that need not see all of
//! it.

mod course;
mod criteria;
mod districts;
mod explain;
mod legs;
mod options;
mod order;
mod positions;
mod run;
mod score;
mod search;
mod snapshot;
mod spread;
mod view;
mod walk;

#[cfg(all(test, relay_loom))]
mod models;

pub use explain::{Explained, Explanation, LegSource, Verdict};
pub use options::FindOptions;
pub use view::PeerView;

pub(crate) use criteria::{Candidate, Criteria};
pub(crate) use legs::Views;
pub(crate) use snapshot::{Backlog, Merger, Publication, Survey};
pub(crate) use walk::Walk;
