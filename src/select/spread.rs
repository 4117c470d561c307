//! Choosing relays that do not fail together.
//!
//! Two relays share a *failure domain* when their addresses lie in one network
//! (an IPv4 /24 or an IPv6 /48), their names are the same, or the embedder gave
//! them the same label. Of several relays asked for, each next one is the best
//! that shares no domain with those before, unless its path is too much longer, or
//! its score too much worse, than that of the best one left: then it is that. Nor is one preferred for its
//! domain that is nearly full or failed lately: it would be no standby. (Tor's path selection and
//! Kademlia's lookups spread over prefixes for the same reason.)

use crate::relay::Host;
use crate::select::criteria::Candidate;
use crate::table::record::Announcement;
use std::net::IpAddr;

/// Chooses `count` from a pool that is sorted, best first, none twice. A path may
/// be longer by `cost`, a share, for the sake of another domain.
pub(crate) fn spread<'g>(pool: &[Candidate<'g>], count: usize, cost: f64) -> Vec<Candidate<'g>> {
    let mut chosen: Vec<Candidate<'g>> = Vec::with_capacity(count.min(pool.len()));
    let mut fates = vec![Fate::Open; pool.len()];
    while let Some(first) = fates.iter().position(|&fate| fate != Fate::Over) {
        if chosen.len() == count {
            break;
        }
        let next = match chosen.is_empty() || cost == 0.0 {
            true => first,
            false => apart(pool, first, &chosen, &mut fates, cost).unwrap_or(first),
        };
        fates[next] = Fate::Over;
        let candidate = pool[next];
        // A relay that left and came back meanwhile may be met in both lives.
        let id = candidate.record.identity();
        let is_new = !chosen.iter().any(|other| other.record.is_of(&id));
        if is_new && candidate.is_confirmed() {
            chosen.push(candidate);
        }
    }
    chosen
}

/// What is known of a candidate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    /// It shares a domain with one that was chosen.
    Shares,
    /// It was chosen, or will not do.
    Over,
}

/// The place of the best that is apart from those chosen, if it is worth it.
fn apart(
    pool: &[Candidate<'_>],
    first: usize,
    chosen: &[Candidate<'_>],
    fates: &mut [Fate],
    cost: f64,
) -> Option<usize> {
    let best = pool[first].worth;
    let longest = (f64::from(best.path_micros) * (1.0 + cost)).round();
    let worst = best.score * (1.0 + cost as f32);
    for (place, candidate) in pool.iter().enumerate().skip(first) {
        if candidate.worth.score > worst {
            return None;
        }
        if fates[place] != Fate::Open || f64::from(candidate.worth.path_micros) > longest {
            continue;
        }
        let terms = announcement(candidate);
        if chosen.iter().any(|other| share(terms, announcement(other))) {
            fates[place] = Fate::Shares;
        } else if is_standby(candidate) {
            return Some(place);
        }
    }
    None
}

/// Whether it is likely to be of use when it is needed.
fn is_standby(candidate: &Candidate<'_>) -> bool {
    !candidate.is_on_trial() && !candidate.is_busy()
}

fn announcement<'g>(candidate: &Candidate<'g>) -> &'g Announcement {
    candidate.record.announcement()
}

fn share(one: &Announcement, other: &Announcement) -> bool {
    let labels = one
        .failure_domain
        .as_ref()
        .zip(other.failure_domain.as_ref());
    labels.is_some_and(|(one, other)| one == other)
        || match (one.endpoint.host(), other.endpoint.host()) {
            (Host::Ip(one), Host::Ip(other)) => is_one_network(one, other),
            (one, other) => one == other,
        }
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
        Announcement {
            failure_domain: failure_domain.map(Into::into),
            ..Announcement::new(endpoint, 1, Duration::from_secs(1))
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
