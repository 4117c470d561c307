//! Explanations: a verdict on every relay, and numbers that add up to it.

use crate::common::*;
use proptest::prelude::*;
use relay_registry::{
    Coordinate, Explained, Explanation, Failure, FindOptions, LegSource, Verdict,
};

const TARGET: u32 = 90;
const LOCAL: u32 = 91;

/// One relay for every verdict but the last resort.
fn zoo() -> World {
    let world = world_with(|builder| builder.local_id(id(LOCAL)).max_ejected_share(1.0));
    for (n, rtt) in [(1, 12), (2, 80), (3, 10), (4, 11), (5, 9), (6, 8), (7, 900)] {
        world.join_with(n, &latency(ms(rtt)));
    }
    world.join(8);
    world.join_with(9, &ttl(secs(1)));
    for n in [10, TARGET, LOCAL] {
        world.join_with(n, &latency(ms(5)));
    }
    world.report(1, 40);
    world.report(3, 100);
    world.drain(4);
    world.ban_for(5, secs(60));
    world.fail(6, Failure::TimedOut);
    world.advance(secs(1));
    // A registration raises the tick, and no pass has taken the expired one away.
    world.renew(1);
    world
}

fn ask() -> FindOptions {
    excluding([10]).max_latency(ms(500)).max_results(1)
}

fn explain(world: &World, options: &FindOptions) -> Explanation {
    world.explain(&id(TARGET), options)
}

fn order(explanation: &Explanation) -> Vec<u32> {
    let relays = explanation.relays().iter();
    relays.map(|explained| number(explained.relay)).collect()
}

#[test]
fn every_relay_has_its_verdict() {
    let explanation = explain(&zoo(), &ask());
    for (n, verdict) in [
        (1, Verdict::Chosen),
        (2, Verdict::Worse),
        (3, Verdict::Full),
        (4, Verdict::Draining),
        (5, Verdict::Banned),
        (6, Verdict::BackingOff),
        (7, Verdict::TooFar),
        (8, Verdict::Unmeasured),
        (9, Verdict::Departed),
        (10, Verdict::Excluded),
        (TARGET, Verdict::Excluded),
        (LOCAL, Verdict::Excluded),
    ] {
        let explained = explanation.of(&id(n)).expect("a relay that is held");
        assert_eq!(explained.verdict, verdict, "relay {n}");
        let is_chosen = verdict == Verdict::Chosen;
        assert_eq!(explained.verdict.is_handed_out(), is_chosen);
    }
    assert_eq!(explanation.relays().len(), 12, "each once");
    assert_eq!(explanation.of(&id(77)), None);
    let chosen: Vec<_> = explanation.chosen().map(|e| number(e.relay)).collect();
    assert_eq!(chosen, [1]);
}

#[test]
fn verdicts_agree_with_the_counts_of_a_find_that_fails() {
    let world = zoo();
    let options = ask().exclude([id(1), id(2)]);
    let Err(error) = world.find_relay_with(&id(TARGET), &options) else {
        panic!("all are to be passed over");
    };
    assert_eq!(
        error.to_string(),
        "no relay is available: 1 full, 1 draining, 1 backing off, 1 banned, 5 excluded, \
         1 too far, 2 unmeasured",
        "one that is past its deadline counts as before until it is swept"
    );
    assert_eq!(explain(&world, &options).chosen().count(), 0);
    let departed_after = |leaving| {
        world.leave(leaving);
        world
            .rejections(&options.clone().exclude([id(TARGET)]))
            .departed
    };
    assert_eq!(departed_after(8), 0, "it was not sorted in yet");
    world.maintain();
    assert_eq!(departed_after(7), 1, "it was");
}

#[test]
fn relays_that_left_are_not_explained() {
    let world = zoo();
    world.leave(2);
    assert_eq!(explain(&world, &ask()).of(&id(2)), None);
    world.maintain();
    assert_eq!(explain(&world, &ask()).of(&id(9)), None);
}

#[test]
fn those_to_be_handed_out_come_first_then_the_worse_then_rejected_ones() {
    let world = zoo();
    let explanation = explain(&world, &ask().max_results(2));
    assert_eq!(order(&explanation)[..2], [1, 2]);
    let explanation = explain(&world, &ask());
    assert_eq!(order(&explanation)[..2], [1, 2]);
    let rank = |explained: &Explained| match explained.verdict {
        verdict if verdict.is_handed_out() => 0,
        Verdict::Worse => 1,
        _ => 2,
    };
    let ranks = explanation.relays().iter().map(rank);
    assert!(ranks.is_sorted());
}

