//! Selection by what relays announce, compared with an exhaustive oracle: tiers, labels, families,
//! failure domains, units and latencies together, before and after changes and merges.

use crate::common::*;
use proptest::collection::vec;
use proptest::prelude::*;
use relay_registry::{Endpoint, FindError, FindOptions, IpFamily, RegisterOptions};

const LABELS: [&str; 3] = ["eu", "tcp", "udp"];
const DOMAINS: [&str; 2] = ["rack-1", "rack-2"];
/// Different ones for each relay: at an address of either family, of both, and at a name.
const PLACES: u8 = 4;

#[derive(Clone, Debug)]
struct Relay {
    tier: u8,
    labels: Vec<&'static str>,
    domain: Option<&'static str>,
    place: u8,
    rtt: Option<u64>,
    capacity: u32,
    load: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Fine,
    Excluded,
    Draining,
    Banned,
}

#[derive(Clone, Debug)]
struct Asked {
    require: Vec<&'static str>,
    avoid: Vec<&'static str>,
    family: Option<IpFamily>,
    domains: Vec<&'static str>,
    units: u32,
    max_latency: Option<u64>,
}

/// Why a relay is not eligible, in the order in which reasons count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Excluded,
    Banned,
    Draining,
    Full,
    Labels,
    Family,
    TooFar,
    Unmeasured,
}

impl Relay {
    fn options(&self) -> RegisterOptions {
        let options = options()
            .tier(self.tier)
            .labels(&self.labels)
            .capacity(self.capacity);
        match self.domain {
            Some(domain) => options.failure_domain(domain),
            None => options,
        }
    }

    fn endpoints(&self, n: u32) -> (Endpoint, Option<Endpoint>) {
        let v4 = endpoint(n);
        let v6: Endpoint = format!("[2620:fe::{n:x}]:1").parse().expect("an endpoint");
        let name: Endpoint = format!("r{n}.example:1").parse().expect("an endpoint");
        match self.place {
            0 => (v4, None),
            1 => (v6, None),
            2 => (v4, Some(v6)),
            _ => (name, None),
        }
    }

    fn is_reachable_over(&self, family: IpFamily) -> bool {
        match self.place {
            0 => family == IpFamily::V4,
            1 => family == IpFamily::V6,
            _ => true,
        }
    }

    fn rejection(&self, asked: &Asked) -> Option<Reason> {
        let has = |label: &&str| self.labels.contains(label);
        let is_domain_excluded = self.domain.is_some_and(|it| asked.domains.contains(&it));
        let reasons = [
            (self.state == State::Excluded, Reason::Excluded),
            (self.state == State::Banned, Reason::Banned),
            (self.state == State::Draining, Reason::Draining),
            (self.load + asked.units > self.capacity, Reason::Full),
            (is_domain_excluded, Reason::Excluded),
            (
                !asked.require.iter().all(has) || asked.avoid.iter().any(has),
                Reason::Labels,
            ),
            (
                asked.family.is_some_and(|it| !self.is_reachable_over(it)),
                Reason::Family,
            ),
            (
                asked.max_latency.is_some() && self.rtt.is_none(),
                Reason::Unmeasured,
            ),
            (
                asked.max_latency.is_some_and(|max| self.rtt > Some(max)),
                Reason::TooFar,
            ),
        ];
        let mut first = reasons.into_iter().filter(|(holds, _)| *holds);
        first.next().map(|(_, reason)| reason)
    }
}

impl Asked {
    fn options(&self, relays: &[Relay]) -> FindOptions {
        let excluded = (0..)
            .zip(relays)
            .filter(|(_, it)| it.state == State::Excluded);
        let mut options = excluding(excluded.map(|(n, _)| n))
            .require(&self.require)
            .avoid(&self.avoid)
            .exclude_domains(&self.domains)
            .units(self.units);
        if let Some(family) = self.family {
            options = options.family(family);
        }
        match self.max_latency {
            Some(max) => options.max_latency(ms(max)),
            None => options,
        }
    }
}

fn enter(world: &World, n: u32, relay: &Relay) {
    let (main, further) = relay.endpoints(n);
    let options = relay.options().also_at(further);
    world
        .register_with(id(n), main, &options)
        .expect("it is valid");
}

/// Brings everything but what is announced to what `relay` says.
fn adjust(world: &World, n: u32, relay: &Relay) {
    world.report(n, relay.load);
    world.forget_rtt(&id(n));
    if let Some(rtt) = relay.rtt {
        world.measure(n, ms(rtt));
    }
    world.lift(&id(n));
    match relay.state {
        State::Fine | State::Excluded => {}
        State::Draining => world.drain(n),
        State::Banned => world.ban_for(n, secs(600)),
    }
}

fn labels() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(&LABELS[..], 0..=3)
}

