//! [`RelayInfo`]: what the registry tells of a relay.

use super::{Endpoint, NatType, NodeId};
use crate::time::calendar_time;
use std::fmt;
use std::time::{Duration, SystemTime};

/// A relay as it was when the registry was asked: a plain copy.
///
/// Endpoint, capacity and expiry come from one registration. Load and latency
/// were sampled beside them and may have changed since. Where the relay left and came
/// back during the call, they may be those after its return: so the latency may be
/// unknown although the call asked for a longest one. Copying one does not
/// allocate: an IP address is held inline, a DNS name is shared.
// As it is kept in the registry: what few ask for is computed when they do.
#[derive(Clone, PartialEq)]
pub struct RelayInfo {
    pub(crate) node_id: NodeId,
    pub(crate) endpoint: Endpoint,
    pub(crate) capacity: u32,
    pub(crate) current_load: u32,
    pub(crate) rtt_micros: Option<u32>,
    /// Of that, if it is known.
    pub(crate) rtt_age_nanos: u64,
    /// When the registry was built, on the calendar.
    pub(crate) origin: SystemTime,
    /// In nanoseconds from there on.
    pub(crate) registered_at: u64,
    pub(crate) expires_at: u64,
    pub(crate) nat: Option<NatType>,
    pub(crate) draining: bool,
    pub(crate) banned: bool,
    pub(crate) circuit: CircuitState,
    pub(crate) last_resort: bool,
}

/// How far a relay is trusted after failures; the states of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CircuitState {
    /// It works, as far as is known.
    Closed,
    /// It failed lately, and its back-off is not over: it is handed out as a last resort
    /// only, to a call that no other relay would do for.
    Open,
    /// It failed, and its back-off is over, or it was used with success since: it is
    /// handed out on trial, to one caller at a time, until it has proved itself. Three
    /// [successes](crate::Lease::succeeded) do, of which one may be that of a probe.
    HalfOpen,
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

    /// The relay's load: this registry's leases on it, and what others put
    /// there as of its last report.
    ///
    /// It exceeds the capacity only where a report says so, or after a renewal
    /// that lowered the capacity.
    #[must_use]
    pub fn current_load(&self) -> u32 {
        self.current_load
    }

    /// The round-trip time from here: the least of the five minutes of
    /// measurements that end with the latest, or before the first of them what was
    /// given at registration. `None` if it is not known, and once it was not
    /// measured for [`rtt_lifetime`](crate::RegistryBuilder::rtt_lifetime).
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.rtt_micros
            .map(|micros| Duration::from_micros(micros.into()))
    }

    /// How old [`latency`](Self::latency) is: the time since the latest measurement,
    /// or since it was given at registration; `None` where that is `None`.
    ///
    /// To the registry's tick, and rounded up by less than a second.
    #[must_use]
    pub fn latency_age(&self) -> Option<Duration> {
        self.rtt_micros
            .map(|_| Duration::from_nanos(self.rtt_age_nanos))
    }

    /// When the relay was registered, not counting renewals; on the calendar
    /// that was in force when the registry was built.
    #[must_use]
    pub fn registered_at(&self) -> SystemTime {
        calendar_time(self.origin, self.registered_at)
    }

    /// When the relay expires unless it is renewed, rounded up to the
    /// registry's tick; on the calendar that was in force when the registry
    /// was built.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        calendar_time(self.origin, self.expires_at)
    }

    /// What kind of NAT the relay declared to be behind, if it did.
    #[must_use]
    pub fn nat(&self) -> Option<NatType> {
        self.nat
    }

    /// Whether the relay takes no new leases.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Whether the operator banned the relay for the time being.
    #[must_use]
    pub fn is_banned(&self) -> bool {
        self.banned
    }

    /// How far the relay is trusted after failures.
    #[must_use]
    pub fn circuit(&self) -> CircuitState {
        self.circuit
    }

    /// Whether the relay was handed out although it failed lately and its
    /// back-off is not over: for no other relay would do that is not backing off. It is the
    /// [preferred](crate::FindOptions::prefer) one, if that is among those, or the one that
    /// has been left alone for longest.
    #[must_use]
    pub fn is_last_resort(&self) -> bool {
        self.last_resort
    }
}

impl fmt::Debug for RelayInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayInfo")
            .field("node_id", &self.node_id)
            .field("endpoint", &self.endpoint)
            .field("capacity", &self.capacity)
            .field("current_load", &self.current_load)
            .field("latency", &self.latency())
            .field("latency_age", &self.latency_age())
            .field("registered_at", &self.registered_at())
            .field("expires_at", &self.expires_at())
            .field("nat", &self.nat)
            .field("draining", &self.draining)
            .field("banned", &self.banned)
            .field("circuit", &self.circuit)
            .field("last_resort", &self.last_resort)
            .finish()
    }
}
