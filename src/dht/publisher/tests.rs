use super::*;
use crate::dht::record::{Freshness, Load, SequenceMemory};

const S: fn(u64) -> Duration = Duration::from_secs;
const REFRESH: u64 = 800;
const WALL: Duration = Duration::from_secs(1_800_000_000);

struct Fixture {
    publisher: Publisher,
    random: Rng,
    at: Duration,
}

impl Fixture {
    fn new(shards: u16) -> Self {
        let intervals = Intervals {
            debounce: S(1),
            ttl: S(1_800),
            refresh: S(REFRESH),
            load_interval: S(60),
            timeout: S(200),
        };
        let limits = Limits::new(900, 4, S(REFRESH), shards);
        let key = Arc::new(SecretKey::from_seed([7; 32]));
        Self {
            publisher: Publisher::new(key, Network::default(), limits, intervals),
            random: Rng::with_seed(1),
            at: S(0),
        }
    }

    fn now(&self) -> Now {
        Now {
            at: self.at,
            wall: WALL + self.at,
        }
    }

    fn register(&mut self, at: u64, capacity: u32) {
        self.register_with_load(at, capacity, 0);
    }

    fn register_with_load(&mut self, at: u64, capacity: u32, load: u32) {
        let open = local(capacity, Load::of(load, capacity), true);
        self.at = S(at);
        self.publisher.observe(Some(open), self.at);
    }

    fn unregister(&mut self, at: u64) {
        self.at = S(at);
        self.publisher.observe(None, self.at);
    }

    /// The relay is draining or banned.
    fn close(&mut self, at: u64, capacity: u32) {
        self.at = S(at);
        let closed = local(capacity, Load::FULL, false);
        self.publisher.observe(Some(closed), self.at);
    }

    fn next(&mut self, at: u64) -> Option<Action> {
        self.at = S(at);
        self.publisher.next(self.now(), &mut self.random)
    }

    fn finish(&mut self, action: &Action, outcome: Result<(), DhtError>) {
        let now = self.now();
        let outcome = outcome.map(|()| Put::new(1, 1));
        self.publisher
            .action_finished(action, &outcome, now, &mut self.random);
    }

    /// All actions that are due at `at`. All succeed.
    fn all(&mut self, at: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        while let Some(action) = self.next(at) {
            self.finish(&action, Ok(()));
            actions.push(action);
        }
        actions
    }

    /// Stores the record, and returns the join that follows.
    fn put_then_join(&mut self, at: u64) -> Action {
        let put = Action::Put(self.put(at));
        self.finish(&put, Ok(()));
        self.next(at).expect("a shard to join")
    }

    fn put(&mut self, at: u64) -> SignedRecord {
        match self.next(at) {
            Some(Action::Put(record)) => record,
            other => panic!("no put: {other:?}"),
        }
    }
}

fn local(capacity: u32, load: Load, is_open: bool) -> LocalRelay {
    let announcement = Announcement::new("192.0.2.1:1".parse().unwrap(), capacity).unwrap();
    LocalRelay {
        announcement: announcement.with_load(load),
        is_open,
    }
}

fn capacity(record: &SignedRecord) -> Option<u32> {
    record.record().announcement().map(Announcement::capacity)
}

#[test]
fn a_registered_relay_is_stored_and_listed() {
    let mut fixture = Fixture::new(8);
    assert_eq!(fixture.next(0), None);
    fixture.register(0, 5);
    assert_eq!(fixture.next(0), None, "debounced");
    let actions = fixture.all(1);
    assert!(
        matches!(&actions[..], [Action::Put(put), Action::Join(shard, join)]
            if put == join && shard.shard() < 8 && capacity(put) == Some(5)),
        "{actions:?}"
    );
    assert!(fixture.publisher.is_settled());
    assert!(fixture.publisher.published().is_some());
}

#[test]
fn a_relay_that_leaves_within_the_debounce_is_not_published() {
    let mut fixture = Fixture::new(8);
    fixture.register(0, 5);
    fixture.unregister(0);
    assert_eq!(fixture.next(100), None);
    assert_eq!(fixture.publisher.final_tombstone(WALL), None);
}

