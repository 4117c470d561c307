//! Models of the tree: updates of leaves beside each other.

use crate::sync::{Arc, AtomicU64, Ordering, check, yield_point};
use crate::table::snapshot::tree::{Join, Tree};
use loom::thread;

/// The join of small numbers: the maximum.
enum Greatest {}

impl Join for Greatest {
    const FIELDS: u64 = 0xff;

    fn join_two(one: u64, other: u64) -> u64 {
        (one & Self::FIELDS).max(other & Self::FIELDS)
    }
}

/// Four numbers, and a tree over them: two levels of nodes, and a single root above.
struct Numbers {
    numbers: [AtomicU64; 4],
    tree: Tree<Greatest>,
}

/// Which number changes, and to what.
type Change = (usize, u64);

impl Numbers {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            numbers: std::array::from_fn(|_| AtomicU64::default()),
            tree: Tree::new(4, true),
        })
    }

    /// Relaxed: the tree has to order numbers and words.
    fn number(&self, at: usize) -> u64 {
        self.numbers[at].load(Ordering::Relaxed)
    }

    fn change(&self, (at, to): Change, to_root: bool) {
        self.numbers[at].store(to, Ordering::Relaxed);
        self.tree.update(at, to_root, || Some(self.number(at)));
    }

    fn assert_consistent(&self) {
        for at in 0..self.numbers.len() {
            assert_eq!(self.tree.leaf(at), self.number(at), "leaf {at}");
        }
        for level in 1..=self.tree.top() {
            let below = |at| Greatest::join(|below| self.tree.words(level - 1, at)[below]);
            for at in 0..(4 >> level) {
                let word = self.tree.words(level, at / 2)[at % 2] & Greatest::FIELDS;
                assert_eq!(word, below(at), "word {at} of level {level}");
            }
        }
    }
}

/// Two threads make changes. Then each leaf is its number, and each word above is the join
/// of its children.
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
        numbers.assert_consistent();
    });
}

/// One thread raises a leaf while the other raises and lowers the same one. Fields computed
/// in between are not written later.
#[test]
fn a_leaf_says_what_its_record_says_after_two_updates() {
    agree_after(&[(0, 5)], &[(0, 1), (0, 0)]);
}

/// One thread lowers the word above for the other, which then finds it as it should be.
#[test]
fn a_word_that_one_thread_lowers_for_another_is_lowered_above() {
    agree_after(&[(0, 3)], &[(0, 5), (0, 4)]);
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

/// Once an update to the root has ended, the root says at least as much as the leaf, however
/// other leaves change meanwhile.
fn stays_in_the_root_beside(others: &'static [Change]) {
    check(2, move || {
        let numbers = Numbers::new();
        let other = Arc::clone(&numbers);
        let changing = thread::spawn(move || {
            let change = |&change: &Change| other.change(change, false);
            others.iter().for_each(change);
        });
        numbers.change((0, 3), true);
        yield_point();
        assert!(numbers.tree.root_fields() >= 3, "not in the root");
        changing.join().unwrap();
        numbers.assert_consistent();
    });
}

#[test]
fn a_leaf_that_another_thread_has_set_is_in_the_root() {
    stays_in_the_root_beside(&[(0, 3)]);
}

#[test]
fn a_leaf_is_in_the_root_beside_a_sibling_that_rises() {
    stays_in_the_root_beside(&[(1, 5)]);
}

#[test]
fn a_leaf_is_in_the_root_beside_a_sibling_that_rises_and_falls() {
    stays_in_the_root_beside(&[(1, 5), (1, 0)]);
}

#[test]
fn a_leaf_is_in_the_root_beside_another_branch_that_rises_and_falls() {
    stays_in_the_root_beside(&[(2, 5), (2, 0)]);
}

/// A second thread has set the leaf, and not climbed. A third lowers the word of which the leaf is
/// a part, perhaps by what it read before.
#[test]
fn a_leaf_that_another_thread_has_set_is_in_the_root_beside_a_sibling_that_falls() {
    check(2, || {
        let numbers = Numbers::new();
        numbers.change((1, 5), true);
        let [one, other] = [(); 2].map(|()| Arc::clone(&numbers));
        let falling = thread::spawn(move || other.change((1, 0), false));
        let setting = thread::spawn(move || {
            one.numbers[0].store(3, Ordering::Relaxed);
            one.tree.set(0, || Some(one.number(0)));
        });
        numbers.change((0, 3), true);
        yield_point();
        assert!(numbers.tree.root_fields() >= 3, "not in the root");
        setting.join().unwrap();
        falling.join().unwrap();
        numbers.assert_consistent();
    });
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
        numbers.assert_consistent();
    });
}
