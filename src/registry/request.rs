//! A request to register, the checks that depend on no registered relay, and how an
//! attempt ends.

use crate::errors::RegisterError;
use crate::limits::{MAX_CAPACITY, MAX_DOMAIN_LEN};
use crate::registry::settings::{Settings, is_countable, longest_ttl};
use crate::relay::{Endpoint, NatType, NodeId, RegisterOptions};
use crate::rtt::sane_micros;
use crate::table::record::Origin;
use crate::table::{Exhausted, Hash};
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
}

impl Request<'_> {
    /// Where the relay is reached from now on.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        std::iter::once(self.endpoint)
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
        failure_domain,
        restarted: _,
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
    let len = failure_domain.as_ref().map(|name| name.len());
    if let Some(len) = len.filter(|it| !(1..=MAX_DOMAIN_LEN).contains(it)) {
        return Err(RegisterError::InvalidFailureDomain { len });
    }
    let micros = |latency| sane_micros(latency).ok_or(RegisterError::InvalidLatency { latency });
    latency.map(micros).transpose()
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