#[test]
fn a_change_during_a_put_is_published_afterwards() {
    let mut fixture = Fixture::new(0);
    fixture.register(0, 5);
    let first = fixture.put(1);
    for newer in 6..=9 {
        fixture.register(2, newer);
    }
    assert_eq!(fixture.next(100), None, "one at a time");
    fixture.finish(&Action::Put(first.clone()), Ok(()));
    let actions = fixture.all(100);
    let [Action::Put(second)] = &actions[..] else {
        panic!("{actions:?}");
    };
    assert_eq!(capacity(second), Some(9));
    assert!(second.sequence() > first.sequence());
}

#[test]
fn a_record_is_refreshed_before_it_expires_with_a_new_sequence() {
    let mut fixture = Fixture::new(0);
    fixture.register(0, 5);
    let first = fixture.put(1);
    fixture.finish(&Action::Put(first.clone()), Ok(()));
    assert_eq!(fixture.next(600), None);
    let second = fixture.put(801);
    assert_eq!(
        fixture.publisher.published(),
        Some(&first),
        "still in force"
    );
    assert!(second.sequence() > first.sequence());
    assert!(S(801) + WALL < first.record().expires_at());
}

#[test]
fn a_changed_load_is_published_once_a_minute_at_most() {
    let mut fixture = Fixture::new(0);
    fixture.register_with_load(0, 100, 0);
    fixture.all(1);
    let mut published = 0;
    for second in 2..=121 {
        fixture.register_with_load(second, 100, second as u32 % 100);
        published += fixture.all(second).len();
    }
    assert_eq!(published, 2);
    fixture.register_with_load(400, 100, 50);
    fixture.all(400);
    fixture.register_with_load(470, 100, 49);
    assert_eq!(fixture.all(470), [], "equal in sixteenths");
}

#[test]
fn an_unregistered_relay_is_withdrawn_and_leaves_its_shard() {
    let mut fixture = Fixture::new(8);
    fixture.register(0, 5);
    fixture.all(1);
    fixture.unregister(10);
    let actions = fixture.all(11);
    assert!(
        matches!(&actions[..], [Action::Put(put), Action::Leave(_, leave)]
            if put == leave && put.is_tombstone()),
        "{actions:?}"
    );
    assert_eq!(fixture.all(1_801), [], "nothing is left to withdraw");
    assert_eq!(fixture.publisher.final_tombstone(WALL), None);
}

/// Concurrent writes of a directory can undo each other.
#[test]
fn a_withdrawal_is_repeated_at_growing_intervals() {
    let mut fixture = Fixture::new(8);
    fixture.register(0, 5);
    fixture.all(1);
    fixture.unregister(10);
    fixture.all(11);
    let mut times = Vec::new();
    for second in 12..=2_000 {
        let actions = fixture.all(second);
        if actions.is_empty() {
            continue;
        }
        assert!(
            matches!(&actions[..], [Action::Put(put), Action::Leave(_, leave)]
            if put == leave && put.is_tombstone())
        );
        times.push(second);
    }
    let within = |most| times.iter().filter(|at| **at <= most).count();
    assert_eq!((within(111), within(811)), (1, 3), "{times:?}");
    assert!(times.len() <= 5 && *times.last().unwrap() <= 1_801);
}

#[test]
fn failed_actions_are_retried_with_back_off() {
    let mut fixture = Fixture::new(0);
    fixture.register(0, 5);
    let mut attempts = 0;
    for second in 1..=600 {
        if let Some(action) = fixture.next(second) {
            attempts += 1;
            fixture.finish(&action, Err(DhtError::Timeout));
        }
    }
    assert!((5..=30).contains(&attempts), "{attempts}");
}

#[test]
fn a_put_that_timed_out_is_withdrawn_too() {
    let mut fixture = Fixture::new(8);
    fixture.register(0, 5);
    let action = fixture.next(1).unwrap();
    fixture.finish(&action, Err(DhtError::Timeout));
    fixture.unregister(1);
    let actions = fixture.all(400);
    assert!(
        matches!(&actions[..], [Action::Put(put), Action::Leave(..)] if put.is_tombstone()),
        "{actions:?}"
    );
}

#[test]
fn a_stored_sequence_is_exceeded_unless_it_is_too_far_ahead() {
    for (ahead, is_credible) in [(S(60), true), (S(3_600), false)] {
        let mut fixture = Fixture::new(0);
        fixture.register(0, 5);
        let record = fixture.put(1);
        let stored = u64::try_from((WALL + ahead).as_micros()).unwrap();
        let superseded = DhtError::Superseded {
            stored: Some(stored),
        };
        fixture.finish(&Action::Put(record), Err(superseded));
        let again = fixture.put(3);
        assert_eq!(again.sequence() > stored, is_credible);
        let mut memory = SequenceMemory::new(1);
        assert_eq!(memory.observe(&again, WALL), Freshness::Fresh);
    }
}

