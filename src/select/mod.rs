//! Which relay to hand out: one search by branch and bound over the trees of a
//! [snapshot](crate::table::snapshot).
//!
//! # What a call asks for
//!
//! [`FindOptions`] become [`Criteria`], which decide whether a relay is *eligible* to the
//! call; if not, a [`Rejection`](crate::relay::Rejection) says why. An eligible relay is a
//! [`Candidate`]: its record, and its *score*, which is the expected round trip of the path
//! times a penalty for the load. The lowest score is best.
//!
//! # How a search prunes
//!
//! [`branch_and_bound`] visits the nodes of a tree. An *objective* computes, from the words of
//! a node, a lower bound of the scores below each child. The child with the least bound is
//! visited next. A child whose bound is not below the *limit* is pruned. The limit is the
//! score of the worst relay among the [best so far](best_so_far), so it falls as better relays
//! are found. There are four objectives:
//!
//! - [`plain`]: nothing is known of the pair. The bound is the best score in the summary.
//! - [`pair`]: the peers gave views. The bound follows from positions, legs and penalties.
//! - [`home`]: this node's own leg alone counts. The bound follows from legs and penalties.
//! - [`last_resort`]: all relays back off. The bound is the tick since which one has done so.
//!
//! If a call asks for several [`units`], children are left out below which no relay has as many
//! free.
//!
//! A search goes through the tiers in use, the lowest first, and ends in the first one in which a
//! relay is eligible. In each it visits the trees of that tier: those over all relays or, if the
//! call has labels or a family and there is one, those of the forest for its
//! [filter](crate::table::snapshot::Filters).
//!
//! At a leaf the search evaluates the record itself. If the summary was wrong, the search
//! refreshes the leaf.
//!
//! Most finds need no such search. Where nothing is known of the pair,
//! [`Search::fast_path`] follows the best words from the root to a leaf.
//!
//! # What is claimed, and when
//!
//! A search chooses a relay first, and then claims it. A find claims nothing, unless the relay
//! is on trial or a last resort: then it claims the trial by one compare-and-swap of the
//! circuit word. A reservation takes a unit by one compare-and-swap of the load word, and then
//! claims the trial, too. If a claim fails, another call was first or the relay changed; the
//! search refreshes the leaf and begins again. Of [`several`] relays only the first is
//! claimed.
//!
//! A search that finds no relay reports, for each reason, [how many](rejections) relays are
//! not eligible.

mod best_so_far;
mod branch_and_bound;
mod candidate;
mod criteria;
mod explain;
mod explanation_table;
mod home;
mod last_resort;
pub(crate) mod options;
mod pair;
mod path;
mod peer_view;
mod plain;
mod rejections;
mod scope;
mod search;
mod several;
mod spread;
mod units;

pub use explain::{Explained, Explanation, LegSource, Verdict};
pub use options::FindOptions;
pub use peer_view::{PeerView, PeerViewDecodeError};

pub(crate) use candidate::Candidate;
pub(crate) use criteria::Criteria;
pub(crate) use path::Views;
pub(crate) use scope::{LatencyLimit, SearchScope};
pub(crate) use search::Search;
