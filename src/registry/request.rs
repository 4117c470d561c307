//! A request to register, the checks that depend on no registered relay, and how an
//! attempt ends.

use crate::errors::{LabelScope, RegisterError};
use crate::limits::{
    MAX_CAPACITY, MAX_COST, MAX_DOMAIN_LEN, MAX_FURTHER_ENDPOINTS, MAX_LABEL_LEN, MAX_LABELS,
    MAX_PAYLOAD_LEN, MIN_COST,
};
use crate::registry::settings::{Settings, is_countable, longest_ttl};
use crate::relay::{
    AddressPolicy, Cost, DetailOptions, Endpoint, Label, NatType, NodeId, RegisterOptions,
};
use crate::rtt::sane_micros;
use crate::table::record::Origin;
use crate::table::{Exhausted, Hash};
use crate::time::{Moment, Tick, Timeline};
use std::fmt;

/// What a successful registration was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Registration {
    /// The relay was not registered, nor remembered. Leases on an earlier registration of it
    /// count all the same.
    New,
    /// The relay was registered: its deadline and endpoint were replaced, and what
    /// else the options set. Load, leases and measurements stay.
    Renewed,
    /// The relay had left or expired, and is what it was, for it came back within its
    /// [grace](crate::RegistryBuilder::return_grace): leases, load, round trips and
    /// circuit. One that had expired also has what it announced, but for what the options
    /// set.
    Returned,
}

impl fmt::Display for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::New => "new",
            Self::Renewed => "renewed",
            Self::Returned => "returned",
        })
    }
}

/// A request whose values were checked.
pub(super) struct Request<'a> {
    pub(super) id: &'a NodeId,
    pub(super) hash: Hash,
    pub(super) endpoint: &'a Endpoint,
    pub(super) options: &'a RegisterOptions,
    pub(super) rtt_seed: Option<u32>,
    pub(super) origin: Origin,
    /// Whether the options are the whole of what the relay announces, so that what they do not
    /// set goes back to its default. They then set a TTL. Otherwise it stays as it was.
    pub(super) is_whole: bool,
    /// Set for a relay that is restored, and was registered before the registry was saved.
    pub(super) resumed: Option<Resumed>,
}

/// What a registration that was saved goes on from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resumed {
    /// In nanoseconds of the registry's time.
    pub(super) registered_at: u64,
    pub(super) deadline: Tick,
}

/// Where a registration has the time from.
#[derive(Clone, Copy)]
pub(super) enum TimeSource {
    /// The clock, which is the embedder's code: the caller holds no lock. It has been read once.
    Clock(Moment),
    /// A reading that was made before the caller took a lock.
    Reading(Moment),
}

impl TimeSource {
    /// For the first attempt.
    pub(super) fn first(self, timeline: &Timeline) -> Moment {
        match self {
            Self::Clock(read) => read,
            Self::Reading(read) => timeline.no_earlier_than(read),
        }
    }

    /// The same source, for a caller that has waited for a lock.
    pub(super) fn after_wait(self, timeline: &Timeline) -> Self {
        match self {
            Self::Clock(read) => Self::Clock(timeline.no_earlier_than(read)),
            Self::Reading(_) => self,
        }
    }

    /// For another attempt.
    pub(super) fn again(self, timeline: &Timeline) -> Moment {
        match self {
            Self::Clock(_) => timeline.advance(),
            Self::Reading(read) => timeline.no_earlier_than(read),
        }
    }

    /// The tick: with [`Clock`](Self::Clock), that is one load if a thread raises it.
    pub(super) fn present(self, timeline: &Timeline) -> Tick {
        match self {
            Self::Clock(_) => timeline.present(),
            Self::Reading(_) => timeline.tick(),
        }
    }
}

/// Why one attempt to register did not succeed.
pub(super) enum AttemptError {
    /// Another thread changed what the attempt was based on.
    Conflict,
    /// Another thread holds the record of this id for a few steps: the relay is just
    /// leaving, being forgotten, or returning.
    Busy,
    /// No record or announcement is free before more is reclaimed.
    Exhausted,
    /// A learned relay of the same id was removed, for the local one that follows.
    LearnedRemoved,
    /// The registration is invalid, or there is no room.
    Rejected(RegisterError),
}

