//! The public API; each method delegates to the core.

mod build_error;
mod builder;
mod circuit_history;
mod coordinates;
mod core;
mod dht_bridge;
mod find;
mod lease;
mod maintenance;
mod maintenance_thread;
mod measurements;
#[cfg(all(test, relay_loom))]
mod models;
mod operator;
mod outcomes;
mod probe_schedule;
mod register;
mod renew;
mod reports;
mod returning;
mod stats;

pub use build_error::BuildError;
pub use builder::{Maintenance, RegistryBuilder};
pub use lease::Lease;
pub use maintenance::MaintenanceReport;
pub use register::Registration;
pub use stats::Stats;

use crate::errors::{FindError, LeaseError, RegisterError, RenewError};
use crate::relay::{Endpoint, NodeId, RegisterOptions, RelayInfo};
use crate::select::{Explanation, FindOptions};
use crate::sync::{Arc, epoch, park_timeout};
use core::Core;
use dht_bridge::DhtHandle;
use maintenance_thread::MaintenanceThreads;
use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

/// How long [`Registry::find_relay_wait`] sleeps at most.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A registry of relays: which peers can relay, how loaded each is, how far
/// away, and which to use now.
///
/// This is a handle. Clones share one registry; any number of threads may use
/// it at once. See the [crate's description](crate) for what it guarantees.
///
/// ```
/// use relay_registry::{FindOptions, NodeId, RegisterOptions, Registration, Registry};
/// use std::time::Duration;
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

/// A panic leaves no broken invariant behind. Only the embedder's code panics: its clock,
/// which a call reads before it changes anything, and its DHT engine, whose panics the
/// threads catch.
impl UnwindSafe for Registry {}
impl RefUnwindSafe for Registry {}

/// Fields are dropped in order: the threads end before their work does.
struct Shared {
    dht: DhtHandle,
    threads: Option<MaintenanceThreads>,
    core: Arc<Core>,
}

impl Registry {
    /// A registry with default settings: at most 1,000 relays, a TTL of 600 s,
    /// ticks of 100 ms and [threads](Maintenance::Thread) that keep it.
    ///
    /// # Panics
    ///
    /// If the memory (1 MiB) or a thread is not to be had.
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
    /// use std::time::Duration;
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

