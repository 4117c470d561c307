//! The choice of several relays that do not fail together.
//!
//! Two relays are in one *failure domain* if any of their addresses are in one network (an IPv4
//! /24 or an IPv6 /48), if they have the same name, or if they gave the same name for it.
//! Each further relay of an answer is the best one that shares no domain with those before.
//! If its path is too much longer, or its score too much worse, than that of the best relay
//! left, it is the latter. A relay that is nearly full or failed lately is not preferred for
//! its domain, for it would be a poor standby.
//!
//! Two relays at one host, by any of their endpoints and whatever the ports, are one *machine*.
//! It fails as a whole, so a relay on the machine of another one is no standby for it. It
//! follows only if no other relay is left that has not failed lately, whatever that costs;
//! unless the caller wants no spread at all. (Tor's path selection and Kademlia's lookups spread
//! over prefixes for the same reason.)

use crate::relay::{Endpoint, Host};
use crate::select::candidate::Candidate;
use crate::table::record::Announcement;
use std::net::IpAddr;

/// Adds distinct relays from a pool that is sorted best first to those that were chosen, up
/// to `count` in all. A path may be longer by the share `cost` for the sake of another domain;
/// with 0, nothing is spread. `has_machines` is false only if all of them that have not failed
/// lately are on one machine. `confirm` says whether a relay is still eligible; it is told
/// whether the relay is the first of the answer. Returns whether any was not.
pub(crate) fn spread<'g>(
    pool: &[Candidate<'g>],
    count: usize,
    cost: f64,
    confirm: impl Fn(&Candidate<'g>, bool) -> Option<Candidate<'g>>,
    mut has_machines: bool,
    chosen: &mut Vec<Candidate<'g>>,
) -> bool {
    let mut has_lost = false;
    chosen.reserve(count.saturating_sub(chosen.len()).min(pool.len()));
    let mut states = vec![PoolState::Open; pool.len()];
    while let Some(first) = states.iter().position(|&state| state != PoolState::Done) {
        if chosen.len() == count {
            break;
        }
        let next = match chosen.is_empty() || cost == 0.0 {
            true => None,
            false => best_apart(pool, first, chosen, &mut states, cost).or_else(|| {
                let elsewhere = has_machines
                    .then(|| best_elsewhere(pool, first, chosen, &states))
                    .flatten();
                has_machines = elsewhere.is_some();
                elsewhere
            }),
        };
        let next = next.unwrap_or(first);
        states[next] = PoolState::Done;
        let candidate = pool[next];
        // A relay that returned meanwhile may be met in two generations.
        if !is_among(&candidate, chosen) {
            let confirmed = confirm(&candidate, chosen.is_empty());
            has_lost |= confirmed.is_none();
            chosen.extend(confirmed);
        }
    }
    has_lost
}

/// Whether a relay was chosen, perhaps in another generation.
pub(crate) fn is_among(candidate: &Candidate<'_>, chosen: &[Candidate<'_>]) -> bool {
    let id = candidate.record.identity();
    chosen.iter().any(|other| other.record.is_of(&id))
}

/// What is known of a relay in the pool.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PoolState {
    Open,
    /// It shares a domain with a relay that was chosen.
    Shares,
    /// It was chosen, or is no longer eligible.
    Done,
}

