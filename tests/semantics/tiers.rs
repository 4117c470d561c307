//! Tiers and costs: what the operator prefers, by registration and by id.

use crate::assert_is;
use crate::common::*;
use proptest::prelude::*;
use relay_registry::{
    Failure, FindError, FindOptions, LeaseError, OperatorError, PeerView, RegisterOptions, Verdict,
};

fn tier(tier: u8) -> RegisterOptions {
    options().tier(tier)
}

fn found(world: &World) -> u32 {
    found_with(world, &FindOptions::new())
}

fn found_with(world: &World, options: &FindOptions) -> u32 {
    let relay = world.find_relay_with(&non_relay(), options);
    number(relay.expect("a relay").node_id())
}

/// Relays 0 to 2 in tiers 0 to 2; those of higher tiers are nearer.
fn one_in_each() -> World {
    let world = world();
    for n in 0..3 {
        let near = latency(ms(90 - 40 * u64::from(n)));
        world.join_with(n, &near.tier(n as u8).capacity(1));
    }
    world.maintain();
    world
}

#[test]
fn a_higher_tier_is_handed_out_only_if_no_lower_one_is_eligible() {
    let world = one_in_each();
    assert_eq!(found(&world), 0);
    let full = world.lease(&id(0)).unwrap();
    assert_eq!(found(&world), 1);
    world.drain(1);
    assert_eq!(found(&world), 2);
    drop(full);
    assert_eq!(found(&world), 0);
    assert_eq!(found_with(&world, &excluding([0])), 2);
    assert_eq!(found_with(&world, &within(ms(60))), 2);
}

#[test]
fn reservations_go_from_tier_to_tier() {
    let world = one_in_each();
    let mut leases = Vec::new();
    for n in 0..3 {
        let lease = world.reserve(&non_relay(), &FindOptions::new()).unwrap();
        assert_eq!(lease.relay().node_id(), id(n));
        assert_eq!(lease.relay().tier(), n as u8);
        leases.push(lease);
    }
    let none = world.reserve(&non_relay(), &FindOptions::new());
    assert_is!(none, Err(FindError::NoRelaysAvailable { rejections, .. }) if rejections.full == 3);
}

#[test]
fn a_list_is_filled_from_higher_tiers() {
    let world = world();
    for (n, of, rtt) in [(0, 0, 90), (1, 0, 50), (2, 3, 10), (3, 3, 5), (4, 9, 1)] {
        world.join_with(n, &latency(ms(rtt)).tier(of));
    }
    for merged in [false, true] {
        if merged {
            world.maintain();
        }
        let list = |count| {
            let options = FindOptions::new().max_results(count).max_spread_cost(0.0);
            numbers(&world.find_relays(&non_relay(), &options))
        };
        assert_eq!(list(2), [1, 0]);
        assert_eq!(list(3), [1, 0, 3]);
        assert_eq!(list(5), [1, 0, 3, 2, 4]);
        assert_eq!(list(usize::MAX), [1, 0, 3, 2, 4]);
    }
}

/// The best relay of a higher tier once stood before the others of that tier although it was on trial.
#[test]
fn a_relay_on_trial_is_the_last_of_its_tier_unless_the_list_begins_with_it() {
    let world = world();
    for (n, of, rtt) in [(0, 0, 90), (1, 1, 10), (2, 1, 50)] {
        world.join_with(n, &latency(ms(rtt)).tier(of));
    }
    world.fail(1, Failure::Refused);
    world.pass(secs(2));
    let options = FindOptions::new().max_results(3).max_spread_cost(0.0);
    let explained = world.explain(&non_relay(), &options);
    let explained = explained.chosen().map(|it| number(it.relay));
    assert!(explained.eq([0, 2, 1]));
    assert_eq!(
        numbers(&world.find_relays(&non_relay(), &options)),
        [0, 2, 1]
    );
    world.leave(0);
    assert_eq!(numbers(&world.find_relays(&non_relay(), &options)), [1, 2]);
}

#[test]
fn a_preferred_relay_of_a_higher_tier_is_not_kept() {
    let world = one_in_each();
    assert_eq!(found_with(&world, &FindOptions::new().prefer(id(1))), 0);
    world.drain(0);
    assert_eq!(found_with(&world, &FindOptions::new().prefer(id(2))), 1);
    // Of its own tier, it is.
    world.join_with(7, &latency(ms(45)).tier(1));
    assert_eq!(found_with(&world, &FindOptions::new().prefer(id(1))), 1);
    assert_eq!(found(&world), 7);
}

