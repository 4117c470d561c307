//! What an embedder tells a registry of its relays: measurements, loads, failures,
//! and what the operator decides.

use crate::coordinates::Coordinate;
use crate::errors::{BanError, OperatorError};
use crate::registry::Registry;
use crate::relay::NodeId;
use crate::select::PeerView;
use crate::table::record::Failure;
use std::time::{Duration, SystemTime};

impl Registry {
    /// Takes in a round-trip time measured from here; false, and nothing
    /// changed, if the relay is not held or the value is above
    /// [`MAX_RTT`](crate::MAX_RTT). Zero counts as one microsecond.
    ///
    /// What counts is the least of the five minutes that end with the latest measurement,
    /// until that is as old as [`rtt_lifetime`](crate::RegistryBuilder::rtt_lifetime); see
    /// [`forget_rtts`](Self::forget_rtts) for when the network has changed. A call that
    /// starts after this has returned chooses by it; the next housekeeping pass sorts by it.
    /// Lock-free, without allocation or system call.
    pub fn record_rtt(&self, relay: &NodeId, rtt: Duration) -> bool {
        let core = self.core();
        core.record_rtt(relay, rtt, core.present())
    }

    /// Forgets all that was measured or told of the round trip to a relay, which counts
    /// as unmeasured from here on; false if it is not held.
    ///
    /// For a path that is known to have changed. What another thread
    /// [records](Self::record_rtt) meanwhile counts or is forgotten; what is recorded
    /// after this has returned counts. The relay may be
    /// [named](Self::due_for_probe) again at once. No call on the hot path waits for this,
    /// but this waits for a thread that is asking whom to measure: not for a hot path.
    pub fn forget_rtt(&self, relay: &NodeId) -> bool {
        self.core().forget_rtt(relay)
    }

    /// The same for every relay: for when the network has changed, and with it all paths.
    ///
    /// Without this, the minimum of the old network counts until it leaves the window, up
    /// to 300 seconds later. Visits all records, a thousand under one pin, and writes each: about as
    /// long as half a microsecond a relay. No other operation waits for it. The next
    /// housekeeping pass sorts the relays anew. Coordinates stay: they follow from what is
    /// measured next.
    ///
    /// ```
    /// use relay_registry::{NodeId, Registry};
    /// # use std::net::SocketAddr;
    /// use std::time::Duration;
    ///
    /// let registry = Registry::new();
    /// let relay = NodeId::from([1; 32]);
    /// registry.register(relay, SocketAddr::from(([192, 0, 2, 1], 4433)))?;
    /// registry.record_rtt(&relay, Duration::from_millis(5));
    ///
    /// // The node has moved from a cable to a mobile network.
    /// registry.forget_rtts();
    /// assert_eq!(registry.relay(&relay).unwrap().latency(), None);
    /// for relay in registry.due_for_probe(10) {
    ///     let rtt = Duration::from_millis(60); // as measured
    ///     registry.record_rtt(&relay, rtt);
    /// }
    /// assert_eq!(registry.relay(&relay).unwrap().latency(), Some(Duration::from_millis(60)));
    /// # Ok::<(), relay_registry::RegisterError>(())
    /// ```
    pub fn forget_rtts(&self) {
        self.core().forget_rtts();
    }

    /// Whom to measure next: up to `max` relays that are unmeasured, or were measured
    /// longer than half of [`rtt_lifetime`](crate::RegistryBuilder::rtt_lifetime) ago.
    ///
    /// Those that are the most likely to be chosen come first, by score, where what is
    /// unmeasured ranks at the assumed round trip. Relays that drain or are banned, and
    /// this node, are not named. Each is named again only after a tenth of the lifetime,
    /// if it is still due then, or after it was [forgotten](Self::forget_rtt). So a caller
    /// that asks for a few again and again comes to all, and relays of which an early
    /// measurement was bad get another chance.
    ///
    /// Visits all records, a thousand under one pin, and waits for another thread that
    /// does so: not for a hot path. Remembers whom it named for a tenth of the lifetime,
    /// in about 32 bytes each, of no more than
    /// [`max_relays`](crate::RegistryBuilder::max_relays) and those of this call.
    #[must_use]
    pub fn due_for_probe(&self, max: usize) -> Vec<NodeId> {
        self.core().due_for_probe(max)
    }

