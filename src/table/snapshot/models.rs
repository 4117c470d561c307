//! Models of the snapshot: of the trees of summaries, of arrivals and changes beside
//! merges, of notes.

use super::fixture::Relays;
use super::leaf::{Class, Leaf, SummaryWord, Terms};
use super::outage::Outage;
use super::pending::PendingChanges;
use super::publication::Snapshot;
use super::tree::{Join, Tree, Words};
use crate::sync::{Arc, AtomicBool, AtomicU64, Ordering, check, yield_point};
use crate::table::record::{BackOff, Failure, Fault, Lifecycle, Load};
use crate::time::Tick;
use loom::thread;

/// The greatest of a few small numbers.
enum Greatest {}

impl Join for Greatest {
    const FIELDS: u64 = 0xff;

    fn join(words: Words) -> u64 {
        let fields = words.into_iter().map(|word| word & Self::FIELDS);
        fields.max().unwrap_or(0)
    }
}

/// Numbers, and a tree over them: two levels of nodes, and a crown above.
struct Numbers {
    numbers: [AtomicU64; 4],
    tree: Tree<Greatest>,
}

/// Which number becomes what.
type Change = (usize, u64);

impl Numbers {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            numbers: std::array::from_fn(|_| AtomicU64::default()),
            tree: Tree::new(4, true),
        })
    }

    /// Relaxed: the order of numbers and words is up to the tree.
    fn number(&self, at: usize) -> u64 {
        self.numbers[at].load(Ordering::Relaxed)
    }

    fn change(&self, (at, to): Change, fully: bool) {
        self.numbers[at].store(to, Ordering::Relaxed);
        self.tree.update(at, fully, || self.number(at));
    }

    fn assert_in_line(&self) {
        for at in 0..self.numbers.len() {
            assert_eq!(self.tree.leaf(at), self.number(at), "leaf {at}");
        }
        for level in 1..=self.tree.top() {
            let below = |at| Greatest::join(self.tree.words(level - 1, at));
            for at in 0..(4 >> level) {
                let word = self.tree.words(level, at / 2)[at % 2] & Greatest::FIELDS;
                assert_eq!(word, below(at), "word {at} of level {level}");
            }
        }
    }
}

/// Two threads make changes; then each leaf says what its number is, and each word
/// above is the join of its children.
fn agree_after(ours: &'static [Change], theirs: &'static [Change]) {
    check(2, move || {
        let numbers = Numbers::new();
        let other = Arc::clone(&numbers);
        let make = |numbers: &Numbers, changes: &[Change]| {
            changes
                .iter()
                .for_each(|&change| numbers.change(change, false));
        };
        let changing = thread::spawn(move || make(&other, theirs));
        make(&numbers, ours);
        changing.join().unwrap();
        numbers.assert_in_line();
    });
}

/// One thread raises its leaf for as long as the other takes to raise and lower the
/// same one: what was computed in between does not come back.
#[test]
fn a_leaf_says_what_its_record_says_after_two_updates() {
    agree_after(&[(0, 5)], &[(0, 1), (0, 0)]);
}

#[test]
fn a_word_is_the_join_of_two_leaves_that_were_updated_at_once() {
    agree_after(&[(0, 3)], &[(1, 2), (1, 0)]);
}

#[test]
fn words_of_two_branches_are_joined_above() {
    agree_after(&[(0, 3), (0, 1)], &[(2, 2)]);
}

#[test]
fn two_leaves_that_change_twice_each_leave_their_join() {
    agree_after(&[(0, 2), (0, 0)], &[(1, 3), (1, 1)]);
}

/// Once a full update has ended, the root says at least as much as the leaf, whatever
/// becomes of other leaves meanwhile.
fn stays_in_sight_beside(others: &'static [Change]) {
    check(2, move || {
        let numbers = Numbers::new();
        let other = Arc::clone(&numbers);
        let changing = thread::spawn(move || {
            let change = |&change: &Change| other.change(change, false);
            others.iter().for_each(change);
        });
        numbers.change((0, 3), true);
        yield_point();
        assert!(numbers.tree.root_fields() >= 3, "out of sight");
        changing.join().unwrap();
        numbers.assert_in_line();
    });
}

#[test]
fn a_leaf_is_in_sight_that_another_thread_has_set() {
    stays_in_sight_beside(&[(0, 3)]);
}

#[test]
fn a_leaf_is_in_sight_beside_a_sibling_that_rises() {
    stays_in_sight_beside(&[(1, 5)]);
}

