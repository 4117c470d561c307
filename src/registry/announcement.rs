//! Everything a registration does with the fields of an announcement: the first one of a
//! relay, the one after a renewal, and whether a renewal changes anything.
//!
//! Each function takes the structs apart without `..`, and so do `RelayInfo`'s and the
//! DHT's conversions. So a new field does not compile until each of them says what it does
//! with it.

use crate::registry::request::Request;
use crate::relay::{Cost, DetailOptions, Endpoint, RegisterOptions};
use crate::table::record::Announcement;
use crate::time::{Moment, nanos};
use std::time::Duration;

/// The capacity of a relay that does not declare one.
const DEFAULT_CAPACITY: u32 = 100;

/// What a relay announces that has announced nothing before.
#[inline(always)]
pub(super) fn first(
    request: &Request<'_>,
    registered_at: u64,
    default_ttl: Duration,
) -> Announcement {
    let &RegisterOptions {
        capacity,
        latency: _,
        nat,
        ttl,
        restarted: _,
        ref details,
    } = request.options;
    let details = details.as_deref();
    let (tier, cost) = rank(details, (0, Cost::ONE));
    Announcement {
        endpoint: request.endpoint.clone(),
        capacity: capacity.unwrap_or(DEFAULT_CAPACITY),
        nat,
        origin: request.origin,
        ttl_nanos: nanos(ttl.unwrap_or(default_ttl)),
        registered_at,
        tier,
        cost,
        details: details
            .and_then(|details| DetailOptions::amend(Some(details), None, request.endpoint)),
    }
}

/// The announcement after a renewal; `None` if the renewal changes nothing of it.
pub(super) fn amended(current: &Announcement, request: &Request<'_>) -> Option<Announcement> {
    if request.is_whole {
        let ttl = Duration::from_nanos(current.ttl_nanos);
        let whole = first(request, current.registered_at, ttl);
        return (whole != *current).then_some(whole);
    }
    if !is_changed(current, request.endpoint, request.options) {
        return None;
    }
    let &RegisterOptions {
        capacity,
        latency: _,
        nat,
        ttl,
        restarted: _,
        ref details,
    } = request.options;
    let details = details.as_deref();
    let (tier, cost) = rank(details, (current.tier, current.cost));
    Some(Announcement {
        endpoint: request.endpoint.clone(),
        capacity: capacity.unwrap_or(current.capacity),
        nat: nat.or(current.nat),
        origin: current.origin,
        ttl_nanos: ttl.map_or(current.ttl_nanos, nanos),
        registered_at: current.registered_at,
        tier,
        cost,
        details: DetailOptions::amend(details, current.details.as_ref(), request.endpoint),
    })
}

/// The announcement of a relay that returns: its last one, but for what the request
/// changes.
pub(super) fn returned(last: &Announcement, request: &Request<'_>, now: Moment) -> Announcement {
    Announcement {
        registered_at: now.nanos,
        ..amended(last, request).unwrap_or_else(|| last.clone())
    }
}

/// Whether a renewal on these terms changes what the relay announces.
#[inline(always)]
pub(super) fn is_changed(
    current: &Announcement,
    endpoint: &Endpoint,
    options: &RegisterOptions,
) -> bool {
    let Announcement {
        endpoint: current_endpoint,
        capacity: current_capacity,
        nat: current_nat,
        origin: _,
        ttl_nanos: current_ttl_nanos,
        registered_at: _,
        tier: _,
        cost: _,
        details: _,
    } = current;
    let RegisterOptions {
        capacity,
        latency: _,
        nat,
        ttl,
        restarted: _,
        details,
    } = options;
    // By reference, and in this order: a renewal that changes nothing pays for no copy.
    *endpoint != *current_endpoint
        || capacity.is_some_and(|new| new != *current_capacity)
        || ttl.is_some_and(|new| nanos(new) != *current_ttl_nanos)
        || nat.is_some_and(|new| *current_nat != Some(new))
        || details
            .as_deref()
            .is_some_and(|new| changes_details(current, endpoint, new))
}

#[inline(never)]
fn changes_details(current: &Announcement, endpoint: &Endpoint, options: &DetailOptions) -> bool {
    // A cost that is not valid is another one: the check of what changes refuses it.
    options.tier.is_some_and(|new| new != current.tier)
        || options
            .cost
            .is_some_and(|new| Cost::new(new) != Some(current.cost))
        || options.changes(current.details.as_ref(), endpoint)
}

/// Tier and cost, if the options say nothing else.
fn rank(options: Option<&DetailOptions>, otherwise: (u8, Cost)) -> (u8, Cost) {
    options.map_or(otherwise, |options| options.rank(otherwise))
}