    /// Where this node is, in the frame of the relays that it measures and of the
    /// peers that it [learns](Self::update_peer) from.
    ///
    /// It follows from the round trips that are [recorded](Self::record_rtt), a
    /// housekeeping pass later. A registry keeps positions from the first call
    /// to this, [`relay_coordinate`](Self::relay_coordinate) or
    /// [`update_peer`](Self::update_peer) on. Waits for other threads that learn or sort: not
    /// for a hot path.
    #[must_use]
    pub fn coordinate(&self) -> Coordinate {
        self.core().coordinate()
    }

    /// Where a relay is, to the best of what is known: for peers to find their
    /// own coordinate by (see [`Vivaldi`](crate::Vivaldi)). `None` if it is not
    /// held, or was not measured.
    ///
    /// It is learned from round trips that this node and others measured to the
    /// relay; a relay says nothing of its own place. Waits for other
    /// threads that learn or sort: not for a hot path.
    #[must_use]
    pub fn relay_coordinate(&self, relay: &NodeId) -> Option<Coordinate> {
        self.core().relay_coordinate(relay)
    }

    /// Learns from what a peer measured where relays are; how many of its round
    /// trips were taken in.
    ///
    /// A view without a coordinate teaches nothing, nor does what a relay says
    /// of itself. What does not fit with what others say is left out, and no
    /// single view moves a relay far; many views of one peer do: see to it that
    /// none is heard more often than others. It counts in finds after the next
    /// housekeeping pass. Waits for other threads that learn or sort: not for a hot
    /// path.
    ///
    /// ```
    /// use relay_registry::{NodeId, PeerView, Registry, Vivaldi};
    /// # use std::net::SocketAddr;
    /// use std::time::Duration;
    ///
    /// let registry = Registry::new();
    /// let relay = NodeId::from([1; 32]);
    /// registry.register(relay, SocketAddr::from(([192, 0, 2, 1], 4433)))?;
    ///
    /// // What a peer keeps, and sends along when it asks or renews.
    /// let coordinates = Vivaldi::new();
    /// let rtt = Duration::from_millis(12);
    /// let view = PeerView::new()
    ///     .measured(relay, rtt)?
    ///     .coordinate(coordinates.coordinate());
    ///
    /// let peer = NodeId::from([9; 32]);
    /// assert_eq!(registry.update_peer(&peer, &view), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn update_peer(&self, peer: &NodeId, view: &PeerView) -> usize {
        self.core().update_peer(peer, view)
    }

    /// Takes in what a relay says of its total load, leases of this registry
    /// included; false if it is not held.
    ///
    /// What the report counts beyond this registry's own leases at that moment
    /// was put there by others, and is added to the leases from then on. Totals
    /// beyond [`MAX_CAPACITY`](crate::MAX_CAPACITY) count as that. Lock-free,
    /// without allocation.
    ///
    /// The report speaks of now. One that was measured earlier, when there were fewer
    /// leases or more, counts those wrongly: tell those by
    /// [`report_load_of_others`](Self::report_load_of_others).
    pub fn report_load(&self, relay: &NodeId, load: u32) -> bool {
        let core = self.core();
        core.with_live(relay, core.present(), |record| record.report_load(load))
    }

    /// Takes in what others put on a relay, leases of this registry not included; false
    /// if it is not held.
    ///
    /// It is right however late it arrives, and in whatever order with leases and their
    /// release. Figures beyond [`MAX_CAPACITY`](crate::MAX_CAPACITY) count as that.
    /// Lock-free, without allocation.
    pub fn report_load_of_others(&self, relay: &NodeId, load: u32) -> bool {
        let core = self.core();
        core.with_live(relay, core.present(), |record| {
            record.report_load_of_others(load);
        })
    }

    /// Starts or ends the draining of a relay: while it drains it keeps its
    /// leases and gets no new ones.
    ///
    /// This is kept by id until it is ended or [lifted](Self::lift), whatever the relay
    /// does: renew, leave, expire, come back, restart. It may be said before the relay is
    /// known. After this returns, no new lease on the relay is given.
    ///
    /// For a relay that is held or remembered, this costs one compare-and-swap and an update
    /// of its leaf in the search tree. For any other id it allocates a record of about 150
    /// bytes. To end the draining always succeeds.
    ///
    /// # Errors
    ///
    /// An [`OperatorError`], only for a relay that is neither held nor remembered: too many
    /// of those (65,536), or no memory.
    ///
    /// ```
    /// use relay_registry::{LeaseError, NodeId, Registry};
    /// # use std::net::SocketAddr;
    ///
    /// let registry = Registry::new();
    /// let relay = NodeId::from([1; 32]);
    /// registry.set_draining(&relay, true)?; // before it is known
    /// registry.register(relay, SocketAddr::from(([192, 0, 2, 1], 4433)))?;
    /// assert_eq!(registry.lease(&relay).unwrap_err(), LeaseError::Draining);
    /// assert!(registry.lift(&relay));
    /// assert!(registry.lease(&relay).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_draining(&self, relay: &NodeId, draining: bool) -> Result<(), OperatorError> {
        let kept = self.core().set_draining(relay, draining);
        self.core().link.note_change(relay);
        kept
    }

    /// Forgets all that the operator said of a relay, bans and draining; whether there was
    /// anything.
    ///
    /// Cost as [`set_draining`](Self::set_draining) and [`unban`](Self::unban).
    pub fn lift(&self, relay: &NodeId) -> bool {
        let lifted = self.core().lift(relay);
        self.core().link.note_change(relay);
        lifted
    }

    /// Takes in that an attempt to use a relay failed: it is not handed out
    /// for a while, and then on trial, to one caller at a time. False if
    /// it is not held. Where the attempt has a lease, tell it by
    /// [`Lease::failed`](crate::Lease::failed).
    ///
    /// This is a circuit breaker for each relay. How long it stays open depends
    /// on the [`Failure`]: from 1 s up to 10 minutes
    /// ([by default](crate::RegistryBuilder::back_off)), longer each time, give or
    /// take a quarter. What fails while it is open counts no more: those
    /// attempts were under way. Three successes, told through
    /// [leases](crate::Lease::succeeded) or [by id](Self::report_success), close
    /// it and take back half of what several failures added up to; each minute
    /// without a failure, its back-off not counted, takes back a step.
    /// A relay that leaves and comes back finds its circuit as it was: the
    /// registry keeps the last 65,536 of those that had failed when they left.
    ///
    /// # Outages
    ///
    /// When more than [a share](crate::RegistryBuilder::max_ejected_share) of the relays back off
    /// at once, it is likely that this node's own network is out. A failure beyond the share
    /// begins an outage; it belongs to that, and so do further ones, up to a minute after the
    /// last one beyond the share. (A minute is a tenth of the longest back-off, here and
    /// above.) They leave relays alone for no longer than what they failed before
    /// calls for. The first success of a relay that was failing ends the outage: those that
    /// failed in it are on trial at once, 64 of those left alone are looked at by the call
    /// that tells of the success, the rest by the next housekeeping pass. A probe ends
    /// no outage.
    ///
    /// Relays that no caller could be given (they are draining, banned or full) are no
    /// part of the share; this node's own relay is. While all that a call could be given
    /// are backing off, one of them is handed out as a [last
    /// resort](crate::RelayInfo::is_last_resort), at about the price of a find.
    ///
    /// Report what your own attempts tell, and think twice about what peers say
    /// of others. Lock-free, without system call: one compare-and-swap on the relay's
    /// circuit, a look at counters, and what searches see of the relay. The first failure or
    /// ban of a registry sets aside 16 bytes for each relay.
    ///
    /// ```
    /// use relay_registry::{CircuitState, Failure, NodeId, Registry};
    /// # use std::net::SocketAddr;
    ///
    /// let registry = Registry::new();
    /// let relay = NodeId::from([1; 32]);
    /// registry.register(relay, SocketAddr::from(([192, 0, 2, 1], 4433)))?;
    ///
    /// registry.report_failure(&relay, Failure::TimedOut);
    /// assert_eq!(registry.relay(&relay).unwrap().circuit(), CircuitState::Open);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn report_failure(&self, relay: &NodeId, failure: Failure) -> bool {
        let core = self.core();
        core.report_failure(relay, failure, core.present())
    }

    /// Takes in that a relay was used with success; false if it is not held.
    ///
    /// Of a relay that failed lately it counts only while a trial is open: after a find, a list
    /// or a reservation handed the relay out on trial or as a last resort, until
    /// the outcome of that is told. It ends no back-off, for it may be that of a
    /// session from before the relay [failed](Self::report_failure). What was done under
    /// a lease is told better by [`Lease::succeeded`](crate::Lease::succeeded), which knows.
    ///
    /// Writes nothing, unless it counts. Lock-free, without allocation or system call.
    pub fn report_success(&self, relay: &NodeId) -> bool {
        let core = self.core();
        core.report_success(relay, core.present())
    }

    /// Closes the circuit of a relay and takes all back that its failures added up to, as
    /// when it is known that it was mended; false if it is not live and no failures of it
    /// are remembered. A ban stays.
    ///
    /// Also forgets how a relay that left had failed. Lock-free, without allocation or
    /// system call.
    ///
    /// ```
    /// use relay_registry::{CircuitState, Failure, NodeId, Registry};
    /// # use std::net::SocketAddr;
    ///
    /// let registry = Registry::new();
    /// let relay = NodeId::from([1; 32]);
    /// registry.register(relay, SocketAddr::from(([192, 0, 2, 1], 4433)))?;
    ///
    /// registry.report_failure(&relay, Failure::TimedOut);
    /// assert!(registry.reset_circuit(&relay));
    /// assert_eq!(registry.relay(&relay).unwrap().circuit(), CircuitState::Closed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reset_circuit(&self, relay: &NodeId) -> bool {
        self.core().reset_circuit(relay)
    }

    /// [Resets the circuit](Self::reset_circuit) of every relay, those that left
    /// included, as after an outage of this node's own network.
    ///
    /// Ends an outage. Visits all records, and waits for no other thread: not for a hot path.
    /// A relay that fails, enters or leaves during the visit may keep its circuit.
    pub fn reset_circuits(&self) {
        self.core().reset_circuits();
    }

    /// Bans a relay for some time from now, rounded up to a tick: it is not
    /// handed out and no [lease](Self::lease) on it is given, whether it is
    /// registered now, renews, leaves and comes back, or is not known yet. Leases given
    /// stay. A ban that is in force is replaced.
    ///
    /// When this returns, no call that starts later hands the relay out. A duration of zero
    /// lifts the ban. Cost as [`set_draining`](Self::set_draining), and a reading of the
    /// clock.
    ///
    /// # Errors
    ///
    /// A [`BanError`]: too long; or, only for a relay that is neither held nor
    /// remembered, too many (65,536), or no memory.
    pub fn ban(&self, relay: &NodeId, duration: Duration) -> Result<(), BanError> {
        let banned = self.core().ban(relay, duration);
        self.core().link.note_change(relay);
        banned
    }

    /// Lifts the ban of a relay; whether there was one. One that was failing
    /// before is handed out on trial.
    pub fn unban(&self, relay: &NodeId) -> bool {
        let unbanned = self.core().unban(relay);
        self.core().link.note_change(relay);
        unbanned
    }

    /// The relays banned, registered or not, and when each ban ends, on the
    /// calendar that was in force when the registry was built. Visits all records.
    #[must_use]
    pub fn banned(&self) -> Vec<(NodeId, SystemTime)> {
        self.core().banned()
    }
}
