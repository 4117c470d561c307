//! The public face: each operation is a short story over the rooms below.

mod bans;
mod builder;
mod core;
mod distribution;
mod finding;
mod geography;
mod housekeeping;
mod keeper;
mod lease;
#[cfg(all(test, relay_loom))]
mod models;
mod registration;
mod standing;
mod stats;

pub use builder::{Maintenance, RegistryBuilder};
pub use housekeeping::Maintained;
pub use lease::Lease;
pub use registration::Registration;
pub use stats::Stats;

use crate::dht::{Distribution, Ground, Offered, Refused, SignedRecord};
use crate::errors::{BanError, FindError, LeaseError, RegisterError};
use crate::record::Failure;
use crate::relay::{Endpoint, NodeId, RegisterOptions, RelayInfo};
use crate::rtt::Coordinate;
use crate::select::{Explanation, FindOptions, PeerView};
use crate::sync::{Arc, epoch, park_timeout};
use core::Core;
use housekeeping::Sorting;
use keeper::Keeper;
use std::fmt;
use std::io;
use std::sync::Weak;
use std::time::{Duration, Instant, SystemTime};

/// A registry of relays: which peers can relay, how loaded each is, how far
/// away, and which to use now.
///
/// This is a handle. Clones share one registry; any number of threads may use
/// it at once. See the [crate's description](crate) for what it guarantees.
///
/// ```
/// use relay_registry::{FindOptions, NodeId, RegisterOptions, Registration, Registry};
/// use std::time::{Duration, SystemTime};
///
/// let registry = Registry::new();
/// let relay = NodeId::from([1; 32]);
/// let options = RegisterOptions::new().capacity(2);
/// let registered = registry.register_with(relay, "192.0.2.1:4433".parse::<relay_registry::Endpoint>()?, &options)?;
/// assert_eq!(registered, Registration::New);
/// registry.record_rtt(&relay, Duration::from_millis(18));
///
/// let target = NodeId::from([9; 32]);
/// let lease = registry.reserve(&target, &FindOptions::new())?;
/// assert_eq!(lease.relay().latency(), Some(Duration::from_millis(18)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

/// Fields are dropped in order: the threads end before their work does.
struct Shared {
    distribution: Option<Distribution>,
    keeper: Option<Keeper>,
    core: Arc<Core>,
}

impl Registry {
    /// A registry with default settings: at most 1,000 relays, a TTL of 600 s,
    /// ticks of 100 ms and a maintenance thread.
    ///
    /// # Panics
    ///
    /// If the operating system gives neither the memory (1 MiB) nor a thread.
    /// [`builder`](Self::builder) reports that as an error.
    #[must_use]
    pub fn new() -> Self {
        Self::builder()
            .build()
            .expect("default settings are valid, and memory and a thread to be had")
    }

