//! The relays that the operator banned, whether they are registered or not.
//!
//! Read by every new registration and changed seldom, so it is an immutable map
//! that is swapped as a whole. On the record of a banned relay the ban stands in
//! the circuit word, where a find sees it; the map is for those that come back.
//!
//! Of a ban and a registration at once, one sees the other: the ban is in the
//! map before it looks for the record, the record is admitted before its
//! registrant looks at the map once more, and between either pair of steps lies
//! a read-modify-write of the same word.

use crate::errors::BanError;
use crate::relay::NodeId;
use crate::sync::{Arc, Swap, random_hasher};
use crate::time::Tick;
use std::collections::HashMap;
use std::fmt;

type Map = HashMap<NodeId, Tick, ahash::RandomState>;

/// Until when who is banned.
pub(crate) struct Bans(Swap<Map>);

impl Bans {
    /// How many relays can be banned at a time.
    pub(crate) const MAX: usize = 65_536;

    pub(super) fn new() -> Self {
        Self(Swap::new(Arc::new(Map::with_hasher(random_hasher()))))
    }

    /// When the ban of a relay ends, if it is banned at `now`.
    pub(super) fn until(&self, relay: &NodeId, now: Tick) -> Option<Tick> {
        let until = *self.0.load().get(relay)?;
        (until > now).then_some(until)
    }

    /// Bans a relay, or changes when its ban ends.
    pub(super) fn insert(&self, relay: NodeId, until: Tick, now: Tick) -> Result<(), BanError> {
        self.change(now, |bans| {
            if bans.len() >= Self::MAX && !bans.contains_key(&relay) {
                return Err(BanError::TooMany { max: Self::MAX });
            }
            bans.insert(relay, until);
            Ok(())
        })
    }

    /// Lifts a ban; whether there was one.
    pub(super) fn remove(&self, relay: &NodeId, now: Tick) -> bool {
        self.change(now, |bans| bans.remove(relay).is_some())
    }

    /// All bans in force.
    pub(super) fn all(&self, now: Tick) -> Vec<(NodeId, Tick)> {
        let bans = self.0.load();
        let in_force = bans.iter().filter(|&(_, &until)| until > now);
        in_force.map(|(relay, until)| (*relay, *until)).collect()
    }

    /// Swaps in a changed copy without the bans that are over.
    fn change<R>(&self, now: Tick, change: impl Fn(&mut Map) -> R) -> R {
        loop {
            let current = Arc::clone(&self.0.load());
            let mut next = Map::clone(&current);
            next.retain(|_, until| *until > now);
            let changed = change(&mut next);
            if self.0.replace(&current, Arc::new(next)).is_some() {
                return changed;
            }
        }
    }
}

impl fmt::Debug for Bans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bans").field(&self.0.load().len()).finish()
    }
}
