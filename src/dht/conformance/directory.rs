//! The cases of the directory that take several handles, or a shard below a root.

use std::collections::BTreeMap;
use std::sync::Barrier;

use super::samples::Relay;
use super::{RACERS, Suite};
use crate::dht::engine::{DhtError, Limits, Put, RelayDht, ShardPath};
use crate::dht::record::SignedRecord;
use crate::sync::unmodelled::thread;

/// Shards of this depth are not used otherwise, and there are so many that a random one is empty.
const DEPTH: u8 = 10;

/// About the number of shards one of which gets all racers: each is tried by the hash of a new key.
const SHARDS: u16 = 64;

impl Suite {
    /// Sixteen handles join one shard at the same moment. A concurrent writer may have removed
    /// an entry again, so each joins once more, one after the other, as a registry does. Then
    /// all are listed. An engine fails that reads its own write back from itself.
    pub fn a_race_of_joins_loses_no_relay_for_long(&self) {
        let limits = self.writer.limits();
        if limits.shards == 0 {
            return;
        }
        let (path, relays) = self.relays_of_one_shard(&limits);
        let records: Vec<_> = relays.iter().map(|relay| relay.first()).collect();
        let racers = || self.racers.iter().zip(&records);
        let start = Barrier::new(records.len());
        thread::scope(|scope| {
            for (dht, record) in racers() {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    self.join_by(&**dht, path, record);
                });
            }
        });
        for (dht, record) in racers() {
            self.join_by(&**dht, path, record);
        }
        for record in &records {
            self.expect_member_at(path, &record.node_id(), true);
        }
        if limits.lazy_leave {
            return;
        }
        // So that the shard is as empty as before.
        for ((dht, record), relay) in racers().zip(&relays) {
            let tombstone = relay.withdraw(record);
            self.retry("leave", |by| dht.leave_at(path, &tombstone, by))
                .expect("a relay leaves");
        }
    }

    /// A shard that [has divided](RelayDht::divide) says so, keeps its members, and is
    /// [full](DhtError::Full) to each relay that joins; its children are not.
    pub fn a_divided_shard_sends_relays_on(&self) {
        let limits = self.writer.limits();
        self.the_deepest_shards_do_not_divide(&limits);
        let Some(above_deepest) = limits.max_depth.checked_sub(1) else {
            return;
        };
        let (relay, other) = (self.relay(), self.relay());
        let (record, other_record) = (relay.first(), other.first());
        let depth = above_deepest.min(DEPTH);
        let [path, child] = [depth, depth + 1]
            .map(|depth| ShardPath::of(&relay.id(), &limits, depth).expect("it is not too deep"));
        self.join_by(&*self.writer, path, &record);
        assert!(!self.members_at(path).1, "a new shard has divided");
        let divided = self.retry("divide", |by| self.writer.divide(path, by));
        divided.expect("a shard divides");
        let (members, is_divided) = self.members_at(path);
        assert!(is_divided, "shard {path} should have divided");
        assert!(
            members.contains(&relay.id()),
            "a shard that divides loses members"
        );
        for record in [&record, &other_record] {
            self.expect_full(path, record);
        }
        let put = self.join_by(&*self.writer, child, &record);
        self.expect_member_at(child, &relay.id(), true);
        let sibling = [false, true].map(|bit| path.child(bit).expect("it is not too deep"));
        for sibling in sibling.iter().filter(|sibling| **sibling != child) {
            self.expect_member_at(*sibling, &relay.id(), false);
        }
        let listed = self.members_at(child).0.len();
        assert!(
            put.members() as usize >= listed.max(1),
            "a join says {} members, but {listed} are listed",
            put.members()
        );
        if limits.lazy_leave {
            return;
        }
        let tombstone = relay.withdraw(&record);
        for path in [path, child] {
            self.retry("leave", |by| self.writer.leave_at(path, &tombstone, by))
                .expect("a relay leaves, also a shard that has divided");
            self.expect_member_at(path, &relay.id(), false);
        }
    }

    /// As many relays as race, and a shard that all of them belong to.
    fn relays_of_one_shard(&self, limits: &Limits) -> (ShardPath, Vec<Relay>) {
        let depth = (SHARDS / limits.shards).checked_ilog2().unwrap_or(0) as u8;
        let shard_of = |relay: &Relay| match limits.max_depth {
            // A relay may join any shard.
            0 => Some(ShardPath::root(0)),
            max => ShardPath::of(&relay.id(), limits, depth.min(max)),
        };
        let mut shards: BTreeMap<ShardPath, Vec<Relay>> = BTreeMap::new();
        loop {
            let relay = self.relay();
            let path = shard_of(&relay).expect("it is not too deep");
            let mut relays = shards.remove(&path).unwrap_or_default();
            relays.push(relay);
            if relays.len() == RACERS {
                return (path, relays);
            }
            shards.insert(path, relays);
        }
    }

    fn the_deepest_shards_do_not_divide(&self, limits: &Limits) {
        let deepest = ShardPath::below(0, fastrand::u32(..), limits.max_depth);
        let divided = self.writer.divide(deepest, self.deadline());
        let below = deepest.child(true);
        let joined = below.map(|path| {
            self.writer
                .join_at(path, &self.relay().first(), self.deadline())
        });
        for result in std::iter::once(divided).chain(joined) {
            assert!(
                matches!(result, Err(DhtError::Unsupported { .. })),
                "below the deepest shard: {result:?}"
            );
        }
    }

    fn expect_full(&self, path: ShardPath, record: &SignedRecord) {
        let join = |by| match self.writer.join_at(path, record, by) {
            Err(DhtError::Full { .. }) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => panic!("a relay joined a shard that has divided"),
        };
        self.retry("join", join).expect("the shard is full");
    }

    pub(super) fn join_by(
        &self,
        dht: &dyn RelayDht,
        path: ShardPath,
        record: &SignedRecord,
    ) -> Put {
        self.retry("join", |by| match dht.join_at(path, record, by) {
            // Concurrent writers won: try again.
            Err(DhtError::Conflict) => Err(DhtError::Timeout),
            result => result,
        })
        .expect("a relay joins")
    }
}
