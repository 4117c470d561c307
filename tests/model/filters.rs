//! Which relays a call asks for, by what they announce.

use super::{Address, Obstacle, Record};
use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Labels that a relay must have: all of them.
    pub require: BTreeSet<String>,
    /// Labels that it must not have: none of them.
    pub avoid: BTreeSet<String>,
    /// The family over which it must be reachable, by any of its endpoints.
    pub family: Option<Family>,
    /// Failure domains that a relay must not have named.
    pub exclude_domains: BTreeSet<String>,
}

impl Filter {
    /// What a relay does not meet.
    pub(super) fn obstacles<E: Address>(&self, relay: &Record<E>) -> Vec<Obstacle> {
        let has = &relay.details.labels;
        let has_labels = self.require.is_subset(has) && self.avoid.is_disjoint(has);
        let mut endpoints = std::iter::once(&relay.endpoint).chain(&relay.details.also_at);
        let is_reachable = self
            .family
            .is_none_or(|family| endpoints.any(|endpoint| is_of(family, endpoint)));
        let domain = relay.details.domain.as_ref();
        let is_excluded = domain.is_some_and(|name| self.exclude_domains.contains(name));
        let mut obstacles = Vec::new();
        obstacles.extend((!has_labels).then_some(Obstacle::Labels));
        obstacles.extend(is_excluded.then_some(Obstacle::Domain));
        obstacles.extend((!is_reachable).then_some(Obstacle::Family));
        obstacles
    }
}

/// A name may resolve to an address of either family.
fn is_of(family: Family, endpoint: &impl Address) -> bool {
    endpoint.ip().is_none_or(|ip| match family {
        Family::V4 => ip.to_canonical().is_ipv4(),
        Family::V6 => ip.to_canonical().is_ipv6(),
    })
}