fn relay() -> impl Strategy<Value = Relay> {
    let state = prop_oneof![
        8 => Just(State::Fine),
        1 => Just(State::Excluded),
        1 => Just(State::Draining),
        1 => Just(State::Banned),
    ];
    let domain = prop::option::of(prop::sample::select(&DOMAINS[..]));
    let rtt = prop::option::of(1..200_u64);
    (
        prop_oneof![0..3_u8, Just(255)],
        labels(),
        domain,
        0..PLACES,
        rtt,
        1..=8_u32,
        0..=8_u32,
        state,
    )
        .prop_map(
            |(tier, labels, domain, place, rtt, capacity, load, state)| Relay {
                tier,
                labels,
                domain,
                place,
                rtt,
                capacity,
                load,
                state,
            },
        )
}

fn asked() -> impl Strategy<Value = Asked> {
    let some = |all: &'static [&'static str], most| prop::sample::subsequence(all, 0..=most);
    let family = prop::option::of(prop::sample::select(&[IpFamily::V4, IpFamily::V6][..]));
    let units = prop_oneof![2 => Just(1), 1 => 2..=8_u32];
    let max_latency = prop::option::weighted(0.3, 1..200_u64);
    (
        some(&LABELS, 2),
        some(&LABELS, 1),
        family,
        some(&DOMAINS, 1),
        units,
        max_latency,
    )
        .prop_map(
            |(require, avoid, family, domains, units, max_latency)| Asked {
                require,
                avoid,
                family,
                domains,
                units,
                max_latency,
            },
        )
}

fn check(world: &World, relays: &[Relay], asked: &Asked) -> Result<(), TestCaseError> {
    let options = asked.options(relays);
    let eligible = relays.iter().filter(|it| it.rejection(asked).is_none());
    let count = eligible.clone().count();
    let lowest = eligible.map(|it| it.tier).min();
    let is_right = |n: u32| {
        let relay = &relays[n as usize];
        relay.rejection(asked).is_none() && Some(relay.tier) == lowest
    };
    let found = world.find_relay_with(&non_relay(), &options);
    let home = world.find_home_relay(&options);
    let reserved = world.reserve(&non_relay(), &options);
    let reserved = reserved.map(|lease| lease.relay().clone());
    let views = options
        .clone()
        .target_view(published([(0, ms(20)), (1, ms(30))]));
    let for_pair = world.find_relay_with(&non_relay(), &views);
    for answer in [&found, &home, &reserved, &for_pair] {
        let answer = answer.as_ref().ok().map(|it| number(it.node_id()));
        prop_assert_eq!(answer.is_some(), lowest.is_some());
        prop_assert!(answer.is_none_or(is_right), "{answer:?}");
    }
    for most in [2, 5, usize::MAX] {
        let list = numbers(&world.find_relays(&non_relay(), &options.clone().max_results(most)));
        prop_assert_eq!(list.len(), count.min(most));
        let of = |n: &u32| &relays[*n as usize];
        prop_assert!(list.iter().all(|n| of(n).rejection(asked).is_none()));
        prop_assert!(list.iter().map(|n| of(n).tier).is_sorted());
    }
    if let Err(FindError::NoRelaysAvailable { rejections, .. }) = found {
        let of = |reason| {
            relays
                .iter()
                .filter(|it| it.rejection(asked) == Some(reason))
                .count()
        };
        let counted = [
            (rejections.excluded, Reason::Excluded),
            (rejections.banned, Reason::Banned),
            (rejections.draining, Reason::Draining),
            (rejections.full, Reason::Full),
            (rejections.labels, Reason::Labels),
            (rejections.family, Reason::Family),
            (rejections.too_far, Reason::TooFar),
            (rejections.unmeasured, Reason::Unmeasured),
        ];
        for (counted, reason) in counted {
            prop_assert_eq!(counted, of(reason), "{:?} of {:?}", reason, rejections);
        }
        prop_assert_eq!(rejections.total(), relays.len());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Each call has filters that others asked for before, or not; and all relays change twice.
    #[test]
    fn what_relays_announce_decides(
        lives in (0..60_usize).prop_flat_map(|count| vec(vec(relay(), count), 2)),
        asked in vec(asked(), 1..4),
        merged: bool,
    ) {
        let world = world();
        let mut domains = vec![None; lives[0].len()];
        for mut relays in lives {
            for (relay, domain) in relays.iter_mut().zip(&mut domains) {
                // One that is not named anew stays.
                *domain = relay.domain.or(*domain);
                relay.domain = *domain;
            }
            for (n, relay) in (0..).zip(&relays) {
                enter(&world, n, relay);
                adjust(&world, n, relay);
            }
            for asked in &asked {
                check(&world, &relays, asked)?;
            }
            if merged {
                world.maintain();
                world.maintain();
            }
            for asked in &asked {
                check(&world, &relays, asked)?;
            }
        }
    }
}