    fn start(core: Core, mut dht: DhtHandle) -> io::Result<Self> {
        let core = Arc::new(core);
        let threads = core
            .settings
            .has_maintenance_thread
            .then(|| MaintenanceThreads::start(Arc::clone(&core)))
            .transpose()?;
        dht.start(&core)?;
        Ok(Self {
            shared: Arc::new(Shared { dht, threads, core }),
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
    /// load, leases and measured round trips stay. It is never refused as full; one that
    /// changes what is announced can be refused as
    /// [`Backlogged`](RegisterError::Backlogged) while a thread is stalled inside a call. A relay that left or expired and comes back within its
    /// [grace](RegistryBuilder::return_grace) is [what it was](Registration::Returned). When
    /// this returns, the relay is a candidate for every
    /// call that starts later, on any thread, in each of the ways to choose.
    ///
    /// # Errors
    ///
    /// A [`RegisterError`] that says what was wrong. Nothing that was registered here has
    /// changed then; a learned relay may have been removed to make room.
    ///
    /// # Concurrency and cost
    ///
    /// Lock-free; linearizable with the other operations on the same id. (A registration
    /// of a relay that another thread is just removing or bringing back waits for that
    /// thread to make its few steps.) The bound on the number of relays is never exceeded, not for a moment, and
    /// no relay is refused for a registration that does not come about. Reads
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
        let endpoint = endpoint.into();
        if self.core().renew_as_announced(&id, &endpoint, options) {
            return Ok(Registration::Renewed);
        }
        self.register_further(&id, &endpoint, options)
    }

    #[inline(never)]
    fn register_further(
        &self,
        id: &NodeId,
        endpoint: &Endpoint,
        options: &RegisterOptions,
    ) -> Result<Registration, RegisterError> {
        let registration = self.core().register(id, endpoint, options)?;
        if registration != Registration::Renewed && self.core().merge_if_due() {
            if let Some(threads) = &self.shared.threads {
                threads.wake();
            }
        }
        Ok(registration)
    }

    /// Renews a relay on the terms that it announced: the deadline moves, nothing else.
    ///
    /// Lock-free, one compare-and-swap, without allocation; reads the clock.
    ///
    /// # Errors
    ///
    /// [`RenewError::UnknownRelay`] if the relay is not registered here, or has expired:
    /// then register it, and it [is what it was](Registration::Returned) if it is only
    /// late. A relay that was learned from a DHT is renewed by its own records.
    pub fn renew(&self, id: &NodeId) -> Result<(), RenewError> {
        match self.core().renew_by_id(id) {
            true => Ok(()),
            false => Err(RenewError::UnknownRelay),
        }
    }

    /// Removes a relay; whether it was there.
    ///
    /// When this returns, the relay is handed out to no call that starts
    /// later. Leases on it stay valid, and count against it again if it
    /// [comes back](Registration::Returned). Lock-free; linearizable with the other
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
    /// is unknown ranks at the assumed one. The score of the answer is within
    /// 1/32 of the best (1/512 where at most 64 relays are merged; 5 % where
    /// views of peers are given and many relays tie), by the loads of that moment
    /// and by what is known of the path. One of those that are equal within this
    /// is drawn at random, so callers do not herd. Only relays
    /// that are live, have capacity left and do not drain are handed out; never
    /// the target, nor this node.
    ///
    /// # Errors
    ///
    /// [`FindError::NoRelaysAvailable`] only if no relay would do throughout the
    /// call; it counts [the reasons](crate::Rejections). A unit that is
    /// [just being given back](Self::lease) counts as taken.
    ///
    /// # Concurrency and cost
    ///
    /// Lock-free, without allocation or system call of its own (see the
    /// [crate's description](crate#concurrency) for what the epoch collector
    /// adds now and then). It writes nothing that threads share, but for the
    /// trial that it may use up of a relay that [failed](Self::report_failure),
    /// and where it comes upon a relay whose deadline, back-off or ban is over:
    /// then it brings up to date what searches see of that.
    ///
    /// Goes down a tree to the best relay: five nodes for a million relays,
    /// whatever state they are in, and also before it says none. Each relay that
    /// the options exclude and that would have been the answer costs one more
    /// descent, and so does each that expired since the last housekeeping pass, for
    /// the first call that comes upon it. Views of peers, and a longest round trip,
    /// make it open more nodes: those that may hold a better relay than the one
    /// found so far. Load, draining, departure and round trips count as they are
    /// at that moment; [positions](Self::update_peer) as of the last housekeeping pass.
    #[inline]
    pub fn find_relay_with(
        &self,
        target: &NodeId,
        options: &FindOptions,
    ) -> Result<RelayInfo, FindError> {
        self.core().find_relay(target, options)
    }

    /// The best relay for a path to `target` that meets the options. If there is none,
    /// waits for one up to `longest`.
    ///
    /// Returns as soon as [`find_relay_with`](Self::find_relay_with) has an answer: because
    /// a relay was registered, or has room again, or was learned from a DHT (which a miss
    /// asks for). It looks again about every 10 ms, and whenever a relay was learned.
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
        let _waiting = self.shared.dht.wait();
        let begun = Instant::now();
        loop {
            let found = self.find_relay_with(target, options);
            let left = longest.saturating_sub(begun.elapsed());
            if found.is_ok() || left.is_zero() {
                return found;
            }
            park_timeout(left.min(POLL_INTERVAL));
        }
    }

    /// The best relays for a path to `target`, best first and distinct: at most
    /// [`max_results`](FindOptions::max_results), fewer only if no more will
    /// do.
    ///
    /// After the first, each is the best that is in another
    /// [failure domain](FindOptions::max_spread_cost) than those before, where that
    /// costs little; so the second is a standby. Of relays on trial, only the
    /// first place claims one, and others come last.
    ///
    /// Lock-free; allocates the answer. Goes through the relays best first, by the
    /// same scores as [`find_relay_with`](Self::find_relay_with), until the answer
    /// is complete and no standby can come that costs little enough: that is for
    /// at most 28 relays beyond those of an answer of three, at most 64 beyond any
    /// of up to 32, and none beyond a longer one, which is not spread.
    #[must_use]
    pub fn find_relays(&self, target: &NodeId, options: &FindOptions) -> Vec<RelayInfo> {
        self.core().find_relays(target, options)
    }

    /// Finds the best relay and takes a unit of its capacity, as one step.
    ///
    /// The capacity is never exceeded by leases, under any interleaving, also
    /// against renewals that lower it. Otherwise as
    /// [`find_relay_with`](Self::find_relay_with); it writes the relay's load and,
    /// where that changes the rank of the relay's score, the relay's leaf in the tree
    /// and the words above that change with it.
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
    /// last unit, draining and departure. Linearizable with the other operations
    /// on the same id, with one exception: where a renewal lowers the capacity
    /// or the relay leaves under a lease that is just being taken, the lease is
    /// given back before its caller has it, and for these few instructions keeps
    /// other callers, also of finds, from the unit, who are then refused.
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
    /// all records and allocates the answer; no other call waits for it.
    #[must_use]
    pub fn relays(&self) -> Vec<RelayInfo> {
        let core = self.core();
        core.relays(core.present())
    }

    /// How many relays are live; consistent as [`relays`](Self::relays) is.
    ///
    /// One load when everything due has been swept, else it visits all records.
    #[must_use]
    pub fn relay_count(&self) -> usize {
        let core = self.core();
        core.relay_count(core.present())
    }

    /// Whether a relay is live.
    ///
    /// Wait-free, linearizable; reads two cache lines and writes none. Expiry is
    /// judged against the current tick, for which it reads the [clock](crate::Clock)
    /// with [`Maintenance::Manual`].
    #[inline]
    #[must_use]
    pub fn is_relay(&self, id: &NodeId) -> bool {
        let core = self.core();
        match core.timeline.raised_by_thread() {
            Some(now) => core.is_live(id, now),
            None => core.is_live_at_present(id),
        }
    }

    /// What is known of a relay, if it is live. Consistency and cost as
    /// [`is_relay`](Self::is_relay), and a copy.
    #[inline]
    #[must_use]
    pub fn relay(&self, id: &NodeId) -> Option<RelayInfo> {
        let core = self.core();
        let now = core.present();
        let guard = epoch::pin();
        let (record, word) = core.find_live(id, now, &guard)?;
        Some(core.describe(&record, word, now))
    }

    /// Says for every relay whether it would be handed out for a path to
    /// `target` now, and why: with [`find_relays`](Self::find_relays), or, if at
    /// most one result is asked for, with [`find_relay_with`](Self::find_relay_with).
    ///
    /// Judges all relays by their exact scores and hands none out. A find may
    /// take another that is [about as good](Self::find_relay_with). Lock-free;
    /// allocates the answer and visits all records: for people, not for a hot path.
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
    /// Needed with [`Maintenance::Manual`] only, as seldom as stale order and memory
    /// are acceptable: a relay that has expired is not handed out all the same. These wait
    /// for it, too: the ranks of relays whose round trip has lapsed, positions that were
    /// learned, trials after an outage beyond the first 64 relays, and
    /// [`Stats::expirations`]. Takes the housekeeping locks, so passes run one after another;
    /// no call on the hot path waits for them.
    pub fn maintain(&self) -> MaintenanceReport {
        self.core().maintain()
    }

    /// Counters and gauges. Visits all records to count leases, and waits for
    /// a sweep that is under way: for a metrics endpoint, not for a hot path.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = self.core().stats();
        self.shared.dht.fill_in(&mut stats);
        stats
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
