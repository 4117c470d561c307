//! The cases of the suite, each a rule of [`RelayDht`].

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::Suite;
use super::samples::Relay;
use crate::dht::engine::{Answer, Candidate, CandidateError, Coverage, DhtError, Member, RelayDht};
use crate::dht::record::{MAX_VALUE_LEN, SignedRecord};
use crate::relay::NodeId;
use crate::sync::Arc;
use crate::sync::unmodelled::thread;

/// How many relays use the engine at once.
const CROWD: usize = 24;

/// How often is looked for what some nodes may not know yet.
const ATTEMPTS_TO_SEE: usize = 5;

impl Suite {
    /// [`RelayDht::limits`]: they leave room to work in, and do not change.
    pub fn limits_make_sense(&self) {
        let limits = self.writer.limits();
        let needed = self.relay().first().value().len();
        assert!(
            limits.max_value >= needed,
            "limits: values of {} bytes, and a plain record needs {needed}",
            limits.max_value
        );
        assert_eq!(
            limits,
            limits.clamped(),
            "limits: the registry would take others"
        );
        assert_eq!(limits, self.reader.limits(), "limits: they differ");
    }

    /// [`RelayDht::put`], then [`RelayDht::get`] elsewhere; and once more.
    pub fn what_is_stored_is_read_back(&self) {
        let relay = self.relay();
        let record = relay.first();
        assert_eq!(self.found(&relay.id(), None), [], "before it was stored");
        for _ in 0..2 {
            self.store(&record);
            assert_eq!(self.found(&relay.id(), None), std::slice::from_ref(&record));
        }
    }

    /// A later sequence counts, in whatever order they come.
    pub fn a_later_record_replaces_an_older_one_and_never_the_reverse(&self) {
        let relay = self.relay();
        let older = relay.first();
        let later = relay.next(&older);
        self.store(&older);
        self.store(&later);
        self.expect_newest(&later);
        let late = self.persist("put an older record", |by| self.writer.put(&older, by));
        assert!(
            matches!(late, Err(DhtError::Superseded { .. })),
            "an older record was not refused as superseded: {late:?}"
        );
        self.expect_newest(&later);
        let news = self.found(&relay.id(), Some(older.sequence()));
        assert!(news.contains(&later), "the newer one was kept back");
    }

    /// A second value under a sequence is [`DhtError::Conflict`], and the first
    /// one stays.
    pub fn one_sequence_has_one_value(&self) {
        let relay = self.relay();
        let first = relay.first();
        self.store(&first);
        let second = self.persist("put a second value", |by| {
            self.writer.put(&relay.other(&first), by)
        });
        assert_eq!(
            second,
            Err(DhtError::Conflict),
            "a second value under one sequence was not refused as a conflict"
        );
        assert_eq!(self.found(&relay.id(), None), [first]);
    }

    /// Tombstones are stored, read, and not overruled by what they withdraw.
    pub fn a_withdrawal_is_a_record_like_any_other(&self) {
        let relay = self.relay();
        let live = relay.first();
        let gone = relay.withdraw(&live);
        self.store(&live);
        self.store(&gone);
        self.expect_newest(&gone);
        let back = self.persist("put what was withdrawn", |by| self.writer.put(&live, by));
        assert!(
            matches!(back, Err(DhtError::Superseded { .. })),
            "a withdrawn record was not refused as superseded: {back:?}"
        );
        self.expect_newest(&gone);
    }

    /// [`Limits::max_value`](crate::dht::Limits::max_value) is what it says.
    pub fn values_up_to_the_limit_are_stored_and_none_above_it(&self) {
        let max = self.writer.limits().max_value;
        if let Some(longest) = self.relay().of_len(max.min(MAX_VALUE_LEN)) {
            self.store(&longest);
            self.expect_newest(&longest);
        }
        let relay = self.relay();
        if let Some(longer) = relay.of_len(max + 1) {
            let size = longer.value().len();
            assert_eq!(
                self.writer.put(&longer, self.deadline()),
                Err(DhtError::TooLarge { size, max }),
                "a value above the limit"
            );
            assert_eq!(self.found(&relay.id(), None), [], "a value above the limit");
        }
    }

    /// Nothing comes back for a key that nothing was stored under.
    pub fn an_unknown_relay_is_not_made_up(&self) {
        for newer_than in [None, Some(0), Some(u64::MAX)] {
            assert_eq!(self.found(&self.relay().id(), newer_than), []);
        }
        // Ids need not be keys; an engine may say so.
        let odd = NodeId::from_bytes(b"no key").expect("this is an id");
        let mut found = 0;
        let answer = self.reader.get(&odd, None, self.deadline(), &mut |_| {
            found += 1;
            ControlFlow::Continue(())
        });
        assert_eq!(found, 0, "an id that is no key: {answer:?}");
    }

    /// After `Break` the sink is not called again, and the answer does not
    /// claim to be complete.
    pub fn a_reader_can_stop_early(&self) {
        let relay = self.relay();
        self.store(&relay.first());
        let answer = self.persist("get and break off", |by| {
            let mut calls = 0;
            let answer = self.reader.get(&relay.id(), None, by, &mut |_| {
                calls += 1;
                ControlFlow::Break(())
            });
            assert!(calls <= 1, "the sink broke off and was called again");
            answer.and_then(|answer| {
                if calls == 1 {
                    Ok(answer)
                } else {
                    Err(DhtError::Unreachable)
                }
            })
        });
        let answer = answer.expect("reading what is stored");
        assert_eq!(
            answer.coverage(),
            Coverage::Partial,
            "a read that was broken off"
        );
    }

    /// Calls return, done or not, when their time is over, and when it was over
    /// before they began.
    pub fn calls_end_at_their_deadline(&self) {
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
        // And what was cut short does not stand in the way of what follows.
        self.store(&record);
        self.expect_newest(&record);
    }

