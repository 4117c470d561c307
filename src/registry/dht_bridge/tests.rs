//! Tests of learned relays beside local ones.

use crate::dht::{Announcement, DhtOptions, EnterOutcome, Memory, RegistryBackend};
use crate::registry::{Maintenance, Registry};
use crate::relay::NodeId;
use crate::sync::epoch;
use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

fn id(n: u8) -> NodeId {
    NodeId::from([n; 32])
}

fn endpoint() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 4433))
}

fn registry(max_relays: usize) -> Registry {
    let options = DhtOptions::new()
        .worker_threads(0)
        .probe(|_: &_, _: &_, _| Ok(Duration::from_millis(1)));
    Registry::builder()
        .max_relays(max_relays)
        .maintenance(Maintenance::Manual)
        .dht(Memory::new(), options)
        .build()
        .unwrap()
}

fn learn_relay(registry: &Registry, n: u8) -> EnterOutcome {
    let said = Announcement::new(endpoint().into(), 1).unwrap();
    let ttl = Duration::from_secs(600);
    RegistryBackend::enter(
        registry.inner(),
        &id(n),
        &said,
        1,
        ttl,
        RegistryBackend::now(registry.inner()),
    )
}

/// The record is a learned relay's when a thread reads it, and a local one's when that
/// thread removes it.
#[test]
fn a_local_relay_in_the_place_of_a_learned_one_does_not_give_way() {
    let registry = registry(1);
    let inner = registry.inner();
    assert_eq!(learn_relay(&registry, 1), EnterOutcome::Entered);
    let guard = epoch::pin();
    let record = inner
        .relays
        .find_live(&id(1), inner.relays.present(), &guard)
        .unwrap();
    let lease = registry.lease(&id(1)).unwrap();
    registry.register(id(1), endpoint()).unwrap();
    let again = inner
        .relays
        .find_live(&id(1), inner.relays.present(), &guard)
        .unwrap();
    assert_eq!(record.index(), again.index(), "its leases go with it");
    assert!(!inner.remove_learned(*record));
    assert!(
        inner
            .learned_to_remove(0..inner.relays.table.high_water(), &guard)
            .is_none()
    );
    drop(lease);
}

#[test]
fn local_relays_that_come_at_once_all_find_room_among_learned_ones() {
    for _ in 0..300 {
        let registry = registry(8);
        for n in 1..=8 {
            assert_eq!(learn_relay(&registry, n), EnterOutcome::Entered);
        }
        let together = Barrier::new(4);
        let refused = thread::scope(|scope| {
            let threads: Vec<_> = (0..4_u8)
                .map(|number| {
                    let (registry, together) = (&registry, &together);
                    scope.spawn(move || {
                        together.wait();
                        (0..2).find_map(|n| {
                            registry
                                .register(id(100 + number * 2 + n), endpoint())
                                .err()
                        })
                    })
                })
                .collect();
            threads
                .into_iter()
                .find_map(|thread| thread.join().unwrap())
        });
        assert_eq!(refused, None);
    }
}