/// The best relay that shares no domain with those chosen, if its cost is low enough.
fn best_apart(
    pool: &[Candidate<'_>],
    first: usize,
    chosen: &[Candidate<'_>],
    states: &mut [PoolState],
    cost: f64,
) -> Option<usize> {
    let best = pool[first].evaluation;
    let longest = (f64::from(best.path_micros) * (1.0 + cost)).round();
    let worst = best.score * (1.0 + cost as f32);
    for (at, candidate) in pool.iter().enumerate().skip(first) {
        if candidate.evaluation.score > worst {
            return None;
        }
        if states[at] != PoolState::Open || f64::from(candidate.evaluation.path_micros) > longest {
            continue;
        }
        let announced = announcement(candidate);
        if chosen
            .iter()
            .any(|other| share(announced, announcement(other)))
        {
            states[at] = PoolState::Shares;
        } else if is_standby(candidate) {
            return Some(at);
        }
    }
    None
}

/// The best relay on another machine than those chosen, unless it failed lately.
fn best_elsewhere(
    pool: &[Candidate<'_>],
    first: usize,
    chosen: &[Candidate<'_>],
    states: &[PoolState],
) -> Option<usize> {
    let is_elsewhere = |candidate: &Candidate<'_>| {
        let announced = announcement(candidate);
        !chosen
            .iter()
            .any(|other| is_one_machine(announced, announcement(other)))
    };
    (first..pool.len()).find(|&at| {
        let candidate = &pool[at];
        states[at] != PoolState::Done && !candidate.is_on_trial() && is_elsewhere(candidate)
    })
}

/// Whether a relay is likely to be eligible when it is needed.
fn is_standby(candidate: &Candidate<'_>) -> bool {
    !candidate.is_on_trial() && !candidate.is_busy()
}

fn announcement<'g>(candidate: &Candidate<'g>) -> &'g Announcement {
    candidate.record.announcement()
}

/// Whether two relays are at one host, by any of their endpoints.
pub(crate) fn is_one_machine(one: &Announcement, other: &Announcement) -> bool {
    have_endpoints(one, other, Endpoint::shares_host_with)
}

/// Whether any endpoint of one relay and any of another are so.
#[inline(always)]
fn have_endpoints(
    one: &Announcement,
    other: &Announcement,
    are_so: impl Fn(&Endpoint, &Endpoint) -> bool,
) -> bool {
    if are_so(&one.endpoint, &other.endpoint) {
        return true;
    }
    // Few relays have further endpoints, or anything else that only some announce.
    (one.details.is_some() || other.details.is_some()) && have_further(one, other, are_so)
}

#[cold]
#[inline(never)]
fn have_further(
    one: &Announcement,
    other: &Announcement,
    are_so: impl Fn(&Endpoint, &Endpoint) -> bool,
) -> bool {
    let mut endpoints = one.endpoints();
    endpoints.any(|one| other.endpoints().any(|other| are_so(one, other)))
}

/// Whether two relays are in one failure domain.
fn share(one: &Announcement, other: &Announcement) -> bool {
    let domains = one.failure_domain().zip(other.failure_domain());
    domains.is_some_and(|(one, other)| one == other)
        || have_endpoints(one, other, |one, other| match (one.host(), other.host()) {
            (Host::Ip(one), Host::Ip(other)) => is_one_network(one, other),
            (one, other) => one == other,
        })
}

fn is_one_network(one: IpAddr, other: IpAddr) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => one.octets()[..3] == other.octets()[..3],
        (IpAddr::V6(one), IpAddr::V6(other)) => one.segments()[..3] == other.segments()[..3],
        _ => false,
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(endpoint: &str, failure_domain: Option<&str>) -> Announcement {
        let endpoint = endpoint.parse().unwrap();
        let announcement = Announcement::new(endpoint, 1, Duration::from_secs(1));
        match failure_domain {
            Some(name) => announcement.in_domain(name),
            None => announcement,
        }
    }

    #[test]
    fn networks_names_and_labels_are_shared() {
        for (one, other, shared) in [
            (at("192.0.2.1:1", None), at("192.0.2.254:9", None), true),
            (at("192.0.2.1:1", None), at("192.0.3.1:1", None), false),
            (
                at("[2001:db8:1::1]:1", None),
                at("[2001:db8:1:9::1]:1", None),
                true,
            ),
            (
                at("[2001:db8:1::1]:1", None),
                at("[2001:db8:2::1]:1", None),
                false,
            ),
            (at("a.example:1", None), at("a.example:2", None), true),
            (at("a.example:1", None), at("b.example:1", None), false),
            (at("a.example:1", None), at("192.0.2.1:1", None), false),
            (
                at("192.0.2.1:1", Some("rack")),
                at("198.51.100.1:1", Some("rack")),
                true,
            ),
            (
                at("192.0.2.1:1", Some("rack")),
                at("198.51.100.1:1", Some("other")),
                false,
            ),
            (
                at("192.0.2.1:1", Some("rack")),
                at("192.0.2.2:1", Some("other")),
                true,
            ),
        ] {
            assert_eq!(share(&one, &other), shared, "{one:?} {other:?}");
        }
    }
}
