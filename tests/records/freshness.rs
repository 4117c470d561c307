//! Which of a node's records counts, from whichever source and in whatever order they arrive.
//!
//! The properties run against a memory that never forgets: a reader that
//! remembers every highest sequence for ever.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use relay_registry::NodeId;
use relay_registry::dht::{
    Freshness, MAX_SKEW, MAX_TTL, Network, RelayRecord, SecretKey, SequenceMemory, SignedRecord,
    next_sequence,
};

use crate::samples::{ISSUED, NOW, TTL, announcement, sign};

const HOUR: Duration = Duration::from_secs(3_600);
const MICRO: Duration = Duration::from_micros(1);

fn live(sequence: u64, issued_at: Duration, ttl: Duration) -> SignedRecord {
    let announcement = announcement("203.0.113.7:4433");
    sign(&RelayRecord::announce(announcement, sequence, issued_at, ttl).unwrap())
}

fn gone(sequence: u64, issued_at: Duration, ttl: Duration) -> SignedRecord {
    sign(&RelayRecord::withdraw(sequence, issued_at, ttl).unwrap())
}

#[test]
fn the_higher_sequence_counts() {
    let (first, second) = (live(ISSUED, NOW, TTL), live(ISSUED + 1, NOW, TTL));
    let mut memory = SequenceMemory::new(10);
    assert_eq!(memory.observe(&first, NOW), Freshness::Fresh);
    assert_eq!(memory.observe(&first, NOW), Freshness::Same);
    assert_eq!(memory.observe(&second, NOW), Freshness::Fresh);
    let verdict = memory.observe(&first, NOW);
    let Freshness::Stale {
        highest, withdrawn, ..
    } = verdict
    else {
        panic!("{verdict:?}");
    };
    assert_eq!((highest, withdrawn), (ISSUED + 1, false));
    assert_eq!(memory.highest(&first.node_id()), Some(ISSUED + 1));
    assert_eq!(memory.len(), 1);
}

#[test]
fn judging_remembers_nothing() {
    let memory = SequenceMemory::new(10);
    assert_eq!(memory.judge(&live(ISSUED, NOW, TTL), NOW), Freshness::Fresh);
    assert_eq!(
        memory.judge(&gone(ISSUED, NOW, TTL), NOW),
        Freshness::Withdrawn
    );
    assert!(memory.is_empty());
}

#[test]
fn two_records_with_one_sequence_are_a_conflict_and_the_first_stays() {
    let (first, second) = (live(ISSUED, NOW, TTL), live(ISSUED, NOW, TTL * 2));
    for [first, second] in [[&first, &second], [&second, &first]] {
        let mut memory = SequenceMemory::new(10);
        memory.observe(first, NOW);
        let verdict = memory.observe(second, NOW);
        assert!(matches!(
            verdict,
            Freshness::Conflict {
                sequence: ISSUED,
                ..
            }
        ));
        assert_eq!(memory.observe(first, NOW), Freshness::Same);
    }
}

#[test]
fn an_announcement_is_valid_for_its_ttl() {
    let memory = SequenceMemory::new(10);
    let record = live(ISSUED, NOW, TTL);
    assert_eq!(memory.judge(&record, NOW + TTL - MICRO), Freshness::Fresh);
    assert_eq!(memory.judge(&record, NOW + TTL), Freshness::Expired);
}

#[test]
fn the_future_starts_after_five_minutes() {
    let memory = SequenceMemory::new(10);
    let record = live(ISSUED, NOW, TTL);
    assert_eq!(memory.judge(&record, NOW - MAX_SKEW), Freshness::Fresh);
    let verdict = memory.judge(&record, NOW - MAX_SKEW - MICRO);
    let Freshness::FromTheFuture { ahead, .. } = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(ahead, MAX_SKEW + MICRO);

    // A sequence is a time, too: else it would have to be remembered for ever.
    let record = live(RelayRecord::MAX_SEQUENCE, NOW, TTL);
    let verdict = memory.judge(&record, NOW);
    assert!(matches!(verdict, Freshness::FromTheFuture { .. }));
}

