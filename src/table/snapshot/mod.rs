//! The snapshot that finds search: relays sorted in advance, replaced as a whole, with trees
//! over it that change with the relays.
//!
//! # What it is made of
//!
//! - A [`Snapshot`] has one *base* and some *runs*. The base has the relays that the last
//!   merge sorted. A run has relays that arrived since, in order of arrival. Each of these
//!   *parts* can be searched by itself.
//! - A part has one *slot* for each relay. A slot holds the handle of a record. In a [`run`], the
//!   slot of a relay that has departed is used again.
//! - A [*tree*](tree) over a part has one *leaf* for each slot, derived from that record. Each
//!   level above has one word for 16 words of the level below. A word of a [*summary
//!   tree*](leaf) holds the ranks of the best score, the shortest round trip and the least
//!   penalty of all relays below it. Other trees of the same shape have [joint
//!   figures](leaf) for pairs, and the [free units](free_units) of relays once a call has
//!   asked for several.
//! - A [*forest*](forest) has such trees for each tier. A relay has leaves in the trees of its
//!   tier; in those of the other tiers its slot has empty leaves. A part has one forest with
//!   all its relays, and one for each active [*filter*](filters) with those that pass it. Most
//!   registries have one tier and no filter, so each part has one summary tree.
//! - Two further trees of a part have the ends of [suspensions](suspended), whatever the tier.
//! - A [*pending change*](pending) is a change under way by which a relay may become
//!   eligible.
//!
//! # How it changes
//!
//! The record decides; trees never do. A thread changes the record first, then recomputes
//! the leaf in each tree that has one, and the words above as far as they change. A search
//! that comes to a leaf checks the record itself. How a relay moves from the trees of one tier
//! to those of another is described in [`forest`].
//!
//! - A leaf may say for a moment that a relay is eligible which is not. Then the search
//!   refreshes the leaf and goes on.
//! - A leaf must not hide a relay that is eligible. So a change by which a relay may become
//!   eligible is pending until the root has it, and a search that finds no relay also checks
//!   the records of pending changes. Where calls ask for several units, that is so for each
//!   change by which a relay may have enough of them for some call.
//! - Time changes records without a thread that refreshes leaves. The first search that
//!   meets an expired relay refreshes its leaf; the first search after the end of a
//!   suspension refreshes the leaf of that relay.
//!
//! # How it is replaced
//!
//! A merge sorts base and runs into a new base, and [publishes](publication) it by one swap
//! of a pointer. Searches that are under way go on with the snapshot that they loaded. A
//! snapshot that is not the latest one may lack changes that went to a later one. So a search
//! that found no relay in it repeats the search in the latest one.
//!
//! The order in the base is as old as the last merge. That affects the price of a search and
//! not its result, since leaves are current.

mod base;
mod context;
mod filters;
#[cfg(test)]
mod fixture;
mod forest;
mod free_units;
mod geometry;
mod lanes;
mod leaf;
mod leaf_state;
mod leaves;
#[cfg(all(test, relay_loom))]
mod models;
mod newest_run;
mod outage;
mod pending;
mod publication;
mod run;
mod score;
mod suspended;
#[cfg(all(test, not(relay_loom)))]
mod tests;
mod tree;
mod vacant_slots;

pub(crate) use base::MergedRelay;
pub(crate) use context::{Context, SelectionSettings};
pub(crate) use filters::{FilterId, Filters};
pub(crate) use forest::TierTrees;
pub(crate) use free_units::Wanted;
pub(crate) use geometry::Boxes;
pub(crate) use lanes::{
    BestChildren, LeastFigures, best_children, joint_figures, least_figures, pick,
};
pub(crate) use leaf::SummaryWord;
pub(crate) use leaf_state::LeafState;
pub(crate) use leaves::{Leaves, TierPart};
pub(crate) use pending::{PendingChange, PendingChanges, PendingSet};
pub(crate) use publication::{Arrival, Backlog, Merger, Publication, Snapshot};
pub(crate) use score::{Bins, Weight, penalty, score};
pub(crate) use suspended::Earliest;
pub(crate) use tree::{FANOUT, Node};
