//! Lists of relays under a tag: `sync_source`.

use crate::assert_is;
use crate::common::*;
use relay_registry::{
    Clock, Endpoint, FindOptions, Maintenance, ManualClock, NatType, NodeId, RegisterError,
    RegisterOptions, Registry, SourceRelay, SyncError, SyncReport,
};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Entries for the nodes with these numbers, without options.
fn plain(numbers: impl IntoIterator<Item = u32>) -> Vec<SourceRelay> {
    let entry = |n| (id(n), endpoint(n)).into();
    numbers.into_iter().map(entry).collect()
}

fn entry(n: u32, options: RegisterOptions) -> SourceRelay {
    (id(n), endpoint(n), options).into()
}

#[track_caller]
fn sync(world: &World, tag: &str, list: Vec<SourceRelay>) -> SyncReport {
    world.sync_source(tag, list).expect("a valid list")
}

/// How many were registered, renewed, returned, removed and refused.
fn counts(report: &SyncReport) -> [usize; 5] {
    let SyncReport {
        registered,
        renewed,
        returned,
        removed,
        refused,
        ..
    } = report;
    [*registered, *renewed, *returned, *removed, refused.len()]
}

fn held(world: &World) -> Vec<u32> {
    let mut held = numbers(&world.relays());
    held.sort_unstable();
    held
}

#[test]
fn what_is_listed_is_registered_and_the_rest_of_the_tag_leaves() {
    let world = world();
    world.join(9);
    assert_eq!(
        counts(&sync(&world, "file", plain([1, 2]))),
        [2, 0, 0, 0, 0]
    );
    assert_eq!(held(&world), [1, 2, 9]);
    assert_eq!(
        counts(&sync(&world, "file", plain([2, 3]))),
        [1, 1, 0, 1, 0]
    );
    assert_eq!(held(&world), [2, 3, 9]);
    assert_eq!(counts(&sync(&world, "file", plain([1]))), [0, 0, 1, 2, 0]);
    assert_eq!(held(&world), [1, 9]);
    assert_eq!(counts(&sync(&world, "file", vec![])), [0, 0, 0, 1, 0]);
    assert_eq!(counts(&sync(&world, "file", vec![])), [0; 5]);
    assert_eq!(held(&world), [9]);
    assert_eq!(world.stats().unregistrations, 4);
}

#[test]
fn pairs_triples_and_entries_are_lists() {
    let world = world();
    let address = SocketAddr::from(([9, 9, 9, 9], 4433));
    world.sync_source("a", [(id(1), address)]).unwrap();
    let triple = [(id(2), address, capacity(7))];
    world.sync_source("b", triple).unwrap();
    world
        .sync_source("c", Some(SourceRelay::new(id(3), address)))
        .unwrap();
    assert_eq!(held(&world), [1, 2, 3]);
    assert_eq!(world.info(2).capacity(), 7);
    assert_eq!(world.info(1).endpoint(), &Endpoint::from(address));
}

#[test]
fn an_option_that_is_not_listed_any_more_has_its_default() {
    let world = world();
    let all = capacity(7)
        .nat(NatType::FullCone)
        .ttl(secs(50))
        .tier(3)
        .cost(2.0);
    let all = all.failure_domain("rack-7").labels(["eu"]).payload([1]);
    sync(&world, "file", vec![entry(1, all.also_at([endpoint(77)]))]);
    let first = world.info(1);
    assert_eq!(
        (first.capacity(), first.tier(), first.ttl()),
        (7, 3, secs(50))
    );
    assert_eq!(first.failure_domain(), Some("rack-7"));

    world.measure(1, ms(20));
    let lease = world.lease(&id(1)).unwrap();
    world.advance(secs(1));
    assert_eq!(counts(&sync(&world, "file", plain([1]))), [0, 1, 0, 0, 0]);
    let second = world.info(1);
    assert_eq!(
        (second.capacity(), second.nat(), second.ttl()),
        (100, None, TTL)
    );
    assert_eq!((second.tier(), second.cost()), (0, 1.0));
    assert_eq!((second.failure_domain(), second.payload()), (None, None));
    assert_eq!(
        (second.labels().len(), second.also_at()),
        (0, &[] as &[Endpoint])
    );
    assert_eq!(second.registered_at(), first.registered_at());
    assert_eq!((second.latency(), second.current_load()), (Some(ms(20)), 1));
    drop(lease);
}

