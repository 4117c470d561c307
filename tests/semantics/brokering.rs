//! A broker names two peers: the requester is never handed out, and views are remembered by id.

use crate::common::*;
use crate::positions::located;
use crate::views::{explained, requester_leg, target_leg};
use relay_registry::{
    BuildError, Failure, FindOptions, LegSource, MAX_PEERS, NodeId, PeerView, Registry, Verdict,
};
use std::time::Duration;

const NEAR_A: u32 = 1;
const NEAR_B: u32 = 2;
const BETWEEN: u32 = 3;
const NEAR_HERE: u32 = 4;

fn a() -> NodeId {
    id(1_000_001)
}

/// The target of all calls.
fn b() -> NodeId {
    non_relay()
}

fn asked_by(peer: NodeId) -> FindOptions {
    FindOptions::new().requester(peer).max_results(1)
}

fn view_of_a() -> PeerView {
    published([(NEAR_A, ms(5)), (NEAR_B, ms(120)), (BETWEEN, ms(30))])
}

fn view_of_b() -> PeerView {
    published([(NEAR_A, ms(110)), (NEAR_B, ms(6)), (BETWEEN, ms(35))])
}

/// Relays of which one is next to this node, and of no use to the two peers.
fn broker_with(
    configure: impl FnOnce(relay_registry::RegistryBuilder) -> relay_registry::RegistryBuilder,
) -> World {
    let world = world_with(configure);
    (NEAR_A..=NEAR_HERE).for_each(|n| world.join(n));
    world.measure(NEAR_HERE, ms(1));
    world.maintain();
    world
}

fn broker() -> World {
    broker_with(|builder| builder)
}

#[test]
fn two_ids_are_enough_where_both_views_are_remembered() {
    let world = broker();
    world.update_peer(&a(), view_of_a());
    world.update_peer(&b(), view_of_b());
    for _ in 0..5 {
        assert_eq!(world.found_with(&asked_by(a())), Some(BETWEEN));
        let lease = world.reserve(&b(), &asked_by(a())).expect("a relay");
        assert_eq!(number(lease.relay().node_id()), BETWEEN);
    }
    let published = |rtt| (rtt, LegSource::Published);
    assert_eq!(
        requester_leg(&world, BETWEEN, &asked_by(a())),
        published(ms(30))
    );
    assert_eq!(
        target_leg(&world, BETWEEN, &asked_by(a())),
        published(ms(35))
    );
    let list = asked_by(a()).max_results(3).max_spread_cost(0.0);
    let list = world.find_relays(&b(), &list);
    assert_eq!(numbers(&list), [BETWEEN, NEAR_A, NEAR_B]);
    let waited = world.find_relay_wait(&b(), &asked_by(a()), ms(1));
    assert_eq!(waited.map(|relay| relay.node_id()), Ok(id(BETWEEN)));
    let verdict = world.verdict_with(BETWEEN, &asked_by(a()));
    assert_eq!(verdict, Verdict::Chosen);
}

#[test]
fn the_view_of_a_target_counts_without_a_requester_too() {
    let world = broker();
    assert_eq!(world.found(), Some(NEAR_HERE));
    world.measure(NEAR_B, ms(30));
    world.maintain();
    world.update_peer(&b(), view_of_b());
    // 30 + 6 ms; the leg from the relay that is next to this node is assumed.
    assert_eq!(world.found(), Some(NEAR_B));
    let lease = world.reserve(&b(), &FindOptions::new()).expect("a relay");
    assert_eq!(number(lease.relay().node_id()), NEAR_B);
    assert!(world.forget_peer(&b()));
    assert_eq!(world.found(), Some(NEAR_HERE));
}

#[test]
fn positions_of_remembered_peers_count() {
    let world = located(100);
    let [west, east] = [place(2.0, 0.0), place(180.0, 0.0)];
    world.update_peer(&a(), PeerView::new().coordinate(west));
    world.update_peer(&b(), PeerView::new().coordinate(east));
    let (leg, source) = requester_leg(&world, 0, &asked_by(a()));
    assert_eq!(source, LegSource::Estimated);
    assert!(leg < ms(20), "{leg:?}");
    let (leg, source) = target_leg(&world, 0, &asked_by(a()));
    assert_eq!(source, LegSource::Estimated);
    assert!(leg > ms(150), "{leg:?}");
}

#[test]
fn the_leg_of_an_unknown_requester_is_assumed_and_not_this_nodes() {
    let world = broker();
    world.update_peer(&b(), view_of_b());
    let assumed = (ms(100), LegSource::Assumed);
    assert_eq!(requester_leg(&world, NEAR_HERE, &asked_by(a())), assumed);
    assert_eq!(world.found_with(&asked_by(a())), Some(NEAR_B));
    let known = asked_by(a()).requester_view(PeerView::new());
    assert_eq!(requester_leg(&world, NEAR_HERE, &known), assumed);
}

