//! Which relay to use: a sorted snapshot, and a walk that need not see all of
//! it.

mod chance;
mod course;
mod criteria;
mod districts;
mod explain;
mod legs;
mod look;
mod options;
mod order;
mod pool;
mod positions;
mod recent;
mod run;
mod score;
mod search;
mod snapshot;
mod spread;
mod survey;
mod view;
mod walk;

#[cfg(all(test, relay_loom))]
mod models;

pub use explain::{Explained, Explanation, LegSource, Verdict};
pub use options::FindOptions;
pub use view::PeerView;

pub(crate) use criteria::{Candidate, Criteria};
pub(crate) use legs::Views;
pub(crate) use look::Look;
pub(crate) use recent::{Best, Recent};
pub(crate) use search::Search;
pub(crate) use snapshot::{Backlog, Merger, Publication};
pub(crate) use survey::Surveyed;
pub(crate) use walk::Walk;