#[test]
fn the_preferred_relay_is_kept_and_comes_first() {
    let world = world();
    world.join_with(1, &latency(ms(20)));
    world.join_with(2, &latency(ms(22)));
    let options = FindOptions::new().prefer(id(2)).max_results(1);
    let explanation = world.explain(&non_relay(), &options);
    assert_eq!(order(&explanation), [2, 1]);
    assert_eq!(world.verdict_with(2, &options), Verdict::Kept);
    assert_eq!(world.verdict_with(1, &options), Verdict::Worse);
}

#[test]
fn at_most_one_result_is_explained_as_a_find_of_one() {
    let world = world();
    world.join_with(1, &latency(ms(20)));
    world.join_with(2, &latency(ms(22)));
    for at_most in [0, 1] {
        let options = FindOptions::new().max_results(at_most);
        assert_eq!(world.found_with(&options), Some(1));
        assert_eq!(world.verdict_with(1, &options), Verdict::Chosen);
        let options = options.prefer(id(2));
        assert_eq!(world.found_with(&options), Some(2));
        assert_eq!(world.verdict_with(2, &options), Verdict::Kept);
    }
}

#[test]
fn a_last_resort_is_said_to_be_one() {
    let world = world_with(|builder| builder.max_ejected_share(0.0));
    world.join(1);
    world.fail(1, Failure::Refused);
    for at_most in [1, 3] {
        let options = FindOptions::new().max_results(at_most);
        assert_eq!(world.verdict_with(1, &options), Verdict::LastResort);
    }
    let explanation = world.explain(&non_relay(), &FindOptions::new());
    assert!(explanation.to_string().contains("last resort"));
}

#[test]
fn legs_say_how_they_are_known() {
    let world = world();
    world.join_with(1, &latency(ms(20)));
    world.join(2);
    let options = FindOptions::new()
        .target_view(published([(2, ms(7))]))
        .max_results(1);
    let explanation = world.explain(&non_relay(), &options);
    let legs = |n| {
        let explained = explanation.of(&id(n)).expect("held");
        (
            (explained.requester_leg, explained.requester_leg_source),
            (explained.target_leg, explained.target_leg_source),
        )
    };
    let assumed = (ms(100), LegSource::Assumed);
    assert_eq!(legs(1), ((ms(20), LegSource::Measured), assumed));
    assert_eq!(legs(2), (assumed, (ms(7), LegSource::Published)));
}

#[test]
fn numbers_add_up() {
    let explanation = explain(&zoo(), &ask());
    for explained in explanation.relays() {
        assert_adds_up(explained);
    }
    let loaded = explanation.of(&id(1)).expect("held");
    assert!((loaded.utilisation - 0.4).abs() < 1e-6);
    assert!((loaded.penalty - 1.0 / (1.0 - 0.4_f64.powi(4))).abs() < 1e-6);
    assert_eq!(loaded.path(), ms(112));
    let full = explanation.of(&id(3)).expect("held");
    assert_eq!((full.utilisation, full.penalty), (1.0, f64::INFINITY));
}

#[track_caller]
fn assert_adds_up(explained: &Explained) {
    let path = explained.requester_leg + explained.target_leg;
    assert_eq!(explained.path(), path);
    let expected = path.as_secs_f64() * 1e3 * explained.penalty;
    let score = explained.score_ms();
    assert!(score == expected || (score / expected - 1.0).abs() < 1e-6);
    assert!(explained.penalty >= 1.0 && !score.is_nan());
}

