//! [`Lease`]: one unit of a relay's capacity.

use crate::registry::outcomes::{note_failure, note_success};
use crate::relay::RelayInfo;
use crate::table::record::{Failure, Source};
use crate::table::{RecordRef, Unit};
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

/// One unit of a relay's capacity, given back when dropped.
///
/// It may be sent to another thread and dropped there, and may outlive the
/// relay's registration and the registry itself: while there
/// is one, the memory of all the registry's records (128 bytes for each there ever was at
/// once) stays, and nothing else. Dropping it is lock-free and does not allocate.
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
#[must_use = "dropping a lease gives the unit back"]
pub struct Lease {
    relay: RelayInfo,
    unit: Unit,
    /// The sequence of the relay's circuit before the lease was taken.
    sequence: u16,
}

/// As for the [registry](crate::Registry): a panic leaves no broken invariant behind.
impl UnwindSafe for Lease {}
impl RefUnwindSafe for Lease {}

impl Lease {
    pub(super) fn new(relay: RelayInfo, unit: Unit, sequence: u16) -> Self {
        Self {
            relay,
            unit,
            sequence,
        }
    }

    /// The relay as it was when the lease was taken; where it was renewed while
    /// that was under way, on its new terms.
    #[must_use]
    pub fn relay(&self) -> &RelayInfo {
        &self.relay
    }

    /// Tells the registry that the relay serves this lease; false, and nothing taken in,
    /// while the relay is not held, or if it [restarted](crate::RegisterOptions::restarted)
    /// since.
    ///
    /// That counts as proof only if the relay has not failed since the lease was taken:
    /// a session from before says nothing of how the relay treats newcomers. If it
    /// counts, it ends a back-off, and three such successes close the circuit. It may be
    /// told again and again, as by a keep-alive: where the relay did not fail lately
    /// nothing is written.
    ///
    /// Lock-free, without allocation or system call. The first success after an
    /// outage (see [`report_failure`](crate::Registry::report_failure)) also puts up to
    /// 64 relays on trial.
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
    /// before.succeeded(); // says nothing new
    /// assert_eq!(circuit(), CircuitState::Open);
    ///
    /// let after = registry.lease(&relay)?;
    /// after.succeeded();
    /// assert_eq!(circuit(), CircuitState::HalfOpen);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn succeeded(&self) -> bool {
        self.tell(note_success)
    }

    /// Tells the registry that the attempt which this lease was taken for failed, or its
    /// session broke off; false, and nothing taken in, while the relay is not held, or if
    /// it [restarted](crate::RegisterOptions::restarted) since.
    ///
    /// It is a [failure](crate::Registry::report_failure) like any other, but where the
    /// relay is failing already, one that was told through a lease from before that
    /// counts as part of the same fault. The unit stays taken until the lease is
    /// dropped. Lock-free, without system call.
    pub fn failed(&self, failure: Failure) -> bool {
        self.tell(|record, source| note_failure(record, failure, source))
    }

    fn tell(&self, tell: impl FnOnce(&RecordRef<'_>, Source)) -> bool {
        let source = Source::Lease {
            sequence: self.sequence,
        };
        let now = self.unit.present();
        self.unit.with_record(|record| {
            let is_live = record.lifecycle().is_live_at(now);
            if is_live {
                tell(&record, source);
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