#[test]
fn a_relay_that_backs_off_leaves_the_call_to_the_next_tier() {
    let world = one_in_each();
    world.fail(0, Failure::TimedOut);
    let relay = world.find_relay(&non_relay()).unwrap();
    assert_eq!((relay.node_id(), relay.is_last_resort()), (id(1), false));
}

#[test]
fn tiers_hold_for_pairs() {
    let world = one_in_each();
    let views = FindOptions::new()
        .target_view(published([(2, ms(1)), (0, ms(300))]).coordinate(place(0.0, 0.0)))
        .requester_view(published([(2, ms(1))]));
    assert_eq!(found_with(&world, &views), 0);
    world.drain(0);
    assert_eq!(found_with(&world, &views), 1);
    let empty = FindOptions::new().target_view(PeerView::new());
    assert_eq!(found_with(&world, &empty), 1);
}

#[test]
fn the_operators_tier_replaces_that_of_the_registration_until_it_is_lifted() {
    let world = one_in_each();
    world.set_tier(&id(0), 7).unwrap();
    assert_eq!((found(&world), world.relay(&id(0)).unwrap().tier()), (1, 7));
    world.set_tier(&id(2), 0).unwrap();
    assert_eq!(found(&world), 2);
    world.renew_with(0, &tier(3));
    assert_eq!(world.relay(&id(0)).unwrap().tier(), 7);
    assert!(world.lift(&id(0)));
    assert_eq!(world.relay(&id(0)).unwrap().tier(), 3);
    assert!(world.lift(&id(2)) && !world.lift(&id(2)));
    assert_eq!((found(&world), world.relay(&id(2)).unwrap().tier()), (1, 2));
}

#[test]
fn what_the_operator_said_outlasts_departures_restarts_and_forgetting() {
    let world = world_with(|builder| builder.return_grace(secs(1)));
    world.set_tier(&id(1), 5).unwrap();
    world.set_cost(&id(1), 2.5).unwrap();
    let said = || {
        let relay = world.relay(&id(1)).unwrap();
        (relay.tier(), relay.cost())
    };
    world.join_with(1, &tier(1).cost(0.5));
    assert_eq!(said(), (5, 2.5));
    world.leave(1);
    world.clock.advance(TTL * 3);
    world.maintain();
    world.join(1);
    assert_eq!(said(), (5, 2.5));
    let _void = world.lease(&id(1)).unwrap();
    world.renew_with(1, &options().restarted(true));
    assert_eq!(said(), (5, 2.5));
    world.clock.advance(TTL * 3);
    world.maintain();
    assert!(world.relay(&id(1)).is_none());
    assert!(world.lift(&id(1)));
    world.maintain();
    world.join(1);
    assert_eq!(said(), (0, 1.0));
    assert!(!world.lift(&id(1)) && !world.lift(&id(2)));
}

#[test]
fn a_renewal_changes_tier_and_cost_where_it_says_so() {
    let world = one_in_each();
    world.renew_with(0, &tier(4));
    assert_eq!((found(&world), world.relay(&id(0)).unwrap().tier()), (1, 4));
    world.renew(0);
    assert_eq!(world.relay(&id(0)).unwrap().tier(), 4);
    world.renew_with(0, &tier(0).cost(0.1));
    let relay = world.relay(&id(0)).unwrap();
    assert_eq!((relay.tier(), relay.cost(), found(&world)), (0, 0.1, 0));
}

#[test]
fn a_cost_is_a_factor_on_the_score() {
    let world = world();
    for (n, rtt) in [(0, 50), (1, 100)] {
        world.join_with(n, &latency(ms(rtt)));
    }
    for merged in [false, true] {
        if merged {
            world.maintain();
        }
        world.set_cost(&id(0), 1.5).unwrap();
        assert_eq!(found(&world), 1);
        world.set_cost(&id(1), 1.5).unwrap();
        assert_eq!(found(&world), 0);
        assert!(world.lift(&id(0)) && world.lift(&id(1)));
        assert_eq!(found(&world), 0);
    }
    let explanation = world.explain(&non_relay(), &FindOptions::new());
    assert!((explanation.of(&id(0)).unwrap().score_ms() - 150.0).abs() < 0.01);
    world.set_cost(&id(0), 2.0).unwrap();
    let explanation = world.explain(&non_relay(), &FindOptions::new());
    assert!((explanation.of(&id(0)).unwrap().score_ms() - 300.0).abs() < 0.01);
}

#[test]
fn a_cost_out_of_range_is_an_error_and_changes_nothing() {
    let world = world();
    world.join(1);
    world.set_cost(&id(1), 3.0).unwrap();
    for cost in [0.0, 0.0999, 10.01, -1.0, f64::INFINITY, f64::NAN] {
        let refused = world.set_cost(&id(1), cost);
        assert_is!(refused, Err(OperatorError::InvalidCost { min, max, .. }) if (min, max) == (0.1, 10.0));
    }
    assert_eq!(world.relay(&id(1)).unwrap().cost(), 3.0);
    assert!(world.set_cost(&id(1), 0.1).is_ok() && world.set_cost(&id(1), 10.0).is_ok());
}