#[test]
fn a_limit_on_the_latency_is_that_of_the_requester() {
    let world = broker();
    let within = asked_by(a()).max_latency(ms(40));
    let rejections = world.rejections(&within);
    assert_eq!((rejections.unmeasured, rejections.total()), (4, 4));
    let unmeasured = within.clone().allow_unmeasured(true);
    assert!(world.found_with(&unmeasured).is_some());
    world.update_peer(&a(), view_of_a());
    world.update_peer(&b(), view_of_b());
    assert_eq!(world.found_with(&within), Some(BETWEEN));
    let closer = within.clone().max_latency(ms(29));
    assert_eq!(world.found_with(&closer), Some(NEAR_A));
    let nearest = within.max_latency(ms(4));
    let rejections = world.rejections(&nearest);
    assert_eq!((rejections.too_far, rejections.unmeasured), (3, 1));
}

#[test]
fn views_in_the_options_go_before_remembered_ones() {
    let world = broker();
    world.update_peer(&a(), view_of_a());
    world.update_peer(&b(), view_of_b());
    let beside_b = published([(NEAR_B, ms(2))]);
    let options = asked_by(a()).requester_view(beside_b);
    assert_eq!(world.found_with(&options), Some(NEAR_B));
    let leg = requester_leg(&world, NEAR_B, &options);
    assert_eq!(leg, (ms(2), LegSource::Published));
    let beside_a = published([(NEAR_A, ms(2))]);
    let options = asked_by(a()).target_view(beside_a);
    assert_eq!(world.found_with(&options), Some(NEAR_A));
    // An empty one says that nothing is known.
    let options = asked_by(a()).target_view(PeerView::new());
    let leg = target_leg(&world, NEAR_B, &options);
    assert_eq!(leg, (ms(100), LegSource::Assumed));
}

/// Whether the call has views or not, the requester and the target are relays themselves.
#[test]
fn neither_peer_nor_this_node_is_handed_out() {
    for with_views in [false, true] {
        for local in [None, Some(id(NEAR_HERE))] {
            let world = broker_with(|builder| match local {
                Some(id) => builder.local_id(id),
                None => builder,
            });
            let [requester, target] = [id(NEAR_A), id(NEAR_B)];
            if with_views {
                world.update_peer(&requester, view_of_a());
                world.update_peer(&target, view_of_b());
            }
            let options = asked_by(requester);
            let others = 2 - local.iter().count();
            for _ in 0..20 {
                let found = world.find_relay_with(&target, &options).expect("a relay");
                let lease = world.reserve(&target, &options).expect("a relay");
                for relay in [found.node_id(), lease.relay().node_id()] {
                    assert!(relay != requester && relay != target && Some(relay) != local);
                }
            }
            let list = world.find_relays(&target, &options.clone().max_results(9));
            assert_eq!(list.len(), others);
            let explanation = world.explain(&target, &options);
            for excluded in [Some(requester), Some(target), local].into_iter().flatten() {
                let explained = explanation.of(&excluded).expect("it is held");
                assert_eq!(explained.verdict, Verdict::Excluded);
            }
        }
    }
}

#[test]
fn the_requester_is_counted_as_excluded_once() {
    let world = world();
    [1, 2, 3].into_iter().for_each(|n| world.join(n));
    let [requester, target] = [id(1), id(2)];
    let rejections = |options: &FindOptions, target| match world.find_relay_with(&target, options) {
        Err(relay_registry::FindError::NoRelaysAvailable { rejections, .. }) => rejections,
        other => panic!("{other:?}"),
    };
    let options = asked_by(requester).exclude([requester, target, id(3)]);
    let counts = rejections(&options, target);
    assert_eq!((counts.excluded, counts.total()), (3, 3));
    let options = asked_by(target).exclude([id(1), id(3)]);
    let counts = rejections(&options, target);
    assert_eq!((counts.excluded, counts.total()), (3, 3));
    world.drain(3);
    let counts = rejections(&asked_by(requester), target);
    assert_eq!((counts.excluded, counts.draining), (2, 1));
}

#[test]
fn a_requester_is_no_last_resort() {
    let world = world();
    [1, 2].into_iter().for_each(|n| world.join(n));
    world.fail(1, Failure::TimedOut);
    world.pass(TICK);
    world.fail(2, Failure::TimedOut);
    assert_eq!(world.found_with(&asked_by(id(1))), Some(2));
    assert_eq!(world.found_with(&asked_by(id(1)).exclude([id(2)])), None);
}

#[test]
fn with_the_id_of_this_node_the_requester_is_this_node() {
    let world = broker_with(|builder| builder.local_id(a()));
    let measured = (ms(1), LegSource::Measured);
    assert_eq!(requester_leg(&world, NEAR_HERE, &asked_by(a())), measured);
    assert_eq!(world.found_with(&asked_by(a())), Some(NEAR_HERE));
    let options = asked_by(a()).max_latency(ms(2));
    assert_eq!(world.found_with(&options), Some(NEAR_HERE));
}

/// Whether the view of a peer is remembered, told by a find.
fn is_known(world: &World, peer: NodeId) -> bool {
    let (_, source) = requester_leg(world, NEAR_A, &asked_by(peer));
    source == LegSource::Published
}