    fn on_writer(
        &self,
        what: &str,
        record: &SignedRecord,
        call: impl FnOnce(&dyn RelayDht, &SignedRecord) + Send + 'static,
    ) {
        let (dht, record) = (Arc::clone(&self.writer), record.clone());
        self.watched(what, move || call(&*dht, &record));
    }

    /// [`RelayDht::join`], [`RelayDht::members`], [`RelayDht::leave`].
    pub fn members_are_found_until_they_leave(&self) {
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
        let (stay, leave) = joined.split_at(3);
        for (shard, relay, record) in leave {
            let tombstone = relay.withdraw(record);
            for _ in 0..2 {
                self.persist("leave", |by| self.writer.leave(*shard, &tombstone, by))
                    .expect("a member leaves, and one that left leaves again");
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
        assert!(calls <= 1, "the sink broke off and was called again");
        assert!(
            calls == 0 || answer.is_ok_and(|answer| !answer.is_complete()),
            "a read of members that was broken off claims to be complete"
        );
    }

    /// A shard that is not there is [`DhtError::Unsupported`].
    pub fn what_is_not_there_is_unsupported(&self) {
        let relay = self.relay();
        let record = relay.first();
        let shard = self.writer.limits().shards;
        let by = self.deadline();
        let unsupported = |what: &str, error: Option<DhtError>| {
            assert!(
                matches!(error, Some(DhtError::Unsupported { .. })),
                "{what} a shard that is not there: {error:?}"
            );
        };
        unsupported("join", self.writer.join(shard, &record, by).err());
        let tombstone = relay.withdraw(&record);
        unsupported("leave", self.writer.leave(shard, &tombstone, by).err());
        let mut listed = 0;
        let answer = self.reader.members(shard, by, &mut |_| {
            listed += 1;
            ControlFlow::Continue(())
        });
        assert_eq!(listed, 0, "members of a shard that is not there");
        unsupported("members of", answer.err());
    }

    /// As many calls at once as the limits allow, and a few more that wait.
    pub fn many_can_use_it_at_once(&self) {
        let threads = self.writer.limits().max_in_flight.min(8) + 2;
        let records: Vec<SignedRecord> = (0..CROWD).map(|_| self.relay().first()).collect();
        thread::scope(|scope| {
            for thread in 0..threads {
                let mine = records.iter().skip(thread).step_by(threads);
                scope.spawn(|| {
                    for record in mine {
                        self.store(record);
                        self.enlist_if_there_are_shards(record);
                        self.expect_newest(record);
                    }
                });
            }
        });
        for record in &records {
            self.expect_newest(record);
            // Who wrote at the same time may have overwritten it: that is what
            // relays join again for.
            self.enlist_if_there_are_shards(record);
            if let Some(shard) = self.writer.limits().shard_of(&record.node_id()) {
                self.expect_member(shard, &record.node_id(), true);
            }
        }
    }

    fn enlist_if_there_are_shards(&self, record: &SignedRecord) {
        if let Some(shard) = self.writer.limits().shard_of(&record.node_id()) {
            self.join(shard, record);
        }
    }

    fn relay(&self) -> Relay {
        Relay::new(&self.network)
    }

    fn store(&self, record: &SignedRecord) {
        let put = self
            .persist("put", |by| self.writer.put(record, by))
            .expect("a record is stored");
        assert!(put.stored() > 0, "stored, and by nobody");
    }

    fn join(&self, shard: u16, record: &SignedRecord) {
        self.persist("join", |by| match self.writer.join(shard, record, by) {
            // To have lost against others is to try again.
            Err(DhtError::Conflict) => Err(DhtError::Timeout),
            decided => decided,
        })
        .expect("a relay joins");
    }

    /// All distinct records that come back for `node`, each of which must be a
    /// valid one of this very node.
    fn found(&self, node: &NodeId, newer_than: Option<u64>) -> Vec<SignedRecord> {
        let read = self.persist("get", |by| {
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
            found.push(candidate.open(node, &self.network));
            ControlFlow::Continue(())
        })?;
        let mut records: Vec<SignedRecord> = found
            .into_iter()
            .map(|opened| opened.expect("what was stored comes back as it was"))
            .collect();
        records.dedup();
        Ok((records, answer))
    }

    /// The highest sequence that comes back for a relay is that of `record`. A
    /// node or two may lag behind.
    fn expect_newest(&self, record: &SignedRecord) {
        let newest = || {
            self.found(&record.node_id(), None)
                .into_iter()
                .max_by_key(SignedRecord::sequence)
        };
        let is_newest = (0..ATTEMPTS_TO_SEE).any(|_| newest().as_ref() == Some(record));
        assert!(is_newest, "the latest record does not come back");
    }

    fn expect_member(&self, shard: u16, node: &NodeId, expected: bool) {
        let seen = (0..ATTEMPTS_TO_SEE).any(|_| self.members(shard).contains(node) == expected);
        assert!(
            seen,
            "shard {shard}: {node} should{} be listed",
            if expected { "" } else { " not" }
        );
    }

    fn members(&self, shard: u16) -> BTreeSet<NodeId> {
        let read = self.persist("members", |by| {
            let mut members = BTreeSet::new();
            let answer = self.reader.members(shard, by, &mut |member| {
                if let Some(record) = member.record {
                    record
                        .open(&member.node, &self.network)
                        .expect("a member comes with its own record or none");
                }
                members.insert(member.node);
                ControlFlow::Continue(())
            })?;
            match answer.coverage() {
                Coverage::Unreachable => Err(DhtError::Unreachable),
                _ => Ok(members),
            }
        });
        read.expect("a read of members")
    }
}
