//! [`Placement`]: which shard of the directory lists this node.
//!
//! If shards do not divide, then a node joins the first shard that has room, from its own on. If
//! they divide, then it goes down:
//!
//! - A shard that is full, or has divided, sends the node on to the child that the next bit of
//!   its hash names. It stays there. Its entry above is not written again, and so it ends.
//! - After each refresh, a node in a shard that is not sparse renews the mark of one of the
//!   shards above: of its parent half of the time, of the one above that a quarter of the time,
//!   and so on. So each mark is renewed by as many nodes as a shard has members, whatever the
//!   number of nodes below it, and storage nodes of a root are asked no more than others.
//! - A node in a sparse shard renews no mark. It tries to join the parent, which lets it in once
//!   the mark has ended: when both halves are sparse, or the mark was a lie.

use std::time::Duration;

use fastrand::Rng;

use crate::dht::engine::{Limits, Put, ShardPath};
use crate::relay::NodeId;

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
    upkeep: Option<Upkeep>,
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
            upkeep: None,
        }
    }

    /// The shard to join; none without a directory.
    pub(in crate::dht) fn path(&self) -> Option<ShardPath> {
        self.path
    }

    /// The shards that may list this node.
    pub(in crate::dht) fn listings(&self) -> impl Iterator<Item = ShardPath> + '_ {
        self.listings.iter().map(|listing| listing.path)
    }

    pub(in crate::dht) fn upkeep(&self) -> Option<Upkeep> {
        self.upkeep
    }

    /// A new record is published. Entries of records that have ended are forgotten.
    pub(in crate::dht) fn begin(&mut self, lifetime: Duration, now: Duration) {
        self.full = 0;
        self.upkeep = None;
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
        self.upkeep = is_refresh
            .then(|| Self::upkeep_of(path, put, random))
            .flatten();
    }

    fn upkeep_of(path: ShardPath, put: &Put, random: &mut Rng) -> Option<Upkeep> {
        if put.is_sparse() {
            return path.parent().map(Upkeep::Climb);
        }
        let levels = random.u32(..).trailing_zeros() + 1;
        let ancestor = path.ancestor(u8::try_from(levels).ok()?);
        ancestor.map(Upkeep::Divide)
    }

    /// The shard above was joined.
    pub(in crate::dht) fn climbed(&mut self, put: &Put, now: Duration, random: &mut Rng) {
        if let Some(Upkeep::Climb(parent)) = self.upkeep {
            self.path = Some(parent);
            self.joined(put, true, now, random);
        }
    }

    /// The upkeep is done, or cannot be.
    pub(in crate::dht) fn upkeep_ended(&mut self) {
        self.upkeep = None;
    }

    /// Goes on to another shard, because the present one is full. False if there is none.
    pub(in crate::dht) fn move_on(&mut self) -> bool {
        let Some(next) = self.next_path() else {
            self.full = 0;
            return false;
        };
        let full = self.path.replace(next);
        // It does not list the node because of this attempt.
        self.listings
            .retain(|listing| listing.is_confirmed || Some(listing.path) != full);
        true
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
