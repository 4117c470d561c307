//! [`Lease`]: units of a relay's capacity.

use crate::registry::reputation::{record_failure, record_success};
use crate::relay::RelayInfo;
use crate::table::record::{Failure, Source};
use crate::table::{RecordRef, Units};
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

/// One unit of a relay's capacity, or [as many](crate::FindOptions::units) as were asked for,
/// returned together when dropped.
///
/// It may be sent to another thread and dropped there. It may outlive the relay's
/// registration and the registry itself: then the registry's records and announcements (200
/// bytes for each record that was ever in use at once) and its last search tree stay in memory
/// until the last lease is dropped. Dropping a lease is lock-free and does not allocate.
///
/// ```
/// # use relay_registry::{FindOptions, NodeId, Registry};
/// # use std::net::SocketAddr;
/// let registry = Registry::new();
/// let relay = NodeId::from([1; 32]);
/// registry.register(relay, SocketAddr::from(([192, 0, 2, 1], 4433)))?;
///
/// let lease = registry.reserve(&NodeId::from([9; 32]), &FindOptions::new())?;
/// assert_eq!(lease.relay().node_id(), relay);
/// assert_eq!(registry.relay(&relay).unwrap().current_load(), 1);
/// drop(lease);
/// assert_eq!(registry.relay(&relay).unwrap().current_load(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a lease returns its units"]
pub struct Lease {
    relay: RelayInfo,
    units: Units,
    /// The sequence of the relay's circuit before the lease was taken.
    sequence: u16,
}

/// As for the [registry](crate::Registry): a panic leaves no broken invariant behind.
impl UnwindSafe for Lease {}
impl RefUnwindSafe for Lease {}

impl Lease {
    pub(super) fn new(relay: RelayInfo, units: Units, sequence: u16) -> Self {
        Self {
            relay,
            units,
            sequence,
        }
    }

    /// The relay as it was when the lease was taken; where it was renewed while
    /// that was under way, on its new terms.
    #[must_use]
    pub fn relay(&self) -> &RelayInfo {
        &self.relay
    }

    /// The payload that the relay [announced](crate::RegisterOptions::payload), if any, as of
    /// when the lease was taken.
    ///
    /// ```
    /// # use relay_registry::{NodeId, RegisterOptions, Registry};
    /// # use std::net::SocketAddr;
    /// let registry = Registry::new();
    /// let relay = NodeId::from([1; 32]);
    /// let options = RegisterOptions::new().payload(b"https://relay.example./");
    /// registry.register_with(relay, SocketAddr::from(([192, 0, 2, 1], 4433)), &options)?;
    ///
    /// let lease = registry.lease(&relay)?;
    /// assert_eq!(lease.payload(), Some(&b"https://relay.example./"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn payload(&self) -> Option<&[u8]> {
        self.relay.payload()
    }

    /// How many units of the relay's capacity it has, at least one: as many as the
    /// [options](crate::FindOptions::units) or [`lease_units`](crate::Registry::lease_units)
    /// asked for. Dropping it returns all of them.
    ///
    /// ```
    /// # use relay_registry::{NodeId, Registry};
    /// # use std::net::SocketAddr;
    /// let registry = Registry::new();
    /// let relay = NodeId::from([1; 32]);
    /// registry.register(relay, SocketAddr::from(([192, 0, 2, 1], 4433)))?;
    /// assert_eq!(registry.lease(&relay)?.units(), 1);
    /// assert_eq!(registry.lease_units(&relay, 6)?.units(), 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn units(&self) -> u32 {
        self.units.count().get()
    }

    /// Reports that the relay serves this lease. False, and nothing recorded, while the relay
    /// is not registered, or if it [restarted](crate::RegisterOptions::restarted) since.
    ///
    /// It counts only if the relay has not failed since the lease was taken: a session from
    /// before the failure does not show that the relay accepts new ones. If it counts, it
    /// ends a back-off, and three such successes close the circuit. It may be reported
    /// repeatedly, as by a keep-alive: nothing is written unless the relay failed lately.
    ///
    /// Lock-free, without allocation or system call. The first success after an
    /// [outage](crate::Registry::report_failure) also puts up to 64 relays on trial.
    ///
    /// ```
    /// # use relay_registry::{CircuitState, Failure, FindOptions, NodeId, Registry};
    /// # use std::net::SocketAddr;
    /// let registry = Registry::new();
    /// let relay = NodeId::from([1; 32]);
    /// registry.register(relay, SocketAddr::from(([192, 0, 2, 1], 4433)))?;
    /// let circuit = || registry.relay(&relay).unwrap().circuit();
    ///
    /// let before = registry.lease(&relay)?;
    /// before.failed(Failure::Refused);
    /// assert_eq!(circuit(), CircuitState::Open);
    /// before.succeeded(); // counts for nothing
    /// assert_eq!(circuit(), CircuitState::Open);
    ///
    /// let after = registry.lease(&relay)?;
    /// after.succeeded();
    /// assert_eq!(circuit(), CircuitState::HalfOpen);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn succeeded(&self) -> bool {
        self.report(record_success)
    }

    /// Reports that the attempt for which this lease was taken failed, or that its session
    /// broke off. False, and nothing recorded, while the relay is not registered, or if it
    /// [restarted](crate::RegisterOptions::restarted) since.
    ///
    /// It is a [failure](crate::Registry::report_failure) like any other, with one
    /// exception: if the relay is failing already, and the lease is from before that, it
    /// counts as part of the same fault. The units stay taken until the lease is
    /// dropped. Lock-free, without system call.
    pub fn failed(&self, failure: Failure) -> bool {
        self.report(|record, source| record_failure(record, failure, source))
    }

    fn report(&self, report: impl FnOnce(&RecordRef<'_>, Source)) -> bool {
        let source = Source::Lease {
            sequence: self.sequence,
        };
        let _wakes = self.units.wake_guard();
        let now = self.units.present();
        self.units.with_record(|record| {
            let is_live = record.lifecycle().is_live_at(now);
            if is_live {
                report(&record, source);
            }
            is_live
        })
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&self.relay).finish()
    }
}
