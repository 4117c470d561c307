//! What a find asks of what relays announce: labels, families, failure domains.

use crate::assert_is;
use crate::common::*;
use proptest::prelude::*;
use relay_registry::{
    Endpoint, FindError, FindOptions, IpFamily, Registration, Rejections, Verdict,
};

fn found(world: &World, options: &FindOptions) -> Option<u32> {
    let relay = world.find_relay_with(&non_relay(), options).ok()?;
    Some(number(relay.node_id()))
}

fn rejected(world: &World, options: &FindOptions) -> Rejections {
    match world.find_relay_with(&non_relay(), options) {
        Err(FindError::NoRelaysAvailable { rejections, .. }) => rejections,
        other => panic!("{other:?}"),
    }
}

/// In three states: before a merge, with the trees of all relays, and with those of a filter.
fn in_each_state(world: &World, options: &FindOptions, check: impl Fn(&World)) {
    check(world);
    world.maintain();
    check(world);
    let _ = world.find_relay_with(&non_relay(), options);
    world.maintain();
    world.maintain();
    check(world);
}

/// Relays 0 to 3, the nearest first.
fn labelled() -> World {
    let world = world();
    let labels: [&[&str]; 4] = [&["metered", "eu"], &["eu"], &["udp", "eu"], &[]];
    for (n, labels) in (0..).zip(labels) {
        let near = latency(ms(10 + 20 * u64::from(n)));
        world.join_with(n, &near.labels(labels));
    }
    world
}

#[test]
fn a_relay_has_all_required_labels_and_none_to_avoid() {
    let options = FindOptions::new();
    for (asked, expected) in [
        (options.clone().require(["eu"]), Some(0)),
        (options.clone().require(["eu", "udp"]), Some(2)),
        (options.clone().require(["eu"]).require(["udp"]), Some(2)),
        (options.clone().avoid(["metered"]), Some(1)),
        (options.clone().avoid(["metered", "eu"]), Some(3)),
        (options.clone().require(["eu"]).avoid(["metered"]), Some(1)),
        (options.clone().require(["udp"]).avoid(["eu"]), None),
        (options.clone().require(["nowhere"]), None),
        (options.clone().require([""; 0]), Some(0)),
    ] {
        let world = labelled();
        in_each_state(&world, &asked, |world| {
            assert_eq!(found(world, &asked), expected, "{asked:?}");
        });
    }
}

#[test]
fn lists_reservations_and_pairs_heed_labels() {
    let asked = FindOptions::new().require(["eu"]).max_results(9);
    let world = labelled();
    in_each_state(&world, &asked, |world| {
        let list = numbers(&world.find_relays(&non_relay(), &asked));
        assert_eq!(list.len(), 3);
        assert!(!list.contains(&3));
        let lease = world.reserve(&non_relay(), &asked).unwrap();
        assert_eq!(number(lease.relay().node_id()), 0);
        let pair = asked
            .clone()
            .target_view(published([(3, ms(1)), (2, ms(1))]));
        assert_eq!(found(world, &pair), Some(2));
    });
}

#[test]
fn a_renewal_changes_which_finds_a_relay_is_for() {
    let udp = FindOptions::new().require(["udp"]);
    let world = labelled();
    in_each_state(&world, &udp, |world| {
        assert_eq!(found(world, &udp), Some(2));
        world.renew_with(0, &options().labels(["udp"]));
        assert_eq!(found(world, &udp), Some(0));
        world.renew(0);
        assert_eq!(found(world, &udp), Some(0));
        world.renew_with(0, &options().labels(["eu", "metered"]));
        assert_eq!(found(world, &udp), Some(2));
    });
}

#[test]
fn relays_that_arrive_leave_or_fill_up_while_a_filter_is_known() {
    let udp = FindOptions::new().require(["udp"]);
    let world = labelled();
    in_each_state(&world, &udp, |world| {
        world.join_with(7, &latency(ms(1)).labels(["udp"]).capacity(1));
        assert_eq!(found(world, &udp), Some(7));
        let lease = world.lease(&id(7)).unwrap();
        assert_eq!(found(world, &udp), Some(2));
        drop(lease);
        assert_eq!(found(world, &udp), Some(7));
        world.set_tier(&id(7), 1).unwrap();
        assert_eq!(found(world, &udp), Some(2));
        world.drain(2);
        assert_eq!(found(world, &udp), Some(7));
        assert!(world.lift(&id(2)) && world.lift(&id(7)));
        world.leave(7);
        assert_eq!(found(world, &udp), Some(2));
    });
}

#[test]
fn a_family_is_that_of_any_endpoint_or_of_a_name() {
    let world = world();
    let at = |text: &str| -> Endpoint { text.parse().unwrap() };
    let all = [
        ("9.0.0.1:1", None),
        ("[2620:fe::1]:1", None),
        ("relay.example:1", None),
        ("9.0.0.2:1", Some("[2620:fe::2]:1")),
    ];
    for (n, (main, further)) in (0..).zip(all) {
        let options = latency(ms(10 + u64::from(n))).also_at(further.map(at));
        let registered = world.register_with(id(n), at(main), &options);
        assert_eq!(registered, Ok(Registration::New));
    }
    for (family, expected) in [(IpFamily::V4, [0, 2, 3]), (IpFamily::V6, [1, 2, 3])] {
        let asked = FindOptions::new().family(family).max_results(9);
        in_each_state(&world, &asked, |world| {
            let mut list = numbers(&world.find_relays(&non_relay(), &asked));
            list.sort_unstable();
            assert_eq!(list, expected, "{family}");
        });
    }
}

