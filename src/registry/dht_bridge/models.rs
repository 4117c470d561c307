//! Models of relays that are learned, beside what is registered locally.

use super::{DhtHandle, DhtLink};
use crate::dht::{Announcement, EnterOutcome, RegistryBackend, WakeFlags};
use crate::registry::models::{TTL, builder, endpoint, id, register};
use crate::registry::{Registration, Registry};
use crate::sync::{Arc, check};
use loom::thread;

/// A registry that can learn, without threads.
fn learning_registry() -> Registry {
    let builder = builder().1;
    let settings = builder.check().expect("valid settings");
    let link = DhtLink::new(Arc::new(WakeFlags::new()), None);
    let core = builder.core(settings, link).expect("memory");
    Registry::start(core, DhtHandle::default()).expect("no threads")
}

fn learn_relay(registry: &Registry, n: u8) -> EnterOutcome {
    let said = Announcement::new(endpoint(), 1).unwrap();
    RegistryBackend::enter(
        registry.core(),
        &id(n),
        &said,
        1,
        TTL,
        RegistryBackend::now(registry.core()),
    )
}

/// A relay that strangers tell of, beside a local registration of the same id:
/// what is held in the end is the local one.
#[test]
fn a_local_registration_holds_against_learning() {
    check(1, || {
        let registry = learning_registry();
        let other = registry.clone();
        let learning = thread::spawn(move || learn_relay(&other, 1));
        register(&registry, 1).unwrap();
        assert!(registry.core().is_local(&id(1)));
        let entered = learning.join().unwrap();
        assert!(matches!(
            entered,
            EnterOutcome::Entered | EnterOutcome::HeldLocally
        ));
        assert!(registry.core().is_local(&id(1)));
    });
}

/// A learned relay that is taken out, beside a local registration of the same
/// id: the local one stays.
#[test]
fn taking_out_a_learned_relay_never_hits_a_local_one() {
    check(1, || {
        let registry = learning_registry();
        assert_eq!(learn_relay(&registry, 1), EnterOutcome::Entered);
        let other = registry.clone();
        let leaving = thread::spawn(move || other.core().leave(&id(1)));
        register(&registry, 1).unwrap();
        assert!(registry.core().is_local(&id(1)));
        leaving.join().unwrap();
        assert!(registry.core().is_local(&id(1)));
    });
}

/// A learned relay in the last place gives way to a local one, and to no other
/// learned one.
#[test]
fn a_learned_relay_gives_way_to_a_local_one() {
    check(1, || {
        let registry = learning_registry();
        let other = registry.clone();
        let learning = thread::spawn(move || learn_relay(&other, 2));
        assert_eq!(register(&registry, 1), Ok(Registration::New));
        assert!(registry.is_relay(&id(1)));
        learning.join().unwrap();
        assert!(registry.is_relay(&id(1)) && !registry.is_relay(&id(2)));
    });
}
