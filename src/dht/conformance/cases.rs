//! The cases of the suite. Each checks one rule of [`RelayDht`].

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::Suite;
use super::samples::Relay;
use crate::dht::engine::{
    Answer, Candidate, CandidateError, Coverage, DhtError, Member, RelayDht, ShardPath,
};
use crate::dht::record::{MAX_VALUE_LEN, SignedRecord};
use crate::relay::NodeId;
use crate::sync::Arc;
use crate::sync::unmodelled::thread;

/// The number of relays that use the engine concurrently.
const CONCURRENT_RELAYS: usize = 24;

/// How often a read is repeated, because some nodes may not have the latest record yet.
const READ_ATTEMPTS: usize = 5;

impl Suite {
    /// [`RelayDht::limits`] allow a plain record, are within the registry's bounds,
    /// and are the same for each handle.
    pub fn limits_are_valid(&self) {
        let limits = self.writer.limits();
        let needed = self.relay().first().value().len();
        assert!(
            limits.max_value >= needed,
            "limits: values of at most {} bytes, but a plain record has {needed}",
            limits.max_value
        );
        assert_eq!(
            limits,
            limits.clamped(),
            "limits: the registry would clamp them"
        );
        assert_eq!(limits, self.reader.limits(), "limits: two handles differ");
    }

    /// A record that one handle [puts](RelayDht::put) is what another
    /// [gets](RelayDht::get), also after a second put.
    pub fn a_stored_record_is_read_back(&self) {
        let relay = self.relay();
        let record = relay.first();
        assert_eq!(self.found(&relay.id(), None), [], "before it was stored");
        for _ in 0..2 {
            self.store(&record);
            assert_eq!(self.found(&relay.id(), None), std::slice::from_ref(&record));
        }
    }

    /// A record replaces one with a lower sequence, and never one with a higher.
    pub fn a_newer_record_replaces_an_older_one_and_never_the_reverse(&self) {
        let relay = self.relay();
        let older = relay.first();
        let newer = relay.next(&older);
        self.store(&older);
        self.store(&newer);
        self.expect_newest(&newer);
        // Another handle has not written the newer one: a relay that was restarted.
        for dht in [&self.writer, &self.racers[0]] {
            let result = self.retry("put an older record", |by| dht.put(&older, by));
            assert!(
                matches!(result, Err(DhtError::Superseded { .. })),
                "an older record was not rejected as superseded: {result:?}"
            );
            self.expect_newest(&newer);
        }
        let found = self.found(&relay.id(), Some(older.sequence()));
        assert!(found.contains(&newer), "the newer record was left out");
    }

    /// A second value under one sequence is a [`DhtError::Conflict`], and the first
    /// one stays stored.
    pub fn one_sequence_has_one_value(&self) {
        let relay = self.relay();
        let first = relay.first();
        self.store(&first);
        let conflicting = relay.conflicting(&first);
        for dht in [&self.writer, &self.racers[0]] {
            let second = self.retry("put a second value", |by| dht.put(&conflicting, by));
            assert_eq!(
                second,
                Err(DhtError::Conflict),
                "a second value under one sequence was not rejected as a conflict"
            );
            assert_eq!(self.found(&relay.id(), None), std::slice::from_ref(&first));
        }
    }

    /// A tombstone is stored and read like any record, and the announcement that it
    /// withdraws does not replace it.
    pub fn a_withdrawal_is_a_record_like_any_other(&self) {
        let relay = self.relay();
        let live = relay.first();
        let withdrawal = relay.withdraw(&live);
        self.store(&live);
        self.store(&withdrawal);
        self.expect_newest(&withdrawal);
        let result = self.retry("put a withdrawn record", |by| self.writer.put(&live, by));
        assert!(
            matches!(result, Err(DhtError::Superseded { .. })),
            "a withdrawn record was not rejected as superseded: {result:?}"
        );
        self.expect_newest(&withdrawal);
    }

    /// A value of [`Limits::max_value`](crate::dht::Limits::max_value) bytes is stored,
    /// and a longer one is [`DhtError::TooLarge`].
    pub fn values_up_to_the_limit_are_stored_and_none_above_it(&self) {
        let max = self.writer.limits().max_value;
        if let Some(longest) = self.relay().with_value_len(max.min(MAX_VALUE_LEN)) {
            self.store(&longest);
            self.expect_newest(&longest);
        }
        let relay = self.relay();
        if let Some(longer) = relay.with_value_len(max + 1) {
            let size = longer.value().len();
            assert_eq!(
                self.writer.put(&longer, self.deadline()),
                Err(DhtError::TooLarge { size, max }),
                "a value above the limit"
            );
            assert_eq!(self.found(&relay.id(), None), [], "a value above the limit");
        }
    }