#[test]
fn a_conflict_leads_to_a_higher_sequence() {
    let mut fixture = Fixture::new(0);
    fixture.register(0, 5);
    let first = fixture.put(1);
    fixture.finish(&Action::Put(first.clone()), Err(DhtError::Conflict));
    assert!(fixture.put(3).sequence() > first.sequence());
}

#[test]
fn a_full_shard_is_skipped() {
    let mut fixture = Fixture::new(4);
    fixture.register(0, 5);
    let put = fixture.put(1);
    fixture.finish(&Action::Put(put), Ok(()));
    let mut shards = Vec::new();
    while let Some(action) = fixture.next(1) {
        let Action::Join(shard, _) = &action else {
            panic!("{action:?}");
        };
        shards.push(*shard);
        fixture.finish(&action, Err(DhtError::Full { max: 1 }));
    }
    shards.sort_unstable();
    assert_eq!(
        shards,
        [0, 1, 2, 3].map(ShardPath::root),
        "each once, then a back-off"
    );
    assert!(matches!(fixture.next(400), Some(Action::Join(..))));
}

#[test]
fn the_listing_is_rechecked_at_growing_intervals() {
    let mut fixture = Fixture::new(1);
    fixture.register(0, 5);
    let joined = fixture.put_then_join(1);
    fixture.finish(&joined, Ok(()));
    assert!(fixture.publisher.is_settled());
    let mut rechecks = Vec::new();
    // The record is signed again after three quarters of a refresh at the earliest.
    for at in 2..REFRESH * 3 / 4 {
        if let Some(action) = fixture.next(at) {
            assert_eq!(action, joined, "the same action at {at}");
            assert!(fixture.publisher.is_settled(), "nothing has changed");
            fixture.finish(&action, Ok(()));
            rechecks.push(at);
        }
    }
    let gaps: Vec<u64> = rechecks.windows(2).map(|at| at[1] - at[0]).collect();
    assert!(rechecks[0] <= REFRESH / 8 + 2, "{rechecks:?}");
    assert!(rechecks.len() >= 2, "{rechecks:?}");
    assert!(gaps[0] > rechecks[0], "{gaps:?}");
}

#[test]
fn after_a_conflict_a_shard_is_joined_later_with_the_same_record() {
    let mut fixture = Fixture::new(1);
    fixture.register(0, 5);
    let join = fixture.put_then_join(1);
    fixture.finish(&join, Err(DhtError::Conflict));
    assert_eq!(fixture.next(1), None, "not at once");
    assert_eq!(fixture.next(60), Some(join));
}

#[test]
fn a_shard_that_is_full_at_a_recheck_is_skipped() {
    let mut fixture = Fixture::new(2);
    fixture.register(0, 5);
    let join = fixture.put_then_join(1);
    fixture.finish(&join, Ok(()));
    let again = (2..REFRESH / 2)
        .find_map(|at| fixture.next(at))
        .expect("a recheck");
    assert_eq!(again, join);
    fixture.finish(&again, Err(DhtError::Full { max: 1 }));
    assert!(!fixture.publisher.is_settled());
    let (Action::Join(full, _), Some(Action::Join(next, _))) = (join, fixture.next(REFRESH / 2))
    else {
        panic!("another shard is joined");
    };
    assert_ne!(full, next);
}

#[test]
fn a_permanent_error_is_not_retried() {
    let mut fixture = Fixture::new(8);
    fixture.register(0, 5);
    let put = fixture.put(1);
    let never = DhtError::TooLarge { size: 2, max: 1 };
    fixture.finish(&Action::Put(put), Err(never));
    let join = fixture.next(10).unwrap();
    fixture.finish(
        &join,
        Err(DhtError::Unsupported {
            what: "a directory",
        }),
    );
    assert_eq!(fixture.next(590), None);
    assert!(!fixture.publisher.is_settled(), "it is not published");
    assert!(fixture.next(900).is_some(), "until the next refresh");
}