#[test]
fn a_view_is_forgotten_after_its_ttl_without_maintenance() {
    let ttl = Duration::from_millis(2_350);
    let world = broker_with(|builder| builder.peer_ttl(ttl));
    world.update_peer(&a(), view_of_a());
    world.advance(secs(1));
    world.update_peer(&a(), view_of_a());
    world.advance(ttl - ms(1));
    assert!(is_known(&world, a()), "since the last update");
    world.advance(2 * TICK);
    assert!(!is_known(&world, a()));
    assert!(!world.forget_peer(&a()));
    world.update_peer(&a(), view_of_a());
    assert!(is_known(&world, a()));
    assert!(world.forget_peer(&a()));
    assert!(!is_known(&world, a()) && !world.forget_peer(&a()));
}

#[test]
fn maintenance_forgets_what_has_expired_and_nothing_else() {
    let world = broker_with(|builder| builder.peer_ttl(secs(10)).max_peers(1_000));
    let peer = |n: u32| id(1_000 + n);
    (0..500).for_each(|n| _ = world.update_peer(&peer(n), view_of_a()));
    world.advance(secs(6));
    (500..900).for_each(|n| _ = world.update_peer(&peer(n), view_of_a()));
    world.pass(secs(5));
    let known = (0..1_000).filter(|&n| is_known(&world, peer(n))).count();
    assert_eq!(known, 400);
    world.pass(secs(6));
    assert_eq!((0..1_000).filter(|&n| is_known(&world, peer(n))).count(), 0);
}

#[test]
fn beyond_the_bound_the_oldest_is_forgotten_first() {
    let world = broker_with(|builder| builder.max_peers(3));
    let peer = |n: u32| id(1_000 + n);
    let known = || -> Vec<u32> { (0..9).filter(|&n| is_known(&world, peer(n))).collect() };
    for n in [0, 1, 2, 0, 3] {
        world.update_peer(&peer(n), view_of_a());
    }
    assert_eq!(known(), [0, 2, 3]);
    world.forget_peer(&peer(2));
    world.update_peer(&peer(4), view_of_a());
    assert_eq!(known(), [0, 3, 4]);
    world.update_peer(&peer(5), view_of_a());
    assert_eq!(known(), [3, 4, 5]);
}

#[test]
fn a_flood_of_new_peers_stays_within_the_bound() {
    const MAX: u32 = 50;
    let world = broker_with(|builder| builder.max_peers(MAX as usize));
    let peer = |n: u32| id(10_000 + n);
    for n in 0..20_000 {
        world.update_peer(&peer(n), view_of_a());
    }
    let known: Vec<u32> = (0..20_000).filter(|&n| is_known(&world, peer(n))).collect();
    assert_eq!(known, Vec::from_iter(20_000 - MAX..20_000));
}

#[test]
fn none_are_remembered_where_none_may_be() {
    let world = broker_with(|builder| builder.max_peers(0));
    let view = view_of_a().coordinate(place(1.0, 1.0));
    assert_eq!(world.update_peer(&a(), view), 3, "it teaches all the same");
    assert!(!is_known(&world, a()) && !world.forget_peer(&a()));
}

#[test]
fn an_empty_view_forgets_the_one_before() {
    let world = broker();
    world.update_peer(&a(), view_of_a());
    world.update_peer(&a(), PeerView::new());
    assert!(!is_known(&world, a()) && !world.forget_peer(&a()));
}

#[test]
fn ids_of_every_length_are_told_apart() {
    let world = broker();
    let ids: Vec<NodeId> = (1..=NodeId::MAX_LEN)
        .map(|len| NodeId::from_bytes(&vec![7; len]).expect("a length that may be"))
        .collect();
    for (n, peer) in (1..).zip(&ids) {
        world.update_peer(peer, published([(NEAR_A, ms(n))]));
    }
    for (n, peer) in (1..).zip(&ids) {
        let leg = requester_leg(&world, NEAR_A, &asked_by(*peer));
        assert_eq!(leg, (ms(n), LegSource::Published));
    }
}

#[test]
fn a_relay_of_a_view_may_come_later() {
    let world = broker();
    world.update_peer(&a(), published([(77, ms(1))]));
    assert_ne!(world.found_with(&asked_by(a())), Some(77));
    world.join(77);
    assert_eq!(explained(&world, 77, &asked_by(a())).requester_leg, ms(1));
    assert_eq!(world.found_with(&asked_by(a())), Some(77));
}

#[test]
fn invalid_settings_are_named() {
    let built = Registry::builder().max_peers(MAX_PEERS + 1).build();
    let message = built.map(|_| ()).unwrap_err().to_string();
    assert_eq!(message, "max_peers is 16000001, not 0 to 16000000");
    for (ttl, is_long) in [(Duration::ZERO, false), (Duration::MAX, true)] {
        let Err(BuildError::InvalidPeerTtl {
            ttl: named, max, ..
        }) = Registry::builder().peer_ttl(ttl).build()
        else {
            panic!("{ttl:?} is accepted");
        };
        assert_eq!((named, ttl > max), (ttl, is_long));
    }
    let shorter_than_a_tick = Registry::builder().peer_ttl(ms(1)).build();
    assert!(shorter_than_a_tick.is_ok());
}