#[test]
fn a_leaf_is_in_sight_beside_a_sibling_that_rises_and_falls() {
    stays_in_sight_beside(&[(1, 5), (1, 0)]);
}

#[test]
fn a_leaf_is_in_sight_beside_another_branch_that_rises_and_falls() {
    stays_in_sight_beside(&[(2, 5), (2, 0)]);
}

/// A third thread that saw the update end finds the leaf in the root.
#[test]
fn a_thread_that_saw_an_update_end_sees_the_leaf() {
    check(2, || {
        let numbers = Numbers::new();
        let ended = Arc::new(AtomicU64::default());
        let (one, other) = (Arc::clone(&numbers), Arc::clone(&numbers));
        let ends = Arc::clone(&ended);
        let rising = thread::spawn(move || {
            one.change((0, 3), true);
            ends.store(1, Ordering::Release);
        });
        let falling = thread::spawn(move || other.change((1, 2), false));
        if ended.load(Ordering::Acquire) == 1 {
            assert!(numbers.tree.root_fields() >= 3);
        }
        rising.join().unwrap();
        falling.join().unwrap();
        numbers.assert_in_line();
    });
}

const CAPACITY: u32 = 2;

fn relays(count: usize) -> Arc<Relays> {
    Arc::new(Relays::new(count, CAPACITY))
}

/// The same, in the base.
fn merged(count: usize) -> Arc<Relays> {
    let relays = relays(count);
    (0..relays.len()).for_each(|index| relays.arrive(index));
    relays.merge();
    relays
}

impl Relays {
    /// All relays of the snapshot in force, in ascending order of index.
    fn seen(&self) -> Vec<u32> {
        let snapshot = Arc::clone(&self.publication.load());
        let mut seen: Vec<u32> = snapshot.iter().map(|relay| relay.index).collect();
        seen.sort_unstable();
        seen
    }

    /// What the leaves of a relay say in a snapshot.
    fn said(&self, snapshot: &Snapshot, index: usize) -> Vec<u64> {
        let relay = Some(self.subject(index).handle);
        let of_part = |part: &super::Leaves| {
            let places = 0..part.places();
            let at = places.filter(|&place| part.at(place) == relay);
            at.map(|place| part.summaries.leaf(place)).next()
        };
        snapshot.parts().filter_map(of_part).collect()
    }

    /// The leaf of a relay in the snapshot in force, which is one, says what its
    /// record says; what it is.
    fn class_in_line(&self, index: usize) -> Class {
        let snapshot = Arc::clone(&self.publication.load());
        let bins = snapshot.base.leaves.bins;
        let tick = self.publication.context.judged_at();
        let due = Leaf::of(&self.subject(index), &Terms::FOR_TESTS, bins, tick);
        assert_eq!(self.said(&snapshot, index), [due.summary]);
        SummaryWord(due.summary).class()
    }

    /// The roots of the snapshot in force say at least that there is a relay.
    fn has_any(&self) -> bool {
        let snapshot = Arc::clone(&self.publication.load());
        let has = |part: &super::Leaves| {
            let root = part.summaries.words(part.summaries.top(), 0);
            root.into_iter().any(|word| SummaryWord(word).merit() > 0)
        };
        snapshot.parts().any(has)
    }
}

/// No arrival is lost to a merge, nor out of sight during it.
#[test]
fn a_merge_loses_no_arrival() {
    check(2, || {
        let relays = relays(2);
        relays.arrive(0);
        let other = Arc::clone(&relays);
        let arriving = thread::spawn(move || {
            other.arrive(1);
            assert!(other.seen().contains(&1), "visible once it returns");
        });
        relays.merge();
        assert!(relays.seen().contains(&0), "never out of sight");
        arriving.join().unwrap();
        assert_eq!(relays.seen(), [0, 1]);
        relays.merge();
        assert_eq!(relays.seen(), [0, 1]);
        for index in 0..2 {
            assert_eq!(relays.class_in_line(index), Class::Unmeasured);
        }
    });
}

/// Runs have one place in models, so each arrival but the first adds a run.
#[test]
fn arrivals_that_outgrow_a_run_lose_nothing_to_each_other() {
    check(2, || {
        let relays = relays(3);
        let other = Arc::clone(&relays);
        let arriving = thread::spawn(move || {
            other.arrive(0);
            other.arrive(1);
        });
        relays.arrive(2);
        assert!(relays.seen().contains(&2));
        arriving.join().unwrap();
        assert_eq!(relays.seen(), [0, 1, 2]);
    });
}

