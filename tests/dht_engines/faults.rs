//! Faults of the in-memory nodes, and of raw stores that any node can write.

use relay_registry::dht::{
    Answer, Candidate, CandidateError, Coverage, DhtError, Faults, Hang, Kad, Lie, Limits, Member,
    Memory, Network, Put, RawKad, RawMemory, RecordError, RelayDht, SignedRecord, ValueSink,
};
use relay_registry::{ManualClock, NodeId};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::relays::{announced, key, withdrawn};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// The valid records that come back for a node, the number of candidates that
/// are none, and how far the read reached.
fn read(dht: &impl RelayDht, node: &NodeId) -> (Vec<SignedRecord>, usize, Coverage) {
    let (mut records, mut worthless) = (Vec::new(), 0);
    let answer = dht
        .get(node, None, soon(), &mut |candidate: Candidate<'_>| {
            match candidate.verify(node, &Network::default()) {
                Ok(record) => records.push(record),
                Err(_) => worthless += 1,
            }
            ControlFlow::Continue(())
        })
        .expect("a read");
    (records, worthless, answer.coverage())
}

fn members(dht: &impl RelayDht, shard: u16) -> Vec<NodeId> {
    let mut members = Vec::new();
    dht.members(shard, soon(), &mut |member: Member<'_>| {
        if !members.contains(&member.node) {
            members.push(member.node);
        }
        ControlFlow::Continue(())
    })
    .expect("a read");
    members
}

#[test]
fn who_is_cut_off_learns_nothing_and_does_not_take_it_for_absence() {
    let here = Memory::new();
    let there = here.connect();
    let record = announced(1, 1);
    there.put(&record, soon()).expect("all is well there");
    here.set_faults(Faults::new().partition(0..0));
    assert_eq!(
        read(&here, &record.node_id()),
        (vec![], 0, Coverage::Unreachable)
    );
    assert_eq!(here.put(&record, soon()), Err(DhtError::Unreachable));
    here.set_faults(Faults::new());
    let healed = read(&here, &record.node_id());
    assert_eq!(healed, (vec![record], 0, Coverage::Complete));
}

#[test]
fn two_sides_of_a_partition_meet_again_at_the_later_record() {
    let here = Memory::new();
    let there = here.connect();
    here.set_faults(Faults::new().partition(0..3));
    there.set_faults(Faults::new().partition(3..8));
    let (older, later) = (announced(1, 1), announced(1, 2));
    assert_eq!(here.put(&older, soon()), Ok(Put::new(8, 3)));
    assert_eq!(there.put(&later, soon()), Ok(Put::new(8, 5)));
    let (found, _, coverage) = read(&here, &older.node_id());
    assert_eq!((found, coverage), (vec![older.clone()], Coverage::Partial));

    here.set_faults(Faults::new());
    let (found, _, _) = read(&here, &older.node_id());
    assert!(found.contains(&older) && found.contains(&later));
    assert!(matches!(
        here.put(&older, soon()),
        Err(DhtError::Superseded { stored: Some(_) })
    ));
}

#[test]
fn half_of_the_messages_lost_still_finds_what_is_there() {
    let dht = Memory::builder().nodes(20).seed(7).build();
    dht.set_faults(Faults::new().loss(0.5));
    let record = announced(1, 1);
    dht.put(&record, soon()).expect("some hear of it");
    for _ in 0..20 {
        assert_eq!(
            read(&dht, &record.node_id()).0,
            std::slice::from_ref(&record)
        );
    }
}

#[test]
fn lies_are_candidates_that_do_not_open() {
    let dht = Memory::builder().seed(3).build();
    let record = announced(1, 1);
    for other in [record.clone(), announced(2, 1), announced(3, 1)] {
        dht.put(&other, soon()).expect("all is well");
    }
    for (lie, is_heard) in [
        (Lie::Garbage, true),
        (Lie::Forged, true),
        (Lie::Foreign, true),
        (Lie::Nothing, false),
    ] {
        dht.set_faults(Faults::new().lie(lie, 1.0));
        let (found, worthless, _) = read(&dht, &record.node_id());
        assert_eq!(found, [], "{lie:?}");
        assert_eq!(worthless > 0, is_heard, "{lie:?}");
    }
    dht.set_faults(Faults::new().lie(Lie::Forged, 0.5));
    assert_eq!(read(&dht, &record.node_id()).0, [record]);
}

