//! A relay in a random state, and what the oracle knows of it.

use crate::common::*;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use relay_registry::{Endpoint, IpFamily, RegisterOptions};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

/// The assumed round trip of an unmeasured leg: the registry's default.
const ASSUMED: Duration = ms(100);
pub const LABELS: [&str; 3] = ["a", "b", "c"];
pub const DOMAINS: [&str; 3] = ["rack 1", "rack 2", "rack 3"];

#[derive(Clone, Debug)]
pub struct Relay {
    pub rtt: Option<Duration>,
    pub capacity: u32,
    pub load: u32,
    pub state: State,
    pub tier: u8,
    /// In thousandths.
    pub cost: u32,
    /// Whether the operator says tier and cost, against what the relay announces.
    pub is_by_operator: bool,
    pub labels: Vec<&'static str>,
    pub domain: Option<&'static str>,
    pub reach: Reach,
    pub change: Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Fine,
    Excluded,
    Draining,
    Banned,
    BackingOff,
    Left,
    Lapsed,
}

/// What endpoints a relay has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    V4,
    V6,
    Both,
    Name,
}

/// What happens to a relay after the last merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Unchanged,
    /// It had other labels, another tier and another cost until then.
    Renewed,
    /// It had no labels, and the announced tier and cost, until then.
    Arrived,
}

impl State {
    pub const fn is_gone(self) -> bool {
        matches!(self, Self::Left | Self::Lapsed)
    }
}

impl Reach {
    pub fn is_over(self, family: IpFamily) -> bool {
        match self {
            Self::V4 => family == IpFamily::V4,
            Self::V6 => family == IpFamily::V6,
            Self::Both | Self::Name => true,
        }
    }

    pub fn endpoint(self, n: u32) -> Endpoint {
        match self {
            Self::V4 | Self::Both => endpoint(n),
            Self::V6 => over_v6(n),
            Self::Name => Endpoint::from_name(&format!("relay-{n}.example"), 4_000).unwrap(),
        }
    }

    fn further(self, n: u32) -> Option<Endpoint> {
        (self == Self::Both).then(|| over_v6(n))
    }
}

fn over_v6(n: u32) -> Endpoint {
    let [high, low] = [(n >> 16) as u16, n as u16];
    let address = Ipv6Addr::new(0x2a00, 1, 2, 3, 4, 5, high, low);
    Endpoint::from(SocketAddr::from((address, 4_000)))
}

impl Relay {
    /// The score for a home: by this node's leg.
    pub fn own_score(&self) -> f64 {
        self.weighted(self.rtt.unwrap_or(ASSUMED))
    }

    /// The score for a call to a target of which nothing is known.
    pub fn score(&self) -> f64 {
        self.weighted(self.rtt.unwrap_or(ASSUMED) + ASSUMED)
    }

    fn weighted(&self, path: Duration) -> f64 {
        let utilisation = f64::from(self.load) / f64::from(self.capacity);
        self.cost_factor() * path.as_secs_f64() / (1.0 - utilisation.powi(4))
    }

    pub fn cost_factor(&self) -> f64 {
        f64::from(self.cost) / 1_000.0
    }

    /// What the relay announces at last.
    pub fn announcement(&self, n: u32) -> RegisterOptions {
        let options = capacity(self.capacity)
            .labels(&self.labels)
            .also_at(self.reach.further(n));
        let options = match self.domain {
            Some(domain) => options.failure_domain(domain),
            None => options,
        };
        let options = match self.state {
            State::Lapsed => options.ttl(secs(1)),
            _ => options.ttl(TTL),
        };
        // The operator's word goes before these.
        match self.is_by_operator {
            true => options.tier(200 - self.tier / 2).cost(9.0),
            false => options.tier(self.tier).cost(self.cost_factor()),
        }
    }

    /// What it announces first.
    pub fn first_announcement(&self, n: u32) -> RegisterOptions {
        if self.change != Change::Renewed {
            return self.announcement(n);
        }
        let others = LABELS.iter().filter(|label| !self.labels.contains(label));
        let options = self.announcement(n).labels(others);
        options.tier(self.tier ^ 1).cost(0.1)
    }
}

pub fn relay() -> impl Strategy<Value = Relay> {
    let state = prop_oneof![
        12 => Just(State::Fine),
        1 => Just(State::Excluded),
        1 => Just(State::Draining),
        1 => Just(State::Banned),
        1 => Just(State::BackingOff),
        1 => Just(State::Left),
        1 => Just(State::Lapsed),
    ];
    let load = prop_oneof![3 => Just(0), 4 => 0..=8_u32, 1 => Just(8)];
    let tier = prop_oneof![6 => Just(0), 6 => 0..3_u8, 1 => any::<u8>()];
    let cost = prop_oneof![2 => Just(1_000), 1 => 100..=10_000_u32];
    let use_of_it = (rtt(), 1..=8_u32, load, state);
    let preference = (tier, cost, any::<bool>());
    let announced = (
        subsequence(&LABELS[..], 0..=LABELS.len()),
        prop::option::of(select(&DOMAINS[..])),
        select(&[Reach::V4, Reach::V6, Reach::Both, Reach::Name][..]),
    );
    let change = prop_oneof![
        4 => Just(Change::Unchanged),
        1 => Just(Change::Renewed),
        1 => Just(Change::Arrived),
    ];
    (use_of_it, preference, announced, change).prop_map(
        |((rtt, capacity, load, state), (tier, cost, is_by_operator), announced, change)| Relay {
            rtt,
            capacity,
            load,
            state,
            tier,
            cost,
            is_by_operator,
            labels: announced.0,
            domain: announced.1,
            reach: announced.2,
            change,
        },
    )
}

/// Equal round trips, round trips of all lengths, and some unmeasured.
fn rtt() -> impl Strategy<Value = Option<Duration>> {
    prop_oneof![
        1 => Just(None),
        2 => select(&[1, 20, 21, 100][..]).prop_map(|n| Some(ms(n))),
        4 => (1..250_000_u64).prop_map(|micros| Some(Duration::from_micros(micros))),
    ]
}