    /// A read of a relay without a record finds none.
    pub fn an_unknown_relay_has_no_record(&self) {
        for newer_than in [None, Some(0), Some(u64::MAX)] {
            assert_eq!(self.found(&self.relay().id(), newer_than), []);
        }
        // An id need not be a public key. An engine may reject such an id.
        let not_a_key = NodeId::from_bytes(b"no key").expect("this is an id");
        let mut found = 0;
        let answer = self
            .reader
            .get(&not_a_key, None, self.deadline(), &mut |_| {
                found += 1;
                ControlFlow::Continue(())
            });
        assert_eq!(found, 0, "an id that is not a key: {answer:?}");
    }

    /// After `Break` the sink is not called again, and the answer is not complete.
    pub fn a_reader_can_stop_early(&self) {
        let relay = self.relay();
        self.store(&relay.first());
        let answer = self.retry("get and stop early", |by| {
            let mut calls = 0;
            let answer = self.reader.get(&relay.id(), None, by, &mut |_| {
                calls += 1;
                ControlFlow::Break(())
            });
            assert!(calls <= 1, "the sink was called again after Break");
            answer.and_then(|answer| {
                if calls == 1 {
                    Ok(answer)
                } else {
                    Err(DhtError::Unreachable)
                }
            })
        });
        let answer = answer.expect("a read of a stored record");
        assert_eq!(
            answer.coverage(),
            Coverage::Partial,
            "a read that was stopped early"
        );
    }

    /// Calls return by their deadline, also if it has passed when they begin.
    pub fn calls_return_by_their_deadline(&self) {
        let record = self.relay().first();
        for time in [Duration::ZERO, Duration::from_millis(2)] {
            self.on_writer("put with little time", &record, move |dht, record| {
                dht.put(record, Instant::now() + time).ok();
            });
            self.on_writer("get with little time", &record, move |dht, record| {
                let mut sink = |_: Candidate<'_>| ControlFlow::Continue(());
                let by = Instant::now() + time;
                dht.get(&record.node_id(), None, by, &mut sink).ok();
            });
            self.on_writer("join with little time", &record, move |dht, record| {
                dht.join(0, record, Instant::now() + time).ok();
            });
            self.on_writer("members with little time", &record, move |dht, _| {
                let mut sink = |_: Member<'_>| ControlFlow::Continue(());
                dht.members(0, Instant::now() + time, &mut sink).ok();
            });
        }
        // Calls that timed out do not block later ones.
        self.store(&record);
        self.expect_newest(&record);
    }

    /// Runs `call` with the writer; it must return within the suite's timeout.
    fn on_writer(
        &self,
        what: &str,
        record: &SignedRecord,
        call: impl FnOnce(&dyn RelayDht, &SignedRecord) + Send + 'static,
    ) {
        let (dht, record) = (Arc::clone(&self.writer), record.clone());
        self.run_within_timeout(what, move || call(&*dht, &record));
    }

    /// [`RelayDht::members`] lists a relay from its [`join`](RelayDht::join) to its
    /// [`leave`](RelayDht::leave). If [leaving is lazy](crate::dht::Limits::lazy_leave), then it may
    /// be listed for longer, and `leave` is not called.
    pub fn members_are_listed_until_they_leave(&self) {
        let limits = self.writer.limits();
        let mut joined = Vec::new();
        for _ in 0..6 {
            let relay = self.relay();
            let record = relay.first();
            let Some(shard) = limits.shard_of(&relay.id()) else {
                return;
            };
            self.join(shard, &record);
            self.join(shard, &record);
            joined.push((shard, relay, record));
        }
        for (shard, relay, _) in &joined {
            self.expect_member(*shard, &relay.id(), true);
        }
        let (stay, leave) = match limits.lazy_leave {
            true => (&joined[..], &[][..]),
            false => joined.split_at(3),
        };
        for (shard, relay, record) in leave {
            let tombstone = relay.withdraw(record);
            for _ in 0..2 {
                self.retry("leave", |by| self.writer.leave(*shard, &tombstone, by))
                    .expect("a leave, also of a relay that left");
            }
            self.expect_member(*shard, &relay.id(), false);
        }
        for (shard, relay, _) in stay {
            self.expect_member(*shard, &relay.id(), true);
        }
        self.a_reader_of_members_can_stop_early(stay[0].0);
    }

    fn a_reader_of_members_can_stop_early(&self, shard: u16) {
        let mut calls = 0;
        let answer = self.reader.members(shard, self.deadline(), &mut |_| {
            calls += 1;
            ControlFlow::Break(())
        });
        assert!(calls <= 1, "the sink was called again after Break");
        assert!(
            calls == 0 || answer.is_ok_and(|answer| !answer.is_complete()),
            "a read of members that was stopped early is complete"
        );
    }