    /// The settings of a registry, to change before it is built.
    ///
    /// ```
    /// use relay_registry::{Maintenance, ManualClock, Registry};
    /// use std::time::{Duration, SystemTime};
    ///
    /// let clock = ManualClock::new();
    /// let registry = Registry::builder()
    ///     .max_relays(100_000)
    ///     .ttl(Duration::from_secs(120))
    ///     .maintenance(Maintenance::Manual)
    ///     .clock(clock.clone())
    ///     .build()?;
    /// # Ok::<(), relay_registry::BuildError>(())
    /// ```
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::new()
    }

    fn start(core: Core, mut distribution: Option<Distribution>) -> io::Result<Self> {
        let core = Arc::new(core);
        let keeper = core
            .settings
            .has_keeper
            .then(|| Keeper::start(Arc::clone(&core)))
            .transpose()?;
        if let Some(distribution) = &mut distribution {
            let core: Weak<Core> = Arc::downgrade(&core);
            distribution.start(core as Weak<dyn Ground>)?;
        }
        Ok(Self {
            shared: Arc::new(Shared {
                distribution,
                keeper,
                core,
            }),
        })
    }

    #[inline]
    fn core(&self) -> &Core {
        &self.shared.core
    }

    /// Registers a relay, or renews it, with default options; see
    /// [`register_with`](Self::register_with).
    ///
    /// # Errors
    ///
    /// As [`register_with`](Self::register_with).
    pub fn register(
        &self,
        id: NodeId,
        endpoint: impl Into<Endpoint>,
    ) -> Result<Registration, RegisterError> {
        self.register_with(id, endpoint, &RegisterOptions::new())
    }

    /// Registers a relay, or renews it if it is held already.
    ///
    /// Renewing replaces deadline and endpoint, and what else the options set;
    /// load, leases and measured round trips stay. It succeeds also when the
    /// registry is full. When this returns, the relay is a candidate for every
    /// call that starts later, on any thread.
    ///
    /// # Errors
    ///
    /// A [`RegisterError`] that says what was wrong; nothing has changed then.
    ///
    /// # Concurrency and cost
    ///
    /// Lock-free; linearizable with the other operations on the same id. The
    /// bound on the number of relays is never exceeded, not for a moment, and
    /// nobody is refused for a registration that does not come about. Reads
    /// the clock. A renewal that changes nothing but the deadline is one
    /// compare-and-swap and does not allocate. At the bound, a new relay first
    /// sweeps those that are due; without a maintenance thread, a registration
    /// now and then sorts the arrivals in, at a constant cost on average.
    pub fn register_with(
        &self,
        id: NodeId,
        endpoint: impl Into<Endpoint>,
        options: &RegisterOptions,
    ) -> Result<Registration, RegisterError> {
        let registration = self.core().register(id, endpoint.into(), options)?;
        if registration == Registration::New && self.core().tend_arrivals() {
            if let Some(keeper) = &self.shared.keeper {
                keeper.wake();
            }
        }
        Ok(registration)
    }

    /// Removes a relay; whether it was there.
    ///
    /// When this returns, the relay is handed out to no call that starts
    /// later. Leases on it stay valid. Lock-free; linearizable with the other
    /// operations on the same id.
    pub fn unregister(&self, id: &NodeId) -> bool {
        self.core().unregister(id)
    }

    /// The best relay for a path to `target`; see
    /// [`find_relay_with`](Self::find_relay_with).
    ///
    /// # Errors
    ///
    /// As [`find_relay_with`](Self::find_relay_with).
    #[inline]
    pub fn find_relay(&self, target: &NodeId) -> Result<RelayInfo, FindError> {
        const PLAIN: &FindOptions = &FindOptions::new();
        self.core().find_relay(target, PLAIN)
    }

    /// The best relay for a path to `target` that meets the options.
    ///
    /// The score is `e / (1 - u^4)`, lower is better: `e` the expected round
    /// trip of the path, `u` the relay's utilisation. A relay whose round trip
    /// is unknown ranks at the assumed one. Among many that are practically
    /// equal a few are drawn at random and the best of them is taken, so
    /// callers do not herd. Only relays that are live, have capacity left and
    /// do not drain are handed out; never the target, nor this node.
    ///
    /// # Errors
    ///
    /// [`FindError::NoRelaysAvailable`] only if there was no moment during the
    /// call's look at all relays at which one would do; it counts the reasons.
    ///
    /// # Concurrency and cost
    ///
    /// Lock-free, without allocation or system call of its own (see the
    /// [crate's description](crate#concurrency) for what the epoch collector
    /// adds now and then). It writes nothing that threads share, but for the
    /// trial that it may use up of a relay that [failed](Self::report_failure),
    /// and a bit where it is the first since the last housekeeping pass to ask
    /// for peers around some place. It looks at
    /// about a dozen relays, however many there are; at more while
    /// most are full or excluded, at all before it says none. Load, draining
    /// and departure count as they are at that moment; the order by round trip
    /// may be one housekeeping pass old.
    #[inline]
    pub fn find_relay_with(
        &self,
        target: &NodeId,
        options: &FindOptions,
    ) -> Result<RelayInfo, FindError> {
        self.core().find_relay(target, options)
    }

    /// The best relays for a path to `target`, best first and distinct: at most
    /// [`max_results`](FindOptions::max_results), fewer only if no more will
    /// do.
    ///
    /// After the first, each is the best that is in another
    /// [failure domain](FindOptions::spread_cost) than those before, where that
    /// costs little; so the second is a standby. Of relays on trial, only the
    /// first place claims one, and others come last.
    ///
    /// Lock-free; allocates the answer. Walks the relays in order of round
    /// trip until none can come that would be in the answer, at most 64 beyond
    /// the first that fill it: a few microseconds, where a find takes a few
    /// hundred nanoseconds.
    #[must_use]
    pub fn find_relays(&self, target: &NodeId, options: &FindOptions) -> Vec<RelayInfo> {
        self.core().find_relays(target, options)
    }

    /// Finds the best relay and takes a unit of its capacity, as one step.
    ///
    /// The capacity is never exceeded by leases, under any interleaving, also
    /// against renewals that lower it. Otherwise as
    /// [`find_relay_with`](Self::find_relay_with); it writes the relay's load.
    ///
    /// # Errors
    ///
    /// As [`find_relay_with`](Self::find_relay_with).
    #[inline]
    pub fn reserve(&self, target: &NodeId, options: &FindOptions) -> Result<Lease, FindError> {
        self.core().reserve(target, options)
    }

    /// Takes a unit of capacity of a named relay.
    ///
    /// Lock-free, without allocation; one compare-and-swap decides against the
    /// last unit, draining and departure.
    ///
    /// # Errors
    ///
    /// A [`LeaseError`]: the relay is not held, banned, full, or draining.
    pub fn lease(&self, relay: &NodeId) -> Result<Lease, LeaseError> {
        self.core().lease(relay)
    }

    /// All live relays, in no particular order.
    ///
    /// Weakly consistent: every relay that is live throughout the call is in
    /// it, none that was dead throughout is, and none is in it twice. Visits
    /// all records and allocates the answer; holds nobody up.
    #[must_use]
    pub fn relays(&self) -> Vec<RelayInfo> {
        self.core().relays()
    }

    /// How many relays are live; consistent as [`relays`](Self::relays) is.
    ///
    /// One load when everything due has been swept, else it visits all records.
    #[must_use]
    pub fn relay_count(&self) -> usize {
        self.core().relay_count()
    }

    /// Whether a relay is live.
    ///
    /// Lock-free, linearizable, two cache lines. Expiry is judged against the
    /// current tick.
    #[inline]
    #[must_use]
    pub fn is_relay(&self, id: &NodeId) -> bool {
        self.core().with_live(id, |_| ())
    }

    /// What is known of a relay, if it is live. Consistency and cost as
    /// [`is_relay`](Self::is_relay), and a copy.
    #[inline]
    #[must_use]
    pub fn relay(&self, id: &NodeId) -> Option<RelayInfo> {
        let guard = epoch::pin();
        let (record, word) = self.core().find_live(id, &guard)?;
        Some(self.core().describe(&record, word))
    }

    /// Takes in a round-trip time measured from here; false, and nothing
    /// changed, if the relay is not held or the value is zero or above
    /// [`MAX_RTT`](crate::MAX_RTT).
    ///
    /// What counts is the least of the last five minutes. It counts in scores
    /// at once, in the order of relays after the next housekeeping pass.
    /// Lock-free, without allocation or system call.
    pub fn record_rtt(&self, relay: &NodeId, rtt: Duration) -> bool {
        self.core().record_rtt(relay, rtt)
    }

    /// Where this node is, in the frame of the relays that it measures and of the
    /// peers that it [learns](Self::learn) from.
    ///
    /// It follows from the round trips that are [recorded](Self::record_rtt), a
    /// housekeeping pass later. A registry keeps positions from the first call
    /// to this, [`relay_coordinate`](Self::relay_coordinate) or
    /// [`learn`](Self::learn) on. Waits for whoever else is at it: not for a hot
    /// path.
    #[must_use]
    pub fn coordinate(&self) -> Coordinate {
        self.core().coordinate()
    }

    /// Where a relay is, to the best of what is known: for peers to find their
    /// own coordinate by (see [`Vivaldi`](crate::Vivaldi)). `None` if it is not
    /// held, or nobody measured it.
    ///
    /// It is learned from round trips that this node and others measured to the
    /// relay; a relay says nothing of its own place. Waits for whoever else is
    /// at it: not for a hot path.
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
    /// housekeeping pass. Waits for whoever else is at it: not for a hot path.
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
    /// assert_eq!(registry.learn(&peer, &view), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn learn(&self, peer: &NodeId, view: &PeerView) -> usize {
        self.core().learn(peer, view)
    }

    /// Takes in what a relay says of its total load, leases of this registry
    /// included; false if it is not held.
    ///
    /// What the report counts beyond this registry's own leases at that moment
    /// was put there by others, and is added to the leases from then on. Totals
    /// beyond [`MAX_CAPACITY`](crate::MAX_CAPACITY) count as that. Lock-free,
    /// without allocation.
    pub fn report_load(&self, relay: &NodeId, load: u32) -> bool {
        self.core()
            .with_live(relay, |record| record.report_load(load))
    }

    /// Starts or ends the draining of a relay: while it drains it keeps its
    /// leases and gets no new ones. False if it is not held. Outlives renewals.
    ///
    /// Lock-free; when this returns, no lease is given that was not yet.
    pub fn set_draining(&self, relay: &NodeId, draining: bool) -> bool {
        self.core()
            .with_live(relay, |record| record.set_draining(draining))
    }

    /// Takes in that an attempt to use a relay failed: it is handed out to
    /// nobody for a while, and then on trial, to one caller at a time. False if
    /// it is not held.
    ///
    /// This is a circuit breaker for each relay. How long it stays open depends
    /// on the [`Failure`]: from 1 s up to 10 minutes, longer each time, give or
    /// take a quarter. What fails while it is open counts no more: those
    /// attempts were under way. Three [successes](Self::report_success) close
    /// it; what several failures added up to is taken back by a step a minute. When more than a share of all relays
    /// ([`max_ejected`](RegistryBuilder::max_ejected)) are failing, those that
    /// failed longest ago are a last resort.
    ///
    /// Report what your own attempts tell, and think twice about what peers say
    /// of others. Lock-free, without allocation or system call; one
    /// compare-and-swap.
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
    /// registry.report_success(&relay); // a sign of life
    /// assert_eq!(registry.relay(&relay).unwrap().circuit(), CircuitState::HalfOpen);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn report_failure(&self, relay: &NodeId, failure: Failure) -> bool {
        self.core().report_failure(relay, failure)
    }

    /// Takes in that a relay was used with success; false if it is not held.
    ///
    /// Writes nothing, unless the relay [failed](Self::report_failure) lately.
    /// Lock-free, without allocation or system call.
    pub fn report_success(&self, relay: &NodeId) -> bool {
        self.core().report_success(relay)
    }

    /// Bans a relay for some time from now, rounded up to a tick: it is handed
    /// out to nobody and no [lease](Self::lease) on it is given, whether it is
    /// registered now, renews, or leaves and comes back. Leases given stay. A
    /// ban that is in force is replaced.
    ///
    /// When this returns, no call that starts later hands the relay out; one
    /// that is just being registered, none that starts after that has returned.
    /// Lock-free; copies the list of bans, of which there can be 65,536.
    ///
    /// # Errors
    ///
    /// A [`BanError`]: too long, or too many.
    pub fn ban(&self, relay: &NodeId, duration: Duration) -> Result<(), BanError> {
        self.core().ban(relay, duration)
    }

    /// Lifts the ban of a relay; whether there was one. One that was failing
    /// before is handed out on trial.
    ///
    /// Lock-free; copies the list of bans.
    pub fn unban(&self, relay: &NodeId) -> bool {
        self.core().unban(relay)
    }

    /// The relays banned, registered or not, and when each ban ends, on the
    /// calendar that was in force when the registry was built.
    #[must_use]
    pub fn banned(&self) -> Vec<(NodeId, SystemTime)> {
        self.core().banned()
    }

    /// Says for every relay whether it would be handed out for a path to
    /// `target` now, and why: with [`find_relays`](Self::find_relays), or, if at
    /// most one result is asked for, with [`find_relay_with`](Self::find_relay_with).
    ///
    /// Judges all relays by their exact scores and hands none out. Among many
    /// that are practically equal a find may take another. Lock-free; allocates
    /// the answer: for people, not for a hot path.
    ///
    /// ```
    /// use relay_registry::{FindOptions, NodeId, Registry, Verdict};
    /// # use std::net::SocketAddr;
    ///
    /// let registry = Registry::new();
    /// let relay = NodeId::from([1; 32]);
    /// registry.register(relay, SocketAddr::from(([192, 0, 2, 1], 4433)))?;
    /// registry.set_draining(&relay, true);
    ///
    /// let explanation = registry.explain(&NodeId::from([9; 32]), &FindOptions::new());
    /// assert_eq!(explanation.of(&relay).unwrap().verdict, Verdict::Draining);
    /// println!("{explanation}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn explain(&self, target: &NodeId, options: &FindOptions) -> Explanation {
        self.core().explain(target, options)
    }

    /// One housekeeping pass: raises the tick, removes what is due, sorts the
    /// relays by round-trip time if anything changed, reclaims memory.
    ///
    /// Needed with [`Maintenance::Manual`] only, once a tick or as seldom as
    /// stale order and memory are acceptable. Takes the housekeeping locks, so
    /// passes run one after another; no other operation waits for them.
    pub fn maintain(&self) -> Maintained {
        self.core().maintain(Sorting::Eager)
    }

    /// Counters and gauges. Visits all records to count leases, and waits for
    /// a sweep that is under way: for a metrics endpoint, not for a hot path.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = self.core().stats();
        stats.dht = self.distribution().map(Distribution::stats);
        stats
    }

    /// The best relay for a path to `target` that meets the options, for which
    /// this waits up to `longest`.
    ///
    /// Returns as soon as [`find_relay_with`](Self::find_relay_with) has an
    /// answer, whatever brought it about: a relay learned (a miss asks for that),
    /// registered, given back. Without a distribution, it is local changes that
    /// are waited for. It looks again when a relay was learned, and every 10 ms
    /// or so.
    ///
    /// # Errors
    ///
    /// As [`find_relay_with`](Self::find_relay_with), once the time is over.
    pub fn find_relay_wait(
        &self,
        target: &NodeId,
        options: &FindOptions,
        longest: Duration,
    ) -> Result<RelayInfo, FindError> {
        let first = self.find_relay_with(target, options);
        if first.is_ok() || longest.is_zero() {
            return first;
        }
        let _waiting = Waiting::new(self.distribution());
        let begun = Instant::now();
        loop {
            let found = self.find_relay_with(target, options);
            let left = longest.saturating_sub(begun.elapsed());
            if found.is_ok() || left.is_zero() {
                return found;
            }
            park_timeout(left.min(LOOK_AGAIN));
        }
    }

    /// Has a named relay asked for, in the background: one that a peer says it
    /// uses, say. Whether it will be; not without a distribution that learns,
    /// nor while it is known to have no record, or too many are waited for.
    ///
    /// When its record is found and a probe of it succeeds, it enters the
    /// registry. Takes a short lock: not for a hot path.
    pub fn look_up(&self, relay: &NodeId) -> bool {
        self.distribution()
            .is_some_and(|distribution| distribution.look_up(relay))
    }

    /// Takes in a record that a peer handed over, as if the engine had brought
    /// it: judged, and its relay probed before it is handed out.
    ///
    /// Takes a short lock: not for a hot path.
    ///
    /// # Errors
    ///
    /// A [`Refused`]: why it does not count.
    pub fn offer(&self, record: &SignedRecord) -> Result<Offered, Refused> {
        match self.distribution() {
            Some(distribution) => distribution.offer(record),
            None => Err(Refused::NotLearning),
        }
    }

    /// What this node last said of its own relay and the engine has stored: an
    /// announcement or a withdrawal, for peers to be [offered](Self::offer).
    #[must_use]
    pub fn own_record(&self) -> Option<SignedRecord> {
        self.distribution().and_then(Distribution::own_record)
    }

    /// The relays that were learned and are registered, or were until just now.
    #[must_use]
    pub fn learned(&self) -> Vec<NodeId> {
        self.distribution()
            .map(Distribution::learned)
            .unwrap_or_default()
    }

    /// Publishes, asks and probes whatever is due, on this thread; how many
    /// things that were.
    ///
    /// Needed without [workers](crate::dht::DhtOptions::workers) only. It waits
    /// for the engine and the probe as long as they take.
    pub fn distribute(&self) -> usize {
        self.distribution().map_or(0, Distribution::run_due)
    }

    fn distribution(&self) -> Option<&Distribution> {
        self.shared.distribution.as_ref()
    }
}

/// How long [`Registry::find_relay_wait`] sleeps at most.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A thread that waits for a relay to be learned.
struct Waiting<'a>(Option<&'a Distribution>);

impl<'a> Waiting<'a> {
    fn new(distribution: Option<&'a Distribution>) -> Self {
        if let Some(distribution) = distribution {
            distribution.wait();
        }
        Self(distribution)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(distribution) = self.0 {
            distribution.leave();
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.core.fmt(f)
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}
