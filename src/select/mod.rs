//! Which relay to use: one search, by bounds, over the summaries of a snapshot.

mod criteria;
mod explain;
mod explore;
mod last_resort;
mod options;
mod pair;
mod path;
mod peer_view;
mod plain;
mod rejections;
mod search;
mod spread;
mod top_k;

pub use explain::{Explained, Explanation, LegSource, Verdict};
pub use options::FindOptions;
pub use peer_view::PeerView;

pub(crate) use criteria::{Candidate, Criteria};
pub(crate) use path::Views;
pub(crate) use search::{Reach, Search, SearchScope};