    /// A call for a shard beyond the limit is [`DhtError::Unsupported`].
    pub fn an_unknown_shard_is_unsupported(&self) {
        let relay = self.relay();
        let record = relay.first();
        let shard = self.writer.limits().shards;
        let by = self.deadline();
        let unsupported = |what: &str, error: Option<DhtError>| {
            assert!(
                matches!(error, Some(DhtError::Unsupported { .. })),
                "{what} a shard that does not exist: {error:?}"
            );
        };
        unsupported("join", self.writer.join(shard, &record, by).err());
        if !self.writer.limits().lazy_leave {
            let tombstone = relay.withdraw(&record);
            unsupported("leave", self.writer.leave(shard, &tombstone, by).err());
        }
        let mut listed = 0;
        let answer = self.reader.members(shard, by, &mut |_| {
            listed += 1;
            ControlFlow::Continue(())
        });
        assert_eq!(listed, 0, "members of a shard that does not exist");
        unsupported("members of", answer.err());
    }

    /// Concurrent calls succeed: as many as the limits allow, and two more that wait.
    pub fn concurrent_calls_succeed(&self) {
        let threads = self.writer.limits().max_in_flight.min(8) + 2;
        let records: Vec<SignedRecord> = (0..CONCURRENT_RELAYS)
            .map(|_| self.relay().first())
            .collect();
        thread::scope(|scope| {
            for thread in 0..threads {
                let share = records.iter().skip(thread).step_by(threads);
                scope.spawn(|| {
                    for record in share {
                        self.store(record);
                        self.join_if_there_is_a_directory(record);
                        self.expect_newest(record);
                    }
                });
            }
        });
        for record in &records {
            self.expect_newest(record);
            // A concurrent writer may have overwritten the entry: relays join again.
            self.join_if_there_is_a_directory(record);
            if let Some(shard) = self.writer.limits().shard_of(&record.node_id()) {
                self.expect_member(shard, &record.node_id(), true);
            }
        }
    }

    fn join_if_there_is_a_directory(&self, record: &SignedRecord) {
        if let Some(shard) = self.writer.limits().shard_of(&record.node_id()) {
            self.join(shard, record);
        }
    }

    pub(super) fn relay(&self) -> Relay {
        Relay::new(&self.network)
    }

    pub(super) fn store(&self, record: &SignedRecord) {
        let put = self
            .retry("put", |by| self.writer.put(record, by))
            .expect("a record is stored");
        assert!(put.stored() > 0, "the record was stored by no node");
    }

    fn join(&self, shard: u16, record: &SignedRecord) {
        self.join_by(&*self.writer, ShardPath::root(shard), record);
    }

    /// The distinct records that a read of `node` finds. Each must be a valid record of
    /// this node.
    fn found(&self, node: &NodeId, newer_than: Option<u64>) -> Vec<SignedRecord> {
        let read = self.retry("get", |by| {
            let (found, answer) = self.read(node, newer_than, by)?;
            match answer.coverage() {
                Coverage::Unreachable => Err(DhtError::Unreachable),
                _ => Ok(found),
            }
        });
        read.expect("a read")
    }

    fn read(
        &self,
        node: &NodeId,
        newer_than: Option<u64>,
        by: Instant,
    ) -> Result<(Vec<SignedRecord>, Answer), DhtError> {
        let mut found: Vec<Result<SignedRecord, CandidateError>> = Vec::new();
        let answer = self.reader.get(node, newer_than, by, &mut |candidate| {
            found.push(candidate.verify(node, &self.network));
            ControlFlow::Continue(())
        })?;
        let mut records: Vec<SignedRecord> = found
            .into_iter()
            .map(|record| record.expect("a valid record of the node"))
            .collect();
        records.dedup();
        Ok((records, answer))
    }

    /// Checks that a read finds `record` as the one with the highest sequence. Some
    /// nodes may not have it yet.
    fn expect_newest(&self, record: &SignedRecord) {
        let newest = || {
            self.found(&record.node_id(), None)
                .into_iter()
                .max_by_key(SignedRecord::sequence)
        };
        let is_newest = (0..READ_ATTEMPTS).any(|_| newest().as_ref() == Some(record));
        assert!(is_newest, "a read does not find the latest record");
    }

    fn expect_member(&self, shard: u16, node: &NodeId, expected: bool) {
        self.expect_member_at(ShardPath::root(shard), node, expected);
    }

    pub(super) fn expect_member_at(&self, path: ShardPath, node: &NodeId, expected: bool) {
        let seen = (0..READ_ATTEMPTS).any(|_| self.members_at(path).0.contains(node) == expected);
        assert!(
            seen,
            "shard {path}: {node} should{} be listed",
            if expected { "" } else { " not" }
        );
    }

    /// The members of a shard, and whether it has divided.
    pub(super) fn members_at(&self, path: ShardPath) -> (BTreeSet<NodeId>, bool) {
        let read = self.retry("members", |by| {
            let mut members = BTreeSet::new();
            let answer = self.reader.members_at(path, by, &mut |member| {
                if let Some(record) = member.record {
                    record
                        .verify(&member.node, &self.network)
                        .expect("a member with its own record or none");
                }
                members.insert(member.node);
                ControlFlow::Continue(())
            })?;
            match answer.coverage() {
                Coverage::Unreachable => Err(DhtError::Unreachable),
                _ => Ok((members, answer.is_divided())),
            }
        });
        read.expect("a read of members")
    }
}
