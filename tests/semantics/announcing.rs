//! What a relay announces besides endpoint, capacity, TTL and NAT type: tier, cost, labels, further
//! endpoints and a payload; and what the registry tells of it.

use crate::assert_is;
use crate::common::*;
use relay_registry::{
    AddressPolicy, Endpoint, EndpointError, LabelScope, RegisterError, RegisterOptions,
    Registration, RelayInfo,
};

fn at(text: &str) -> Endpoint {
    text.parse().expect("an endpoint")
}

fn v6(n: u16) -> Endpoint {
    at(&format!("[2001:db8::1]:{n}"))
}

/// Options that set everything that few relays set.
fn everything() -> RegisterOptions {
    options()
        .tier(3)
        .cost(2.5)
        .labels(["udp", "eu", "udp"])
        .also_at([v6(1), v6(2), v6(1)])
        .payload(b"opaque")
        .failure_domain("Rack 7")
}

fn labels(info: &RelayInfo) -> Vec<&str> {
    info.labels().collect()
}

#[track_caller]
fn has_everything(info: &RelayInfo) {
    assert_eq!((info.tier(), info.cost()), (3, 2.5));
    assert_eq!(labels(info), ["eu", "udp"]);
    assert!(info.has_label("eu") && !info.has_label("tcp"));
    assert_eq!(info.also_at(), [v6(1), v6(2)]);
    assert_eq!(info.payload(), Some(&b"opaque"[..]));
    assert_eq!(info.failure_domain(), Some("Rack 7"));
}

#[track_caller]
fn has_nothing(info: &RelayInfo) {
    assert_eq!((info.tier(), info.cost()), (0, 1.0));
    assert_eq!(info.labels().len(), 0);
    assert_eq!(info.also_at(), []);
    assert_eq!((info.payload(), info.failure_domain()), (None, None));
}

#[test]
fn a_relay_that_says_nothing_of_it_has_the_defaults() {
    let world = world();
    world.join(1);
    has_nothing(&world.info(1));
    assert_eq!(world.payload(&id(1)), None);
    assert_eq!(world.payload(&id(2)), None, "it is no relay");
}

#[test]
fn what_is_announced_is_shown_everywhere() {
    let world = world();
    world.join_with(1, &everything());
    has_everything(&world.info(1));
    has_everything(&world.relays()[0]);
    has_everything(&world.find_relay(&non_relay()).unwrap());
    has_everything(&world.find_relays(&non_relay(), &all())[0]);
    let lease = world.lease(&id(1)).unwrap();
    has_everything(lease.relay());
    assert_eq!(lease.payload(), Some(&b"opaque"[..]));
    assert_eq!(world.payload(&id(1)).as_deref(), Some(&b"opaque"[..]));
    world.leave(1);
    assert_eq!(world.payload(&id(1)), None);
    assert_eq!(lease.payload(), Some(&b"opaque"[..]), "as it was");
}

#[test]
fn an_option_that_is_not_set_stays_as_it_was() {
    let world = world();
    world.join_with(1, &everything());
    for renewed in [options(), capacity(3), ttl(secs(9)), everything()] {
        world.renew_with(1, &renewed);
        has_everything(&world.info(1));
    }
    world.renew(1);
    has_everything(&world.info(1));

    // Each one alone; the others stay.
    world.renew_with(1, &options().tier(4));
    assert_eq!((world.info(1).tier(), world.info(1).cost()), (4, 2.5));
    world.renew_with(1, &options().cost(0.1));
    assert_eq!((world.info(1).tier(), world.info(1).cost()), (4, 0.1));
    world.renew_with(1, &options().labels(["tcp"]));
    assert_eq!(labels(&world.info(1)), ["tcp"]);
    world.renew_with(1, &options().also_at([v6(9)]));
    assert_eq!(world.info(1).also_at(), [v6(9)]);
    world.renew_with(1, &options().payload("other"));
    let info = world.info(1);
    assert_eq!(info.payload(), Some(&b"other"[..]));
    assert_eq!((info.tier(), info.cost()), (4, 0.1));
    assert_eq!(labels(&info), ["tcp"]);
    assert_eq!(info.also_at(), [v6(9)]);
    assert_eq!(info.failure_domain(), Some("Rack 7"));
}