/// A merge hides nothing from a search that comes in between.
#[test]
fn a_merge_beside_a_look_hides_nothing() {
    check(2, || {
        let relays = relays(3);
        (0..3).for_each(|index| relays.arrive(index));
        let other = Arc::clone(&relays);
        let merging = thread::spawn(move || other.merge());
        assert_eq!(relays.seen(), [0, 1, 2]);
        assert!(relays.has_any());
        merging.join().unwrap();
        assert_eq!(relays.seen(), [0, 1, 2]);
        assert!(relays.has_any());
    });
}

/// What a change beside a merge makes of a relay is in the base that is in force
/// after both.
fn reaches_the_next_base(change: fn(&Relays), after: Class) {
    check(2, move || {
        let relays = merged(1);
        let other = Arc::clone(&relays);
        let changing = thread::spawn(move || change(&other));
        relays.merge();
        changing.join().unwrap();
        assert_eq!(relays.class_in_line(0), after);
        assert_eq!(
            relays.has_any(),
            matches!(after, Class::Measured | Class::Unmeasured)
        );
    });
}

#[test]
fn a_change_of_load_beside_a_merge_reaches_the_next_base() {
    let fill = |relays: &Relays| {
        let change = relays.change_load(0, |load| load.with_report(CAPACITY));
        let publication = &relays.publication;
        publication.refresh_load(&relays.subject(0), change, None);
    };
    reaches_the_next_base(fill, Class::Full);
}

#[test]
fn a_measurement_beside_a_merge_reaches_the_next_base() {
    let measure = |relays: &Relays| {
        relays.change_rtt(0, 7);
    };
    reaches_the_next_base(measure, Class::Measured);
}

/// Relay 1 comes nearer than relay 0 beside a merge, after an earlier change was noted:
/// the merge orders them by that, or another merge is wanted.
#[test]
fn a_measurement_beside_a_merge_is_not_forgotten_for_the_order() {
    check(3, || {
        let relays = relays(2);
        (0..2).for_each(|index| relays.arrive(index));
        let micros = Arc::new(AtomicU64::new(20));
        let merge = |relays: &Relays, micros: &AtomicU64| {
            relays.merge_by(|index| match index {
                0 => 10,
                // Relaxed: what orders it is the note.
                _ => micros.load(Ordering::Relaxed) as u32,
            });
        };
        merge(&relays, &micros);
        relays.publication.note_reordering();
        let (other, theirs) = (Arc::clone(&relays), Arc::clone(&micros));
        let measuring = thread::spawn(move || {
            theirs.store(5, Ordering::Relaxed);
            other.publication.note_reordering();
        });
        merge(&relays, &micros);
        measuring.join().unwrap();
        let snapshot = Arc::clone(&relays.publication.load());
        let order: Vec<u32> = snapshot.iter().map(|it| it.index).collect();
        assert!(order == [1, 0] || relays.publication.wants_merge());
    });
}

fn back_off() -> BackOff {
    BackOff {
        now: Tick(0),
        tick_nanos: Terms::FOR_TESTS.tick_nanos,
        jitter: 0,
        back_off_range: Terms::FOR_TESTS.back_off_range,
    }
}

fn fault() -> Fault {
    Fault::told(Failure::TimedOut)
}

#[test]
fn a_failure_beside_a_merge_reaches_the_next_base() {
    let fail = |relays: &Relays| {
        relays.publication.context.expect_waiting();
        let record = relays.subject(0).record;
        record.change_circuit(|circuit| circuit.with_failure(fault(), back_off()));
        relays.publication.refresh(&relays.subject(0), true);
        let snapshot = Arc::clone(&relays.publication.load());
        assert!(snapshot.parts().any(|part| part.are_due(Tick(5))));
    };
    reaches_the_next_base(fail, Class::BackingOff);
}

#[test]
fn a_departure_beside_a_merge_reaches_the_next_base() {
    check(2, || {
        let relays = merged(1);
        let other = Arc::clone(&relays);
        let leaving = thread::spawn(move || {
            let subject = other.subject(0);
            subject.record.set_lifecycle(Lifecycle::VACANT);
            subject.record.set_flags(Load::CLOSED);
            subject.record.end_generation();
            other.publication.refresh(&subject, false);
        });
        relays.merge();
        leaving.join().unwrap();
        assert!(!relays.has_any());
    });
}

