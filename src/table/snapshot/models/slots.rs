//! Models of slots of runs that are used again.

use super::{CAPACITY, relays};
use crate::sync::{Arc, check, yield_point};
use crate::table::record::{Handle, Lifecycle, Load};
use crate::table::shards::ShardId;
use crate::table::snapshot::fixture::Relays;
use crate::table::snapshot::forest::TierTrees;
use crate::table::snapshot::leaf::{Leaf, Summary, SummaryWord};
use crate::table::snapshot::leaf_state::StateCounts;
use crate::table::snapshot::leaves::Precision;
use crate::table::snapshot::run::Run;
use crate::table::snapshot::score::Bins;
use crate::table::snapshot::tree::{FANOUT, Join};
use loom::thread;
use std::collections::BTreeSet;
use std::iter;

const PRECISION: Precision = Precision {
    bins: Bins::FINE,
    most_free_units: 1,
};

/// No thread of a model has a number.
const NONE: usize = usize::MAX;

/// A run, and relays that may arrive in it.
struct Arrivals {
    relays: Arc<Relays>,
    run: Run,
}

impl Arrivals {
    fn new(count: usize, capacity: u32) -> Arc<Self> {
        Arc::new(Self {
            relays: relays(count),
            run: Run::new(capacity, 0, 1, PRECISION, iter::empty()),
        })
    }

    /// Whether the relay came into the run.
    fn push(&self, index: usize) -> bool {
        self.push_as(NONE, index)
    }

    /// The same by the thread with a number.
    fn push_as(&self, thread: usize, index: usize) -> bool {
        let subject = self.relays.subject(index);
        let ours = (thread, ShardId::FIRST);
        self.run.push(ours, subject.handle, subject.extra).is_some()
    }

    fn slot_of(&self, index: usize) -> Option<usize> {
        let subject = self.relays.subject(index);
        self.run.slot_of(subject.extra.arrival(), subject.handle)
    }

    /// Recomputes the leaf of a relay, if it is in the run.
    fn refresh(&self, index: usize, to_root: bool) {
        let subject = self.relays.subject(index);
        let context = &self.relays.publication.context;
        subject.record.touch_load();
        if let Some(slot) = self.slot_of(index) {
            self.run.leaves.refresh(slot, &subject, context, to_root);
        }
    }

    fn arrive(&self, index: usize) -> bool {
        let is_in = self.push(index);
        self.refresh(index, true);
        is_in
    }

    fn depart(&self, index: usize) {
        self.depart_as(NONE, index);
    }

    fn depart_as(&self, thread: usize, index: usize) {
        let subject = self.relays.subject(index);
        subject.record.set_lifecycle(Lifecycle::VACANT);
        subject.record.set_flags(Load::CLOSED);
        subject.record.end_generation();
        if let Some(slot) = self.slot_of(index) {
            self.run
                .vacate((thread, ShardId::FIRST), slot, subject.handle);
        }
    }

    fn content(&self) -> Vec<u32> {
        self.run.iter().map(|relay| relay.index).collect()
    }

    /// The leaf that a slot should have in the trees of the tier of its relay.
    fn expected(&self, slot: usize) -> Option<(u8, u64)> {
        let Handle { index, .. } = self.run.leaves.at(slot)?;
        let subject = self.relays.subject(index as usize);
        let context = &self.relays.publication.context;
        let leaf = Leaf::of(&subject, context, PRECISION.bins, context.leaf_tick());
        Some((subject.tier(), leaf.summary))
    }

    /// Each leaf says what the record of the relay in its slot says, or is zero. So does each
    /// word above, and each count.
    fn assert_consistent(&self) {
        let forest = &self.run.leaves.all;
        let mut counts = StateCounts::default();
        for slot in 0..self.run.leaves.len() {
            let expected = self.expected(slot);
            for (tier, leaf) in forest.leaves_at(slot) {
                let expected = expected.filter(|&(its, _)| its == tier);
                assert_eq!(leaf, expected.map_or(0, |(_, leaf)| leaf), "slot {slot}");
            }
            if let Some((_, leaf)) = expected {
                counts.0[SummaryWord(leaf).state_number()] += 1;
            }
        }
        forest
            .each_tier()
            .for_each(|(_, trees)| assert_joined(trees));
        assert_eq!(forest.counts().0, counts.0);
    }
}

/// Each word above the leaves is the join of its children.
fn assert_joined(TierTrees { summaries, .. }: &TierTrees) {
    for level in 1..=summaries.top() {
        for at in 0..FANOUT.pow((summaries.top() + 1 - level) as u32) {
            let word = summaries.words(level, at / FANOUT)[at % FANOUT] & Summary::FIELDS;
            let below = Summary::join(|below| summaries.words(level - 1, at)[below]);
            assert_eq!(word, below, "word {at} of level {level}");
        }
    }
}

/// A relay departs while another thread recomputes its leaf. Its slot has no leaf then.
#[test]
fn a_late_refresh_leaves_no_leaf_in_a_vacant_slot() {
    check(2, || {
        let arrivals = Arrivals::new(1, 4);
        assert!(arrivals.push(0));
        let other = Arc::clone(&arrivals);
        let refreshing = thread::spawn(move || other.refresh(0, true));
        arrivals.depart(0);
        refreshing.join().unwrap();
        assert!(arrivals.content().is_empty());
        arrivals.assert_consistent();
    });
}

