use fastrand::Rng;
use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};
use std::collections::BTreeSet;

use super::*;

const S: fn(u64) -> Duration = Duration::from_secs;

const LIMITS: Limits = Limits::new(900, 4, Duration::from_secs(3_600), 1).dividing(16);

/// What each shard answers. Shards that are not in it are empty.
type Answers = BTreeMap<ShardPath, State>;

struct Reader {
    directory: Directory,
    random: Rng,
}

impl Reader {
    fn new() -> Self {
        let intervals = Intervals {
            sweep_interval: S(60),
            min_sweep_interval: S(2),
            negative_cache_ttl: S(30),
            timeout: S(1_000),
        };
        Self {
            directory: Directory::new(LIMITS, intervals),
            random: Rng::with_seed(1),
        }
    }

    fn next(&mut self, wants_more: bool, now: Duration) -> Option<ShardPath> {
        self.directory.next(wants_more, now, &mut self.random)
    }

    fn found(&mut self, path: ShardPath, state: State, now: Duration) {
        let complete = |found| QueryResult::from(QueryOutcome::Complete { found });
        let mut read = match state {
            State::Unknown => QueryOutcome::Failed.into(),
            State::Divided | State::Empty => complete(false),
            State::Leaf => complete(true),
        };
        read.is_divided = state == State::Divided;
        self.directory.was_read(path, read, now, &mut self.random);
    }

    /// Reads what is due, and with `wants_more` all that is not known.
    fn read(&mut self, answers: &Answers, wants_more: bool, now: Duration) -> Vec<ShardPath> {
        let mut read = Vec::new();
        while let Some(path) = self.next(wants_more, now) {
            read.push(path);
            assert!(read.len() <= 10_000, "it has no end");
            let state = answers.get(&path).copied();
            self.found(path, state.unwrap_or(State::Empty), now);
        }
        read
    }
}

/// The shard below the only root that these bits lead to.
fn path(bits: &[bool]) -> ShardPath {
    let child = |path: ShardPath, bit: &bool| path.child(*bit).expect("it is not too deep");
    bits.iter().fold(ShardPath::root(0), child)
}

/// A root that has divided into two leaves.
fn divided_once() -> Answers {
    Answers::from([
        (path(&[]), State::Divided),
        (path(&[false]), State::Leaf),
        (path(&[true]), State::Leaf),
    ])
}

#[test]
fn a_reader_that_wants_more_goes_down_and_one_that_has_enough_does_not() {
    let mut reader = Reader::new();
    assert_eq!(reader.read(&divided_once(), false, S(0)), [path(&[])]);
    let read = reader.read(&divided_once(), true, S(1));
    assert_eq!(BTreeSet::from_iter(read).len(), 2);
    assert_eq!(reader.read(&divided_once(), true, S(2)), []);
}

#[test]
fn leaves_are_read_again_at_each_interval_and_what_has_divided_at_every_other() {
    let mut reader = Reader::new();
    reader.read(&divided_once(), true, S(0));
    let read = (1..=6_000).flat_map(|second| reader.read(&divided_once(), true, S(second)));
    let mut reads = BTreeMap::<ShardPath, u32>::new();
    read.for_each(|path| *reads.entry(path).or_default() += 1);
    // Jitter shortens an interval by a tenth on average, or makes it longer.
    assert!((80..=130).contains(&reads[&path(&[true])]), "{reads:?}");
    assert!((40..=65).contains(&reads[&path(&[])]), "{reads:?}");
}

#[test]
fn a_walk_begins_at_the_depth_at_which_the_last_one_ended() {
    let mut reader = Reader::new();
    let state = |path: ShardPath| match path.depth() {
        0..5 => State::Divided,
        5 => State::Leaf,
        _ => State::Empty,
    };
    let mut depths = Vec::new();
    while let Some(path) = reader.next(true, S(0)) {
        depths.push(path.depth());
        reader.found(path, state(path), S(0));
    }
    assert_eq!(depths[..6], [0, 1, 2, 3, 4, 5]);
    assert_eq!(depths[6..12], [5; 6]);
    assert_eq!(depths.iter().filter(|depth| **depth == 5).count(), 32);
}

