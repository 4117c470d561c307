//! The cases of the directory that take several handles, or a shard below a root.

use std::sync::Barrier;

use super::Suite;
use crate::dht::engine::{DhtError, Limits, Put, RelayDht, ShardPath};
use crate::dht::record::SignedRecord;
use crate::sync::unmodelled::thread;

/// Shards of this depth are not used otherwise, and there are so many that a random one is empty.
const DEPTH: u8 = 10;

impl Suite {
    /// Sixteen handles join one shard at the same moment. A concurrent writer may have removed
    /// an entry again, so each joins once more, one after the other, as a registry does. Then
    /// all are listed. An engine fails that reads its own write back from itself.
    pub fn a_race_of_joins_loses_no_relay_for_long(&self) {
        let limits = self.writer.limits();
        if limits.shards == 0 {
            return;
        }
        let path = random_shard(limits.max_depth);
        let relays: Vec<_> = self.racers.iter().map(|_| self.relay()).collect();
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
        let path = random_shard(above_deepest);
        let (listed, other) = (self.relay(), self.relay());
        let (listed_record, other_record) = (listed.first(), other.first());
        self.join_by(&*self.writer, path, &listed_record);
        assert!(!self.members_at(path).1, "a new shard has divided");
        let divided = self.retry("divide", |by| self.writer.divide(path, by));
        divided.expect("a shard divides");
        let (members, is_divided) = self.members_at(path);
        assert!(is_divided, "shard {path} should have divided");
        assert!(
            members.contains(&listed.id()),
            "a shard that divides loses members"
        );
        for record in [&listed_record, &other_record] {
            self.expect_full(path, record);
        }
        let child = path.child(true).expect("it is not the deepest");
        let put = self.join_by(&*self.writer, child, &other_record);
        assert_eq!(put.members(), 1, "the members of a new shard");
        self.expect_member_at(child, &other.id(), true);
        for (path, relay, record) in [
            (path, &listed, &listed_record),
            (child, &other, &other_record),
        ] {
            let tombstone = relay.withdraw(record);
            self.retry("leave", |by| self.writer.leave_at(path, &tombstone, by))
                .expect("a relay leaves, also a shard that has divided");
            self.expect_member_at(path, &relay.id(), false);
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

fn random_shard(max_depth: u8) -> ShardPath {
    ShardPath::below(0, fastrand::u32(..), max_depth.min(DEPTH))
}