#[test]
fn a_withdrawal_holds_as_long_as_what_it_withdraws_could_be_valid() {
    let announced = live(ISSUED, NOW, MAX_TTL);
    let withdrawn = gone(ISSUED + 1, NOW, Duration::from_millis(1));
    let last = NOW + MAX_TTL - MICRO;

    // Heard late, it still counts; its own TTL does not end it.
    let mut memory = SequenceMemory::new(10);
    assert_eq!(memory.observe(&announced, last), Freshness::Fresh);
    assert_eq!(memory.observe(&withdrawn, last), Freshness::Withdrawn);
    let verdict = memory.observe(&announced, last);
    assert!(matches!(
        verdict,
        Freshness::Stale {
            withdrawn: true,
            ..
        }
    ));

    // When it is forgotten, what it withdrew has expired.
    let forgotten = NOW + MAX_TTL + MICRO;
    assert_eq!(memory.observe(&announced, forgotten), Freshness::Expired);
    assert!(memory.is_empty());
    assert_eq!(memory.observe(&withdrawn, forgotten), Freshness::Expired);
}

#[test]
fn a_relay_comes_back_after_its_withdrawal() {
    let mut memory = SequenceMemory::new(10);
    memory.observe(&gone(ISSUED, NOW, TTL), NOW);
    let back = live(ISSUED + 1, NOW, TTL);
    assert_eq!(memory.observe(&back, NOW), Freshness::Fresh);
}

/// Signing costs most of the time that the properties take, so all records are
/// signed once: of each of some nodes, at each of some times, with short and
/// long TTLs, live and withdrawn, twice with some sequences, and by a clock that
/// once stepped back.
static POOL: LazyLock<Vec<SignedRecord>> = LazyLock::new(|| {
    let announcement = announcement("203.0.113.7:4433");
    let network = Network::default();
    let mut pool = Vec::new();
    for node in 0..5_u8 {
        let key = SecretKey::from_seed([node; 32]);
        let mut last = None;
        for hour in [0, 1, 2, 5, 3, 20, 21, 24, 30, 47, 48, 49] {
            let issued_at = NOW + HOUR * hour;
            for ttl in [HOUR, MAX_TTL] {
                let sequence = next_sequence(last, issued_at + u32::from(node) * MICRO);
                let live = RelayRecord::announce(announcement.clone(), sequence, issued_at, ttl);
                pool.push(SignedRecord::sign(&live.unwrap(), &key, &network).unwrap());
                // Every other one conflicts with the announcement before it.
                let after = sequence + u64::from(ttl == HOUR);
                last = Some(after);
                let gone = SignedRecord::tombstone(after, issued_at, ttl, &key, &network);
                pool.push(gone.unwrap());
            }
        }
    }
    pool
});

/// What a reader concludes that forgets nothing.
#[derive(Default)]
struct Unbounded(HashMap<NodeId, SignedRecord>);

impl Unbounded {
    fn observe(&mut self, record: &SignedRecord, now: Duration) -> &'static str {
        let statement = record.record();
        let ends = match statement.announcement() {
            Some(_) => statement.issued_at() + statement.ttl(),
            None => statement.issued_at() + MAX_TTL,
        };
        if Duration::from_micros(record.sequence()) > now + MAX_SKEW {
            return "future";
        }
        if now >= ends {
            return "expired";
        }
        if let Some(heard) = self.0.get(&record.node_id()) {
            if record == heard {
                return "same";
            }
            if record.sequence() == heard.sequence() {
                return "conflict";
            }
            if record.sequence() < heard.sequence() {
                return "stale";
            }
        }
        self.0.insert(record.node_id(), record.clone());
        if record.is_tombstone() {
            "withdrawn"
        } else {
            "fresh"
        }
    }
}

fn name(verdict: Freshness) -> &'static str {
    match verdict {
        Freshness::Fresh => "fresh",
        Freshness::Withdrawn => "withdrawn",
        Freshness::Same => "same",
        Freshness::Stale { .. } => "stale",
        Freshness::Forgotten { .. } => "forgotten",
        Freshness::Expired => "expired",
        Freshness::FromTheFuture { .. } => "future",
        Freshness::Conflict { .. } => "conflict",
        other => panic!("what is {other:?}?"),
    }
}

