//! Tiers, labels, families, failure domains and units, while other threads change them and relays come and
//! go. Some relays never change in one respect. So it is certain what no call may answer.

use crate::capacity::Account;
use crate::common::*;
use crate::{at_once, register_patiently, renew_with, while_running};
use relay_registry::{FindOptions, IpFamily, Lease, RegisterOptions, Registration, RelayInfo};
use std::cmp::Ordering;
use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;

const TURNS: u32 = 8_000;
const THREADS: u32 = 2;

/// They stay in tier 0 with room for all, and every question here admits them. But they are far away.
const ALWAYS: Range<u32> = 0..4;
/// They have few units. The operator moves them between tiers 0 and 1.
const SMALL: Range<u32> = 4..10;
/// They are near, and in no moment of tier 0.
const RESERVE: Range<u32> = 10..16;
/// They are near and of tier 0, without the label "x", and with all that the questions avoid.
const AVOIDED: Range<u32> = 16..22;
const ALL: Range<u32> = 0..22;
/// The units of all others.
const UNITS: u32 = 5;
/// Up to this factor scores are equal among so few relays, for a home too.
const TOLERANCE: f64 = 1.0 + 2.0 / 512.0 + 1e-5;

/// What a relay announces in some turn.
fn announcement(n: u32, turn: u32) -> RegisterOptions {
    match n {
        _ if ALWAYS.contains(&n) => latency(ms(200 + u64::from(n)))
            .capacity(100_000)
            .labels(["x"]),
        _ if SMALL.contains(&n) => {
            let labels: &[&str] = [&["x"][..], &["x", "z"], &["z"]][(turn % 3) as usize];
            let options = latency(ms(10 + u64::from(n))).capacity(UNITS);
            options.labels(labels).tier((turn % 2) as u8)
        }
        _ if RESERVE.contains(&n) => {
            let options = latency(ms(1)).capacity(UNITS).labels(["x"]);
            options.tier(1 + (turn % 3) as u8)
        }
        _ => {
            let labels: &[&str] = [&["y"][..], &["y", "z"]][(turn % 2) as usize];
            let options = latency(ms(2)).capacity(UNITS).labels(labels);
            options.failure_domain("rack")
        }
    }
}

fn register(world: &World, n: u32, turn: u32) -> Registration {
    let address = match AVOIDED.contains(&n) {
        true => format!("[2a00::{n}]:4000").parse().expect("an endpoint"),
        false => endpoint(n),
    };
    let outcome = register_patiently(world, n, address, &announcement(n, turn));
    outcome.expect("room for all")
}

fn all_registered() -> World {
    let world = world_of(64);
    for n in ALL {
        assert_eq!(register(&world, n, 0), Registration::New);
    }
    world
}

/// One turn of the operator. Those in reserve stay in a tier above 0.
fn let_the_operator_speak(world: &World, turn: u32) {
    let small = SMALL.start + turn % SMALL.len() as u32;
    let in_reserve = RESERVE.start + turn % RESERVE.len() as u32;
    match turn % 5 {
        0 | 1 => assert_eq!(world.set_tier(&id(small), (turn % 2) as u8), Ok(())),
        2 => assert_eq!(
            world.set_tier(&id(in_reserve), 1 + (turn % 9) as u8),
            Ok(())
        ),
        3 => _ = world.lift(&id(small)),
        _ => _ = world.lift(&id(in_reserve)),
    }
    if turn % 16 == 0 {
        world.maintain();
    }
}

/// One turn of the owner of all relays that do not stay as they are.
fn come_and_go(world: &World, turn: u32) {
    let n = ALWAYS.end + turn % (ALL.end - ALWAYS.end);
    match turn % 3 {
        0 => _ = world.unregister(&id(n)),
        _ => _ = register(world, n, turn / 7),
    }
}

/// What a call asks for. All of it admits the relays that are always there.
struct Question {
    options: FindOptions,
    units: u32,
    passes: fn(&RelayInfo) -> bool,
    /// Whether the relays to be avoided never pass.
    avoids: bool,
}

fn questions() -> Vec<Question> {
    let of = |avoids| {
        move |options, units, passes| Question {
            options: FindOptions::units(options, units),
            units,
            passes,
            avoids,
        }
    };
    let (open, closed) = (of(false), of(true));
    let any = FindOptions::new;
    vec![
        open(any(), 1, |_| true),
        open(any(), 3, |_| true),
        open(any().avoid(["z"]), 1, |it| !it.has_label("z")),
        closed(any().require(["x"]), 1, |it| it.has_label("x")),
        closed(any().require(["x"]), 2, |it| it.has_label("x")),
        closed(any().avoid(["y"]), 1, |it| !it.has_label("y")),
        closed(any().family(IpFamily::V4), UNITS, is_over_v4),
        closed(any().exclude_domains(["rack"]), 1, |it| {
            it.failure_domain() != Some("rack")
        }),
        closed(
            any().require(["x"]).avoid(["z"]).family(IpFamily::V4),
            2,
            |it| it.has_label("x") && !it.has_label("z") && is_over_v4(it),
        ),
    ]
}

fn is_over_v4(relay: &RelayInfo) -> bool {
    !AVOIDED.contains(&number(relay.node_id()))
}

impl Question {
    /// This holds at every moment.
    #[track_caller]
    fn check(&self, relay: &RelayInfo) {
        let n = number(relay.node_id());
        let options = &self.options;
        assert!(
            !RESERVE.contains(&n),
            "relay {n} of a higher tier: {options:?}"
        );
        let is_avoided = self.avoids && AVOIDED.contains(&n);
        assert!(!is_avoided, "relay {n} does not pass: {options:?}");
    }