#[test]
fn an_empty_list_removes_what_there_was() {
    let world = world();
    world.join_with(1, &everything());
    let no_labels: [&str; 0] = [];
    let no_endpoints: [Endpoint; 0] = [];
    world.renew_with(
        1,
        &options()
            .tier(0)
            .cost(1.0)
            .labels(no_labels)
            .also_at(no_endpoints)
            .payload(b""),
    );
    let info = world.info(1);
    assert_eq!(info.labels().len(), 0);
    assert_eq!(info.also_at(), []);
    assert_eq!(info.payload(), None);
    assert_eq!(info.failure_domain(), Some("Rack 7"));
}

#[test]
fn a_relay_that_is_late_announces_what_it_did_and_one_that_left_announces_anew() {
    let world = world();
    world.join_with(1, &everything().ttl(secs(5)));
    assert_eq!(world.pass(secs(6)), 1);
    assert_eq!(
        world.register(id(1), endpoint(1)),
        Ok(Registration::Returned)
    );
    has_everything(&world.info(1));

    world.leave(1);
    assert_eq!(
        world.register(id(1), endpoint(1)),
        Ok(Registration::Returned)
    );
    has_nothing(&world.info(1));
}

#[test]
fn a_relay_that_restarts_announces_what_it_did() {
    let world = world();
    world.join_with(1, &everything());
    let _lease = world.lease(&id(1)).unwrap();
    world.renew_with(1, &options().restarted(true));
    has_everything(&world.info(1));
    world.renew_with(1, &options().restarted(true).labels(["tcp"]));
    assert_eq!(labels(&world.info(1)), ["tcp"]);
    assert_eq!(world.info(1).tier(), 3);
}

#[test]
fn a_cost_is_kept_to_a_thousandth_and_refused_out_of_range() {
    let world = world();
    for (given, kept) in [(0.1, 0.1), (10.0, 10.0), (1.23449, 1.234), (9.9996, 10.0)] {
        let outcome = world.register_with(id(1), endpoint(1), &options().cost(given));
        assert!(outcome.is_ok());
        assert_eq!(world.info(1).cost(), kept);
    }
    let before = world.info(1);
    for given in [
        0.0,
        -1.0,
        0.0999,
        10.001,
        f64::INFINITY,
        -f64::INFINITY,
        f64::NAN,
    ] {
        let refused = world.register_with(id(1), endpoint(1), &options().cost(given));
        assert_is!(
            refused,
            Err(RegisterError::InvalidCost { cost, min: 0.1, max: 10.0, .. })
                if cost.to_bits() == given.to_bits()
        );
    }
    assert_eq!(world.info(1), before);
}

#[test]
fn labels_are_bounded_in_length_and_number() {
    let world = world();
    let longest = "x".repeat(32);
    world.join_with(1, &options().labels([&longest]));
    assert_eq!(labels(&world.info(1)), [longest]);
    for invalid in ["", &"x".repeat(33), "a\nb", "\u{7f}", &"ü".repeat(17)] {
        let refused = world.register_with(id(1), endpoint(1), &options().labels(["a", invalid]));
        assert_is!(
            refused,
            Err(RegisterError::InvalidLabel { label, max: 32, .. }) if *label == *invalid
        );
    }
    let many = |count: u32| options().labels((0..count).map(|n| format!("label {n}")));
    world.renew_with(1, &many(8));
    let refused = world.register_with(id(1), endpoint(1), &many(9));
    assert_is!(
        refused,
        Err(RegisterError::TooManyLabels {
            scope: LabelScope::Relay,
            count: 9,
            max: 8,
            ..
        })
    );
    // Those that are given repeatedly count once.
    let repeated = (0..100).map(|n| format!("label {}", n % 8));
    world.renew_with(1, &options().labels(repeated));
    assert_eq!(world.info(1).labels().len(), 8);
}

/// Relay `n` with eight labels of its own.
fn eight_of(n: u32) -> RegisterOptions {
    options().labels((0..8).map(|m| format!("{n}/{m}")))
}

/// Eight relays that have 64 different labels together.
fn with_64_labels() -> World {
    let world = world();
    (0..8).for_each(|n| world.join_with(n, &eight_of(n)));
    world
}

#[track_caller]
fn is_too_many(world: &World, n: u32) {
    let refused = world.register_with(id(n), endpoint(n), &options().labels(["another"]));
    assert_is!(
        refused,
        Err(RegisterError::TooManyLabels {
            scope: LabelScope::Registry,
            count: 65,
            max: 64,
            ..
        })
    );
}

