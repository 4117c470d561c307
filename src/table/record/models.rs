//! Models of one record: its load word, its round-trip time, its circuit.

use super::Second;
use super::{
    Access, BackOff, BackOffRange, Circuit, Extra, Failure, Fault, Lifecycle, Load, Record,
    RttUpdate, Source,
};
use crate::relay::{NodeId, Rejection};
use crate::sync::{Arc, Zeroable, check, yield_point};
use crate::time::Tick;
use loom::thread;
use std::convert::Infallible;
use std::ops::Deref;

/// Every sample counts.
const EVER: Second = Second::FIRST;

/// A record and what goes with it.
struct Whole {
    record: Record,
    extra: Extra,
}

impl Deref for Whole {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.record
    }
}

impl Whole {
    fn of(id: &NodeId, capacity: u32) -> Self {
        let (record, extra) = (Record::vacant(), Extra::vacant());
        record.begin(&extra, id, capacity, None);
        Self { record, extra }
    }

    /// What a measurement does to the record.
    fn measure(&self, micros: u32) -> RttUpdate {
        self.record.add_sample(&self.extra, 0, micros, EVER);
        self.refresh()
    }

    fn seed(&self, micros: u32) -> RttUpdate {
        self.record.add_seed(&self.extra, 0, micros, EVER);
        self.refresh()
    }

    fn refresh(&self) -> RttUpdate {
        self.record.refresh_rtt(&self.extra, EVER, &mut || {})
    }

    fn forget(&self) -> RttUpdate {
        self.record.forget_rtt(&self.extra, 0, &mut || {})
    }

    /// What is in force is what the window says; what that is.
    fn refreshed(&self) -> Option<u32> {
        let in_force = self.extra.window.in_force(EVER).map(|it| it.micros);
        assert_eq!(self.record.rtt_micros(), in_force);
        in_force
    }

    fn change_load(&self, next: impl Fn(Load) -> Load) {
        let changed = self
            .record
            .update_load(|load| Ok::<_, Infallible>(next(load)));
        assert!(changed.is_ok());
    }

    fn match_unpinned(&self, id: &NodeId) -> Option<Lifecycle> {
        self.record
            .lifecycle_if_named(|| &self.extra, id, |word| word.is_live_at(Tick(0)))
    }
}

fn idle(capacity: u32) -> Arc<Whole> {
    Arc::new(Whole::of(&[7; 32].into(), capacity))
}

/// A look without a pin at a record that is used again meanwhile sees one generation or the
/// other, or neither; never some of both.
#[test]
fn a_look_without_a_pin_sees_one_generation() {
    check(2, || {
        let [first, last, neither] = [[1, 1], [2, 2], [1, 2]].map(|[head, rest]| {
            let mut id = [rest; 32];
            id[..8].fill(head);
            id.into()
        });
        let record = Whole::of(&first, 1);
        record.set_lifecycle(Lifecycle::live(Tick(5), 0));
        let record = Arc::new(record);
        let other = Arc::clone(&record);
        let churn = thread::spawn(move || {
            other.set_lifecycle(Lifecycle::VACANT);
            other.end_generation();
            other.begin(&other.extra, &last, 1, None);
            other.set_lifecycle(Lifecycle::live(Tick(9), 0));
        });
        assert_eq!(record.match_unpinned(&neither), None);
        let seen = record.match_unpinned(&first).map(Lifecycle::deadline);
        assert!(seen.is_none_or(|deadline| deadline == Tick(5)), "{seen:?}");
        churn.join().unwrap();
        assert!(record.match_unpinned(&first).is_none());
        assert!(record.match_unpinned(&last).is_some());
    });
}

#[test]
fn the_last_unit_of_a_record_is_taken_once() {
    check(3, || {
        let record = idle(1);
        let other = Arc::clone(&record);
        let taking = thread::spawn(move || other.take_lease(1, 1).is_ok());
        let ours = record.take_lease(1, 1).is_ok();
        assert!(ours ^ taking.join().unwrap());
        assert_eq!(record.load().leases(), 1);
    });
}

/// Three units are not enough for two leases of two, whatever is left in between.
#[test]
fn of_two_leases_that_do_not_both_fit_one_is_taken_whole() {
    check(3, || {
        let record = idle(3);
        let other = Arc::clone(&record);
        let taking = thread::spawn(move || other.take_lease(2, 3).is_ok());
        let ours = record.take_lease(2, 3).is_ok();
        assert!(ours ^ taking.join().unwrap());
        assert_eq!(record.load().leases(), 2);
        assert!(record.take_lease(1, 3).is_ok());
    });
}

/// Whichever of two leases is released last, one of the threads sees that none is left.
#[test]
fn of_two_leases_of_several_units_one_is_the_last() {
    check(3, || {
        let record = idle(5);
        assert!(record.take_lease(2, 5).is_ok() && record.take_lease(3, 5).is_ok());
        record.set_flags(Load::CLOSED | Load::UNREACHABLE);
        let other = Arc::clone(&record);
        let is_last =
            |record: &Record, units| record.release_lease_of_removed(units).leases() == units;
        let releasing = thread::spawn(move || is_last(&other, 2));
        let ours = is_last(&record, 3);
        assert!(ours ^ releasing.join().unwrap());
        assert_eq!(record.load().leases(), 0);
    });
}