#[test]
fn a_false_mark_does_not_hide_the_members_of_the_shard() {
    let mut reader = Reader::new();
    let false_mark = Answers::from([(path(&[]), State::Divided)]);
    let read = reader.read(&false_mark, true, S(0));
    assert!(read.len() <= 3, "{read:?}");
    // It is read again, whether or not more relays are wanted.
    let read = (1..=600).flat_map(|second| reader.read(&false_mark, false, S(second)));
    assert!(read.filter(|read| *read == path(&[])).count() >= 3);
}

#[test]
fn what_is_below_a_shard_that_is_no_longer_divided_is_forgotten() {
    let mut reader = Reader::new();
    let two_levels = Answers::from([
        (path(&[]), State::Divided),
        (path(&[false]), State::Divided),
        (path(&[false, true]), State::Leaf),
    ]);
    reader.read(&two_levels, true, S(0));
    assert_eq!(reader.directory.state(path(&[true])), State::Empty);
    let undivided = Answers::from([
        (path(&[]), State::Leaf),
        (path(&[false, true]), State::Leaf),
    ]);
    for second in 1..=300 {
        reader.read(&undivided, false, S(second));
    }
    let known: Vec<_> = reader.directory.shards.keys().copied().collect();
    assert_eq!(known, [path(&[]), path(&[false, true])]);
    assert!(!reader.directory.has_divided);
}

#[test]
fn the_relays_of_a_leaf_that_divides_or_empties_are_followed() {
    let mut reader = Reader::new();
    reader.read(&divided_once(), true, S(0));
    let mut deeper = divided_once();
    deeper.insert(path(&[true]), State::Divided);
    deeper.insert(path(&[true, false]), State::Leaf);
    deeper.insert(path(&[true, true]), State::Leaf);
    for second in 1..=120 {
        // It has enough relays: the walk is not one for more.
        reader.read(&deeper, false, S(second));
    }
    let children = [path(&[true, false]), path(&[true, true])];
    let followed = children.map(|child| reader.directory.state(child) == State::Leaf);
    assert_eq!(followed.iter().filter(|followed| **followed).count(), 1);

    let mut joined = Answers::from([(path(&[]), State::Leaf)]);
    joined.insert(path(&[false]), State::Empty);
    joined.insert(path(&[true]), State::Empty);
    for second in 121..=240 {
        reader.read(&joined, false, S(second));
    }
    assert_eq!(reader.directory.state(path(&[])), State::Leaf);
}

#[test]
fn a_directory_that_is_false_all_over_costs_a_limited_number_of_reads() {
    let mut reader = Reader::new();
    let mut reads = 0;
    while let Some(path) = reader.next(true, S(0)) {
        reader.found(path, State::Divided, S(0));
        reads += 1;
    }
    assert!(reads <= 1 + MAX_STEPS, "{reads}");
    for second in 1..=20 * 60 {
        while let Some(path) = reader.next(true, S(second)) {
            reader.found(path, State::Divided, S(second));
        }
    }
    assert!(reader.directory.shards.len() <= MAX_SHARDS);
}

#[test]
fn a_caller_that_found_no_relay_permits_a_few_walks() {
    let mut reader = Reader::new();
    let full = |path: ShardPath| match path.depth() {
        0..8 => State::Divided,
        _ => State::Leaf,
    };
    let leaves = |reader: &mut Reader, now| {
        let mut leaves = 0;
        while let Some(path) = reader.next(false, now) {
            leaves += usize::from(path.depth() == 8);
            reader.found(path, full(path), now);
        }
        leaves
    };
    assert_eq!(leaves(&mut reader, S(0)), 0);
    reader.directory.sweep_soon(S(1));
    assert_eq!(leaves(&mut reader, S(1)), WALKS_PER_MISS as usize);
    assert_eq!(leaves(&mut reader, S(1)), 0);
}

#[test]
fn a_shard_that_could_not_be_read_is_read_after_a_back_off() {
    let mut reader = Reader::new();
    assert_eq!(reader.next(true, S(0)), Some(path(&[])));
    reader.found(path(&[]), State::Divided, S(0));
    let child = reader.next(true, S(0)).expect("a child");
    reader.found(child, State::Unknown, S(0));
    let other = reader.next(true, S(0)).expect("the other child");
    assert_eq!(other.parent(), child.parent());
    assert_ne!(other, child);
    reader.found(other, State::Leaf, S(0));
    assert_eq!(reader.next(true, S(0)), None);
    let again = (1..=30).find_map(|second| reader.next(true, S(second)));
    assert_eq!(again, Some(child));
}