#[test]
fn a_registry_has_64_different_labels() {
    let world = with_64_labels();
    is_too_many(&world, 9);
    assert!(!world.has(9));
    is_too_many(&world, 1);
    assert_eq!(world.info(1).labels().len(), 8, "nothing changed");
    world.join_with(9, &eight_of(3)); // no new ones
    world.join(10);
}

#[test]
fn a_label_counts_until_the_last_relay_that_has_it_drops_it() {
    let world = with_64_labels();
    world.renew_with(
        1,
        &options().labels(["1/0", "1/1", "1/2", "1/3", "1/4", "1/5", "1/6"]),
    );
    world.join_with(9, &options().labels(["another"]));
    world.renew_with(1, &options().labels(["0/0"]));
    for n in 0..6 {
        let label = format!("new {n}");
        world.renew_with(9, &options().labels(["another", "0/0", &label]));
        world.maintain();
    }
    assert_eq!(world.info(9).labels().len(), 3);
}

#[test]
fn labels_of_a_relay_that_expired_count_while_it_is_remembered() {
    let world = world_with(|builder| builder.return_grace(secs(50)));
    (0..7).for_each(|n| world.join_with(n, &eight_of(n)));
    world.join_with(7, &eight_of(7).ttl(secs(5)));
    assert_eq!(world.pass(secs(5)), 1);
    is_too_many(&world, 9);
    // Its grace ends, though no pass has forgotten it.
    world.advance(secs(51));
    world.join_with(9, &options().labels(["another"]));
}

/// It would announce anew.
#[test]
fn labels_of_a_relay_that_left_do_not_count() {
    let world = with_64_labels();
    is_too_many(&world, 9);
    world.leave(7);
    world.join_with(9, &options().labels(["another"]));
}

/// Before any maintenance: the relay is past its deadline, and its grace is over.
#[test]
fn labels_of_a_relay_that_expired_do_not_count_though_no_pass_has_met_it() {
    let world = world_with(|builder| builder.return_grace(secs(0)));
    (0..7).for_each(|n| world.join_with(n, &eight_of(n)));
    world.join_with(7, &eight_of(7).ttl(secs(5)));
    world.advance(secs(4));
    is_too_many(&world, 9);
    world.advance(secs(2));
    world.join_with(9, &options().labels(["another"]));
}

#[test]
fn labels_of_a_registration_that_failed_do_not_count() {
    let world = world_of(1);
    world.join(0);
    for n in 1..100 {
        let refused = world.register_with(id(n), endpoint(n), &eight_of(n));
        assert_is!(refused, Err(RegisterError::Full { .. }));
    }
    world.renew_with(0, &eight_of(0));
}

#[test]
fn labels_that_come_and_go_count_only_while_they_are_there() {
    let world = world();
    world.join(1);
    for n in 0..200 {
        world.renew_with(1, &eight_of(n));
        let leases = world.take(1, 1);
        world.renew_with(1, &eight_of(n + 1000).restarted(true));
        drop(leases);
    }
}

#[test]
fn further_endpoints_are_checked_like_the_main_one() {
    let world = world_with(|builder| builder.address_policy(AddressPolicy::PublicOnly));
    let public = at("9.9.9.9:443");
    world.join_with(1, &options().also_at([public.clone()]));
    let before = world.info(1);
    for (endpoint_text, why) in [
        ("192.168.1.1:443", EndpointError::NotPublic),
        ("relay.local:443", EndpointError::NotPublic),
        ("224.0.0.1:443", EndpointError::Multicast),
    ] {
        let also_at = options().also_at([public.clone(), at(endpoint_text)]);
        let refused = world.register_with(id(1), endpoint(1), &also_at);
        assert_is!(
            refused,
            Err(RegisterError::InvalidFurtherEndpoint { endpoint, reason, .. })
                if endpoint == at(endpoint_text) && reason == why
        );
    }
    assert_eq!(world.info(1), before);
}

