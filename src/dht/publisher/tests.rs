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
            load_every: S(60),
            time_limit: S(200),
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

    fn holds(&mut self, at: u64, capacity: impl Into<Option<u32>>) {
        self.holds_loaded(at, capacity, 0);
    }

    fn holds_loaded(&mut self, at: u64, capacity: impl Into<Option<u32>>, load: u32) {
        let capacity = capacity.into();
        let wanted = capacity.map(|capacity| local(capacity, Load::of(load, capacity), true));
        self.at = S(at);
        self.publisher.observe(wanted, self.at);
    }

    /// The relay drains, or is banned.
    fn closes(&mut self, at: u64, capacity: u32) {
        self.at = S(at);
        let closed = local(capacity, Load::FULL, false);
        self.publisher.observe(Some(closed), self.at);
    }

    fn next(&mut self, at: u64) -> Option<Action> {
        self.at = S(at);
        self.publisher.next(self.now(), &mut self.random)
    }

    fn done(&mut self, action: &Action, outcome: Result<(), DhtError>) {
        let now = self.now();
        self.publisher.done(action, &outcome, now, &mut self.random);
    }

    /// Does all there is to do at `at`.
    fn all(&mut self, at: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        while let Some(action) = self.next(at) {
            self.done(&action, Ok(()));
            actions.push(action);
        }
        actions
    }

    /// Has the record stored; the joining that follows.
    fn stored(&mut self, at: u64) -> Action {
        let put = Action::Put(self.put(at));
        self.done(&put, Ok(()));
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
fn what_is_registered_is_stored_and_listed() {
    let mut fixture = Fixture::new(8);
    assert_eq!(fixture.next(0), None);
    fixture.holds(0, 5);
    assert_eq!(fixture.next(0), None, "it rests first");
    let actions = fixture.all(1);
    assert!(
        matches!(&actions[..], [Action::Put(put), Action::Join(shard, join)]
            if put == join && *shard < 8 && capacity(put) == Some(5)),
        "{actions:?}"
    );
    assert!(fixture.publisher.is_settled());
    assert!(fixture.publisher.published().is_some());
}

#[test]
fn what_comes_and_goes_within_a_rest_is_never_said() {
    let mut fixture = Fixture::new(8);
    fixture.holds(0, 5);
    fixture.holds(0, None);
    assert_eq!(fixture.next(100), None);
    assert_eq!(fixture.publisher.final_tombstone(WALL), None);
}

#[test]
fn a_change_during_a_put_is_not_lost_and_the_latest_wins() {
    let mut fixture = Fixture::new(0);
    fixture.holds(0, 5);
    let first = fixture.put(1);
    for newer in 6..=9 {
        fixture.holds(2, newer);
    }
    assert_eq!(fixture.next(100), None, "one at a time");
    fixture.done(&Action::Put(first.clone()), Ok(()));
    let actions = fixture.all(100);
    let [Action::Put(second)] = &actions[..] else {
        panic!("{actions:?}");
    };
    assert_eq!(capacity(second), Some(9));
    assert!(second.sequence() > first.sequence());
}

#[test]
fn it_is_said_again_before_it_expires_with_a_new_sequence() {
    let mut fixture = Fixture::new(0);
    fixture.holds(0, 5);
    let first = fixture.put(1);
    fixture.done(&Action::Put(first.clone()), Ok(()));
    assert_eq!(fixture.next(600), None);
    let second = fixture.put(801);
    assert_eq!(
        fixture.publisher.published(),
        Some(&first),
        "it still counts"
    );
    assert!(second.sequence() > first.sequence());
    assert!(S(801) + WALL < first.record().expires_at());
}

#[test]
fn a_changed_load_is_said_once_a_minute_at_most() {
    let mut fixture = Fixture::new(0);
    fixture.holds_loaded(0, 100, 0);
    fixture.all(1);
    let mut said = 0;
    for second in 2..=121 {
        fixture.holds_loaded(second, 100, second as u32 % 100);
        said += fixture.all(second).len();
    }
    assert_eq!(said, 2);
    fixture.holds_loaded(400, 100, 50);
    fixture.all(400);
    fixture.holds_loaded(470, 100, 49);
    assert_eq!(fixture.all(470), [], "the same in sixteenths");
}

#[test]
fn what_is_unregistered_is_withdrawn_and_its_shard_left() {
    let mut fixture = Fixture::new(8);
    fixture.holds(0, 5);
    fixture.all(1);
    fixture.holds(10, None);
    let actions = fixture.all(11);
    assert!(
        matches!(&actions[..], [Action::Put(put), Action::Leave(_, leave)]
            if put == leave && put.is_tombstone()),
        "{actions:?}"
    );
    assert_eq!(fixture.all(1_801), [], "nothing is left to withdraw");
    assert_eq!(fixture.publisher.final_tombstone(WALL), None);
}

/// Those who write a directory at the same time can undo each other's words.
#[test]
fn a_withdrawal_is_said_again_soon_and_then_ever_more_seldom() {
    let mut fixture = Fixture::new(8);
    fixture.holds(0, 5);
    fixture.all(1);
    fixture.holds(10, None);
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
fn failures_are_tried_again_ever_more_seldom() {
    let mut fixture = Fixture::new(0);
    fixture.holds(0, 5);
    let mut attempts = 0;
    for second in 1..=600 {
        if let Some(action) = fixture.next(second) {
            attempts += 1;
            fixture.done(&action, Err(DhtError::Timeout));
        }
    }
    assert!((5..=30).contains(&attempts), "{attempts}");
}

#[test]
fn a_put_that_failed_may_have_worked_and_is_withdrawn() {
    let mut fixture = Fixture::new(8);
    fixture.holds(0, 5);
    let action = fixture.next(1).unwrap();
    fixture.done(&action, Err(DhtError::Timeout));
    fixture.holds(1, None);
    let actions = fixture.all(400);
    assert!(
        matches!(&actions[..], [Action::Put(put), Action::Leave(..)] if put.is_tombstone()),
        "{actions:?}"
    );
}

#[test]
fn a_newer_record_elsewhere_is_signed_above_unless_it_is_absurd() {
    for (ahead, learns) in [(S(60), true), (S(3_600), false)] {
        let mut fixture = Fixture::new(0);
        fixture.holds(0, 5);
        let record = fixture.put(1);
        let stored = u64::try_from((WALL + ahead).as_micros()).unwrap();
        let superseded = DhtError::Superseded {
            stored: Some(stored),
        };
        fixture.done(&Action::Put(record), Err(superseded));
        let again = fixture.put(3);
        assert_eq!(again.sequence() > stored, learns);
        let mut memory = SequenceMemory::new(1);
        assert_eq!(memory.observe(&again, WALL), Freshness::Fresh);
    }
}

#[test]
fn a_conflict_is_signed_anew() {
    let mut fixture = Fixture::new(0);
    fixture.holds(0, 5);
    let first = fixture.put(1);
    fixture.done(&Action::Put(first.clone()), Err(DhtError::Conflict));
    assert!(fixture.put(3).sequence() > first.sequence());
}

#[test]
fn a_full_shard_is_passed_over() {
    let mut fixture = Fixture::new(4);
    fixture.holds(0, 5);
    let put = fixture.put(1);
    fixture.done(&Action::Put(put), Ok(()));
    let mut shards = Vec::new();
    while let Some(action) = fixture.next(1) {
        let Action::Join(shard, _) = &action else {
            panic!("{action:?}");
        };
        shards.push(*shard);
        fixture.done(&action, Err(DhtError::Full { max: 1 }));
    }
    shards.sort_unstable();
    assert_eq!(shards, [0, 1, 2, 3], "each once, and then a rest");
    assert!(matches!(fixture.next(400), Some(Action::Join(..))));
}

#[test]
fn it_is_made_sure_that_a_shard_lists_it_soon_and_then_ever_more_seldom() {
    let mut fixture = Fixture::new(1);
    fixture.holds(0, 5);
    let joined = fixture.stored(1);
    fixture.done(&joined, Ok(()));
    assert!(fixture.publisher.is_settled());
    let mut rechecks = Vec::new();
    // It is said again after three quarters of a refresh at the earliest.
    for at in 2..REFRESH * 3 / 4 {
        if let Some(action) = fixture.next(at) {
            assert_eq!(action, joined, "the same again at {at}");
            assert!(fixture.publisher.is_settled(), "nothing is to be said");
            fixture.done(&action, Ok(()));
            rechecks.push(at);
        }
    }
    let gaps: Vec<u64> = rechecks.windows(2).map(|at| at[1] - at[0]).collect();
    assert!(rechecks[0] <= REFRESH / 8 + 2, "{rechecks:?}");
    assert!(rechecks.len() >= 2, "{rechecks:?}");
    assert!(gaps[0] > rechecks[0], "{gaps:?}");
}

#[test]
fn a_shard_that_others_write_is_joined_later_without_signing_anew() {
    let mut fixture = Fixture::new(1);
    fixture.holds(0, 5);
    let join = fixture.stored(1);
    fixture.done(&join, Err(DhtError::Conflict));
    assert_eq!(fixture.next(1), None, "not at once");
    assert_eq!(fixture.next(60), Some(join));
}

#[test]
fn a_shard_that_is_full_when_it_is_looked_at_again_is_passed_over() {
    let mut fixture = Fixture::new(2);
    fixture.holds(0, 5);
    let join = fixture.stored(1);
    fixture.done(&join, Ok(()));
    let again = (2..REFRESH / 2)
        .find_map(|at| fixture.next(at))
        .expect("a look");
    assert_eq!(again, join);
    fixture.done(&again, Err(DhtError::Full { max: 1 }));
    assert!(!fixture.publisher.is_settled());
    let (Action::Join(full, _), Some(Action::Join(next, _))) = (join, fixture.next(REFRESH / 2))
    else {
        panic!("another shard is joined");
    };
    assert_ne!(full, next);
}

#[test]
fn what_an_engine_will_never_take_is_not_tried_over_and_over() {
    let mut fixture = Fixture::new(8);
    fixture.holds(0, 5);
    let put = fixture.put(1);
    let never = DhtError::TooLarge { size: 2, max: 1 };
    fixture.done(&Action::Put(put), Err(never));
    let join = fixture.next(10).unwrap();
    fixture.done(&join, Err(DhtError::Unsupported { what: "directory" }));
    assert_eq!(fixture.next(590), None);
    assert!(fixture.next(900).is_some(), "until the next refresh");
}

#[test]
fn the_last_word_takes_back_what_was_said() {
    let mut fixture = Fixture::new(8);
    fixture.holds(0, 5);
    fixture.all(1);
    let said = fixture.publisher.published().unwrap().sequence();
    let (tombstone, shards) = fixture.publisher.final_tombstone(WALL).unwrap();
    assert!(tombstone.is_tombstone() && tombstone.sequence() > said);
    assert_eq!(shards.len(), 1);
}

/// One put that never returned used to be the last.
#[test]
fn a_put_that_never_ends_does_not_hold_up_the_next_for_good() {
    let mut fixture = Fixture::new(0);
    fixture.holds(0, 5);
    let hung = fixture.put(1);
    assert_eq!(fixture.next(200), None);
    assert_eq!(fixture.put(201), hung);
    assert_eq!(fixture.next(202), None);
    fixture.done(&Action::Put(hung), Ok(()));
    assert!(fixture.publisher.is_settled());
}

/// That it is full can wait for the next time that loads are said, that nobody is
/// sent to it cannot.
#[test]
fn a_relay_that_closes_or_opens_says_so_after_a_rest() {
    let mut fixture = Fixture::new(0);
    let load = |record: SignedRecord| record.record().announcement().unwrap().load();
    fixture.holds(0, 5);
    let open = fixture.put(1);
    fixture.done(&Action::Put(open.clone()), Ok(()));
    assert_eq!(load(open), Some(Load::IDLE));
    fixture.closes(2, 5);
    assert_eq!(fixture.next(2), None, "it rests first");
    let closed = fixture.put(3);
    fixture.done(&Action::Put(closed.clone()), Ok(()));
    assert_eq!(load(closed), Some(Load::FULL));
    fixture.closes(4, 5);
    assert_eq!(fixture.all(5), []);
    fixture.holds_loaded(10, 5, 5);
    assert_eq!(
        load(fixture.put(11)),
        Some(Load::FULL),
        "open, and full as such"
    );
}