/// A plain registration of one that expired keeps what it had announced.
#[test]
fn an_option_of_an_expired_relay_has_its_default_again() {
    let world = world();
    let domain = options().failure_domain("rack-7");
    sync(
        &world,
        "file",
        vec![entry(1, domain.capacity(7).ttl(secs(50)))],
    );
    world.advance(secs(50));
    assert_eq!(counts(&sync(&world, "file", plain([1]))), [0, 0, 1, 0, 0]);
    let now = world.info(1);
    assert_eq!(
        (now.capacity(), now.failure_domain(), now.ttl()),
        (100, None, TTL)
    );
}

#[test]
fn the_list_undoes_what_a_registration_set_and_not_what_the_operator_said() {
    let world = world();
    sync(&world, "file", vec![entry(1, capacity(7))]);
    world.renew_with(1, &capacity(9).tier(4));
    world.drain(1);
    world.set_cost(&id(1), 3.0).unwrap();
    sync(&world, "file", vec![entry(1, capacity(7))]);
    let now = world.info(1);
    assert_eq!((now.capacity(), now.tier(), now.cost()), (7, 0, 3.0));
    assert!(now.is_draining());
}

#[test]
fn a_relay_stays_until_no_tag_lists_it() {
    let world = world();
    sync(&world, "a", vec![entry(1, capacity(5))]);
    sync(&world, "b", vec![entry(1, capacity(6))]);
    assert_eq!(world.info(1).capacity(), 6, "the latest call counts");
    assert_eq!(counts(&sync(&world, "a", vec![])), [0; 5]);
    assert!(world.has(1));
    assert_eq!(counts(&sync(&world, "b", vec![])), [0, 0, 0, 1, 0]);
    assert!(!world.has(1));
}

#[test]
fn a_tag_removes_what_others_registered_only_if_it_had_it() {
    let world = world();
    (1..=3).for_each(|n| world.join(n));
    sync(&world, "file", plain([1]));
    world.renew(1);
    assert_eq!(counts(&sync(&world, "file", plain([2]))), [0, 1, 0, 1, 0]);
    assert_eq!(held(&world), [2, 3]);
}

#[test]
fn of_an_id_that_is_listed_twice_the_last_entry_counts() {
    let world = world();
    let list = [
        entry(1, capacity(5)),
        entry(2, options()),
        entry(1, capacity(0)),
        entry(3, options()),
        entry(3, options()),
        entry(1, capacity(6)),
    ];
    let report = sync(&world, "file", list.to_vec());
    assert_eq!(counts(&report), [3, 0, 0, 0, 0]);
    assert_eq!(report.duplicates, [id(1), id(3)]);
    assert_eq!(world.info(1).capacity(), 6);
    assert_eq!(world.stats().registrations, 3);
}

#[test]
fn a_refused_entry_affects_no_other_and_leaves_its_relay_as_it_was() {
    let world = world();
    sync(
        &world,
        "file",
        vec![entry(1, capacity(7)), entry(2, options())],
    );
    world.advance(secs(400));
    let report = sync(
        &world,
        "file",
        vec![
            entry(1, capacity(0)),
            entry(3, options().nat(NatType::Symmetric)),
            entry(4, options()),
        ],
    );
    assert_eq!(counts(&report), [1, 0, 0, 1, 2]);
    let [(one, capacity_error), (three, nat_error)] = &report.refused[..] else {
        panic!("{report:?}");
    };
    assert_eq!((*one, *three), (id(1), id(3)));
    assert_is!(
        capacity_error,
        RegisterError::InvalidCapacity { capacity: 0, .. }
    );
    assert_is!(nat_error, RegisterError::NotReachable { .. });
    assert_eq!(held(&world), [1, 4]);
    assert_eq!(world.info(1).capacity(), 7);
    assert_eq!(world.stats().refused, 2);
    // It was renewed as it was, so that a wrong entry does not have it expire, either.
    world.advance(secs(400));
    assert_eq!(held(&world), [1, 4]);
    assert_eq!(counts(&sync(&world, "file", vec![])), [0, 0, 0, 2, 0]);
}

#[test]
fn a_tag_does_not_have_what_it_never_accepted() {
    let world = world();
    world.join(1);
    world.advance(secs(400));
    assert_eq!(
        counts(&sync(&world, "file", vec![entry(1, capacity(0))])),
        [0, 0, 0, 0, 1]
    );
    assert_eq!(counts(&sync(&world, "file", vec![])), [0; 5]);
    assert!(world.has(1));
    world.advance(secs(200));
    assert!(
        !world.has(1),
        "a refused entry renewed the relay of another source"
    );
}