/// An operator may have given the right that was missing.
#[test]
fn what_was_rejected_is_tried_again_within_five_minutes() {
    let mut fixture = Fixture::new(0);
    fixture.register(0, 5);
    let put = fixture.put(1);
    fixture.finish(&Action::Put(put), Err(DhtError::rejected("NOPERM")));
    assert!(!fixture.publisher.is_settled());
    assert_eq!(fixture.next(290), None);
    let again = fixture.put(310);
    fixture.finish(&Action::Put(again), Ok(()));
    assert!(fixture.publisher.is_settled());
}

#[test]
fn the_final_tombstone_withdraws_the_record() {
    let mut fixture = Fixture::new(8);
    fixture.register(0, 5);
    fixture.all(1);
    let published = fixture.publisher.published().unwrap().sequence();
    let (tombstone, shards) = fixture.publisher.final_tombstone(WALL).unwrap();
    assert!(tombstone.is_tombstone() && tombstone.sequence() > published);
    assert_eq!(shards.len(), 1);
}

#[test]
fn a_put_that_never_ends_times_out() {
    let mut fixture = Fixture::new(0);
    fixture.register(0, 5);
    let hung = fixture.put(1);
    assert_eq!(fixture.next(200), None);
    assert_eq!(fixture.put(201), hung);
    assert_eq!(fixture.next(202), None);
    fixture.finish(&Action::Put(hung), Ok(()));
    assert!(fixture.publisher.is_settled());
}

/// A change of load waits for the load interval. A relay that opens or closes does not.
#[test]
fn a_relay_that_closes_or_opens_is_published_after_the_debounce() {
    let mut fixture = Fixture::new(0);
    let load = |record: SignedRecord| record.record().announcement().unwrap().load();
    fixture.register(0, 5);
    let open = fixture.put(1);
    fixture.finish(&Action::Put(open.clone()), Ok(()));
    assert_eq!(load(open), Some(Load::IDLE));
    fixture.close(2, 5);
    assert_eq!(fixture.next(2), None, "debounced");
    let closed = fixture.put(3);
    fixture.finish(&Action::Put(closed.clone()), Ok(()));
    assert_eq!(load(closed), Some(Load::FULL));
    fixture.close(4, 5);
    assert_eq!(fixture.all(5), []);
    fixture.register_with_load(10, 5, 5);
    assert_eq!(
        load(fixture.put(11)),
        Some(Load::FULL),
        "open, and fully loaded"
    );
}

/// The shards of a relay that has moved down, or of one whose own shard was full.
fn leaves_after_moving() -> (Fixture, Vec<ShardPath>) {
    let mut fixture = Fixture::new(8);
    fixture.register(0, 5);
    fixture.all(1);
    // At the next refresh the shard is full.
    let refresh = 1 + REFRESH * 2;
    let first = fixture.put_then_join(refresh);
    fixture.finish(&first, Err(DhtError::Full { max: 1 }));
    let second = fixture.next(refresh).expect("the next shard");
    fixture.finish(&second, Ok(()));
    let shards = [&first, &second].map(|join| join.target().0.expect("a shard"));
    (fixture, shards.to_vec())
}

#[test]
fn a_shard_that_cannot_be_left_does_not_keep_the_relay_in_the_others() {
    let (mut fixture, shards) = leaves_after_moving();
    assert_ne!(shards[0], shards[1]);
    let now = 2 + REFRESH * 2;
    fixture.unregister(now);
    let put = Action::Put(fixture.put(now + 1));
    fixture.finish(&put, Ok(()));
    let mut left = Vec::new();
    // Far less than until the withdrawal is repeated.
    for second in 1..60 {
        if let Some(leave) = fixture.next(now + 1 + second) {
            let shard = leave.target().0.expect("a shard");
            let outcome = match shard == shards[1] {
                true => Err(DhtError::Timeout),
                false => Ok(()),
            };
            fixture.finish(&leave, outcome);
            left.push(shard);
        }
    }
    assert!(left.contains(&shards[0]), "{left:?}");
}

#[test]
fn a_relay_leaves_the_shard_first_that_lists_it_now() {
    let (mut fixture, shards) = leaves_after_moving();
    let now = fixture.now();
    let (_, to_leave) = (fixture.publisher.final_tombstone(now.wall)).expect("a withdrawal");
    assert_eq!(to_leave, [shards[1], shards[0]]);
}