/// Relays below false marks go back up when these end, so readers must, too.
#[test]
fn when_false_marks_end_the_members_of_the_root_are_found_within_an_hour() {
    let mut reader = Reader::new();
    // The relay was sent on from shard to shard, down to the deepest.
    let way = [false; 16];
    let mut marked: Answers = (0..16)
        .map(|depth| (path(&way[..depth]), State::Divided))
        .collect();
    marked.insert(path(&way), State::Leaf);
    let mut now = 0;
    for _ in 0..4 * 3_600 {
        now += 1;
        reader.read(&marked, true, S(now));
    }
    assert_eq!(reader.directory.state(path(&way)), State::Leaf);
    let honest = Answers::from([(path(&[]), State::Leaf)]);
    let ended = now;
    while reader.directory.state(path(&[])) != State::Leaf {
        now += 1;
        reader.directory.sweep_soon(S(now));
        reader.read(&honest, true, S(now));
        assert!(now - ended < 48 * 3_600, "not within two days");
    }
    assert!(
        now - ended <= 3_600,
        "it took {} minutes",
        (now - ended) / 60
    );
}

/// Each leaf that is read again costs a request.
#[test]
fn a_directory_full_of_noise_costs_a_limited_number_of_reads_in_a_sweep_interval() {
    let mut reader = Reader::new();
    let state = |path: ShardPath| match path.depth() {
        0..11 => State::Divided,
        _ => State::Leaf,
    };
    let mut reads = [0; 60];
    for second in 1..=3_600 {
        while let Some(path) = reader.next(true, S(second)) {
            reads[(second as usize - 1) / 60] += 1;
            reader.found(path, state(path), S(second));
        }
    }
    assert!(reads.iter().all(|reads| *reads <= 1_000), "{reads:?}");
}

/// Which shards above the greatest depth have divided, from the root on.
fn any_trie() -> impl Strategy<Value = Answers> {
    prop::collection::vec(any::<u8>(), 200).prop_map(|choices| {
        let (mut answers, mut choices) = (Answers::new(), choices.into_iter());
        let mut open = vec![ShardPath::root(0)];
        while let Some(path) = open.pop() {
            let choice = choices.next().unwrap_or(255);
            let is_root = path.depth() == 0;
            let state = match choice {
                _ if is_root => State::Divided,
                0..100 if path.depth() < LIMITS.max_depth => State::Divided,
                0..200 => State::Leaf,
                _ => State::Empty,
            };
            answers.insert(path, state);
            if state == State::Divided {
                open.extend([false, true].map(|bit| path.child(bit).expect("it is not too deep")));
            }
        }
        answers
    })
}

proptest! {
    /// Empty halves may end some walks; no leaf is left out for that.
    #[test]
    fn a_reader_that_wants_all_reads_each_leaf_once(answers in any_trie()) {
        let mut reader = Reader::new();
        let read = reader.read(&answers, true, S(0));
        let distinct: BTreeSet<ShardPath> = read.iter().copied().collect();
        prop_assert_eq!(distinct.len(), read.len(), "a shard was read twice");
        let mut leaves = answers.iter().filter(|(_, state)| **state == State::Leaf);
        prop_assert!(leaves.all(|(leaf, _)| distinct.contains(leaf)), "{:?}", answers);
    }
}

/// Marks alone spread the relays so thinly that most shards are empty.
#[test]
fn false_marks_deep_down_do_not_end_the_search() {
    let mut reader = Reader::new();
    // One shard in 200 has relays, at a depth at which there are more than a node knows.
    let state = |path: ShardPath| match path.depth() {
        0..14 => State::Divided,
        _ if path.hash_below(0) % (200 << 18) == 0 => State::Leaf,
        _ => State::Empty,
    };
    let mut found = BTreeSet::new();
    for second in (1..=4 * 3_600).step_by(10) {
        while let Some(path) = reader.next(true, S(second)) {
            if state(path) == State::Leaf {
                found.insert(path);
            }
            reader.found(path, state(path), S(second));
        }
    }
    assert!(found.len() >= 60, "{} of 82", found.len());
    assert!(reader.directory.shards.len() <= MAX_SHARDS + MAX_SHARDS / 8);
}