impl From<Exhausted> for AttemptError {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

impl From<RegisterError> for AttemptError {
    fn from(error: RegisterError) -> Self {
        Self::Rejected(error)
    }
}

/// Checks everything that does not depend on the registered relays. Returns the round trip that
/// the options give, in microseconds.
#[inline(always)]
pub(super) fn check(
    settings: &Settings,
    endpoint: &Endpoint,
    options: &RegisterOptions,
) -> Result<Option<u32>, RegisterError> {
    let RegisterOptions {
        capacity,
        latency,
        nat,
        ttl,
        restarted: _,
        details,
    } = options;
    endpoint.check(settings.address_policy)?;
    check_reachable(endpoint, *nat)?;
    if let Some(capacity) = capacity.filter(|it| !(1..=MAX_CAPACITY).contains(it)) {
        return Err(RegisterError::InvalidCapacity { capacity });
    }
    if let Some(ttl) = ttl.filter(|&it| !is_countable(it, settings.tick)) {
        return Err(RegisterError::InvalidTtl {
            ttl,
            min: settings.tick,
            max: longest_ttl(settings.tick),
        });
    }
    if let Some(details) = details {
        check_details(settings.address_policy, endpoint, details)?;
    }
    let micros = |latency| sane_micros(latency).ok_or(RegisterError::InvalidLatency { latency });
    latency.map(micros).transpose()
}

#[inline(never)]
fn check_details(
    policy: AddressPolicy,
    endpoint: &Endpoint,
    details: &DetailOptions,
) -> Result<(), RegisterError> {
    let DetailOptions {
        failure_domain,
        tier: _,
        cost,
        labels,
        also_at,
        payload,
    } = details;
    let is_valid =
        |name: &str| (1..=MAX_DOMAIN_LEN).contains(&name.len()) && !name.contains(char::is_control);
    if let Some(name) = failure_domain.as_ref().filter(|name| !is_valid(name)) {
        return Err(RegisterError::InvalidFailureDomain { len: name.len() });
    }
    if let Some(cost) = cost.filter(|&cost| Cost::new(cost).is_none()) {
        return Err(RegisterError::InvalidCost {
            cost,
            min: MIN_COST,
            max: MAX_COST,
        });
    }
    check_labels(labels.iter().flatten().flat_map(|labels| labels.iter()))?;
    for further in also_at.iter().flatten() {
        further
            .check(policy)
            .map_err(|reason| RegisterError::InvalidFurtherEndpoint {
                endpoint: further.clone(),
                reason,
            })?;
    }
    let count = details.further_endpoints(endpoint);
    if count > MAX_FURTHER_ENDPOINTS {
        return Err(RegisterError::TooManyEndpoints {
            count,
            max: MAX_FURTHER_ENDPOINTS,
        });
    }
    match payload.as_ref().map(|payload| payload.len()) {
        Some(len) if len > MAX_PAYLOAD_LEN => Err(RegisterError::PayloadTooLong {
            len,
            max: MAX_PAYLOAD_LEN,
        }),
        _ => Ok(()),
    }
}

fn check_labels<'a>(labels: impl Iterator<Item = &'a Label> + Clone) -> Result<(), RegisterError> {
    if let Some(invalid) = labels.clone().find(|label| !Label::is_valid(&label.name)) {
        return Err(RegisterError::InvalidLabel {
            label: (*invalid.name).into(),
            max: MAX_LABEL_LEN,
        });
    }
    match labels.count() {
        count if count > MAX_LABELS => Err(RegisterError::TooManyLabels {
            scope: LabelScope::Relay,
            count,
            max: MAX_LABELS,
        }),
        _ => Ok(()),
    }
}

/// A peer that other nodes cannot reach cannot relay.
pub(super) fn check_reachable(
    endpoint: &Endpoint,
    nat: Option<NatType>,
) -> Result<(), RegisterError> {
    match nat {
        Some(nat) if !nat.can_relay() => Err(RegisterError::NotReachable { nat }),
        Some(nat @ NatType::PublicIp) if !endpoint.is_public() => {
            Err(RegisterError::NotReachable { nat })
        }
        _ => Ok(()),
    }
}
