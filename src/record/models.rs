//! Models of one record: its load word and its round-trip time.

use super::{Load, Record};
use crate::sync::{Arc, Zeroable, check};
use loom::thread;

fn idle(capacity: u32) -> Arc<Record> {
    let record = Record::vacant();
    // SAFETY: not shared yet.
    unsafe { record.begin(&[7; 32].into(), capacity, None) };
    Arc::new(record)
}

#[test]
fn the_last_unit_of_a_record_is_taken_once() {
    check(3, || {
        let record = idle(1);
        let other = Arc::clone(&record);
        let taking = thread::spawn(move || other.take_lease().is_ok());
        let ours = record.take_lease().is_ok();
        assert!(ours ^ taking.join().unwrap());
        assert_eq!(record.load().leases(), 1);
    });
}

#[test]
fn a_report_beside_a_lease_counts_neither_twice() {
    check(3, || {
        let record = idle(10);
        let other = Arc::clone(&record);
        let reporting = thread::spawn(move || other.report_load(4));
        assert!(record.take_lease().is_ok());
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
        let leasing = thread::spawn(move || other.take_lease().is_ok());
        record.set_draining(true);
        let taken_before = record.load().leases();
        assert!(record.take_lease().is_err());
        leasing.join().unwrap();
        assert_eq!(record.load().leases(), taken_before);
    });
}

#[test]
fn a_departure_beside_a_lease_lets_no_lease_follow() {
    check(3, || {
        let record = idle(10);
        let other = Arc::clone(&record);
        let leasing = thread::spawn(move || other.take_lease().is_ok());
        let leases = record.raise(Load::CLOSED).leases();
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
        let measuring = thread::spawn(move || other.record_rtt(0, 30));
        record.record_rtt(0, 20);
        measuring.join().unwrap();
        assert_eq!(record.rtt_micros(), Some(20));
    });
}

#[test]
fn a_seed_never_hides_a_measurement() {
    check(3, || {
        let record = idle(10);
        let other = Arc::clone(&record);
        let measuring = thread::spawn(move || other.record_rtt(0, 30));
        record.seed_rtt(0, 20);
        measuring.join().unwrap();
        assert_eq!(record.rtt_micros(), Some(30));
    });
}