/// A search that has a snapshot at hand comes to an end of the relays that are due,
/// although another snapshot is in force by now.
#[test]
fn a_relay_that_is_due_is_woken_where_it_was_found() {
    check(1, || {
        let relays = merged(1);
        let publication = &relays.publication;
        publication.context.expect_waiting();
        let record = relays.subject(0).record;
        record.change_circuit(|circuit| circuit.with_failure(fault(), back_off()));
        publication.refresh(&relays.subject(0), true);
        let at_hand = Arc::clone(&publication.load());
        let other = Arc::clone(&relays);
        let merging = thread::spawn(move || other.merge());
        for part in at_hand.parts() {
            while let Some(place) = part.due_at(Tick(5)) {
                publication.wake(part, place, &relays.subject(0), Tick(5));
            }
        }
        assert_eq!(relays.said(&at_hand, 0).len(), 1);
        assert!(SummaryWord(relays.said(&at_hand, 0)[0]).merit() > 0);
        merging.join().unwrap();
    });
}

/// A change of load where a snapshot is at hand that may be replaced meanwhile.
#[test]
fn a_lease_by_an_old_snapshot_reaches_the_next_base() {
    check(2, || {
        let relays = merged(1);
        let other = Arc::clone(&relays);
        let at_hand = Arc::clone(&relays.publication.load());
        let leasing = thread::spawn(move || {
            let change = other.change_load(0, |load| load.with_report(CAPACITY));
            let publication = &other.publication;
            publication.refresh_load(&other.subject(0), change, Some(&at_hand));
        });
        relays.merge();
        leasing.join().unwrap();
        assert_eq!(relays.class_in_line(0), Class::Full);
    });
}

/// A snapshot that is in force by its number says what a change made of a relay that
/// has ended; another may not.
#[test]
fn a_snapshot_in_force_is_up_to_date() {
    check(2, || {
        let relays = merged(1);
        let other = Arc::clone(&relays);
        let changing = thread::spawn(move || {
            let at_hand = Arc::clone(&other.publication.load());
            other.change_load(0, |load| load.with_report(CAPACITY));
            other.publication.refresh_touched(&other.subject(0), false);
            yield_point();
            if other.publication.is_latest(&at_hand) {
                let said = other.said(&at_hand, 0);
                assert_eq!(said, [Class::Full as u64]);
            }
        });
        relays.merge();
        changing.join().unwrap();
    });
}

/// Who sees a change finds its note, or all that belongs to it.
fn seen_is_noted_or_over(is_slot_taken: bool) {
    check(3, move || {
        let noted = Arc::new(PendingChanges::default());
        let words = Arc::new([AtomicU64::default(), AtomicU64::default()]);
        // Models have one slot.
        let taken = is_slot_taken.then(|| noted.begin(6));
        let (other, theirs) = (Arc::clone(&noted), Arc::clone(&words));
        let changing = thread::spawn(move || {
            let note = other.begin(5);
            theirs[0].store(1, Ordering::Release);
            theirs[1].store(1, Ordering::Relaxed);
            drop(note);
            yield_point();
        });
        yield_point();
        if words[0].load(Ordering::Acquire) == 1 {
            let notes = noted.read();
            let is_noted = notes.indices().any(|index| index == 5) || notes.are_more();
            assert!(is_noted || words[1].load(Ordering::Relaxed) == 1);
        }
        drop(taken);
        changing.join().unwrap();
        assert!(noted.read().are_none());
    });
}

#[test]
fn a_change_that_is_seen_is_noted_or_over() {
    seen_is_noted_or_over(false);
}

#[test]
fn a_change_without_a_slot_that_is_seen_is_noted_or_over() {
    seen_is_noted_or_over(true);
}

/// Either the thread that ends an outage finds the mark of a failure in it, or the thread
/// that made the mark finds that the outage is over.
#[test]
fn a_failure_in_an_outage_is_seen_by_its_end_or_sees_the_end() {
    check(3, || {
        let outage = Arc::new(Outage::default());
        outage.goes_on(Tick(0));
        let mark = Arc::new(AtomicBool::new(false));
        let (failing_in, marked) = (Arc::clone(&outage), Arc::clone(&mark));
        let failing = thread::spawn(move || {
            // Relaxed: only the outage puts them in order.
            marked.store(true, Ordering::Relaxed);
            failing_in.is_over()
        });
        assert!(outage.end());
        let sees_the_mark = mark.load(Ordering::Relaxed);
        assert!(failing.join().unwrap() || sees_the_mark);
    });
}