/// In the trees of a higher tier, which are made meanwhile, a leaf may be left that says that the
/// relay departed, and no other one.
#[test]
fn a_late_refresh_in_a_new_tier_shows_no_relay_in_a_vacant_slot() {
    check(2, || {
        let arrivals = Arrivals::new(1, 2);
        assert!(arrivals.push(0));
        arrivals.relays.publication.context.expect_tier(1);
        arrivals.relays.set_tier(0, 1);
        let other = Arc::clone(&arrivals);
        let refreshing = thread::spawn(move || other.refresh(0, true));
        arrivals.depart(0);
        refreshing.join().unwrap();
        let roots = arrivals.run.leaves.each_tier().map(TierTrees::root);
        assert!(roots.into_iter().all(|root| root.score_rank == 0));
    });
}

/// Its slot is used by the next arrival while another thread still recomputes the leaf of the
/// relay that departed.
fn the_next_arrival_is_shown(next_is_full: bool) {
    check(2, move || {
        let arrivals = Arrivals::new(2, 4);
        assert!(arrivals.push(0));
        let slot = arrivals.slot_of(0);
        if next_is_full {
            let full = |load: Load| load.with_report(CAPACITY);
            arrivals.relays.change_load(1, full);
        }
        let other = Arc::clone(&arrivals);
        let refreshing = thread::spawn(move || {
            other.refresh(0, true);
            yield_point();
        });
        arrivals.depart(0);
        assert!(arrivals.arrive(1));
        assert_eq!(arrivals.slot_of(1), slot, "it is used again");
        let root = arrivals.run.leaves.all.lowest.root();
        assert!(next_is_full || root.score_rank > 0, "in the root at once");
        refreshing.join().unwrap();
        arrivals.assert_consistent();
    });
}

#[test]
fn an_arrival_in_a_slot_used_before_is_shown_beside_a_late_refresh() {
    the_next_arrival_is_shown(false);
}

#[test]
fn a_full_arrival_in_a_slot_used_before_is_hidden_beside_a_late_refresh() {
    the_next_arrival_is_shown(true);
}

/// A search that found the slot vacant zeroes its leaf while the next arrival comes into it.
#[test]
fn a_search_that_zeroes_a_vacant_slot_hides_no_arrival() {
    check(2, || {
        let arrivals = Arrivals::new(2, 4);
        assert!(arrivals.arrive(0));
        let slot = arrivals.slot_of(0).unwrap();
        arrivals.depart(0);
        let other = Arc::clone(&arrivals);
        let searching = thread::spawn(move || other.run.leaves.clear_vacant(slot));
        assert!(arrivals.arrive(1));
        let root = arrivals.run.leaves.all.lowest.root();
        assert!(root.score_rank > 0, "in the root at once");
        searching.join().unwrap();
        arrivals.assert_consistent();
    });
}

/// A relay departs, and another one arrives in its slot, beside a merge that seals the run. What
/// the merge reads then is final, and has each relay that came into the run and is still there.
fn a_seal_loses_no_arrival_of(thread: usize) {
    check(3, move || {
        let arrivals = Arrivals::new(2, 1);
        assert!(arrivals.push(0));
        let other = Arc::clone(&arrivals);
        let changing = thread::spawn(move || {
            other.depart_as(thread, 0);
            other.push_as(thread, 1)
        });
        arrivals.run.seal();
        let read = arrivals.content();
        let is_in = changing.join().unwrap();
        assert_eq!(read.contains(&1), is_in);
        let content = arrivals.content();
        assert!(content.iter().all(|relay| read.contains(relay)));
    });
}

#[test]
fn a_seal_beside_a_slot_that_is_used_again_loses_no_arrival() {
    a_seal_loses_no_arrival_of(NONE);
}

#[test]
fn a_seal_beside_a_slot_that_a_thread_keeps_loses_no_arrival() {
    a_seal_loses_no_arrival_of(0);
}

/// The same for a slot that is vacant.
#[test]
fn a_seal_beside_an_arrival_in_a_vacant_slot_loses_no_arrival() {
    check(3, || {
        let arrivals = Arrivals::new(2, 1);
        assert!(arrivals.push(0));
        arrivals.depart(0);
        let other = Arc::clone(&arrivals);
        let arriving = thread::spawn(move || other.push(1));
        arrivals.run.seal();
        let read = arrivals.content();
        assert_eq!(read.contains(&1), arriving.join().unwrap());
        assert_eq!(arrivals.content(), read);
    });
}

/// Two threads add arrivals, each of which claims two slots at a time, beside a departure.
#[test]
fn two_arrivals_never_get_one_slot() {
    check(2, || {
        let arrivals = Arrivals::new(4, 16);
        assert!(arrivals.push(0));
        let other = Arc::clone(&arrivals);
        let arriving = thread::spawn(move || {
            assert!(other.push(1) && other.push(2));
        });
        arrivals.depart(0);
        assert!(arrivals.push(3));
        arriving.join().unwrap();
        let slots: BTreeSet<_> = (1..4).filter_map(|it| arrivals.slot_of(it)).collect();
        assert_eq!(slots.len(), 3);
        assert_eq!(arrivals.content().len(), 3);
    });
}

/// Two threads vacate the slot of one relay.
#[test]
fn a_slot_is_vacated_once() {
    check(2, || {
        let arrivals = Arrivals::new(3, 2);
        assert!(arrivals.push(0) && arrivals.push(1));
        let other = Arc::clone(&arrivals);
        let departing = thread::spawn(move || other.depart(0));
        arrivals.depart(0);
        departing.join().unwrap();
        assert!(arrivals.push(2));
        assert!(!arrivals.push(0), "it is full");
        assert_eq!(arrivals.content().len(), 2);
    });
}
