//! Models of learned relays beside local registrations.

use super::{DhtHandle, DhtLink};
use crate::dht::{Announcement, LearnError, RegistryBackend, StatsReader, WakeFlags};
use crate::registry::models::{TTL, builder, endpoint, id, register};
use crate::registry::persistence::SaveSetup;
use crate::registry::{Registration, Registry};
use crate::sync::{Arc, check};
use crate::time::ManualClock;
use loom::thread;

/// A registry with a link to a DHT, and without threads.
fn learning_registry() -> Registry {
    let builder = builder().1;
    let settings = builder.check().expect("valid settings");
    let link = DhtLink::new(
        Arc::new(WakeFlags::new()),
        StatsReader::default(),
        Default::default(),
    );
    let mut saves = SaveSetup::default();
    let inner = builder.inner(settings, link, &mut saves).expect("memory");
    let calendar = Arc::new(ManualClock::new());
    Registry::start(inner, DhtHandle::default(), saves, calendar).expect("no threads")
}

fn learn_relay(registry: &Registry, n: u8) -> Result<(), LearnError> {
    let announcement = Announcement::new(endpoint(), 1).unwrap();
    RegistryBackend::register_learned(
        registry.inner(),
        &id(n),
        &announcement,
        1,
        TTL,
        RegistryBackend::now(registry.inner()),
    )
}

/// A relay is learned beside a local registration of the same id. In the end the relay is local.
#[test]
fn a_local_registration_holds_against_learning() {
    check(1, || {
        let registry = learning_registry();
        let other = registry.clone();
        let learning = thread::spawn(move || learn_relay(&other, 1));
        register(&registry, 1).unwrap();
        assert!(registry.inner().is_local(&id(1)));
        let learned = learning.join().unwrap();
        assert!(matches!(learned, Ok(()) | Err(LearnError::HeldLocally)));
        assert!(registry.inner().is_local(&id(1)));
    });
}

/// A learned relay is removed beside a local registration of the same id. The local relay stays.
#[test]
fn removing_a_learned_relay_never_removes_a_local_one() {
    check(1, || {
        let registry = learning_registry();
        assert_eq!(learn_relay(&registry, 1), Ok(()));
        let other = registry.clone();
        let removing = thread::spawn(move || other.inner().unregister_learned(&id(1)));
        register(&registry, 1).unwrap();
        assert!(registry.inner().is_local(&id(1)));
        removing.join().unwrap();
        assert!(registry.inner().is_local(&id(1)));
    });
}

/// At the bound, a local registration evicts a learned relay, and no learned relay evicts another.
#[test]
fn a_learned_relay_gives_way_to_a_local_one() {
    check(1, || {
        let registry = learning_registry();
        let other = registry.clone();
        let learning = thread::spawn(move || learn_relay(&other, 2));
        assert_eq!(register(&registry, 1), Ok(Registration::New));
        assert!(registry.is_relay(&id(1)));
        // It may have been registered and evicted, or rejected.
        let _ = learning.join().unwrap();
        assert!(registry.is_relay(&id(1)) && !registry.is_relay(&id(2)));
    });
}
