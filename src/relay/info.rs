//! [`RelayInfo`]: what the registry tells of a relay.

use super::{Endpoint, NatType, NodeId};
use crate::time::calendar_time;
use std::fmt;
use std::time::{Duration, SystemTime};

/// A relay as it was when the registry was asked: a plain copy.
///
/// Endpoint, capacity and expiry come from one registration. Load and latency were read
/// beside them and may have changed since. If the relay left and returned during the call,
/// they may be those after its return. So the latency may be unknown although the call
/// asked for a maximum latency. A clone does not allocate: an IP address is held inline, a
/// DNS name is shared.
// Held as the registry holds it: durations and times are computed when they are asked for.
#[derive(Clone, PartialEq)]
pub struct RelayInfo {
    pub(crate) node_id: NodeId,
    pub(crate) endpoint: Endpoint,
    pub(crate) capacity: u32,
    pub(crate) current_load: u32,
    pub(crate) rtt_micros: Option<u32>,
    /// The age of `rtt_micros`, if that is known.
    pub(crate) rtt_age_nanos: u64,
    /// When the registry was built, on the calendar.
    pub(crate) origin: SystemTime,
    /// In nanoseconds from `origin`.
    pub(crate) registered_at: u64,
    /// In nanoseconds from `origin`.
    pub(crate) expires_at: u64,
    pub(crate) nat: Option<NatType>,
    pub(crate) draining: bool,
    pub(crate) banned: bool,
    pub(crate) circuit: CircuitState,
    pub(crate) last_resort: bool,
}

/// The state of a relay's circuit breaker.
///
/// The order is from the most trusted to the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CircuitState {
    /// The relay has not failed lately.
    Closed,
    /// The relay failed, and its back-off is over or it was used with success since. It is
    /// on trial: one caller at a time gets it. Three [successes](crate::Lease::succeeded)
    /// close the circuit; one of these may be that of a probe.
    HalfOpen,
    /// The relay failed, and its back-off is not over. It is handed out only as a last
    /// resort, if no other relay is eligible.
    Open,
}

impl fmt::Display for CircuitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        })
    }
}

impl RelayInfo {
    /// The relay's id.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// Where the relay listens.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// How many leases the relay serves at a time.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// The relay's load: this registry's leases on it, and the load from elsewhere as of the
    /// last report.
    ///
    /// It exceeds the capacity only if a report says so, or after a renewal that lowered the
    /// capacity.
    #[must_use]
    pub fn current_load(&self) -> u32 {
        self.current_load
    }

    /// The round-trip time from here: the least of the measurements within the five
    /// minutes up to the latest one. Before the first measurement, it is what was given at
    /// registration. `None` if it is not known, and once nothing was measured for
    /// [`rtt_lifetime`](crate::RegistryBuilder::rtt_lifetime).
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.rtt_micros
            .map(|micros| Duration::from_micros(micros.into()))
    }

    /// The age of [`latency`](Self::latency): the time since the latest measurement, or
    /// since it was given at registration. `None` if the latency is `None`.
    ///
    /// It is counted in ticks of the registry, and rounded up by less than a second.
    #[must_use]
    pub fn latency_age(&self) -> Option<Duration> {
        self.rtt_micros
            .map(|_| Duration::from_nanos(self.rtt_age_nanos))
    }

    /// When the relay was registered, not counting renewals, by the calendar as it was when
    /// the registry was built.
    #[must_use]
    pub fn registered_at(&self) -> SystemTime {
        calendar_time(self.origin, self.registered_at)
    }

    /// When the relay expires unless it is renewed, rounded up to the registry's tick, by
    /// the calendar as it was when the registry was built.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        calendar_time(self.origin, self.expires_at)
    }

    /// The kind of NAT that the relay declared, if it did.
    #[must_use]
    pub fn nat(&self) -> Option<NatType> {
        self.nat
    }

    /// Whether the relay takes no new leases.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Whether the operator banned the relay.
    #[must_use]
    pub fn is_banned(&self) -> bool {
        self.banned
    }

    /// The state of the relay's circuit breaker.
    #[must_use]
    pub fn circuit(&self) -> CircuitState {
        self.circuit
    }

    /// Whether the relay was handed out although its back-off is not over, because all
    /// relays that would be eligible are in back-off. Of these it is the
    /// [preferred](crate::FindOptions::prefer) one, or else the one that has been in back-off
    /// for longest.
    #[must_use]
    pub fn is_last_resort(&self) -> bool {
        self.last_resort
    }
}

impl fmt::Debug for RelayInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            node_id,
            endpoint,
            capacity,
            current_load,
            rtt_micros: _,
            rtt_age_nanos: _,
            origin: _,
            registered_at: _,
            expires_at: _,
            nat,
            draining,
            banned,
            circuit,
            last_resort,
        } = self;
        f.debug_struct("RelayInfo")
            .field("node_id", node_id)
            .field("endpoint", endpoint)
            .field("capacity", capacity)
            .field("current_load", current_load)
            .field("latency", &self.latency())
            .field("latency_age", &self.latency_age())
            .field("registered_at", &self.registered_at())
            .field("expires_at", &self.expires_at())
            .field("nat", nat)
            .field("draining", draining)
            .field("banned", banned)
            .field("circuit", circuit)
            .field("last_resort", last_resort)
            .finish()
    }
}
