//! Models of resets beside a restart, in which a relay takes what is known of it to another
//! record.

use super::*;
use crate::relay::CircuitState;
use crate::table::record::Failure;

/// A registry with a relay that failed, was measured, and is leased.
fn failed_and_leased() -> (Registry, crate::Lease) {
    let (_, builder) = builder();
    let builder = builder.ttl(TTL * 100).max_ejected_share(1.0);
    let registry = builder.build().expect("valid settings");
    register(&registry, 1).unwrap();
    let lease = registry.lease(&id(1)).unwrap();
    assert!(registry.record_rtt(&id(1), Duration::from_millis(5)));
    assert!(registry.report_failure(&id(1), Failure::TimedOut));
    (registry, lease)
}

/// The relay, after `reset` beside a restart.
fn restarted_beside(reset: impl FnOnce(Registry) + Send + 'static) -> crate::relay::RelayInfo {
    let (registry, _lease) = failed_and_leased();
    let other = registry.clone();
    let resetting = thread::spawn(move || reset(other));
    restart(&registry);
    resetting.join().unwrap();
    registry.relay(&id(1)).unwrap()
}

/// A circuit that is reset beside a restart is closed.
#[test]
fn a_reset_beside_a_restart_holds() {
    check(1, || {
        let relay = restarted_beside(|registry| assert!(registry.reset_circuit(&id(1))));
        assert_eq!(relay.circuit(), CircuitState::Closed);
    });
}

/// The same where all circuits are reset.
#[test]
fn a_reset_of_all_beside_a_restart_holds() {
    check(1, || {
        let relay = restarted_beside(|registry| registry.reset_circuits());
        assert_eq!(relay.circuit(), CircuitState::Closed);
    });
}

/// A round trip that is forgotten beside a restart stays forgotten.
#[test]
fn a_round_trip_forgotten_beside_a_restart_is_forgotten() {
    check(1, || {
        let relay = restarted_beside(|registry| assert!(registry.forget_rtt(&id(1))));
        assert_eq!(relay.latency(), None);
    });
}

/// The same where all are forgotten.
#[test]
fn round_trips_forgotten_beside_a_restart_are_forgotten() {
    check(1, || {
        let relay = restarted_beside(|registry| registry.forget_rtts());
        assert_eq!(relay.latency(), None);
    });
}