#[test]
fn a_report_beside_a_lease_counts_neither_twice() {
    check(3, || {
        let record = idle(10);
        let other = Arc::clone(&record);
        let reporting = thread::spawn(move || other.change_load(|load| load.with_report(4)));
        assert!(record.take_lease(1, 10).is_ok());
        reporting.join().unwrap();
        // Four were there at the report, ours among them or after it.
        assert!([4, 5].contains(&record.load().total()));
        assert_eq!(record.load().leases(), 1);
    });
}

#[test]
fn draining_begins_for_all_leases_not_yet_taken() {
    check(3, || {
        let record = idle(10);
        let other = Arc::clone(&record);
        let leasing = thread::spawn(move || other.take_lease(1, 10).is_ok());
        record.change_load(|load| load.with_draining(true));
        let taken_before = record.load().leases();
        assert!(record.take_lease(1, 10).is_err());
        leasing.join().unwrap();
        assert_eq!(record.load().leases(), taken_before);
    });
}

#[test]
fn a_departure_beside_a_lease_lets_no_lease_follow() {
    check(3, || {
        let record = idle(10);
        let other = Arc::clone(&record);
        let leasing = thread::spawn(move || other.take_lease(1, 10).is_ok());
        let leases = record.set_flags(Load::CLOSED).leases();
        let taken = leasing.join().unwrap();
        assert_eq!(record.load().leases(), leases);
        assert_eq!(leases == 1, taken);
    });
}

/// Of two measurements at once, the round trip in force is the lesser.
#[test]
fn the_round_trip_in_force_is_that_of_the_window() {
    check(3, || {
        let record = idle(10);
        let other = Arc::clone(&record);
        let measuring = thread::spawn(move || other.measure(30));
        record.measure(20);
        measuring.join().unwrap();
        assert_eq!(record.rtt_micros(), Some(20));
    });
}

#[test]
fn a_seed_never_hides_a_measurement() {
    check(3, || {
        let record = idle(10);
        let other = Arc::clone(&record);
        let measuring = thread::spawn(move || other.measure(30));
        record.seed(20);
        measuring.join().unwrap();
        assert_eq!(record.refreshed(), Some(30));
    });
}

/// Forgets a round trip beside a thread that does something else: what is in force once
/// that has ended is one of these, and stays in force.
///
/// What the other thread computed before does not come back for a moment, either.
fn forgotten_beside(
    before: Option<u32>,
    other: fn(&Whole) -> RttUpdate,
    after: &'static [Option<u32>],
) {
    check(2, move || {
        let record = idle(10);
        before.map(|micros| record.measure(micros));
        let (one, two) = (Arc::clone(&record), Arc::clone(&record));
        let other = thread::spawn(move || other(&one));
        let forgetting = thread::spawn(move || two.forget());
        forgetting.join().unwrap();
        let then = record.rtt_micros();
        assert!(after.contains(&then), "{then:?}");
        other.join().unwrap();
        let now = record.refreshed();
        assert!(after.contains(&now), "{now:?}");
        assert!(then.is_none() || then == now, "{then:?}, then {now:?}");
    });
}

#[test]
fn a_forgotten_round_trip_does_not_come_back_with_a_greater_one() {
    forgotten_beside(Some(20), |record| record.measure(30), &[None, Some(30)]);
}

#[test]
fn a_forgotten_round_trip_does_not_come_back_with_a_lesser_one() {
    forgotten_beside(Some(20), |record| record.measure(10), &[None, Some(10)]);
}

/// The same figure counts if it was measured since.
#[test]
fn a_round_trip_that_is_measured_beside_forgetting_counts_or_is_forgotten() {
    forgotten_beside(Some(20), |record| record.measure(20), &[None, Some(20)]);
}

#[test]
fn a_round_trip_is_forgotten_by_two_at_once() {
    forgotten_beside(Some(20), |record| record.forget(), &[None]);
}

/// A measurement that is forgotten is not seen after that.
#[test]
fn a_first_measurement_beside_forgetting_counts_or_is_forgotten() {
    forgotten_beside(None, |record| record.measure(30), &[None, Some(30)]);
}

/// Of two measurements by one thread, the later is not forgotten without the earlier.
#[test]
fn what_is_measured_after_a_measurement_that_counts_counts() {
    const LATER: u64 = 100_000_000_000;
    check(2, || {
        let record = idle(10);
        let beside = Arc::clone(&record);
        let measuring = thread::spawn(move || {
            beside.measure(30);
            beside.record.add_sample(&beside.extra, LATER, 10, EVER);
            beside.refresh();
        });
        record.forget();
        measuring.join().unwrap();
        let refreshed = record.refreshed();
        assert!([None, Some(10)].contains(&refreshed), "{refreshed:?}");
    });
}