#[test]
fn relays_of_the_new_list_have_the_room_of_those_that_it_drops() {
    let world = world_of(3);
    world.join(9);
    sync(&world, "file", plain([1, 2]));
    assert_eq!(
        counts(&sync(&world, "file", plain([3, 4]))),
        [2, 0, 0, 2, 0]
    );
    assert_eq!(held(&world), [3, 4, 9]);
    let report = sync(&world, "file", plain([3, 5, 6]));
    assert_eq!(counts(&report), [1, 1, 0, 1, 1]);
    assert_is!(&report.refused[0], (relay, RegisterError::Full { max: 3, .. }) if *relay == id(6));
    assert_eq!(world.stats().refused, 1, "of two attempts, the last counts");
}

#[test]
fn an_endpoint_passes_to_another_id() {
    let world = world_with(|builder| builder.one_id_per_endpoint(true));
    let (at, further) = (endpoint(50), endpoint(51));
    let with_further = options().also_at([further.clone()]);
    world
        .sync_source("file", [(id(1), at.clone(), with_further)])
        .unwrap();
    let report = world.sync_source("file", [(id(2), at.clone())]).unwrap();
    assert_eq!(counts(&report), [1, 0, 0, 1, 0]);
    assert_eq!(world.at(&at), [id(2)]);
    // What an entry does not list is not claimed, although the relay had it.
    let with_further = options().also_at([further.clone()]).ttl(secs(9));
    world
        .sync_source("file", [(id(2), at.clone(), with_further)])
        .unwrap();
    world.advance(secs(9));
    world.register(id(3), further).unwrap();
    let report = world.sync_source("file", [(id(2), at)]).unwrap();
    assert_eq!(counts(&report), [0, 0, 1, 0, 0]);
}

#[test]
fn labels_pass_to_other_relays() {
    let world = world();
    let labelled = |first: u32| {
        let entry = move |n: u32| {
            entry(
                first + n,
                options().labels((0..8).map(|l| format!("{first}-{n}-{l}"))),
            )
        };
        (0..8).map(entry).collect::<Vec<_>>()
    };
    assert_eq!(
        counts(&sync(&world, "file", labelled(100))),
        [8, 0, 0, 0, 0]
    );
    assert_eq!(
        counts(&sync(&world, "file", labelled(200))),
        [8, 0, 0, 8, 0]
    );
}

#[test]
fn relays_that_expired_or_left_come_back_with_the_next_call() {
    let world = world();
    sync(
        &world,
        "file",
        vec![
            entry(1, ttl(secs(60))),
            entry(2, options()),
            entry(3, ttl(secs(60))),
        ],
    );
    world.measure(1, ms(12));
    world.leave(2);
    world.advance(secs(60));
    assert_eq!(held(&world), [] as [u32; 0]);
    // The third expired and is not listed any more: there is nothing to remove.
    let list = vec![entry(1, ttl(secs(60))), entry(2, options())];
    assert_eq!(counts(&sync(&world, "file", list)), [0, 0, 2, 0, 0]);
    assert_eq!(world.info(1).latency(), Some(ms(12)));
    assert_eq!(held(&world), [1, 2]);
}

#[test]
fn a_list_that_is_synchronised_within_the_ttl_is_kept() {
    let world = world();
    for _ in 0..5 {
        sync(&world, "file", plain([1]));
        world.advance(TTL - secs(1));
        assert!(world.has(1));
    }
    assert_eq!(world.stats().renewals, 4);
    assert!(world.has(1));
    world.pass(secs(1));
    assert!(!world.has(1));
}

#[test]
fn a_list_that_is_refused_as_a_whole_changes_nothing() {
    let world = world_of(3);
    sync(&world, "file", plain([1]));
    let invalid = |tag: &str| world.sync_source(tag, plain([2])).unwrap_err();
    assert_is!(
        invalid(""),
        SyncError::InvalidTag {
            len: 0,
            max: 64,
            ..
        }
    );
    assert_is!(
        invalid(&"x".repeat(65)),
        SyncError::InvalidTag { len: 65, .. }
    );
    assert_is!(invalid("a\nb"), SyncError::InvalidTag { len: 3, .. });
    let many = world
        .sync_source("file", plain([2, 2, 2, 2, 2]))
        .unwrap_err();
    assert_is!(
        many,
        SyncError::TooManyRelays {
            count: 5,
            max: 3,
            ..
        }
    );
    let endless = std::iter::repeat((id(2), endpoint(2)));
    let endless = world.sync_source("file", endless).unwrap_err();
    assert_is!(endless, SyncError::TooManyRelays { max: 3, .. });
    assert_eq!(held(&world), [1]);
    assert_eq!(world.stats().registrations, 1);
    assert_eq!(counts(&sync(&world, "file", vec![])), [0, 0, 0, 1, 0]);
}