#[test]
fn settings_of_unknown_ids_are_bounded_and_those_of_relays_are_not() {
    let world = world_of(3);
    for n in 0..65_536 {
        world.set_tier(&id(n), 1).unwrap();
    }
    let refused = world.set_tier(&id(70_000), 1);
    assert_is!(refused, Err(OperatorError::TooMany { max, .. }) if max == 65_536);
    world.join(70_000);
    assert_eq!(world.set_tier(&id(70_000), 1), Ok(()));
    assert!(world.lift(&id(1)));
    assert_eq!(world.set_cost(&id(70_001), 2.0), Ok(()));
}

#[test]
fn explanations_name_the_tier() {
    let world = one_in_each();
    let explanation = world.explain(&non_relay(), &FindOptions::new().max_results(1));
    let verdict = |n| explanation.of(&id(n)).unwrap().verdict;
    assert_eq!(verdict(0), Verdict::Chosen);
    assert_eq!((verdict(1), verdict(2)), (Verdict::Tier, Verdict::Tier));
    let explanation = world.explain(&non_relay(), &FindOptions::new().max_results(2));
    let verdict = |n| explanation.of(&id(n)).unwrap().verdict;
    assert_eq!(
        (verdict(0), verdict(1), verdict(2)),
        (Verdict::Chosen, Verdict::Chosen, Verdict::Tier)
    );
}

#[test]
fn a_lease_by_id_heeds_no_tier() {
    let world = one_in_each();
    let lease = world.lease(&id(2)).unwrap();
    assert_eq!(lease.relay().tier(), 2);
    assert_is!(
        world.lease(&id(2)),
        Err(LeaseError::Full { capacity: 1, .. })
    );
}

#[derive(Clone, Debug)]
struct Relay {
    tier: u8,
    cost: f64,
    rtt: u64,
    load: u32,
}

fn relay() -> impl Strategy<Value = Relay> {
    let tier = prop_oneof![3 => 0_u8..3, 1 => any::<u8>()];
    let cost = prop_oneof![Just(1.0), 0.1_f64..10.0];
    (tier, cost, 1_u64..300, 0_u32..=10).prop_map(|(tier, cost, rtt, load)| Relay {
        tier,
        cost,
        rtt,
        load,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever changes after the merge, the answer is of the lowest tier that has room, and
    /// about the best of it.
    #[test]
    fn the_answer_is_the_best_of_the_lowest_tier(
        relays in prop::collection::vec(relay(), 1..100),
        moves in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0.1_f64..10.0), 0..20),
        merged_first in any::<bool>(),
    ) {
        let world = world();
        let mut relays = relays;
        for (n, relay) in (0..).zip(&relays) {
            world.join_with(n, &latency(ms(relay.rtt)).capacity(10).tier(relay.tier).cost(relay.cost));
            world.report(n, relay.load);
        }
        if merged_first {
            world.maintain();
        }
        for (at, tier, cost) in moves {
            let n = at.index(relays.len());
            world.set_tier(&id(n as u32), tier).unwrap();
            world.set_cost(&id(n as u32), cost).unwrap();
            (relays[n].tier, relays[n].cost) = (tier, cost);
        }
        let score = |relay: &Relay| {
            let cost = (relay.cost * 1000.0).round() / 1000.0;
            cost * (relay.rtt + 100) as f64 / (1.0 - (f64::from(relay.load) / 10.0).powi(4))
        };
        let has_room = relays.iter().filter(|relay| relay.load < 10);
        let lowest = has_room.clone().map(|relay| relay.tier).min();
        let in_lowest = has_room.filter(|relay| Some(relay.tier) == lowest);
        let best = in_lowest.map(score).fold(f64::INFINITY, f64::min);
        match world.find_relay(&non_relay()) {
            Ok(found) => {
                let found = &relays[number(found.node_id()) as usize];
                prop_assert_eq!(Some(found.tier), lowest);
                prop_assert!(score(found) <= best * (1.0 + 1.0 / 32.0) * 1.0001);
            }
            Err(_) => prop_assert_eq!(lowest, None),
        }
        let list = world.find_relays(&non_relay(), &all());
        let tiers: Vec<u8> = list.iter().map(|relay| relay.tier()).collect();
        prop_assert!(tiers.is_sorted());
        prop_assert_eq!(list.len(), relays.iter().filter(|relay| relay.load < 10).count());
    }
}