/// A first sample and a later deadline at once: the wheel, which comes by at the old
/// deadline, sees one of them, or the thread with the sample sees the old deadline gone.
#[test]
fn a_first_sample_is_seen_by_the_wheel_or_sees_the_deadline() {
    check(3, || {
        let record = idle(10);
        let (early, late) = (Lifecycle::live(Tick(5), 0), Lifecycle::live(Tick(9), 0));
        record.set_lifecycle(early);
        let (one, other) = (Arc::clone(&record), Arc::clone(&record));
        let measuring = thread::spawn(move || {
            one.measure(30);
            one.lifecycle() == late
        });
        let renewing = thread::spawn(move || other.transition(early, late));
        let is_late = record.lifecycle() == late;
        let is_seen = record.latest_sample(&record.extra, EVER).is_some();
        let tells_wheel = measuring.join().unwrap();
        renewing.join().unwrap();
        assert!(!is_late || is_seen || tells_wheel);
    });
}

const TICK_NANOS: u64 = 100_000_000;

fn at(tick: u64) -> BackOff {
    BackOff {
        now: Tick(tick),
        tick_nanos: TICK_NANOS,
        jitter: 128,
        back_off_range: BackOffRange::DEFAULT,
    }
}

/// A lease that was taken after the first failure.
const LATEST: Source = Source::Lease { sequence: 1 };

/// Since tick 0, for two seconds.
fn opened() -> Circuit {
    Circuit::CLOSED.with_failure(Fault::reported(Failure::TimedOut), at(0))
}

/// A record whose relay did not answer at tick 0.
fn failing() -> Arc<Whole> {
    let record = idle(1);
    record.change_circuit(|_| opened());
    record
}

fn try_it(record: &Record, back_off: BackOff) -> bool {
    let seen = record.circuit();
    seen.access(back_off.now) == Ok(Access::OnTrial) && record.claim_trial(seen, back_off)
}

#[test]
fn of_two_callers_one_gets_the_trial() {
    check(3, || {
        let record = failing();
        let other = Arc::clone(&record);
        let trying = thread::spawn(move || try_it(&other, at(20)));
        let ours = try_it(&record, at(20));
        assert!(ours ^ trying.join().unwrap());
        assert_eq!(record.circuit(), opened().with_trial(at(20)));
    });
}

#[test]
fn of_two_failures_one_counts() {
    check(3, || {
        let record = idle(1);
        let other = Arc::clone(&record);
        let fail = |record: &Record, failure| {
            record.change_circuit(|circuit| circuit.with_failure(Fault::reported(failure), at(0)));
        };
        let failing = thread::spawn(move || fail(&other, Failure::Refused));
        fail(&record, Failure::TimedOut);
        failing.join().unwrap();
        let either = [Failure::Refused, Failure::TimedOut]
            .map(|failure| Circuit::CLOSED.with_failure(Fault::reported(failure), at(0)));
        assert!(either.contains(&record.circuit()), "{:?}", record.circuit());
    });
}

#[test]
fn a_ban_beside_a_failure_holds() {
    check(3, || {
        let record = idle(1);
        let other = Arc::clone(&record);
        let failing = thread::spawn(move || {
            other.change_circuit(|circuit| {
                circuit.with_failure(Fault::reported(Failure::TimedOut), at(1))
            });
        });
        record.change_circuit(|circuit| circuit.with_ban(Tick(90)));
        failing.join().unwrap();
        assert_eq!(record.circuit().access(Tick(89)), Err(Rejection::Banned));
        assert_ne!(record.circuit().access(Tick(90)), Err(Rejection::Banned));
    });
}

#[test]
fn a_success_beside_a_trial_counts() {
    check(3, || {
        let record = failing();
        let other = Arc::clone(&record);
        let trying = thread::spawn(move || try_it(&other, at(20)));
        record.change_circuit(|circuit| circuit.with_success(LATEST, at(20)));
        trying.join().unwrap();
        let once = opened().with_success(LATEST, at(20));
        let then_tried = once.with_trial(at(20));
        assert!([once, then_tried].contains(&record.circuit()));
    });
}

/// A success of a lease from before the failure never counts, whichever comes first.
#[test]
fn a_success_from_before_a_failure_beside_it_ends_no_back_off() {
    check(3, || {
        let record = idle(1);
        let before = Source::Lease {
            sequence: record.circuit().sequence(),
        };
        let other = Arc::clone(&record);
        let failing = thread::spawn(move || {
            let fault = Fault::reported(Failure::TimedOut);
            other.change_circuit(|circuit| circuit.with_failure(fault, at(0)));
            yield_point();
        });
        yield_point();
        record.change_circuit(|circuit| circuit.with_success(before, at(0)));
        failing.join().unwrap();
        assert_eq!(record.circuit(), opened());
    });
}
