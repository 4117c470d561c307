//! Everything a registration does with the fields of an announcement: the first one of a
//! relay, the one after a renewal, and whether a renewal changes anything.
//!
//! Each function takes the structs apart without `..`, and so do `RelayInfo`'s and the
//! DHT's conversions. So a new field does not compile until each of them says what it does
//! with it.

use crate::registry::request::Request;
use crate::relay::{Endpoint, RegisterOptions};
use crate::table::record::Announcement;
use crate::time::{Moment, nanos};
use std::time::Duration;

/// The capacity of a relay that does not declare one.
const DEFAULT_CAPACITY: u32 = 100;

/// What a relay announces that has announced nothing before.
pub(super) fn first(request: &Request<'_>, now: Moment, default_ttl: Duration) -> Announcement {
    let &RegisterOptions {
        capacity,
        latency: _,
        nat,
        ttl,
        ref failure_domain,
        restarted: _,
    } = request.options;
    Announcement {
        endpoint: request.endpoint.clone(),
        capacity: capacity.unwrap_or(DEFAULT_CAPACITY),
        nat,
        origin: request.origin,
        ttl_nanos: nanos(ttl.unwrap_or(default_ttl)),
        failure_domain: failure_domain.clone(),
        registered_at: now.nanos,
    }
}

/// The announcement after a renewal; `None` if the renewal changes nothing of it.
pub(super) fn amended(current: &Announcement, request: &Request<'_>) -> Option<Announcement> {
    if !is_changed(current, request.endpoint, request.options) {
        return None;
    }
    let &RegisterOptions {
        capacity,
        latency: _,
        nat,
        ttl,
        ref failure_domain,
        restarted: _,
    } = request.options;
    let failure_domain = failure_domain.as_ref().or(current.failure_domain.as_ref());
    Some(Announcement {
        endpoint: request.endpoint.clone(),
        capacity: capacity.unwrap_or(current.capacity),
        nat: nat.or(current.nat),
        origin: current.origin,
        ttl_nanos: ttl.map_or(current.ttl_nanos, nanos),
        failure_domain: failure_domain.cloned(),
        registered_at: current.registered_at,
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
        failure_domain: current_domain,
        registered_at: _,
    } = current;
    let RegisterOptions {
        capacity,
        latency: _,
        nat,
        ttl,
        failure_domain,
        restarted: _,
    } = options;
    // By reference, and in this order: a renewal that changes nothing pays for no copy.
    *endpoint != *current_endpoint
        || capacity.is_some_and(|new| new != *current_capacity)
        || ttl.is_some_and(|new| nanos(new) != *current_ttl_nanos)
        || nat.is_some_and(|new| *current_nat != Some(new))
        || (failure_domain.is_some() && failure_domain != current_domain)
}