#[test]
fn excluded_domains_are_those_that_relays_named() {
    let world = world();
    for (n, domain) in [(0, "rack-7"), (1, "rack-7"), (2, "rack-8")] {
        let near = latency(ms(10 + 20 * u64::from(n)));
        world.join_with(n, &near.failure_domain(domain));
    }
    world.join_with(3, &latency(ms(90)));
    let without = |domains: &[&str]| FindOptions::new().exclude_domains(domains);
    assert_eq!(found(&world, &without(&["rack-7"])), Some(2));
    assert_eq!(found(&world, &without(&["rack-7", "rack-8"])), Some(3));
    // The network of relay 0 is no name.
    assert_eq!(found(&world, &without(&["9.0.0.0", "rack"])), Some(0));
    world.drain(3);
    let rejections = rejected(&world, &without(&["rack-7", "rack-8"]));
    assert_eq!((rejections.excluded, rejections.draining), (3, 1));
}

#[test]
fn rejections_tell_labels_from_families_and_latency() {
    let asked = FindOptions::new().require(["eu"]).max_latency(ms(1));
    let world = labelled();
    world.drain(1);
    in_each_state(&world, &asked, |world| {
        let rejections = rejected(world, &asked);
        assert_eq!(rejections.total(), 4);
        assert_eq!(rejections.draining, 1);
    });
    // With the trees of the filter, each relay is under its own reason.
    let rejections = rejected(&world, &asked);
    assert_eq!((rejections.labels, rejections.too_far), (1, 2));
    let rejections = rejected(&world, &FindOptions::new().family(IpFamily::V6));
    assert_eq!((rejections.family, rejections.draining), (3, 1));
    let explanation = world.explain(&non_relay(), &asked);
    let verdict = |n| explanation.of(&id(n)).unwrap().verdict;
    assert_eq!((verdict(3), verdict(2)), (Verdict::Labels, Verdict::TooFar));
    let explanation = world.explain(&non_relay(), &FindOptions::new().family(IpFamily::V6));
    assert_eq!(explanation.of(&id(0)).unwrap().verdict, Verdict::Family);
}

#[test]
fn more_filters_than_have_trees_are_answered_as_well() {
    let world = labelled();
    world.maintain();
    for round in 0..3 {
        for n in 0..40 {
            let asked = FindOptions::new().require(["udp"]).avoid([format!("x{n}")]);
            assert_eq!(found(&world, &asked), Some(2), "{round}");
        }
        world.maintain();
    }
}

#[test]
fn a_last_resort_has_the_labels_that_are_asked_for() {
    let world = labelled();
    for n in 0..4 {
        world.fail(n, relay_registry::Failure::TimedOut);
    }
    let asked = FindOptions::new().require(["udp"]);
    let relay = world.find_relay_with(&non_relay(), &asked).unwrap();
    assert!(relay.is_last_resort() && relay.node_id() == id(2));
    assert_is!(
        world.find_relay_with(&non_relay(), &FindOptions::new().require(["tcp"])),
        Err(_)
    );
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn names() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(&NAMES[..], 0..=4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever was asked for before, and whatever changed since, the answer is about the
    /// best relay that passes, and there is one if any relay passes.
    #[test]
    fn the_answer_is_the_best_that_passes(
        relays in prop::collection::vec((names(), 1_u64..300), 1..80),
        asked in prop::collection::vec((names(), names()), 1..6),
        changes in prop::collection::vec((any::<prop::sample::Index>(), names()), 0..20),
    ) {
        let world = world();
        let mut relays = relays;
        for (n, (labels, rtt)) in (0..).zip(&relays) {
            world.join_with(n, &latency(ms(*rtt)).labels(labels));
        }
        let asked: Vec<_> = asked
            .iter()
            .map(|(require, avoid)| {
                let options = FindOptions::new().require(require).avoid(avoid);
                (require, avoid, options)
            })
            .collect();
        for round in 0..3 {
            for (require, avoid, options) in &asked {
                let passes = |labels: &Vec<&str>| {
                    require.iter().all(|label| labels.contains(label))
                        && !avoid.iter().any(|label| labels.contains(label))
                };
                let rtts = relays.iter().filter(|(labels, _)| passes(labels));
                let best = rtts.map(|(_, rtt)| rtt + 100).min();
                let found = found(&world, options).map(|n| &relays[n as usize]);
                prop_assert_eq!(found.is_some(), best.is_some());
                if let Some((labels, rtt)) = found {
                    prop_assert!(passes(labels));
                    let score = (rtt + 100) as f64;
                    prop_assert!(score <= best.unwrap() as f64 * (1.0 + 1.0 / 32.0) * 1.0001);
                }
            }
            if round == 1 {
                for (at, labels) in &changes {
                    let n = at.index(relays.len());
                    world.renew_with(n as u32, &options().labels(labels));
                    relays[n].0 = labels.clone();
                }
            } else {
                world.maintain();
            }
        }
    }
}