#[test]
fn it_reads_as_a_table() {
    let table = "\
path to 0000005a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a: 12 relays, 2 eligible; \
1 departed, 1 full, 1 draining, 1 backing off, 1 banned, 3 excluded, 1 too far, 1 unmeasured
asked for: at most 1 result; 1 relay excluded; within 500ms
a leg: requester to relay, b leg: relay to target, round trips in ms; \
score: (a + b) x penalty for load, less is better
relay      endpoint          load  circuit            a leg            b leg  penalty   score  verdict
00000001…  9.0.0.1:4000    40/100  closed    12.0 measured   100.0 assumed       1.03   114.9  chosen
00000002…  9.0.0.2:4000     0/100  closed    80.0 measured   100.0 assumed       1.00   180.0  worse
0000000a…  9.0.0.10:4000    0/100  closed     5.0 measured   100.0 assumed       1.00   105.0  excluded
0000005a…  9.0.0.90:4000    0/100  closed     5.0 measured   100.0 assumed       1.00   105.0  excluded
0000005b…  9.0.0.91:4000    0/100  closed     5.0 measured   100.0 assumed       1.00   105.0  excluded
00000006…  9.0.0.6:4000     0/100  open       8.0 measured   100.0 assumed       1.00   108.0  backing off
00000005…  9.0.0.5:4000     0/100  closed     9.0 measured   100.0 assumed       1.00   109.0  banned
00000004…  9.0.0.4:4000     0/100  closed    11.0 measured   100.0 assumed       1.00   111.0  draining
00000008…  9.0.0.8:4000     0/100  closed   100.0 assumed    100.0 assumed       1.00   200.0  unmeasured
00000009…  9.0.0.9:4000     0/100  closed   100.0 assumed    100.0 assumed       1.00   200.0  departed
00000007…  9.0.0.7:4000     0/100  closed   900.0 measured   100.0 assumed       1.00  1000.0  too far
00000003…  9.0.0.3:4000   100/100  closed    10.0 measured   100.0 assumed          -       -  full
";
    let explanation = explain(&zoo(), &ask());
    assert_eq!(explanation.to_string(), table, "\n{explanation}");
    let line = explanation.of(&id(3)).expect("held").to_string();
    let whole = "000000035a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a  9.0.0.3:4000  \
                 100/100  closed  10.0 measured  100.0 assumed  -  -  full";
    assert_eq!(line, whole);
}

#[test]
fn a_precision_limits_the_relays_that_are_shown() {
    let explanation = explain(&zoo(), &ask());
    let whole = explanation.to_string();
    for (shown, lines, last) in [
        (0, 3, "... and 12 more"),
        (1, 6, "... and 11 more"),
        (11, 16, "... and 1 more"),
        (12, 16, ""),
        (13, 16, ""),
    ] {
        let text = format!("{explanation:.shown$}");
        assert_eq!(text.lines().count(), lines, "{text}");
        match last {
            "" => assert_eq!(text, whole),
            last => assert_eq!(text.lines().last(), Some(last)),
        }
        assert_eq!(text.lines().next(), whole.lines().next());
    }
}

#[test]
fn ids_that_begin_alike_are_told_apart() {
    let world = world();
    let mut like_1 = [0x5a; 32];
    like_1[..4].copy_from_slice(&1_u32.to_be_bytes());
    like_1[9] = 0x5b;
    let like_1 = relay_registry::NodeId::from(like_1);
    world.join(1);
    world.join(2);
    world.register(like_1, endpoint(3)).unwrap();
    // Also where only one of them is shown.
    for shown in [1, 2, 3] {
        let text = format!("{:.shown$}", explain(&world, &FindOptions::new()));
        assert!(!text.contains("00000001…"), "{text}");
    }
    let text = explain(&world, &FindOptions::new()).to_string();
    for id in [
        "000000015a5a5a5a5a5a…",
        "000000015a5a5a5a5a5b…",
        "00000002…",
    ] {
        assert_eq!(text.matches(id).count(), 1, "{id} in\n{text}");
    }
}

#[test]
fn it_counts_the_eligible_and_the_others_by_their_reason() {
    let explanation = explain(&zoo(), &ask());
    assert_eq!(explanation.target(), id(TARGET));
    assert_eq!(explanation.eligible(), 2);
    let rejections = explanation.rejections();
    assert_eq!((rejections.excluded, rejections.full), (3, 1));
    assert_eq!(rejections.total(), 10);

    let world = world();
    world.join(1);
    world.fail(1, Failure::TimedOut);
    let explanation = explain(&world, &FindOptions::new());
    assert_eq!(explanation.chosen().count(), 1, "as a last resort");
    assert_eq!(explanation.eligible(), 0);
    let summary = explanation.to_string();
    let summary = summary.lines().next().expect("a summary");
    assert!(
        summary.ends_with(": 1 relay, 0 eligible; 1 backing off"),
        "{summary}"
    );
}

#[test]
fn an_empty_registry_has_little_to_explain() {
    let explanation = world().explain(&non_relay(), &FindOptions::new());
    assert_eq!(explanation.relays(), []);
    assert_eq!(explanation.to_string().lines().count(), 1);
}

/// The state of a random relay.
#[derive(Clone, Copy, Debug)]
struct Fate {
    rtt: Option<u64>,
    /// Its position by the measurements of peers, in milliseconds from the centre.
    place: Option<i8>,
    load: u32,
    is_draining: bool,
    is_banned: bool,
    failure: Option<Failure>,
    successes: u32,
}

