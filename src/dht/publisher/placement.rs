//! [`Placement`]: which shard of the directory lists this node.
//!
//! If shards do not divide, then a node joins the first shard that has room, from its own on. If
//! they divide, then it goes down:
//!
//! - A shard that is full, or has divided, sends the node on to the child that the next bit of
//!   its hash names. It stays there. Its entry above is not written again, and so it ends.
//! - After each refresh, a node renews marks of the shards above, each with a probability that
//!   makes it [`CHECKS`] nodes for each mark, as far as the node can tell from the number of
//!   members of its own shard. So storage nodes of a root are asked no more than others.
//! - A node in a sparse shard does not renew the parent's mark. It tries to join the parent, which
//!   lets it in once the mark is old: when both halves are sparse, or the mark was a lie. Readers
//!   believe the mark for another refresh interval, in which all others come, too.

use std::cmp::Reverse;
use std::time::Duration;

use fastrand::Rng;

use crate::dht::engine::{Limits, Put, ShardPath};
use crate::relay::NodeId;

/// How many nodes look after each mark within a refresh interval. With 8 of them, one mark in
/// 160,000 ends although there are relays below it: e^-12, as it lasts for two intervals and is
/// renewed after half of one.
const CHECKS: f64 = 8.0;

#[derive(Clone, Debug)]
pub(in crate::dht) struct Placement {
    limits: Limits,
    own: NodeId,
    /// The shard to join; none without a directory.
    path: Option<ShardPath>,
    /// The number of full shards that were tried in a row, if shards do not divide.
    full: u16,
    /// The shards that may list this node, also after it left them: a concurrent write of
    /// another node can restore an entry.
    listings: Vec<Listing>,
    /// What is left to do, the next last.
    upkeep: Vec<Upkeep>,
}

#[derive(Clone, Copy, Debug)]
struct Listing {
    path: ShardPath,
    at: Duration,
    /// Whether a join succeeded. An attempt that fails may have had an effect, too.
    is_confirmed: bool,
}

/// What keeps the directory in shape, after a node has joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dht) enum Upkeep {
    /// Join the shard above instead, if it lets the node in.
    Climb(ShardPath),
    /// Renew the mark of a shard above.
    Divide(ShardPath),
}

impl Placement {
    pub(in crate::dht) fn new(limits: Limits, own: &NodeId) -> Self {
        Self {
            limits,
            own: *own,
            path: ShardPath::of(own, &limits, 0),
            full: 0,
            listings: Vec::new(),
            upkeep: Vec::new(),
        }
    }

    /// The shard to join; none without a directory.
    pub(in crate::dht) fn path(&self) -> Option<ShardPath> {
        self.path
    }

    /// The shards that a withdrawal leaves, the one that was joined last first: those that may list
    /// this node; none of an engine that cannot remove entries.
    pub(in crate::dht) fn to_leave(&self) -> Vec<ShardPath> {
        let listings = self.listings.iter().filter(|_| !self.limits.lazy_leave);
        let mut listings: Vec<&Listing> = listings.collect();
        listings.sort_by_key(|listing| Reverse(listing.at));
        listings.into_iter().map(|listing| listing.path).collect()
    }

    /// What is next to do after a join.
    pub(in crate::dht) fn upkeep(&self) -> Option<Upkeep> {
        self.upkeep.last().copied()
    }

    /// A new record is published. Entries of records that have ended are forgotten.
    pub(in crate::dht) fn begin(&mut self, lifetime: Duration, now: Duration) {
        self.full = 0;
        self.upkeep.clear();
        self.listings
            .retain(|listing| now.saturating_sub(listing.at) < lifetime);
    }

    /// Notes the attempt to join the present shard, before it is made.
    pub(in crate::dht) fn attempt(&mut self, now: Duration) {
        let Some(path) = self.path else { return };
        if !self.listings.iter().any(|listing| listing.path == path) {
            self.listings.push(Listing {
                path,
                at: now,
                is_confirmed: false,
            });
        }
    }

    /// The present shard was joined. After a refresh, upkeep may follow.
    pub(in crate::dht) fn joined(
        &mut self,
        put: &Put,
        is_refresh: bool,
        now: Duration,
        random: &mut Rng,
    ) {
        let Some(path) = self.path else { return };
        self.attempt(now);
        for listing in &mut self.listings {
            if listing.path == path {
                (listing.at, listing.is_confirmed) = (now, true);
            }
        }
        self.upkeep.clear();
        if is_refresh {
            self.upkeep = upkeep_of(path, put, random);
        }
    }

    /// The shard above was joined.
    pub(in crate::dht) fn climbed(&mut self, put: &Put, now: Duration, random: &mut Rng) {
        if let Some(Upkeep::Climb(parent)) = self.upkeep() {
            self.path = Some(parent);
            self.joined(put, true, now, random);
        }
    }

    /// This upkeep is done, or cannot be.
    pub(in crate::dht) fn upkeep_ended(&mut self) {
        self.upkeep.pop();
    }

    /// Goes on to another shard, because the present one is full. False if there is none: then a
    /// node at the greatest depth begins at its root again, where it is let in once the marks end.
    pub(in crate::dht) fn move_on(&mut self) -> bool {
        let next = self.next_path();
        let has_next = next.is_some();
        if !has_next {
            self.full = 0;
        }
        if let Some(next) = next.or_else(|| self.root()) {
            let full = self.path.replace(next);
            // It does not list the node because of this attempt.
            self.listings
                .retain(|listing| listing.is_confirmed || Some(listing.path) != full);
        }
        has_next
    }

    /// The node's root, if shards divide.
    fn root(&self) -> Option<ShardPath> {
        let root = ShardPath::of(&self.own, &self.limits, 0);
        root.filter(|_| self.limits.max_depth > 0)
    }

    fn next_path(&mut self) -> Option<ShardPath> {
        let path = self.path?;
        if self.limits.max_depth > 0 {
            return ShardPath::of(&self.own, &self.limits, path.depth() + 1);
        }
        self.full += 1;
        let next = (path.shard() + 1).checked_rem(self.limits.shards)?;
        (self.full < self.limits.shards).then(|| ShardPath::root(next))
    }
}

fn upkeep_of(path: ShardPath, put: &Put, random: &mut Rng) -> Vec<Upkeep> {
    let is_sparse = put.is_sparse();
    let nearest = if is_sparse { 2 } else { 1 };
    let is_chosen = |levels: &u8| {
        let nodes = f64::from(put.members().max(1)) * 2_f64.powi((*levels).into());
        random.f64() * nodes < CHECKS
    };
    let marks = (nearest..=path.depth()).filter(is_chosen);
    let marks = marks.filter_map(|levels| path.ancestor(levels).map(Upkeep::Divide));
    let climb = path.parent().filter(|_| is_sparse).map(Upkeep::Climb);
    marks.chain(climb).collect()
}

#[cfg(all(test, not(relay_loom)))]
mod tests;
