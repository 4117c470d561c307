//! Which relay to use: one search, by bounds, over the summaries of a snapshot.

mod criteria;
mod explain;
mod explore;
mod legs;
mod options;
mod pair;
mod plain;
mod pool;
mod rejections;
mod resort;
mod search;
mod spread;
mod view;

pub use explain::{Explained, Explanation, LegSource, Verdict};
pub use options::FindOptions;
pub use view::PeerView;

pub(crate) use criteria::{Candidate, Criteria};
pub(crate) use legs::Views;
pub(crate) use search::{Look, Reach, Search};
