//! Lists of relays that do not fail together, if that costs little.

use crate::assert_is;
use crate::common::*;
use relay_registry::{
    Endpoint, Failure, FindOptions, RegisterError, RegisterOptions, Registration,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// The assumed leg to the target: nearly nothing, so that paths are round trips.
const NEXT_TO_NOTHING: Duration = Duration::from_micros(1);

/// Relays numbered from 0, each at an address, a round trip in microseconds, and in a failure domain.
fn relays(relays: &[(&str, u64, Option<&str>)]) -> World {
    let world = world_with(|builder| builder.assumed_rtt(NEXT_TO_NOTHING));
    for (n, (address, micros, domain)) in (0..).zip(relays) {
        let mut options = latency(Duration::from_micros(micros - 1));
        if let Some(domain) = *domain {
            options = options.failure_domain(domain);
        }
        enter(&world, n, address, &options);
    }
    world.maintain();
    world
}

fn enter(world: &World, n: u32, address: &str, options: &RegisterOptions) {
    let address: Endpoint = address.parse().expect("an address");
    let registered = world.register_with(id(n), address, options);
    assert_eq!(registered, Ok(Registration::New), "{n}");
}

fn best_two(world: &World, options: FindOptions) -> Vec<u32> {
    numbers(&world.find_relays(&non_relay(), &options.max_results(2)))
}

#[track_caller]
fn assert_second(second: (&str, Option<&str>), third: (&str, Option<&str>), is_apart: bool) {
    let world = relays(&[
        ("9.1.1.1:1", 100_000, Some("first")),
        (second.0, 101_000, second.1),
        (third.0, 102_000, third.1),
    ]);
    let expected = if is_apart { [0, 1] } else { [0, 2] };
    assert_eq!(best_two(&world, FindOptions::new()), expected);
}

#[test]
fn the_second_is_in_another_network_or_under_another_label() {
    let elsewhere = ("9.9.9.9:1", None);
    assert_second(("9.1.1.254:9", None), elsewhere, false);
    assert_second(("9.1.2.1:1", None), elsewhere, true);
    assert_second(("9.1.2.1:1", Some("first")), elsewhere, false);
    assert_second(("9.1.2.1:1", Some("second")), elsewhere, true);
    assert_second(("9.1.1.2:1", Some("second")), elsewhere, false);
    assert_second(("[2620:fe::1]:1", None), elsewhere, true);
    assert_second(("relay.example:1", None), elsewhere, true);
    assert_second(("relay.example:1", Some("first")), elsewhere, false);
}

#[test]
fn ipv6_networks_are_48_bits_long() {
    for (other, is_apart) in [
        ("[2620:fe:1:ffff::2]:1", false),
        ("[2620:fe:2::1]:1", true),
        ("[2620:ff:1::1]:1", true),
    ] {
        let world = relays(&[
            ("[2620:fe:1::1]:1", 100_000, None),
            (other, 101_000, None),
            ("9.9.9.9:1", 102_000, None),
        ]);
        let expected = if is_apart { [0, 1] } else { [0, 2] };
        assert_eq!(best_two(&world, FindOptions::new()), expected, "{other}");
    }
}

#[test]
fn one_name_is_one_domain_whatever_the_port() {
    for (other, is_apart) in [
        ("a.example:9", false),
        ("A.EXAMPLE:1", false),
        ("b.example:1", true),
    ] {
        let world = relays(&[
            ("a.example:1", 100_000, None),
            (other, 101_000, None),
            ("9.9.9.9:1", 102_000, None),
        ]);
        let expected = if is_apart { [0, 1] } else { [0, 2] };
        assert_eq!(best_two(&world, FindOptions::new()), expected, "{other}");
    }
}

/// Two relays of one network at 100 ms, and one of another network at this many microseconds.
fn another_at(micros: u64) -> World {
    relays(&[
        ("9.1.1.1:1", 100_000, None),
        ("9.1.1.2:1", 100_000, None),
        ("9.9.9.9:1", micros, None),
    ])
}

#[test]
fn a_standby_costs_fifteen_percent_at_most() {
    assert_eq!(best_two(&another_at(115_000), FindOptions::new())[1], 2);
    assert_ne!(best_two(&another_at(115_001), FindOptions::new())[1], 2);
}

#[test]
fn the_cost_of_a_standby_can_be_chosen() {
    let second = |micros, cost| {
        let options = FindOptions::new().max_spread_cost(cost);
        best_two(&another_at(micros), options)[1]
    };
    assert_eq!(second(125_000, 0.25), 2);
    assert_ne!(second(125_001, 0.25), 2);
    assert_eq!(second(200_000, 1.0), 2);
    assert_eq!(second(200_000, f64::INFINITY), 2, "taken to be 1");
    assert_ne!(second(200_001, f64::INFINITY), 2, "taken to be 1");
    for none in [0.0, -1.0, f64::NAN] {
        assert_ne!(second(100_001, none), 2, "{none}");
    }
}

#[test]
fn the_first_is_always_the_best() {
    for cost in [0.0, 0.15, 1.0] {
        for best in 0..6_u64 {
            let world = world();
            for n in 0..6_u64 {
                let rtt = ms(if n == best { 49 } else { 50 });
                world.join_with(n as u32, &latency(rtt));
            }
            for k in [1, 2, 6] {
                let options = FindOptions::new().max_results(k).max_spread_cost(cost);
                let list = numbers(&world.find_relays(&non_relay(), &options));
                assert_eq!((list[0], list.len()), (best as u32, k));
            }
        }
    }
}

#[test]
fn where_all_fail_together_the_best_are_taken() {
    let world = world();
    for n in 0..10 {
        let options = latency(ms(10 + u64::from(n))).failure_domain("one rack");
        world.join_with(n, &options);
    }
    let list = world.find_relays(&non_relay(), &FindOptions::new().max_results(4));
    assert_eq!(numbers(&list), [0, 1, 2, 3]);
}

#[test]
fn each_further_result_is_apart_from_all_before() {
    let world = world();
    for n in 0..12 {
        let label = ["red", "green", "blue"][n as usize / 4];
        let options = latency(ms(10 + u64::from(n))).failure_domain(label);
        enter(&world, n, &format!("9.{n}.1.1:1"), &options);
    }
    world.maintain();
    let list = world.find_relays(&non_relay(), &FindOptions::new().max_results(3));
    assert_eq!(numbers(&list), [0, 4, 8]);
    let list = world.find_relays(&non_relay(), &FindOptions::new().max_results(5));
    assert_eq!(numbers(&list), [0, 4, 8, 1, 2]);
}

/// A thousand relays, ten in each network, for any number of results.
#[test]
fn lists_of_any_length_are_distinct_and_as_long_as_can_be() {
    let world = world();
    for n in 0..1_000_u32 {
        let options = latency(Duration::from_micros(20_000 + u64::from(n) * 7));
        enter(&world, n, &format!("9.1.{}.{}:1", n / 10, n % 10), &options);
    }
    for merged in [false, true] {
        if merged {
            world.maintain();
        }
        for k in [
            0,
            1,
            2,
            16,
            31,
            32,
            33,
            34,
            100,
            999,
            1_000,
            1_001,
            usize::MAX,
        ] {
            let options = FindOptions::new().max_results(k);
            let list = numbers(&world.find_relays(&non_relay(), &options));
            assert_eq!(list.len(), k.min(1_000), "of {k}");
            let distinct: BTreeSet<_> = list.iter().collect();
            assert_eq!(distinct.len(), list.len(), "of {k}");
            if merged && (1..=8).contains(&(k / 2)) {
                let networks: BTreeSet<_> = list.iter().map(|n| n / 10).collect();
                assert!(networks.len() > list.len() / 4, "of {k}: {list:?}");
            }
            if k > 32 {
                assert!(list.is_sorted(), "beyond 32 it is the score alone");
            }
        }
    }
}

#[test]
fn a_list_is_not_cut_short_for_the_sake_of_domains() {
    let world = world();
    for n in 0..3 {
        world.join_with(n, &latency(ms(10)).failure_domain("one"));
    }
    world.join_with(3, &latency(ms(900)));
    let list = world.find_relays(&non_relay(), &FindOptions::new().max_results(4));
    assert_eq!(list.len(), 4);
}

#[test]
fn a_label_outlives_renewal_until_another_is_given() {
    let world = relays(&[
        ("9.1.1.1:1", 100_000, Some("a")),
        ("9.2.1.1:1", 101_000, Some("a")),
        ("9.3.1.1:1", 102_000, None),
    ]);
    assert_eq!(best_two(&world, FindOptions::new()), [0, 2]);
    let renew = |options: &RegisterOptions| {
        let address: Endpoint = "9.2.1.1:1".parse().expect("an address");
        let renewed = world.register_with(id(1), address, options);
        assert_eq!(renewed, Ok(Registration::Renewed));
    };
    renew(&options());
    assert_eq!(best_two(&world, FindOptions::new()), [0, 2]);
    renew(&options().failure_domain("b"));
    assert_eq!(best_two(&world, FindOptions::new()), [0, 1]);
}

#[test]
fn labels_out_of_bounds_are_refused_and_change_nothing() {
    let world = world();
    for len in [0, 64, 1 << 20] {
        let options = options().failure_domain("x".repeat(len));
        for n in [1, 2] {
            assert_is!(
                world.register_with(id(n), endpoint(n), &options),
                Err(RegisterError::InvalidFailureDomain { len: told, .. }) if told == len
            );
        }
        assert_eq!(world.relay_count(), 0);
    }
    for len in [1, 63] {
        world.join_with(len, &options().failure_domain("x".repeat(len as usize)));
    }
}

#[test]
fn a_relay_that_is_nearly_full_is_no_standby() {
    let world = world();
    for (n, rtt, net) in [(1, 10, 1), (2, 11, 1), (3, 11, 2)] {
        let at: Endpoint = format!("9.9.{net}.{n}:1").parse().unwrap();
        world.register_with(id(n), at, &latency(ms(rtt))).unwrap();
    }
    let options = FindOptions::new().max_results(2);
    let list = || numbers(&world.find_relays(&non_relay(), &options));
    assert_eq!(list(), [1, 3]);
    world.report(3, 91);
    assert_eq!(list(), [1, 2]);
}

/// A list once used up the trials of all relays on it, also of those that its
/// caller had no need of.
#[test]
fn a_list_uses_up_one_trial_at_most() {
    let world = world_with(|b| b.max_ejected_share(1.0));
    (1..=3).for_each(|n| {
        world.join(n);
        world.fail(n, Failure::TimedOut);
    });
    world.pass(secs(3));
    assert_eq!(world.ranking().len(), 3);
    assert!(world.found().is_some());
}

#[test]
fn relays_on_trial_stand_behind_those_that_work() {
    let world = world_with(|b| b.max_ejected_share(1.0));
    for n in 1..=4 {
        world.join_with(n, &latency(ms(10 * u64::from(n))));
    }
    world.fail(2, Failure::Refused);
    world.pass(secs(2));
    let options = FindOptions::new().max_results(3).max_spread_cost(0.0);
    let list = world.find_relays(&non_relay(), &options);
    assert_eq!(numbers(&list), [1, 3, 4]);
    let options = options.max_results(4);
    let list = world.find_relays(&non_relay(), &options);
    assert_eq!(numbers(&list), [1, 3, 4, 2]);
}

/// A list once began with another relay for the sake of a standby that works, after it had used up the
/// trial of the best one.
#[test]
fn a_list_begins_with_the_relay_whose_trial_it_used_up() {
    let world = world();
    for (n, rtt) in [(1, 10), (2, 11), (3, 12)] {
        let at: Endpoint = format!("9.9.{n}.1:1").parse().unwrap();
        world.register_with(id(n), at, &latency(ms(rtt))).unwrap();
    }
    world.fail(1, Failure::Refused);
    world.pass(secs(2));
    let options = FindOptions::new().max_results(2);
    let explained = world.explain(&non_relay(), &options);
    let explained: Vec<_> = explained
        .chosen()
        .map(|relay| number(relay.relay))
        .collect();
    assert_eq!(explained, [1, 2]);
    let list = || numbers(&world.find_relays(&non_relay(), &options));
    assert_eq!(list(), [1, 2]);
    assert_eq!(list(), [2, 3], "while the trial is under way");
}

/// Relays of which these are on one machine are at 10 ms and above; the others at 300 ms and above.
fn crowded_machine(crowd: u32, others: u32) -> World {
    let world = relays(&[]);
    for n in 0..crowd {
        let rtt = latency(ms(10) + Duration::from_micros(100) * n);
        enter(&world, n, &format!("9.1.1.1:{}", n + 1), &rtt);
    }
    for n in crowd..crowd + others {
        let rtt = latency(ms(300) + ms(2) * n);
        enter(&world, n, &format!("9.2.1.{}:1", n % 250 + 1), &rtt);
    }
    world.maintain();
    world
}

#[test]
fn a_standby_is_on_another_machine_whatever_that_costs() {
    for cost in [0.01, 0.15, 1.0] {
        let of = |world: &World, k| {
            let options = FindOptions::new().max_results(k).max_spread_cost(cost);
            let explained = world.explain(&non_relay(), &options);
            let listed = numbers(&world.find_relays(&non_relay(), &options));
            let chosen: Vec<u32> = explained.chosen().map(|it| number(it.relay)).collect();
            assert_eq!(chosen, listed);
            listed
        };
        let world = crowded_machine(10, 3);
        assert_eq!(of(&world, 1), [0]);
        assert_eq!(of(&world, 2), [0, 10]);
        assert_eq!(of(&world, 3), [0, 10, 11]);
        assert_eq!(of(&world, 6), [0, 10, 11, 12, 1, 2], "no further machine");
        world.report(10, 99);
        assert_eq!(of(&world, 2), [0, 11], "nearly full, it is worse");
        // A relay that failed lately is no better than one on the same machine.
        for n in 10..13 {
            world.fail(n, Failure::Refused);
        }
        world.advance(secs(2));
        assert_eq!(of(&world, 2), [0, 1]);
    }
}

/// One machine with an address of each family, on which each relay has another main one.
#[test]
fn further_endpoints_tell_that_two_relays_are_on_one_machine() {
    for (first, second) in [
        ("9.1.1.1:1", "[2620:fe::1]:2"),
        ("[2620:fe::1]:1", "9.1.1.1:2"),
    ] {
        let world = world_with(|builder| builder.assumed_rtt(NEXT_TO_NOTHING));
        let also_at = |port: u16| -> [Endpoint; 2] {
            ["9.1.1.1", "2620:fe::1"].map(|host| Endpoint::new(host, port).expect("an address"))
        };
        enter(&world, 0, first, &latency(ms(100)).also_at(also_at(1)));
        enter(&world, 1, second, &latency(ms(101)));
        enter(&world, 2, "9.9.9.9:1", &latency(ms(500)));
        assert_eq!(best_two(&world, FindOptions::new()), [0, 2]);
        let options = FindOptions::new().max_spread_cost(0.0);
        assert_eq!(best_two(&world, options), [0, 1]);
    }
}

/// A caller that wants no spread at all gets none.
#[test]
fn without_spread_the_score_alone_decides() {
    let world = crowded_machine(20, 3);
    let options = FindOptions::new().max_spread_cost(0.0);
    assert_eq!(best_two(&world, options), [0, 1]);
}

/// The search looks at so many relays beyond the answer, and no further.
#[test]
fn the_search_for_another_machine_is_bounded() {
    let second = |crowd| best_two(&crowded_machine(crowd, 1), FindOptions::new());
    assert_eq!(second(17), [0, 17]);
    assert_eq!(second(18), [0, 1]);
}

#[test]
fn where_all_are_on_one_machine_the_best_are_taken() {
    let world = crowded_machine(40, 0);
    for k in [2, 3, 32] {
        let list = world.find_relays(&non_relay(), &FindOptions::new().max_results(k));
        assert_eq!(numbers(&list), (0..k as u32).collect::<Vec<_>>());
    }
}

#[test]
fn one_machine_is_one_name_or_address_whatever_the_port_and_the_label() {
    for (one, other) in [
        ("9.1.1.1:1", "9.1.1.1:2"),
        ("[2620:fe::1]:1", "[2620:fe::1]:2"),
        ("a.example:1", "A.example:2"),
    ] {
        let world = relays(&[
            (one, 100_000, Some("first")),
            (other, 101_000, Some("second")),
            ("9.9.9.9:1", 900_000, None),
        ]);
        assert_eq!(best_two(&world, FindOptions::new()), [0, 2], "{one}");
    }
}

#[test]
fn a_relay_at_a_further_endpoint_of_another_is_on_its_machine() {
    let world = world_with(|builder| builder.assumed_rtt(NEXT_TO_NOTHING));
    let also: Endpoint = "9.9.9.9:1".parse().unwrap();
    enter(&world, 0, "9.1.1.1:1", &latency(ms(100)).also_at([also]));
    enter(&world, 1, "9.9.9.9:2", &latency(ms(101)));
    enter(&world, 2, "9.5.5.5:1", &latency(ms(110)));
    world.maintain();
    assert_eq!(best_two(&world, FindOptions::new()), [0, 2]);
}
