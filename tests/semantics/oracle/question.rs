//! What a call asks for: as options, and as the rule by which the oracle judges a relay.

use super::scene::{DOMAINS, LABELS, Relay};
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

impl Question {
    /// All but the ids that are excluded.
    pub fn options(&self) -> FindOptions {
        let options = FindOptions::new()
            .max_spread_cost(0.0)
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
        let is_near = match (self.max_latency, relay.rtt) {
            (None, _) => true,
            (Some(max), Some(rtt)) => rtt <= max,
            (Some(_), None) => self.allow_unmeasured,
        };
        let has = |label: &&str| relay.labels.contains(label);
        let is_of = |domain: &&str| relay.domain == Some(*domain);
        is_near
            && relay.load + self.units <= relay.capacity
            && self.require.iter().all(has)
            && !self.avoid.iter().any(has)
            && self.family.is_none_or(|family| relay.reach.is_over(family))
            && !self.exclude_domains.iter().any(is_of)
    }
}

/// About a third of the calls have no filter, and as many ask for one unit only.
pub fn question() -> impl Strategy<Value = Question> {
    let max_latency = prop::option::weighted(0.3, (1..200_u64).prop_map(ms));
    let units = prop_oneof![2 => Just(1), 2 => 2..=8_u32];
    let require = prop_oneof![3 => Just(vec![]), 2 => subsequence(&LABELS[..], 1..=2)];
    let avoid = prop_oneof![3 => Just(vec![]), 2 => subsequence(&LABELS[..], 1..=2)];
    let family =
        prop_oneof![4 => Just(None), 1 => Just(Some(IpFamily::V4)), 1 => Just(Some(IpFamily::V6))];
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
