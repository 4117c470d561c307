use super::*;
use crate::dht::{Freshness, Load, SequenceMemory};

const S: fn(u64) -> Duration = Duration::from_secs;
const REFRESH: u64 = 800;
const WALL: Duration = Duration::from_secs(1_800_000_000);

struct Desk {
    publisher: Publisher,
    random: Rng,
    at: Duration,
}

impl Desk {
    fn new(shards: u16) -> Self {
        let rhythm = Rhythm {
            debounce: S(1),
            ttl: S(1_800),
            refresh: S(REFRESH),
            load_every: S(60),
            patience: S(200),
        };
        let limits = Limits::new(900, 4, S(REFRESH), shards);
        let key = Arc::new(SecretKey::from_seed([7; 32]));
        Self {
            publisher: Publisher::new(key, Network::default(), limits, rhythm),
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

    fn next(&mut self, at: u64) -> Option<Act> {
        self.at = S(at);
        self.publisher.next(self.now(), &mut self.random)
    }

    fn done(&mut self, act: &Act, outcome: Result<(), DhtError>) {
        let now = self.now();
        self.publisher.done(act, &outcome, now, &mut self.random);
    }

    /// Does all there is to do at `at`.
    fn all(&mut self, at: u64) -> Vec<Act> {
        let mut acts = Vec::new();
        while let Some(act) = self.next(at) {
            self.done(&act, Ok(()));
            acts.push(act);
        }
        acts
    }

    /// Has the record stored; the joining that follows.
    fn stored(&mut self, at: u64) -> Act {
        let put = Act::Put(self.put(at));
        self.done(&put, Ok(()));
        self.next(at).expect("a shard to join")
    }

    fn put(&mut self, at: u64) -> SignedRecord {
        match self.next(at) {
            Some(Act::Put(record)) => record,
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
    let mut desk = Desk::new(8);
    assert_eq!(desk.next(0), None);
    desk.holds(0, 5);
    assert_eq!(desk.next(0), None, "it rests first");
    let acts = desk.all(1);
    assert!(
        matches!(&acts[..], [Act::Put(put), Act::Join(shard, join)]
            if put == join && *shard < 8 && capacity(put) == Some(5)),
        "{acts:?}"
    );
    assert!(desk.publisher.is_settled());
    assert!(desk.publisher.published().is_some());
}

#[test]
fn what_comes_and_goes_within_a_rest_is_never_said() {
    let mut desk = Desk::new(8);
    desk.holds(0, 5);
    desk.holds(0, None);
    assert_eq!(desk.next(100), None);
    assert_eq!(desk.publisher.final_tombstone(WALL), None);
}

#[test]
fn a_change_during_a_put_is_not_lost_and_the_latest_wins() {
    let mut desk = Desk::new(0);
    desk.holds(0, 5);
    let first = desk.put(1);
    for newer in 6..=9 {
        desk.holds(2, newer);
    }
    assert_eq!(desk.next(100), None, "one at a time");
    desk.done(&Act::Put(first.clone()), Ok(()));
    let acts = desk.all(100);
    let [Act::Put(second)] = &acts[..] else {
        panic!("{acts:?}");
    };
    assert_eq!(capacity(second), Some(9));
    assert!(second.sequence() > first.sequence());
}

#[test]
fn it_is_said_again_before_it_expires_with_a_new_sequence() {
    let mut desk = Desk::new(0);
    desk.holds(0, 5);
    let first = desk.put(1);
    desk.done(&Act::Put(first.clone()), Ok(()));
    assert_eq!(desk.next(600), None);
    let second = desk.put(801);
    assert_eq!(desk.publisher.published(), Some(&first), "it still counts");
    assert!(second.sequence() > first.sequence());
    assert!(S(801) + WALL < first.record().expires_at());
}

#[test]
fn a_changed_load_is_said_once_a_minute_at_most() {
    let mut desk = Desk::new(0);
    desk.holds_loaded(0, 100, 0);
    desk.all(1);
    let mut said = 0;
    for second in 2..=121 {
        desk.holds_loaded(second, 100, second as u32 % 100);
        said += desk.all(second).len();
    }
    assert_eq!(said, 2);
    desk.holds_loaded(400, 100, 50);
    desk.all(400);
    desk.holds_loaded(470, 100, 49);
    assert_eq!(desk.all(470), [], "the same in sixteenths");
}

#[test]
fn what_is_unregistered_is_withdrawn_and_its_shard_left() {
    let mut desk = Desk::new(8);
    desk.holds(0, 5);
    desk.all(1);
    desk.holds(10, None);
    let acts = desk.all(11);
    assert!(
        matches!(&acts[..], [Act::Put(put), Act::Leave(_, leave)]
            if put == leave && put.is_tombstone()),
        "{acts:?}"
    );
    assert_eq!(desk.all(1_801), [], "nothing is left to withdraw");
    assert_eq!(desk.publisher.final_tombstone(WALL), None);
}

/// Those who write a directory at the same time can undo each other's words.
#[test]
fn a_withdrawal_is_said_again_soon_and_then_ever_more_seldom() {
    let mut desk = Desk::new(8);
    desk.holds(0, 5);
    desk.all(1);
    desk.holds(10, None);
    desk.all(11);
    let mut times = Vec::new();
    for second in 12..=2_000 {
        let acts = desk.all(second);
        if acts.is_empty() {
            continue;
        }
        assert!(matches!(&acts[..], [Act::Put(put), Act::Leave(_, leave)]
            if put == leave && put.is_tombstone()));
        times.push(second);
    }
    let within = |most| times.iter().filter(|at| **at <= most).count();
    assert_eq!((within(111), within(811)), (1, 3), "{times:?}");
    assert!(times.len() <= 5 && *times.last().unwrap() <= 1_801);
}

#[test]
fn failures_are_tried_again_ever_more_seldom() {
    let mut desk = Desk::new(0);
    desk.holds(0, 5);
    let mut attempts = 0;
    for second in 1..=600 {
        if let Some(act) = desk.next(second) {
            attempts += 1;
            desk.done(&act, Err(DhtError::Timeout));
        }
    }
    assert!((5..=30).contains(&attempts), "{attempts}");
}

#[test]
fn a_put_that_failed_may_have_worked_and_is_withdrawn() {
    let mut desk = Desk::new(8);
    desk.holds(0, 5);
    let act = desk.next(1).unwrap();
    desk.done(&act, Err(DhtError::Timeout));
    desk.holds(1, None);
    let acts = desk.all(400);
    assert!(
        matches!(&acts[..], [Act::Put(put), Act::Leave(..)] if put.is_tombstone()),
        "{acts:?}"
    );
}

#[test]
fn a_newer_record_elsewhere_is_signed_above_unless_it_is_absurd() {
    for (ahead, learns) in [(S(60), true), (S(3_600), false)] {
        let mut desk = Desk::new(0);
        desk.holds(0, 5);
        let record = desk.put(1);
        let stored = u64::try_from((WALL + ahead).as_micros()).unwrap();
        let superseded = DhtError::Superseded {
            stored: Some(stored),
        };
        desk.done(&Act::Put(record), Err(superseded));
        let again = desk.put(3);
        assert_eq!(again.sequence() > stored, learns);
        let mut memory = SequenceMemory::new(1);
        assert_eq!(memory.observe(&again, WALL), Freshness::Fresh);
    }
}

#[test]
fn a_conflict_is_signed_anew() {
    let mut desk = Desk::new(0);
    desk.holds(0, 5);
    let first = desk.put(1);
    desk.done(&Act::Put(first.clone()), Err(DhtError::Conflict));
    assert!(desk.put(3).sequence() > first.sequence());
}

#[test]
fn a_full_shard_is_passed_over() {
    let mut desk = Desk::new(4);
    desk.holds(0, 5);
    let put = desk.put(1);
    desk.done(&Act::Put(put), Ok(()));
    let mut shards = Vec::new();
    while let Some(act) = desk.next(1) {
        let Act::Join(shard, _) = &act else {
            panic!("{act:?}");
        };
        shards.push(*shard);
        desk.done(&act, Err(DhtError::Full { max: 1 }));
    }
    shards.sort_unstable();
    assert_eq!(shards, [0, 1, 2, 3], "each once, and then a rest");
    assert!(matches!(desk.next(400), Some(Act::Join(..))));
}

#[test]
fn it_is_made_sure_that_a_shard_lists_it_soon_and_then_ever_more_seldom() {
    let mut desk = Desk::new(1);
    desk.holds(0, 5);
    let joined = desk.stored(1);
    desk.done(&joined, Ok(()));
    assert!(desk.publisher.is_settled());
    let mut rechecks = Vec::new();
    // It is said again after three quarters of a refresh at the earliest.
    for at in 2..REFRESH * 3 / 4 {
        if let Some(act) = desk.next(at) {
            assert_eq!(act, joined, "the same again at {at}");
            assert!(desk.publisher.is_settled(), "nothing is to be said");
            desk.done(&act, Ok(()));
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
    let mut desk = Desk::new(1);
    desk.holds(0, 5);
    let join = desk.stored(1);
    desk.done(&join, Err(DhtError::Conflict));
    assert_eq!(desk.next(1), None, "not at once");
    assert_eq!(desk.next(60), Some(join));
}

#[test]
fn a_shard_that_is_full_when_it_is_looked_at_again_is_passed_over() {
    let mut desk = Desk::new(2);
    desk.holds(0, 5);
    let join = desk.stored(1);
    desk.done(&join, Ok(()));
    let again = (2..REFRESH / 2)
        .find_map(|at| desk.next(at))
        .expect("a look");
    assert_eq!(again, join);
    desk.done(&again, Err(DhtError::Full { max: 1 }));
    assert!(!desk.publisher.is_settled());
    let (Act::Join(full, _), Some(Act::Join(next, _))) = (join, desk.next(REFRESH / 2)) else {
        panic!("another shard is joined");
    };
    assert_ne!(full, next);
}

#[test]
fn what_an_engine_will_never_take_is_not_tried_over_and_over() {
    let mut desk = Desk::new(8);
    desk.holds(0, 5);
    let put = desk.put(1);
    let never = DhtError::TooLarge { size: 2, max: 1 };
    desk.done(&Act::Put(put), Err(never));
    let join = desk.next(10).unwrap();
    desk.done(&join, Err(DhtError::Unsupported { what: "directory" }));
    assert_eq!(desk.next(590), None);
    assert!(desk.next(900).is_some(), "until the next refresh");
}

#[test]
fn the_last_word_takes_back_what_was_said() {
    let mut desk = Desk::new(8);
    desk.holds(0, 5);
    desk.all(1);
    let said = desk.publisher.published().unwrap().sequence();
    let (tombstone, shards) = desk.publisher.final_tombstone(WALL).unwrap();
    assert!(tombstone.is_tombstone() && tombstone.sequence() > said);
    assert_eq!(shards.len(), 1);
}

/// One put that never returned used to be the last.
#[test]
fn a_put_that_never_ends_does_not_hold_up_the_next_for_good() {
    let mut desk = Desk::new(0);
    desk.holds(0, 5);
    let hung = desk.put(1);
    assert_eq!(desk.next(200), None);
    assert_eq!(desk.put(201), hung);
    assert_eq!(desk.next(202), None);
    desk.done(&Act::Put(hung), Ok(()));
    assert!(desk.publisher.is_settled());
}

/// That it is full can wait for the next time that loads are said, that nobody is
/// sent to it cannot.
#[test]
fn a_relay_that_closes_or_opens_says_so_after_a_rest() {
    let mut desk = Desk::new(0);
    let load = |record: SignedRecord| record.record().announcement().unwrap().load();
    desk.holds(0, 5);
    let open = desk.put(1);
    desk.done(&Act::Put(open.clone()), Ok(()));
    assert_eq!(load(open), Some(Load::IDLE));
    desk.closes(2, 5);
    assert_eq!(desk.next(2), None, "it rests first");
    let closed = desk.put(3);
    desk.done(&Act::Put(closed.clone()), Ok(()));
    assert_eq!(load(closed), Some(Load::FULL));
    desk.closes(4, 5);
    assert_eq!(desk.all(5), []);
    desk.holds_loaded(10, 5, 5);
    assert_eq!(
        load(desk.put(11)),
        Some(Load::FULL),
        "open, and full as such"
    );
}