#[test]
fn there_are_at_most_eight_further_endpoints_the_main_one_not_counted() {
    let world = world();
    let with = |ports: u16| {
        let main = std::iter::once(endpoint(1));
        options().also_at(main.chain((1..=ports).map(v6)).chain([v6(1)]))
    };
    world.join_with(1, &with(8));
    let expected: Vec<_> = (1..=8).map(v6).collect();
    assert_eq!(world.info(1).also_at(), expected, "in the order given");
    let refused = world.register_with(id(1), endpoint(1), &with(9));
    assert_is!(
        refused,
        Err(RegisterError::TooManyEndpoints {
            count: 9,
            max: 8,
            ..
        })
    );

    // One of them becomes the main one.
    world.register(id(1), v6(3)).unwrap();
    let info = world.info(1);
    assert_eq!(info.endpoint(), &v6(3));
    let expected: Vec<_> = [1, 2, 4, 5, 6, 7, 8].map(v6).into();
    assert_eq!(info.also_at(), expected);
}

#[test]
fn a_payload_has_512_bytes_at_most() {
    let world = world();
    world.join_with(1, &options().payload([7; 512]));
    assert_eq!(world.payload(&id(1)).map(|it| it.len()), Some(512));
    let refused = world.register_with(id(1), endpoint(1), &options().payload(vec![7; 513]));
    assert_is!(
        refused,
        Err(RegisterError::PayloadTooLong {
            len: 513,
            max: 512,
            ..
        })
    );
    assert_eq!(world.payload(&id(1)).map(|it| it.len()), Some(512));
}

#[test]
fn a_failure_domain_has_no_control_characters() {
    let world = world();
    let refused = world.register_with(id(1), endpoint(1), &options().failure_domain("a\tb"));
    assert_is!(
        refused,
        Err(RegisterError::InvalidFailureDomain { len: 3, .. })
    );
    world.join_with(1, &options().failure_domain("größe 7"));
    assert_eq!(world.info(1).failure_domain(), Some("größe 7"));
}

#[test]
fn ttl_and_time_left_are_shown() {
    let world = world();
    world.join(1);
    world.join_with(2, &ttl(secs(60)));
    let left = |n| (world.info(n).ttl(), world.info(n).expires_in());
    assert_eq!((left(1), left(2)), ((TTL, TTL), (secs(60), secs(60))));
    world.advance(secs(45));
    assert_eq!(left(2), (secs(60), secs(15)));
    let before = world.info(2);
    world.advance(secs(1));
    assert_eq!(before.expires_in(), secs(15), "when it was asked");
    assert_eq!(before, world.info(2), "the relay has not changed");
    world.renew(2);
    assert_eq!(left(2), (secs(60), secs(60)));
    world.renew_with(2, &ttl(secs(30)));
    assert_eq!(left(2), (secs(30), secs(30)));
    let found = world.find_relay(&id(1)).unwrap();
    assert_eq!((found.ttl(), found.expires_in()), (secs(30), secs(30)));
}

#[test]
fn the_position_is_that_of_the_last_merge() {
    let world = world();
    world.join(1);
    world.join(2);
    assert_eq!(world.info(1).coordinate(), None);
    // Peers at known places measured relay 1.
    for (n, x) in [(10, 0.0), (11, 40.0), (12, 20.0), (13, 30.0)].repeat(8) {
        let view = published([(1, ms(25))]).coordinate(place(x, 10.0));
        world.update_peer(&id(n), view);
    }
    assert_eq!(world.info(1).coordinate(), None, "not merged yet");
    world.maintain();
    let latest = world.relay_coordinate(&id(1));
    assert!(latest.is_some());
    assert_eq!(world.info(1).coordinate(), latest);
    assert_eq!(world.info(2).coordinate(), None, "it was not measured");
    let found = world.find_relays(&non_relay(), &all());
    let of_one = found.iter().find(|relay| relay.node_id() == id(1));
    assert_eq!(of_one.unwrap().coordinate(), latest);
    world.join(3);
    assert_eq!(world.info(3).coordinate(), None, "it arrived since");
}

#[test]
fn what_is_printed_of_a_relay_tells_all_but_the_bytes_of_its_payload() {
    let world = world();
    world.join_with(1, &everything());
    let printed = format!("{:?}", world.info(1));
    for part in [
        "tier: 3",
        "cost: 2.5",
        r#"labels: ["eu", "udp"]"#,
        "also_at: [Endpoint([2001:db8::1]:1)",
        "payload_len: Some(6)",
        r#"failure_domain: Some("Rack 7")"#,
        "ttl: 600s",
        "expires_in: 600s",
    ] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
}