#[test]
fn at_most_64_tags_have_relays() {
    let world = world();
    for n in 0..64 {
        sync(&world, &format!("{:->64}", n), plain([n]));
    }
    let refused = world.sync_source("one more", plain([99])).unwrap_err();
    assert_is!(
        refused,
        SyncError::TooManyTags {
            count: 65,
            max: 64,
            ..
        }
    );
    assert!(!world.has(99));
    // One without relays needs no room, one that has some keeps them, and one that gives them up
    // makes room.
    assert_eq!(counts(&sync(&world, "one more", vec![])), [0; 5]);
    assert_eq!(
        counts(&sync(&world, &format!("{:->64}", 5), vec![])),
        [0, 0, 0, 1, 0]
    );
    assert_eq!(
        counts(&sync(&world, "one more", plain([99]))),
        [1, 0, 0, 0, 0]
    );
    assert_eq!(
        counts(&sync(&world, &format!("{:->64}", 6), plain([6]))),
        [0, 1, 0, 0, 0]
    );
}

#[test]
fn relays_of_a_list_are_found_at_once() {
    let world = world_of(5_000);
    let report = sync(&world, "file", plain(0..5_000));
    assert_eq!(report.registered, 5_000);
    let last = excluding(0..4_999);
    assert_eq!(world.found_with(&last), Some(4_999));
    sync(&world, "file", plain([7]));
    assert_eq!(world.found_with(&FindOptions::new()), Some(7));
}

/// A clock that synchronises another source when it is read, but not within itself.
struct Reentrant {
    time: ManualClock,
    registry: OnceLock<Registry>,
    is_inside: AtomicBool,
}

#[derive(Clone)]
struct Shared(Arc<Reentrant>);

impl Clock for Shared {
    fn now(&self) -> std::time::Duration {
        let Reentrant {
            time,
            registry,
            is_inside,
        } = &*self.0;
        if let Some(registry) = registry.get() {
            if !is_inside.swap(true, Ordering::Relaxed) {
                registry.sync_source("clock", plain([50, 51])).unwrap();
                is_inside.store(false, Ordering::Relaxed);
            }
        }
        time.now()
    }
}

/// Neither the list nor the clock is read under the lock: both would wait for it here.
#[test]
fn lists_and_clocks_may_synchronise_another_source() {
    let clock = Shared(Arc::new(Reentrant {
        time: ManualClock::new(),
        registry: OnceLock::new(),
        is_inside: AtomicBool::new(false),
    }));
    let registry = Registry::builder()
        .maintenance(Maintenance::Manual)
        .clock(clock.clone())
        .build()
        .unwrap();
    clock.0.registry.set(registry.clone()).unwrap();
    let inner = |n: u32| -> SourceRelay {
        registry.sync_source("inner", plain([n + 10])).unwrap();
        entry(n, options().labels(["eu"]))
    };
    registry.sync_source("outer", (1..=3).map(inner)).unwrap();
    registry.sync_source("outer", (2..=2).map(inner)).unwrap();
    let mut held: Vec<NodeId> = registry.relays().iter().map(|it| it.node_id()).collect();
    held.sort_unstable();
    assert_eq!(held, [2, 12, 50, 51].map(id));
}

#[test]
fn a_list_that_panics_changes_nothing() {
    let world = world();
    sync(&world, "file", plain([1]));
    let list = (2..4).map(|n| match n {
        2 => SourceRelay::new(id(2), endpoint(2)),
        _ => panic!("the source broke off"),
    });
    let list = std::panic::AssertUnwindSafe(list);
    let outcome = std::panic::catch_unwind(|| world.sync_source("file", list.0));
    assert!(outcome.is_err());
    assert_eq!(held(&world), [1]);
    assert_eq!(counts(&sync(&world, "file", plain([2]))), [1, 0, 0, 1, 0]);
}
