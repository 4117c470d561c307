//! The trees, compared with a scan of the records, after many threads changed these.

use super::context::SelectionSettings;
use super::fixture::Relays;
use super::leaf::{Leaf, SummaryWord};
use super::leaves::Leaves;
use super::publication::Snapshot;
use super::tree::{FANOUT, Join, Tree};
use crate::sync::Arc;
use crate::table::record::{BackOff, Failure, Fault, Source, Subject};
use crate::time::Tick;
use std::sync::Barrier;
use std::thread;

const CAPACITY: u32 = 3;

fn relays(count: usize) -> Relays {
    let relays = Relays::new(count, CAPACITY);
    let context = &relays.publication.context;
    context.expect_suspended();
    context.units_asked.ask(CAPACITY);
    context.units_asked.settle_now();
    relays
}

impl Relays {
    /// A random change of a random relay of these, as the table makes it.
    fn change_any(&self, rng: &mut fastrand::Rng, indices: std::ops::Range<usize>) {
        let subject = self.subject(rng.usize(indices));
        let record = subject.record;
        let at = BackOff {
            now: Tick(0),
            tick_nanos: SelectionSettings::FOR_TESTS.tick_nanos,
            jitter: rng.u8(..),
            back_off_range: SelectionSettings::FOR_TESTS.back_off_range,
        };
        match rng.u8(..7) {
            6 => self.change_tier(subject.handle.index as usize, rng.u8(..3)),
            0 => self.change_rtt(subject.handle.index as usize, rng.u32(1..50_000)),
            1 => {
                record.change_circuit(|circuit| {
                    circuit.with_failure(Fault::reported(Failure::TimedOut), at)
                });
                self.publication.refresh(&subject, true);
            }
            2 => {
                record.change_circuit(|circuit| {
                    let sequence = circuit.sequence();
                    circuit.with_success(Source::Lease { sequence }, at)
                });
                self.publication.refresh(&subject, true);
            }
            _ => self.report_load(&subject, rng.u32(..=CAPACITY)),
        }
    }

    fn report_load(&self, subject: &Subject<'_>, to: u32) {
        let loaded = self.publication.load();
        let index = subject.handle.index as usize;
        let (before, after) = self.change_load(index, |load| load.with_report(to));
        if before.rejection().is_some() && after.rejection().is_none() {
            self.publication.refresh_touched(subject, true);
        } else {
            let change = (before, after);
            self.publication
                .refresh_load(subject, change, Some(&loaded));
        }
    }

    /// Compares the leaves of the current snapshot with a scan of the records.
    fn scan(&self) {
        let snapshot: Arc<Snapshot> = Arc::clone(&self.publication.load());
        for part in snapshot.parts() {
            for (_, trees) in part.all.each_tier() {
                assert_joined(&trees.summaries, part.len(), "summaries");
                if let Some(free) = &trees.free_units {
                    assert_joined(free.tree(), part.len(), "free units");
                }
            }
            if let Some(suspended) = part.suspended() {
                assert_joined(&suspended.due, part.len(), "due");
                assert_joined(&suspended.since, part.len(), "since");
            }
            (0..part.len()).for_each(|slot| self.scan_slot(part, slot));
        }
        assert_eq!(snapshot.iter().count(), self.len());
    }

    fn scan_slot(&self, part: &Leaves, slot: usize) {
        let Some(relay) = part.at(slot) else {
            assert!(part.all.leaves_at(slot).all(|(_, summary)| summary == 0));
            return;
        };
        let subject = self.subject(relay.index as usize);
        let leaf = Leaf::of(
            &subject,
            &self.publication.context,
            part.precision.bins,
            Tick(0),
        );
        for (tier, summary) in part.all.leaves_at(slot) {
            let is_own = subject.tier() == tier;
            let expected = if is_own { leaf.summary } else { 0 };
            assert_eq!(summary, expected, "{relay:?} in tier {tier}");
        }
        for (_, trees) in part.all.each_tier() {
            if let Some(free) = &trees.free_units {
                let state = SummaryWord(trees.summaries.leaf(slot)).state();
                let expected = free.fields(state, subject.record.load());
                assert_eq!(free.tree().leaf(slot), expected, "{relay:?}");
            }
        }
        // If the leaf is due too early, that costs a refresh; if too late, a find would miss
        // the relay.
        let due = part
            .suspended()
            .map_or(0, |suspended| suspended.due.leaf(slot));
        assert!(due >= leaf.due, "{relay:?}");
    }
}

fn assert_joined<J: Join>(tree: &Tree<J>, leaves: usize, name: &str) {
    let mut below = leaves;
    for level in 1..=tree.top() {
        below = below.div_ceil(FANOUT);
        for at in 0..below {
            let joined = J::join(|below| tree.words(level - 1, at)[below]);
            let word = tree.words(level, at / FANOUT)[at % FANOUT] & J::FIELDS;
            assert_eq!(word, joined, "{name}: word {at} of level {level}");
        }
    }
}

/// Relays that are in the base from the start; the others arrive.
const MERGED: usize = 400;
const ALL: usize = 600;
const STEPS: usize = if cfg!(miri) { 20 } else { 20_000 };

/// Four threads change relays, one merges, and one adds arrivals.
#[test]
fn trees_say_what_a_scan_finds_after_changes_beside_merges() {
    let relays = relays(ALL);
    (0..MERGED).for_each(|index| relays.arrive(index));
    relays.merge();
    let start = Barrier::new(6);
    thread::scope(|scope| {
        for seed in 0..4 {
            let (relays, start) = (&relays, &start);
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(seed);
                start.wait();
                (0..STEPS).for_each(|_| relays.change_any(&mut rng, 0..ALL));
            });
        }
        scope.spawn(|| {
            start.wait();
            (MERGED..ALL).for_each(|index| {
                relays.arrive(index);
                thread::yield_now();
            });
        });
        scope.spawn(|| {
            start.wait();
            (0..40).for_each(|_| relays.merge());
        });
    });
    relays.scan();
    relays.merge();
    relays.scan();
    let snapshot = Arc::clone(&relays.publication.load());
    assert!(snapshot.base.leaves.all.lowest.free_units.is_some());
}

/// Four threads change the same two relays.
#[test]
fn trees_say_what_a_scan_finds_after_changes_of_a_few_relays() {
    let relays = relays(20);
    (0..20).for_each(|index| relays.arrive(index));
    relays.merge();
    thread::scope(|scope| {
        for seed in 0..4 {
            let relays = &relays;
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(seed);
                (0..STEPS).for_each(|_| relays.change_any(&mut rng, 7..9));
            });
        }
    });
    relays.scan();
}