/// Which record is handed out, and by how much the reader's clock goes on first.
fn deliveries() -> impl Strategy<Value = Vec<(&'static SignedRecord, Duration)>> {
    let record = any::<prop::sample::Index>().prop_map(|at| at.get(&POOL));
    let step = prop_oneof![
        3 => Just(Duration::ZERO),
        3 => (0..3_600_u64).prop_map(Duration::from_secs),
        1 => (0..12_u32).prop_map(|hours| HOUR * hours),
    ];
    vec((record, step), 0..=150)
}

/// A step of the reader's clock to wherever it may stand.
fn anywhere() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => (0..80 * 3_600_u64).prop_map(|seconds| NOW + Duration::from_secs(seconds)),
        1 => Just(Duration::ZERO),
        1 => Just(NOW * 2),
        1 => Just(Duration::MAX),
    ]
}

proptest! {
    /// With room and a clock that only goes on, forgetting is never noticed.
    #[test]
    fn a_memory_with_room_is_as_good_as_one_that_never_forgets(deliveries in deliveries()) {
        let (mut memory, mut unbounded) = (SequenceMemory::new(5), Unbounded::default());
        let mut now = NOW;
        for (record, step) in deliveries {
            now += step;
            prop_assert_eq!(
                name(memory.observe(record, now)),
                unbounded.observe(record, now)
            );
        }
    }

    /// However little room there is, and wherever the clock steps.
    #[test]
    fn an_older_record_never_wins_and_a_withdrawn_one_never_returns(
        capacity in 0..=5_usize,
        deliveries in deliveries(),
        steps in vec(prop_oneof![3 => Just(None), 1 => anywhere().prop_map(Some)], 150),
    ) {
        let mut memory = SequenceMemory::new(capacity);
        let mut believed: HashMap<NodeId, u64> = HashMap::new();
        let mut now = NOW;
        for ((record, step), jump) in deliveries.into_iter().zip(steps) {
            now = jump.unwrap_or(now.saturating_add(step));
            let judged = memory.judge(record, now);
            let verdict = memory.observe(record, now);
            prop_assert!(memory.len() <= capacity);
            if verdict.is_update() {
                prop_assert!(judged.is_update());
                prop_assert_eq!(verdict == Freshness::Withdrawn, record.is_tombstone());
                let before = believed.insert(record.node_id(), record.sequence());
                prop_assert!(before < Some(record.sequence()), "{before:?} came back");
            }
        }
    }

    /// A small memory errs to one side: what it does not believe, it says.
    #[test]
    fn a_full_memory_only_ever_believes_less(capacity in 0..=4_usize, deliveries in deliveries()) {
        let (mut memory, mut unbounded) = (SequenceMemory::new(capacity), Unbounded::default());
        let mut now = NOW;
        let mut missed = HashSet::new();
        for (record, step) in deliveries {
            now += step;
            let verdict = name(memory.observe(record, now));
            let truth = unbounded.observe(record, now);
            if verdict == truth {
                continue;
            }
            // What was missed of a node colours what is said of it from then on.
            if verdict == "forgotten" {
                missed.insert(record.node_id());
            }
            prop_assert!(missed.contains(&record.node_id()), "{verdict}, not {truth}");
            let is_news = verdict == "fresh" || verdict == "withdrawn";
            prop_assert!(!is_news, "{verdict}, not {truth}");
        }
    }

    /// No flood keeps out what is newer than all of it.
    #[test]
    fn the_newest_record_is_always_believed(
        capacity in 0..=5_usize,
        deliveries in deliveries(),
        at in any::<prop::sample::Index>(),
    ) {
        let mut memory = SequenceMemory::new(capacity);
        let newest = at.get(&POOL);
        let now = newest.record().issued_at();
        for (record, _) in deliveries {
            if record.sequence() < newest.sequence() {
                memory.observe(record, now);
            }
        }
        let future = Duration::from_micros(newest.sequence()) > now + MAX_SKEW;
        prop_assert_eq!(memory.observe(newest, now).is_update(), !future);
    }

    #[test]
    fn sequences_ascend_whatever_the_clock_does(clock in vec(anywhere(), 1..=20)) {
        let mut last = None;
        for now in clock {
            let next = next_sequence(last, now);
            prop_assert!(last < Some(next) || next == RelayRecord::MAX_SEQUENCE);
            prop_assert!(u128::from(next) >= now.as_micros().min(RelayRecord::MAX_SEQUENCE.into()));
            last = Some(next);
        }
    }
}