fn fate() -> impl Strategy<Value = Fate> {
    (
        prop::option::of(1..200_000_u64),
        prop::option::of(any::<i8>()),
        prop_oneof![3 => Just(0), 3 => 0..=10_u32, 1 => Just(10)],
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
        prop_oneof![
            6 => Just(None),
            1 => Just(Some(Failure::Refused)),
            2 => Just(Some(Failure::TimedOut))
        ],
        0..3_u32,
    )
        .prop_map(
            |(rtt, place, load, is_draining, is_banned, failure, successes)| Fate {
                rtt,
                place,
                load,
                is_draining,
                is_banned,
                failure,
                successes,
            },
        )
}

fn world_of_fates(fates: &[Fate], max_ejected_share: f64) -> World {
    let world = world_with(|builder| builder.max_ejected_share(max_ejected_share));
    for (n, fate) in (0..).zip(fates) {
        world.join_with(n, &capacity(10));
        if let Some(rtt) = fate.rtt {
            world.measure(n, std::time::Duration::from_micros(rtt));
        }
        if let Some(at) = fate.place {
            teach(&world, n, place(at.into(), 0.0));
        }
        world.report(n, fate.load);
        world.set_draining(&id(n), fate.is_draining).unwrap();
        if let Some(failure) = fate.failure {
            world.fail(n, failure);
            (0..fate.successes).for_each(|_| world.succeed(n));
        }
        if fate.is_banned {
            world.ban_for(n, secs(60));
        }
    }
    world
}

/// Peers all around report their true round trips to a relay.
fn teach(world: &World, n: u32, relay: Coordinate) {
    for turn in 0..40 {
        let around = turn as f32 * 2.4;
        let peer = place(100.0 * around.sin(), 100.0 * around.cos());
        let view = published([(n, peer.rtt_to(&relay))]).coordinate(peer);
        world.update_peer(&non_relay(), view);
    }
}

fn wishes() -> impl Strategy<Value = FindOptions> {
    let view = || {
        let pairs = prop::collection::vec((0..14_u32, 1..150_u64), 0..3);
        let view = (pairs, prop::option::of(any::<i8>())).prop_map(|(pairs, at)| {
            let view = published(pairs.into_iter().map(in_ms));
            at.map_or(view, |at| view.coordinate(place(at.into(), 5.0)))
        });
        prop::option::of(view)
    };
    (
        prop::collection::vec(0..12_u32, 0..3),
        prop::option::of(1..150_u64),
        any::<bool>(),
        prop::option::of(0..14_u32),
        view(),
        view(),
    )
        .prop_map(
            |(excluded, max, unmeasured, preferred, target, requester)| {
                let mut options = excluding(excluded)
                    .max_results(1)
                    .allow_unmeasured(unmeasured);
                if let Some(max) = max {
                    options = options.max_latency(ms(max));
                }
                if let Some(preferred) = preferred {
                    options = options.prefer(id(preferred));
                }
                if let Some(view) = target {
                    options = options.target_view(view);
                }
                if let Some(view) = requester {
                    options = options.requester_view(view);
                }
                options
            },
        )
}

fn in_ms((n, rtt): (u32, u64)) -> (u32, std::time::Duration) {
    (n, ms(rtt))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A find returns the relay of the explanation, or one with about the same score.
    #[test]
    fn an_explanation_agrees_with_the_find_that_follows(
        fates in prop::collection::vec(fate(), 0..12),
        options in wishes(),
        max_ejected_share in prop_oneof![Just(0.0), Just(0.5), Just(1.0)],
        merged in prop::bool::weighted(0.8),
    ) {
        let world = world_of_fates(&fates, max_ejected_share);
        if merged {
            world.maintain();
        }
        let explanation = world.explain(&non_relay(), &options);
        prop_assert_eq!(explanation.relays().len(), fates.len());
        explanation.relays().iter().for_each(assert_adds_up);
        let chosen: Vec<_> = explanation.chosen().collect();
        let found = world.find_relay_with(&non_relay(), &options);
        match (&chosen[..], found) {
            ([], Err(_)) => {}
            ([chosen], Ok(found)) if chosen.relay == found.node_id() => {}
            ([chosen], Ok(found)) => {
                let other = explanation.of(&found.node_id()).expect("held");
                prop_assert_eq!(other.verdict, Verdict::Worse);
                prop_assert_eq!(chosen.verdict, Verdict::Chosen, "{}", explanation);
                // Ranks have a precision of 1/512.
                prop_assert!(other.score_ms() <= chosen.score_ms() * 1.002, "{}", explanation);
            }
            (chosen, found) => prop_assert!(false, "{chosen:?}, found {found:?}"),
        }
    }
}
