//! What a call asks for: as options, and as the rule by which the oracle judges a relay.

use super::relay::{DOMAINS, LABELS, Relay, State};
use crate::common::*;
use proptest::prelude::*;
use proptest::sample::subsequence;
use relay_registry::{FindOptions, IpFamily};
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Question {
    pub max_latency: Option<Duration>,
    pub allow_unmeasured: bool,
    pub units: u32,
    pub require: Vec<&'static str>,
    pub avoid: Vec<&'static str>,
    pub family: Option<IpFamily>,
    pub exclude_domains: Vec<&'static str>,
}

/// Why a relay is not eligible. If several reasons hold, the one that is checked first counts: what the call
/// excludes by id, the circuit, draining and load, what the relay announces, its latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Departed,
    Excluded,
    Banned,
    BackingOff,
    Draining,
    Full,
    Labels,
    Family,
    TooFar,
    Unmeasured,
}

impl Question {
    /// All but the ids that are excluded.
    pub fn options(&self) -> FindOptions {
        let options = FindOptions::new()
            .units(self.units)
            .allow_unmeasured(self.allow_unmeasured)
            .require(&self.require)
            .avoid(&self.avoid)
            .exclude_domains(&self.exclude_domains);
        let options = match self.family {
            Some(family) => options.family(family),
            None => options,
        };
        match self.max_latency {
            Some(max) => options.max_latency(max),
            None => options,
        }
    }

    pub fn admits(&self, relay: &Relay) -> bool {
        self.rejection(relay).is_none()
    }

    /// The first reason that holds.
    pub fn rejection(&self, relay: &Relay) -> Option<Reason> {
        let mut reasons = by_state(relay.state)
            .into_iter()
            .chain(self.is_full(relay).then_some(Reason::Full))
            .chain(self.by_announcement(relay))
            .chain(self.by_latency(relay));
        reasons.next()
    }

    fn is_full(&self, relay: &Relay) -> bool {
        relay.load + self.units > relay.capacity
    }

    fn by_announcement(&self, relay: &Relay) -> Option<Reason> {
        let has = |label: &&str| relay.labels.contains(label);
        let is_of = |domain: &&str| relay.domain == Some(*domain);
        if self.exclude_domains.iter().any(is_of) {
            Some(Reason::Excluded)
        } else if !self.require.iter().all(has) || self.avoid.iter().any(has) {
            Some(Reason::Labels)
        } else if self.family.is_some_and(|it| !relay.reach.is_over(it)) {
            Some(Reason::Family)
        } else {
            None
        }
    }

    fn by_latency(&self, relay: &Relay) -> Option<Reason> {
        let max = self.max_latency?;
        match relay.rtt {
            Some(rtt) => (rtt > max).then_some(Reason::TooFar),
            None => (!self.allow_unmeasured).then_some(Reason::Unmeasured),
        }
    }
}

const fn by_state(state: State) -> Option<Reason> {
    match state {
        State::Fine => None,
        State::Excluded => Some(Reason::Excluded),
        State::Draining => Some(Reason::Draining),
        State::Banned => Some(Reason::Banned),
        State::BackingOff => Some(Reason::BackingOff),
        State::Left | State::Lapsed => Some(Reason::Departed),
    }
}

/// About a third of the calls have no filter, and as many ask for one unit only.
pub fn question() -> impl Strategy<Value = Question> {
    let max_latency = prop::option::weighted(0.3, (1..200_u64).prop_map(ms));
    let units = prop_oneof![2 => Just(1), 2 => 2..=8_u32];
    let require = prop_oneof![3 => Just(vec![]), 2 => subsequence(&LABELS[..], 1..=2)];
    let avoid = prop_oneof![3 => Just(vec![]), 2 => subsequence(&LABELS[..], 1..=2)];
    let family =
        prop_oneof![2 => Just(None), 1 => Just(Some(IpFamily::V4)), 1 => Just(Some(IpFamily::V6))];
    let domains = prop_oneof![2 => Just(vec![]), 1 => subsequence(&DOMAINS[..], 1..=2)];
    let all = (
        max_latency,
        any::<bool>(),
        units,
        require,
        avoid,
        family,
        domains,
    );
    all.prop_map(
        |(max_latency, allow_unmeasured, units, require, avoid, family, exclude_domains)| {
            Question {
                max_latency,
                allow_unmeasured,
                units,
                require,
                avoid,
                family,
                exclude_domains,
            }
        },
    )
}
