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
use crate::sync::{Arc, AtomicBool, Ordering, Swap, random_hasher};
use crate::time::Tick;
use std::collections::HashMap;
use std::fmt;

type Map = HashMap<NodeId, Tick, ahash::RandomState>;

/// Until when who is banned.
pub(crate) struct Bans {
    map: Swap<Map>,
    /// Set for good before the first ban: where none was, none is looked for.
    are_any: AtomicBool,
}

impl Bans {
    /// How many relays can be banned at a time.
    pub(crate) const MAX: usize = 65_536;

    pub(super) fn new() -> Self {
        Self::of(Map::with_hasher(random_hasher()))
    }

    fn of(map: Map) -> Self {
        Self {
            are_any: AtomicBool::new(!map.is_empty()),
            map: Swap::new(Arc::new(map)),
        }
    }

    /// When the ban of a relay ends, if it is banned at `now`.
    #[inline]
    pub(super) fn until(&self, relay: &NodeId, now: Tick) -> Option<Tick> {
        // Relaxed: ordered as the map is, see above.
        if !self.are_any.load(Ordering::Relaxed) {
            return None;
        }
        self.look_up(relay, now)
    }

    fn look_up(&self, relay: &NodeId, now: Tick) -> Option<Tick> {
        let until = *self.map.load().get(relay)?;
        (until > now).then_some(until)
    }

    /// Bans a relay, or changes when its ban ends.
    pub(super) fn insert(&self, relay: NodeId, until: Tick, now: Tick) -> Result<(), BanError> {
        self.are_any.store(true, Ordering::Relaxed);
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
        let bans = self.map.load();
        let in_force = bans.iter().filter(|&(_, &until)| until > now);
        in_force.map(|(relay, until)| (*relay, *until)).collect()
    }

    /// Swaps in a changed copy without the bans that are over.
    fn change<R>(&self, now: Tick, change: impl Fn(&mut Map) -> R) -> R {
        loop {
            let current = Arc::clone(&self.map.load());
            let mut next = Map::clone(&current);
            next.retain(|_, until| *until > now);
            let changed = change(&mut next);
            if self.map.replace(&current, Arc::new(next)).is_some() {
                return changed;
            }
        }
    }
}

impl fmt::Debug for Bans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bans").field(&self.map.load().len()).finish()
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    fn id(n: usize) -> NodeId {
        NodeId::from_bytes(&n.to_be_bytes()).unwrap()
    }

    /// As many as there can be: half of them up to tick 10, the others up to 20.
    fn full() -> Bans {
        let until = |n| Tick(if n < Bans::MAX / 2 { 10 } else { 20 });
        let mut map = Map::with_hasher(random_hasher());
        map.extend((0..Bans::MAX).map(|n| (id(n), until(n))));
        Bans::of(map)
    }

    #[test]
    fn one_more_than_there_can_be_is_refused_and_the_others_stay() {
        let bans = full();
        let refused = bans.insert(id(Bans::MAX), Tick(30), Tick(0));
        assert_eq!(refused, Err(BanError::TooMany { max: 65_536 }));
        assert_eq!(bans.all(Tick(0)).len(), Bans::MAX);
        assert_eq!(bans.until(&id(Bans::MAX), Tick(0)), None);
        assert_eq!(bans.insert(id(7), Tick(30), Tick(0)), Ok(()), "one of them");
        assert_eq!(bans.until(&id(7), Tick(0)), Some(Tick(30)));
    }

    #[test]
    fn bans_that_are_over_or_lifted_make_room() {
        let bans = full();
        assert!(bans.remove(&id(0), Tick(0)));
        assert_eq!(bans.insert(id(Bans::MAX), Tick(30), Tick(0)), Ok(()));
        assert!(bans.insert(id(0), Tick(30), Tick(9)).is_err());
        assert_eq!(bans.insert(id(0), Tick(30), Tick(10)), Ok(()));
        assert_eq!(
            bans.map.load().len(),
            Bans::MAX / 2 + 2,
            "none that is over"
        );
        assert!(!bans.remove(&id(1), Tick(10)), "over");
    }
}