#[test]
fn a_flood_ends_when_the_reader_has_enough() {
    let dht = Memory::new();
    dht.set_faults(Faults::new().lie(Lie::Flood, 1.0));
    let mut heard = 0;
    let answer = dht.get(&key(1).node_id(), None, soon(), &mut |_| {
        heard += 1;
        if heard == 1_000 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert_eq!(heard, 1_000);
    assert_eq!(answer.map(|answer| answer.is_complete()), Ok(false));
}

#[test]
fn stale_nodes_answer_what_was_true_before() {
    let dht = Memory::new();
    let (older, later) = (announced(1, 1), announced(1, 2));
    dht.put(&older, soon()).expect("all is well");
    dht.put(&later, soon()).expect("all is well");
    dht.set_faults(Faults::new().stale(1.0));
    assert_eq!(read(&dht, &older.node_id()).0, [older]);
}

#[test]
fn a_call_that_hangs_for_ever_returns_when_the_faults_are_lifted() {
    let dht = Memory::new();
    dht.set_faults(Faults::new().hang(Hang::UntilReleased));
    let hanging = dht.clone();
    let (sender, receiver) = mpsc::channel();
    let call = thread::spawn(move || {
        let record = announced(1, 1);
        sender.send(()).expect("someone listens");
        hanging.put(&record, soon())
    });
    receiver.recv().expect("it started");
    dht.set_faults(Faults::new());
    let put = call.join().expect("it does not panic");
    assert_eq!(put, Ok(Put::new(8, 8)));
}

#[test]
fn a_call_that_hangs_until_its_deadline_says_so() {
    let dht = Memory::new();
    dht.set_faults(Faults::new().hang(Hang::UntilDeadline));
    let by = Instant::now() + Duration::from_millis(30);
    assert_eq!(dht.put(&announced(1, 1), by), Err(DhtError::Timeout));
    assert!(Instant::now() >= by);
}

#[test]
fn panics_and_failures_come_when_they_are_asked_for_and_leave_nothing_behind() {
    let dht = Memory::new();
    let record = announced(1, 1);
    for _ in 0..40 {
        dht.set_faults(Faults::new().panic());
        let panicked = catch_unwind(AssertUnwindSafe(|| dht.put(&record, soon())));
        assert!(panicked.is_err());
        dht.set_faults(Faults::new().fail(DhtError::Closed));
        assert_eq!(dht.put(&record, soon()), Err(DhtError::Closed));
    }
    // More often than there are turns: each was given back.
    dht.set_faults(Faults::new());
    assert!(dht.put(&record, soon()).is_ok());
}

#[test]
fn a_full_node_forgets_the_least_recently_used() {
    let dht = Memory::builder().nodes(1).records(2).build();
    for relay in [1, 2] {
        dht.put(&announced(relay, 1), soon())
            .expect("there is room");
    }
    assert_eq!(read(&dht, &key(1).node_id()).0.len(), 1, "it is used");
    dht.put(&announced(3, 1), soon()).expect("room is made");
    let kept = [1, 2, 3].map(|relay| read(&dht, &key(relay).node_id()).0.len());
    assert_eq!(kept, [1, 0, 1]);
}

#[test]
fn a_membership_ends_when_it_is_not_renewed_and_makes_room() {
    let clock = ManualClock::new();
    let dht = Memory::builder()
        .limits(Limits::new(900, 4, Duration::from_secs(60), 1))
        .members(2)
        .clock(clock.clone())
        .build();
    dht.join(0, &announced(1, 1), soon())
        .expect("there is room");
    clock.advance(Duration::from_secs(100));
    dht.join(0, &announced(2, 1), soon())
        .expect("there is room");
    let full = dht.join(0, &announced(3, 1), soon());
    assert_eq!(full, Err(DhtError::Full { max: 2 }));
    clock.advance(Duration::from_secs(20));
    assert_eq!(members(&dht, 0), [key(2).node_id()]);
    dht.join(0, &announced(3, 1), soon())
        .expect("room was made");
    assert_eq!(members(&dht, 0).len(), 2);
}

#[test]
fn an_old_record_does_not_bring_a_member_back() {
    let dht = Memory::new();
    dht.join(0, &announced(1, 1), soon()).expect("it joins");
    dht.leave(0, &withdrawn(1, 2), soon()).expect("it leaves");
    let replayed = dht.join(0, &announced(1, 1), soon());
    assert!(matches!(replayed, Err(DhtError::Superseded { .. })));
    assert_eq!(members(&dht, 0), []);
}

#[test]
fn half_of_the_raw_nodes_may_go() {
    let raw = RawMemory::new(20);
    let dht = Kad::new(raw.clone(), Network::default()).with_shards(1);
    let record = announced(1, 1);
    dht.put(&record, soon()).expect("all is well");
    dht.join(0, &record, soon()).expect("all is well");
    raw.stop(0..10);
    assert_eq!(
        read(&dht, &record.node_id()).0,
        std::slice::from_ref(&record)
    );
    assert_eq!(members(&dht, 0), [record.node_id()]);
    raw.stop(0..20);
    assert_eq!(
        read(&dht, &record.node_id()),
        (vec![], 0, Coverage::Unreachable)
    );
    assert_eq!(
        dht.join(0, &record, soon()),
        Err(DhtError::Unreachable),
        "a list that was not read is not written"
    );
}

#[test]
fn a_list_that_was_wiped_or_filled_with_noise_adds_no_relay_and_is_repaired() {
    use sha2::{Digest, Sha256};
    let list_key: [u8; 32] = Sha256::digest(b"relay.list").into();
    let raw = RawMemory::new(20);
    let dht = Kad::new(raw.clone(), Network::default()).with_shards(1);
    for noise in [&[][..], &[0; 5_000], &[1; 5_000], &[0xff; 60_000]] {
        dht.join(0, &announced(1, 1), soon()).expect("it joins");
        assert_eq!(members(&dht, 0), [key(1).node_id()]);
        raw.store(list_key, noise, soon())
            .expect("any node can write");
        assert_eq!(members(&dht, 0), []);
    }
    dht.join(0, &announced(2, 1), soon()).expect("it joins");
    dht.join(0, &announced(1, 1), soon()).expect("it joins");
    assert_eq!(members(&dht, 0).len(), 2);
}

#[test]
fn lists_written_at_the_same_time_by_many_come_together() {
    let raw = RawMemory::new(20);
    let network = Network::default();
    thread::scope(|scope| {
        for relay in 1..=8 {
            let dht = Kad::new(raw.clone(), network).with_shards(1);
            scope.spawn(move || {
                // Twice: a relay joins again at every refresh.
                for _ in 0..2 {
                    while dht.join(0, &announced(relay, 1), soon()) == Err(DhtError::Conflict) {}
                }
            });
        }
    });
    let dht = Kad::new(raw, network).with_shards(1);
    for relay in 1..=8 {
        dht.join(0, &announced(relay, 1), soon()).expect("it joins");
    }
    assert_eq!(members(&dht, 0).len(), 8);
}

/// Counts what is written.
struct Counting(RawMemory, AtomicUsize);

impl RawKad for Counting {
    fn max_value(&self) -> usize {
        self.0.max_value()
    }

    fn store(&self, key: [u8; 32], value: &[u8], deadline: Instant) -> Result<Put, DhtError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.store(key, value, deadline)
    }

    fn find_value(
        &self,
        key: [u8; 32],
        deadline: Instant,
        sink: &mut ValueSink<'_>,
    ) -> Result<Answer, DhtError> {
        self.0.find_value(key, deadline, sink)
    }
}

#[test]
fn a_list_is_written_only_for_relays_that_it_lacks() {
    let dht = Kad::new(
        Counting(RawMemory::new(20), AtomicUsize::new(0)),
        Network::default(),
    )
    .with_shards(1);
    let writes = || dht.raw().1.swap(0, Ordering::Relaxed);
    dht.join(0, &announced(1, 1), soon()).expect("it joins");
    assert_eq!(writes(), 1);
    let put = dht.join(0, &announced(1, 1), soon()).expect("it is in");
    assert_eq!((writes(), put.stored()), (0, 20));
    dht.join(0, &announced(1, 2), soon()).expect("a refresh");
    assert_eq!(writes(), 1);
    dht.leave(0, &withdrawn(1, 3), soon()).expect("it leaves");
    dht.leave(0, &withdrawn(1, 3), soon()).expect("it has left");
    assert_eq!(writes(), 1);
    dht.join(0, &announced(1, 4), soon()).expect("it is back");
    assert_eq!(writes(), 1);
}

#[test]
fn a_candidate_is_opened_for_its_own_node_and_network_only() {
    let (record, other) = (announced(1, 1), announced(2, 1));
    let bytes = record.encode();
    let candidate = Candidate::Encoded(&bytes);
    let network = Network::default();
    assert_eq!(
        candidate.verify(&record.node_id(), &network),
        Ok(record.clone())
    );
    let foreign = candidate.verify(&other.node_id(), &network);
    let is_of = |node| move |error: &CandidateError| matches!(error, CandidateError::WrongNode { node: of, .. } if *of == node);
    assert!(
        foreign.as_ref().is_err_and(is_of(record.node_id())),
        "{foreign:?}"
    );
    let elsewhere = Network::new(b"elsewhere").expect("a short tag");
    let invalid = candidate.verify(&record.node_id(), &elsewhere);
    assert_eq!(
        invalid,
        Err(CandidateError::Invalid(RecordError::BadSignature))
    );
}

#[test]
fn temporary_errors_are_told_from_permanent_ones() {
    for error in [
        DhtError::Full { max: 1 },
        DhtError::unavailable("no"),
        DhtError::Timeout,
        DhtError::Unreachable,
        DhtError::Busy { max_in_flight: 1 },
    ] {
        assert!(error.is_transient(), "{error}");
    }
    for error in [
        DhtError::Superseded { stored: None },
        DhtError::Conflict,
        DhtError::TooLarge { size: 2, max: 1 },
        DhtError::rejected("no"),
        DhtError::Unsupported { what: "lists" },
        DhtError::Closed,
    ] {
        assert!(!error.is_transient(), "{error}");
    }
}

/// An entry ends with its record, by the clock that the engine was given.
#[test]
fn an_entry_of_a_list_ends_by_the_clock_given() {
    let (raw, clock) = (RawMemory::new(20), ManualClock::new());
    let kad = || Kad::new(raw.clone(), Network::default()).with_shards(1);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    clock.advance(now);
    let dht = kad().with_clock(clock.clone());
    let record = announced(1, 1);
    dht.join(0, &record, soon()).expect("it joins");
    assert_eq!(members(&dht, 0), [record.node_id()]);
    clock.advance(record.record().ttl() + Duration::from_secs(60));
    assert_eq!(members(&dht, 0), []);
    assert_eq!(
        members(&kad(), 0),
        [record.node_id()],
        "by the system's clock it is there"
    );
}

#[test]
fn a_request_that_takes_longer_than_its_deadline_times_out() {
    let dht = Memory::new();
    let slow = Faults::new().delay(Duration::from_micros(1));
    dht.set_faults(slow);
    dht.put(&announced(1, 1), soon()).expect("in time");
    let slower = Faults::new().delay(Duration::from_secs(3_600));
    dht.set_faults(slower);
    let by = Instant::now() + Duration::from_millis(1);
    assert_eq!(dht.put(&announced(1, 2), by), Err(DhtError::Timeout));
    assert!(format!("{:?}", dht.faults()).contains("3600s"));
    dht.set_faults(Faults::new());
    assert_eq!(read(&dht, &announced(1, 1).node_id()).0, [announced(1, 1)]);
}
