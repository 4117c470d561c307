//! Models of failures beside the end of an outage.

use super::*;
use crate::relay::CircuitState;
use crate::table::record::Failure;

/// A registry for two relays that live long, and in which the failure of one is an outage.
fn registry_of_two() -> Registry {
    let (_, builder) = builder();
    let builder = builder.max_relays(2).ttl(TTL * 100).max_ejected_share(0.3);
    builder.build().expect("valid settings")
}

/// A relay that fails as the outage ends is on trial, unless it begins another one.
#[test]
fn a_failure_beside_the_end_of_an_outage_is_on_trial() {
    check(1, || {
        let registry = registry_of_two();
        for n in 1..=2 {
            register(&registry, n).unwrap();
        }
        assert!(registry.report_failure(&id(1), Failure::TimedOut));
        let lease = registry.lease(&id(1)).expect("a unit");
        let other = registry.clone();
        at_once(
            move || assert!(lease.succeeded()),
            move || assert!(other.report_failure(&id(2), Failure::TimedOut)),
        );
        let circuit = registry.relay(&id(2)).unwrap().circuit();
        let outage = &registry.inner().relays.publication().context.outage;
        assert!(!outage.is_over() || circuit == CircuitState::HalfOpen);
    });
}

/// A relay that returns as the outage ends in which it failed is on trial.
#[test]
fn a_relay_that_comes_back_beside_the_end_of_an_outage_is_on_trial() {
    check(1, || {
        let registry = registry_of_two();
        for n in 1..=2 {
            register(&registry, n).unwrap();
            assert!(registry.report_failure(&id(n), Failure::TimedOut));
        }
        assert!(registry.unregister(&id(2)));
        let lease = registry.lease(&id(1)).expect("a unit");
        let other = registry.clone();
        at_once(
            move || assert!(lease.succeeded()),
            move || assert_eq!(register(&other, 2), Ok(Registration::Returned)),
        );
        assert!(
            registry
                .inner()
                .relays
                .publication()
                .context
                .outage
                .is_over()
        );
        let circuit = registry.relay(&id(2)).unwrap().circuit();
        assert_eq!(circuit, CircuitState::HalfOpen);
    });
}

/// No find waits for another one that is preempted as it takes a relay out of sight whose
/// back-off ends as it expires.
#[test]
fn no_find_waits_for_one_that_takes_a_relay_out_of_sight() {
    check(1, || {
        let (clock, builder) = builder();
        let registry = builder
            .max_ejected_share(1.0)
            .build()
            .expect("valid settings");
        register(&registry, 1).unwrap();
        assert!(registry.report_failure(&id(1), Failure::TimedOut));
        clock.advance(TTL);
        let other = registry.clone();
        at_once(
            move || assert!(!is_found(&registry)),
            move || assert!(!is_found(&other)),
        );
    });
}
