//! The order of relays that searches go through: precomputed, sorted, swapped as a
//! whole, with a summary of it that is always up to date.
//!
//! A snapshot has a sorted *base* and *runs* of arrivals since. Each of them has a
//! tree of *summaries* over its relays, by which a search finds the best one without
//! looking at the others. The tree lies beside the records and never decides: the
//! record does, and a search that ends at a leaf judges the record itself. A thread
//! that changes a record refreshes the leaf afterwards.
//!
//! A leaf may therefore say for a moment that a relay is available which is not: a
//! search then looks on. It must not hide one that is. So a change by which a relay
//! may become available is announced before it is made, and a search that comes to
//! the end looks at the relays of such changes themselves.

mod base;
mod bins;
#[cfg(test)]
mod fixture;
mod geometry;
mod lanes;
mod leaf;
mod leaves;
#[cfg(all(test, relay_loom))]
mod models;
mod outage;
mod pending;
mod publication;
mod run;
mod score;
#[cfg(all(test, not(relay_loom)))]
mod tests;
mod tree;

pub(crate) use base::MergedRelay;
pub(crate) use bins::Bins;
pub(crate) use geometry::Boxes;
pub(crate) use lanes::{Best, Figures, best as best_of, figures, joint_figures, pick};
pub(crate) use leaf::{Class, Earliest, Subject, SummaryWord, Terms};
pub(crate) use leaves::{Leaves, Located};
pub(crate) use pending::{PendingChange, PendingChanges, PendingSet};
pub(crate) use publication::{Backlog, Merger, Publication, Snapshot};
pub(crate) use score::{penalty, score};
pub(crate) use tree::{FANOUT, Node};