    /// At rest.
    fn is_eligible(&self, relay: &RelayInfo) -> bool {
        relay.current_load() + self.units <= relay.capacity() && (self.passes)(relay)
    }
}

/// Asks, and takes and gives back units.
fn ask(world: &World, account: &Account, thread: u32) {
    let questions = questions();
    let mut held: VecDeque<Lease> = VecDeque::new();
    for turn in 0..TURNS {
        let question = &questions[((thread + turn) as usize) % questions.len()];
        let found = world.find_relay_with(&non_relay(), &question.options);
        question.check(&found.expect("those that are always there"));
        let home = world.find_home_relay(&question.options);
        question.check(&home.expect("those that are always there"));
        let list = question.options.clone().max_results(ALWAYS.len());
        let list = world.find_relays(&non_relay(), &list);
        assert_eq!(list.len(), ALWAYS.len());
        list.iter().for_each(|relay| question.check(relay));

        let lease = world.reserve(&non_relay(), &question.options);
        let lease = lease.expect("those that are always there");
        question.check(lease.relay());
        match ALWAYS.contains(&number(lease.relay().node_id())) {
            true => drop(lease),
            false => {
                account.enter(&lease);
                held.push_back(lease);
            }
        }
        if held.len() > 4 {
            let oldest = held.pop_front();
            oldest.into_iter().for_each(|it| account.give_back(it));
        }
    }
    held.into_iter().for_each(|it| account.give_back(it));
}

#[test]
fn what_never_holds_is_never_answered_while_tiers_and_labels_change() {
    let world = all_registered();
    let account = Account::of_relays(ALL.end, UNITS);
    let (mut spoken, mut turn) = (0, 0);
    let operator = || {
        spoken += 1;
        let_the_operator_speak(&world, spoken);
    };
    let owner = || {
        turn += 1;
        come_and_go(&world, turn);
    };
    while_running(operator, || {
        while_running(owner, || {
            at_once(THREADS, |thread| ask(&world, &account, thread));
        });
    });
    world.maintain();
    assert_eq!(world.stats().leases, 0);
    questions()
        .iter()
        .for_each(|question| assert_best(&world, question));
}

/// In half of the time the relay has the label.
#[test]
fn a_lease_is_on_terms_that_the_call_asked_for() {
    let world = world();
    world.join_with(1, &options().labels(["udp"]));
    let renew = || {
        renew_with(&world, 1, &options().labels(["tcp"]));
        renew_with(&world, 1, &options().labels(["udp"]));
    };
    let with_label = FindOptions::new().require(["udp"]);
    while_running(renew, || {
        for _ in 0..200_000 {
            if let Ok(lease) = world.reserve(&non_relay(), &with_label) {
                assert!(lease.relay().has_label("udp"), "{:?}", lease.relay());
            }
        }
    });
}

/// How a relay ranks: by tier and score, for a call or for a home.
fn rank(relay: &RelayInfo, is_for_home: bool) -> (u8, f64) {
    let own = relay.latency().expect("a measurement");
    let path = if is_for_home { own } else { own + ms(100) };
    let utilisation = f64::from(relay.current_load()) / f64::from(relay.capacity());
    let score = relay.cost() * path.as_secs_f64() / (1.0 - utilisation.powi(4));
    (relay.tier(), score)
}

fn by_tier_and_score(one: &(u8, f64), other: &(u8, f64)) -> Ordering {
    one.0.cmp(&other.0).then(one.1.total_cmp(&other.1))
}

/// At rest, each answer is about the best of all relays that are listed, as an exhaustive comparison says.
#[track_caller]
fn assert_best(world: &World, question: &Question) {
    let options = &question.options;
    let relays = world.relays();
    let eligible: Vec<_> = relays
        .iter()
        .filter(|it| question.is_eligible(it))
        .collect();
    let ids: BTreeSet<_> = eligible.iter().map(|relay| relay.node_id()).collect();
    let list = world.find_relays(&non_relay(), &options.clone().max_results(usize::MAX));
    let listed: BTreeSet<_> = list.iter().map(RelayInfo::node_id).collect();
    assert_eq!((list.len(), &listed), (ids.len(), &ids), "{options:?}");
    assert!(list.is_sorted_by_key(RelayInfo::tier), "{list:?}");

    let reserved = world.reserve(&non_relay(), options);
    let reserved = reserved.map(|lease| lease.relay().node_id());
    let found = world.find_relay_with(&non_relay(), options);
    let home = world.find_home_relay(options);
    let node_id = |relay: RelayInfo| relay.node_id();
    let answers = [
        (false, list.first().cloned().map(node_id)),
        (false, found.ok().map(node_id)),
        (false, reserved.ok()),
        (true, home.ok().map(node_id)),
    ];
    for (is_for_home, answer) in answers {
        let ranked = eligible
            .iter()
            .map(|it| (it.node_id(), rank(it, is_for_home)));
        let ranked: Vec<_> = ranked.collect();
        let best = ranked.iter().map(|it| it.1).min_by(by_tier_and_score);
        let best = best.expect("those that are always there");
        let chosen = ranked.iter().find(|it| Some(it.0) == answer);
        let chosen = chosen.expect("one that is eligible").1;
        assert_eq!(chosen.0, best.0, "{options:?}");
        assert!(
            chosen.1 <= best.1 * TOLERANCE,
            "{chosen:?}, best {best:?}: {options:?}"
        );
    }
}
