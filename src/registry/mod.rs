//! The public API. Each method delegates to the components that [`Inner`] is made of.

mod admit;
mod announcement;
mod build_error;
mod builder;
mod call_counts;
mod circuit_history;
mod close;
mod coordinates;
mod counters;
mod describe;
mod dht_bridge;
mod distinct_labels;
mod endpoint_owners;
mod events;
mod expiry;
mod exporter;
mod find;
mod forgetting;
mod home;
mod inner;
mod lease;
mod maintenance;
mod maintenance_thread;
mod measurement_buffer;
#[cfg(all(test, relay_loom))]
mod models;
mod observations;
mod operator;
mod panics;
mod peers;
mod persistence;
mod probe_schedule;
mod register;
mod relays;
mod removal;
mod renew;
mod reputation;
mod request;
mod returning;
mod settings;
mod sorter;
mod sources;
mod stats;
#[cfg(all(test, not(relay_loom)))]
mod tests;
mod wait;

pub use build_error::BuildError;
pub use builder::{Maintenance, RegistryBuilder};
pub use lease::Lease;
pub use maintenance::MaintenanceReport;
#[cfg(feature = "persistence")]
pub use persistence::RestoreReport;
pub use request::Registration;
pub use sources::{SourceRelay, SyncReport};
pub use stats::{MemoryStats, Metric, MetricKind, MetricUnit, Refusals, RelayStates, Stats};

use crate::coordinates::Coordinate;
use crate::errors::{BanError, FindError, LeaseError, OperatorError, RegisterError, RenewError};
use crate::events::Latch;
use crate::relay::{Endpoint, NodeId, RegisterOptions, RelayInfo};
use crate::select::{Explanation, FindOptions, PeerView};
use crate::sync::Arc;
use crate::sync::epoch::{self, Guard};
use crate::table::Hash;
use crate::table::record::Failure;
use crate::time::{Clock, Moment};
use dht_bridge::DhtHandle;
use inner::Inner;
use maintenance_thread::MaintenanceThreads;
use persistence::{SaveSetup, Saver};
use std::borrow::Borrow;
use std::fmt;
use std::io;
use std::num::NonZeroU32;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, SystemTime};

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
/// let endpoint: relay_registry::Endpoint = "192.0.2.1:4433".parse()?;
/// let registered = registry.register_with(relay, endpoint, &options)?;
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

/// What all handles share.
struct Shared {
    dht: DhtHandle,
    threads: Option<MaintenanceThreads>,
    saver: Arc<Saver>,
    /// The threads of the DHT, and of maintenance.
    running: Arc<Latch>,
    /// The thread that saves, if there is one.
    saving: Arc<Latch>,
    inner: Arc<Inner>,
}

impl Registry {
    /// A registry with default settings: at most 1,000 relays, a TTL of 600 s,
    /// ticks of 100 ms and [maintenance threads](Maintenance::Thread).
    ///
    /// # Panics
    ///
    /// If 1 MiB of memory or a thread cannot be had.
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

    fn start(
        inner: Inner,
        mut dht: DhtHandle,
        saves: SaveSetup,
        wall_clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let inner = Arc::new(inner);
        let (running, saving) = (Arc::default(), Arc::default());
        let saver = Arc::new(saves.finish(&inner, &dht, wall_clock));
        let threads = inner
            .relays
            .settings
            .has_maintenance_thread
            .then(|| MaintenanceThreads::start(&inner, &running, &saver, &saving))
            .transpose()?;
        dht.start(&inner, &running)?;
        Ok(Self {
            shared: Arc::new(Shared {
                dht,
                threads,
                saver,
                running,
                saving,
                inner,
            }),
        })
    }

    #[inline]
    fn inner(&self) -> &Inner {
        &self.shared.inner
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

    /// Registers a relay, or renews it if it is registered already.
    ///
    /// A renewal replaces the deadline, the endpoint, and what else the options set. Load, leases
    /// and measured round trips stay. A relay that left or expired and registers again within its
    /// [grace](RegistryBuilder::return_grace) is [what it was](Registration::Returned). When this
    /// returns, the relay is a candidate for every call that starts later, on any thread.
    ///
    /// # Errors
    ///
    /// A [`RegisterError`] that says what was wrong. Then nothing that was registered here has
    /// changed, but a learned relay may have been removed to make room, and a relay that
    /// [restarts](RegisterOptions::restarted) while it has leases was absent during the call. A
    /// renewal is never rejected as full. One that changes the announcement may be rejected as
    /// [`Backlogged`](RegisterError::Backlogged) while a thread is stalled inside a call, or gets no
    /// processor there.
    ///
    /// # Concurrency and cost
    ///
    /// Lock-free, and linearizable with the other operations on the same id. If another thread is
    /// just removing the relay or bringing it back, this waits for the few steps of that thread. While
    /// there is a [subscription](Self::events), a registration that changes anything but the deadline
    /// takes the lock of the events. One that sets [labels](RegisterOptions::labels) takes a lock that only such registrations
    /// take, unless it renews a relay, changes nothing and gives no latency. The thread that has
    /// the lock may visit all records, up to 8 times.
    ///
    /// The bound on the number of relays is never exceeded, and no relay is rejected because of a
    /// registration that fails.
    ///
    /// Reads the clock. A renewal that changes nothing but the deadline is one compare-and-swap
    /// and does not allocate. At the bound, a new relay first removes those that are due. Without
    /// a maintenance thread, a registration now and then sorts the arrivals in, at a constant cost
    /// on average.
    pub fn register_with(
        &self,
        id: NodeId,
        endpoint: impl Into<Endpoint>,
        options: &RegisterOptions,
    ) -> Result<Registration, RegisterError> {
        let endpoint = endpoint.into();
        let relays = &self.inner().relays;
        let named = relays.named(&id);
        let now = relays.timeline.advance();
        let guard = epoch::pin();
        match self
            .inner()
            .renew_unchanged(named, &endpoint, options, now, guard)
        {
            Ok(()) => Ok(Registration::Renewed),
            Err(guard) => self.register_slow_path(named, &endpoint, options, (now, guard)),
        }
    }

    #[inline(never)]
    fn register_slow_path(
        &self,
        named: (&NodeId, Hash),
        endpoint: &Endpoint,
        options: &RegisterOptions,
        begun: (Moment, Guard),
    ) -> Result<Registration, RegisterError> {
        let registration = self.inner().register(named, endpoint, options, begun)?;
        self.merge_after(registration);
        Ok(registration)
    }

    /// Sorts arrivals in, or has the maintenance thread do it, if there are many.
    fn merge_after(&self, registration: Registration) {
        if registration != Registration::Renewed && self.inner().merge_if_due() {
            if let Some(threads) = &self.shared.threads {
                threads.wake();
            }
        }
    }

    /// Renews a relay without changing what it announced: only the deadline moves.
    ///
    /// Lock-free, one compare-and-swap, without allocation. Reads the clock.
    ///
    /// # Errors
    ///
    /// [`RenewError::UnknownRelay`] if the relay is not registered here, or has expired. Then
    /// register it: within its grace it [is what it was](Registration::Returned). A relay that was
    /// learned from a DHT is renewed by its own records.
    pub fn renew(&self, id: &NodeId) -> Result<(), RenewError> {
        match self.inner().renew_by_id(id) {
            true => Ok(()),
            false => Err(RenewError::UnknownRelay),
        }
    }

    /// Removes a relay; whether it was there.
    ///
    /// When this returns, no call that starts later is given the relay. Leases on it stay valid,
    /// and count against it again if it [returns](Registration::Returned). Lock-free, and
    /// linearizable with the other operations on the same id.
    pub fn unregister(&self, id: &NodeId) -> bool {
        self.inner().unregister(id)
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
        self.inner().find_relay(target, PLAIN)
    }

    /// The best relay for a path to `target` that meets the options.
    ///
    /// The score of a relay is `cost * e / (1 - u^4)`, lower is better, with its
    /// [cost](RegisterOptions::cost), by default 1, the expected round trip of the path `e` and the
    /// utilisation of the relay `u`. An unknown round trip counts as the assumed one. A relay of a
    /// higher [tier](RegisterOptions::tier) is handed out only if none of a lower one is eligible.
    /// Within the tier, the score of the answer is within 1/32 of the best, by the loads of that
    /// moment and by what is known of the path: within 1/512 where at most 64 relays are
    /// [merged](crate::guide::choosing#search-trees), within 5 % where views of peers are given and
    /// many relays tie. Among relays that are equal within this, one is drawn at random, so that
    /// callers do not all choose the same one.
    ///
    /// The answer is live, has capacity left and does not drain. It is never the target, nor the
    /// [requester](FindOptions::requester), nor this node. The view of the target and that of the
    /// requester are looked up among [those remembered](Self::update_peer), unless the options have
    /// them.
    ///
    /// # Errors
    ///
    /// [`FindError::NoRelaysAvailable`], only if no relay was eligible throughout the call. It
    /// counts [the reasons](crate::Rejections). A unit that is
    /// [just being returned](Self::lease) counts as taken.
    ///
    /// # Concurrency and cost
    ///
    /// Lock-free, without allocation or system call of its own. (The
    /// [crate's description](crate#concurrency) says what the epoch collector adds now and then.)
    /// It writes nothing that threads share, with five exceptions: it claims the trial of a relay
    /// that [failed](Self::report_failure) and is handed out; it updates the summary of a relay
    /// that it finds out of date; it notes [filters](FindOptions::require) and numbers of
    /// [units](FindOptions::units) for the next maintenance pass, if they are new; with
    /// [`Maintenance::Manual`] it may raise the tick; and where more than 128 threads use
    /// registries, those beyond [count](crate::Stats::finds) their calls in one place. All others
    /// count in a place of their own, for a few instructions.
    ///
    /// It descends a tree to the best relay: five nodes for a million relays, whatever state they
    /// are in, also if the answer is "none". Each relay that the options exclude and that would
    /// have been the answer costs one more descent. So does each relay that expired since the last
    /// maintenance pass, for the first call that meets it. With views of peers or a limit on the
    /// round trip it opens more nodes: those that may hold a better relay than the best so far.
    /// Each tier in use has a tree of its own: where no relay of a tier is eligible to anyone, that
    /// costs a look at the root. [Labels and families](FindOptions::require) have trees of their
    /// own after a maintenance pass.
    ///
    /// Load, draining, departure and round trips count as of this moment, and
    /// [positions](Self::update_peer) as of the last maintenance pass.
    #[inline]
    pub fn find_relay_with(
        &self,
        target: &NodeId,
        options: &FindOptions,
    ) -> Result<RelayInfo, FindError> {
        self.inner().find_relay(target, options)
    }

    /// The best home relay for this node: the one over which any other peer reaches it.
    ///
    /// Only the leg from this node to the relay counts. The score is that leg times
    /// `cost / (1 - u^4)`, with the cost and the utilisation `u` of the relay; lower is better. Of
    /// the lowest tier that has any eligible relay, those that were
    /// [measured](Self::record_rtt) come first, however far they are. The others follow, with the
    /// [assumed](RegistryBuilder::assumed_rtt) round trip: if no relay was measured, the answer is
    /// the one with the least utilisation. The score of the answer is within 3.4 % of the best, and
    /// within 0.4 % where at most 64 relays are [merged](crate::guide::choosing#search-trees). Of
    /// relays that are equal within this, one is drawn at random.
    ///
    /// Options, tiers and costs count as in [`find_relay_with`](Self::find_relay_with), but for the
    /// [requester](FindOptions::requester) and the views of peers, which are ignored. There is no
    /// target. This node itself is never the answer.
    ///
    /// # Keeping a home
    ///
    /// To move is expensive: all peers must learn of it. So pass the home of now as the
    /// [preferred](FindOptions::prefer) relay. It is kept unless another one is clearly better: by
    /// 10 ms and by a third of the own leg, or as
    /// [`prefer_with`](FindOptions::prefer_with) says. (By these two measures Tailscale changes its
    /// home.) An unmeasured relay is never clearly better than a measured one. The home is left if
    /// it is not eligible, if a relay of a lower tier is eligible, or if its load is above nine
    /// tenths of its capacity.
    ///
    /// Only round trips are compared. Costs do not count here, and load does only above nine tenths
    /// of the capacity. To move callers off a relay, [drain](Self::set_draining) it, or
    /// [give](Self::set_tier) it a higher tier than that of another one.
    ///
    /// This holds across failures, too. While all relays back off, the home is the
    /// [last resort](RelayInfo::is_last_resort). When its back-off is over and it is on trial, it
    /// is kept by the same measures, although others may have closed circuits. A home whose trial
    /// is under way, because an earlier call returned it, is kept as well. Report whether it works
    /// by [`report_success`](Self::report_success) or [`report_failure`](Self::report_failure):
    /// while it backs off after a failure, another one is chosen.
    ///
    /// # Errors
    ///
    /// As [`find_relay_with`](Self::find_relay_with).
    ///
    /// # Concurrency and cost
    ///
    /// As [`find_relay_with`](Self::find_relay_with) with a limit on the round trip. Takes no unit
    /// of capacity: for that, [lease](Self::lease) the answer.
    ///
    /// ```
    /// use relay_registry::{FindOptions, NodeId, Registry};
    /// # use std::net::SocketAddr;
    /// use std::time::Duration;
    ///
    /// let registry = Registry::new();
    /// for (n, ms) in [(1, 3), (2, 8), (3, 40)] {
    ///     let relay = NodeId::from([n; 32]);
    ///     registry.register(relay, SocketAddr::from(([192, 0, 2, n], 4433)))?;
    ///     registry.record_rtt(&relay, Duration::from_millis(ms));
    /// }
    /// let home = registry.find_home_relay(&FindOptions::new())?;
    /// assert_eq!(home.latency(), Some(Duration::from_millis(3)));
    ///
    /// // Later: it is now 12 ms away, and another one 8 ms. That is no reason to move.
    /// registry.forget_rtt(&home.node_id());
    /// registry.record_rtt(&home.node_id(), Duration::from_millis(12));
    /// let keep = FindOptions::new().prefer(home.node_id());
    /// assert_eq!(registry.find_home_relay(&keep)?.node_id(), home.node_id());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn find_home_relay(&self, options: &FindOptions) -> Result<RelayInfo, FindError> {
        self.inner().find_home_relay(options)
    }

    /// The best relay for a path to `target` that meets the options. If there is none,
    /// waits for one up to `longest`.
    ///
    /// Returns as soon as [`find_relay_with`](Self::find_relay_with) has an answer: because
    /// a relay was registered, or has room again, or was learned from a DHT (which a miss
    /// asks for). It looks again about every 10 ms, and whenever a relay was learned. Blocks the
    /// calling thread meanwhile: in a task, use [`find_relay_async`](Self::find_relay_async).
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
        self.inner().find_relay_wait(target, options, longest)
    }

    /// The best relays for a path to `target`, best first and distinct: at most
    /// [`max_results`](FindOptions::max_results), fewer only if no more are eligible.
    ///
    /// Each relay after the first is the best one in
    /// [another failure domain](FindOptions::max_spread_cost) than those before it, if that costs
    /// little, and on another machine (IP address or name) whatever it costs, as long as the
    /// search meets one; so the second is a standby. Those of a higher tier follow if the lower
    /// ones have too few. Relays on trial come last in their tier, but for one that is the best of
    /// all: it is first, and only there claims its trial.
    ///
    /// Lock-free; allocates the answer. It visits the relays best first, by the same scores as
    /// [`find_relay_with`](Self::find_relay_with), until no standby can follow that costs little
    /// enough, and it has met up to four machines or 16 further relays. Beyond the answer, these
    /// are at most 28 relays for an answer of three, at most 64 for one of up to 32, and none for
    /// a longer one, which is not spread, and may lack a relay that moves to another tier
    /// meanwhile.
    #[must_use]
    pub fn find_relays(&self, target: &NodeId, options: &FindOptions) -> Vec<RelayInfo> {
        self.inner().find_relays(target, options)
    }

    /// Finds the best relay and takes a unit of its capacity, or as many as the options
    /// [ask for](FindOptions::units), as one step.
    ///
    /// Leases never exceed the capacity, under any interleaving, also with renewals that lower it.
    /// Otherwise this is as [`find_relay_with`](Self::find_relay_with). It writes the relay's load.
    /// If that changes the rank of the relay's score, it also writes the relay's leaf in the
    /// [search trees](crate::guide::choosing#search-trees), and the words above that change with
    /// it.
    ///
    /// # Errors
    ///
    /// As [`find_relay_with`](Self::find_relay_with).
    #[inline]
    pub fn reserve(&self, target: &NodeId, options: &FindOptions) -> Result<Lease, FindError> {
        self.inner().reserve(target, options)
    }

    /// Takes a unit of capacity of a named relay.
    ///
    /// Lock-free, without allocation. One compare-and-swap decides about the last unit, draining
    /// and departure. Linearizable with the other operations on the same id, with one exception: if
    /// a renewal lowers the capacity or the relay leaves while a lease is being taken, that lease
    /// is returned before its caller has it. For these few instructions other callers do not get
    /// the unit, and are refused.
    ///
    /// # Errors
    ///
    /// A [`LeaseError`]: the relay is not registered, banned, full, or draining.
    pub fn lease(&self, relay: &NodeId) -> Result<Lease, LeaseError> {
        self.inner().lease(relay, NonZeroU32::MIN)
    }

    /// Takes so many units of capacity of a named relay, all or none, in one
    /// [lease](Lease::units). 0 counts as 1. Otherwise this is as [`lease`](Self::lease).
    ///
    /// ```
    /// # use relay_registry::{LeaseError, NodeId, RegisterOptions, Registry};
    /// # use std::net::SocketAddr;
    /// let registry = Registry::new();
    /// let relay = NodeId::from([1; 32]);
    /// let capacity = RegisterOptions::new().capacity(5);
    /// registry.register_with(relay, SocketAddr::from(([192, 0, 2, 1], 4433)), &capacity)?;
    ///
    /// let three = registry.lease_units(&relay, 3)?;
    /// assert_eq!(three.units(), 3);
    /// let refused = registry.lease_units(&relay, 3).unwrap_err();
    /// assert!(matches!(refused, LeaseError::Full { capacity: 5, .. }));
    /// assert!(registry.lease_units(&relay, 2).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`lease`](Self::lease). [`LeaseError::Full`] means that fewer units are free; if more
    /// than its `capacity` are asked for, no release helps.
    pub fn lease_units(&self, relay: &NodeId, units: u32) -> Result<Lease, LeaseError> {
        let units = NonZeroU32::new(units).unwrap_or(NonZeroU32::MIN);
        self.inner().lease(relay, units)
    }

    /// All live relays, in no particular order.
    ///
    /// Weakly consistent: it has every relay that is live throughout the call, none that is live
    /// at no moment of it, and none twice. Visits all records and allocates the answer. No other
    /// call waits for it.
    #[must_use]
    pub fn relays(&self) -> Vec<RelayInfo> {
        self.inner().all_relays()
    }

    /// The ids of all live relays at this endpoint, sorted; as consistent as
    /// [`relays`](Self::relays).
    ///
    /// [Further endpoints](RegisterOptions::also_at) count, too. Names are compared as text: a
    /// name and the address that it resolves to are two endpoints.
    ///
    /// It shows when one process registers several ids at one address. To refuse that, see
    /// [`one_id_per_endpoint`](RegistryBuilder::one_id_per_endpoint). Lock-free; visits all
    /// records and allocates the answer: for people, not for a hot path.
    ///
    /// ```
    /// use relay_registry::{Endpoint, NodeId, Registry};
    ///
    /// let registry = Registry::new();
    /// let endpoint = Endpoint::new("relay.example.com", 4433)?;
    /// let ids = [NodeId::from([1; 32]), NodeId::from([2; 32])];
    /// for id in ids {
    ///     registry.register(id, endpoint.clone())?;
    /// }
    /// assert_eq!(registry.at(&endpoint), ids);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn at(&self, endpoint: &Endpoint) -> Vec<NodeId> {
        self.inner().relays_with_endpoint(endpoint)
    }

    /// How many relays are live; as consistent as [`relays`](Self::relays).
    ///
    /// One load if everything due has been removed, else a visit of all records.
    #[must_use]
    pub fn relay_count(&self) -> usize {
        self.inner().relay_count()
    }

    /// Whether a relay is live.
    ///
    /// Wait-free, linearizable but for a [restart](RegisterOptions::restarted) under way. Reads two
    /// cache lines and writes none. The deadline is compared with the current tick, for which this
    /// reads the [clock](crate::Clock) with [`Maintenance::Manual`].
    #[inline]
    #[must_use]
    pub fn is_relay(&self, id: &NodeId) -> bool {
        self.inner().relays.is_live_now(id)
    }

    /// What is known of a relay, if it is live. As consistent as [`is_relay`](Self::is_relay), at
    /// its cost and that of a copy.
    #[inline]
    #[must_use]
    pub fn relay(&self, id: &NodeId) -> Option<RelayInfo> {
        self.inner().relay(id)
    }

    /// The [payload](RegisterOptions::payload) of a relay, if it is live and has one: bytes that
    /// the relay announced, and that the registry does not interpret.
    ///
    /// Costs what [`is_relay`](Self::is_relay) costs, and a reference count.
    ///
    /// ```
    /// use relay_registry::{NodeId, RegisterOptions, Registry};
    /// # use std::net::SocketAddr;
    /// use std::sync::Arc;
    ///
    /// let registry = Registry::new();
    /// let relay = NodeId::from([1; 32]);
    /// let options = RegisterOptions::new().payload(b"/dns4/relay.example/udp/4433/quic-v1");
    /// registry.register_with(relay, SocketAddr::from(([192, 0, 2, 1], 4433)), &options)?;
    ///
    /// let payload: Arc<[u8]> = registry.payload(&relay).expect("it announced one");
    /// assert!(payload.starts_with(b"/dns4/"));
    /// # Ok::<(), relay_registry::RegisterError>(())
    /// ```
    #[must_use]
    pub fn payload(&self, id: &NodeId) -> Option<Arc<[u8]>> {
        self.inner().payload(id)
    }

    /// Records a round trip that was measured from here. Zero counts as one microsecond. False,
    /// and nothing changed, if the relay is not registered or the value is above
    /// [`MAX_RTT`](crate::MAX_RTT).
    ///
    /// The round trip that counts is the least of the five minutes that end with the latest
    /// measurement. It counts until that measurement is as old as
    /// [`rtt_lifetime`](crate::RegistryBuilder::rtt_lifetime). If the network has changed, use
    /// [`forget_rtts`](Self::forget_rtts). A call that starts after this has returned chooses by
    /// the new figure; the next maintenance pass sorts by it. Lock-free, without allocation or
    /// system call.
    pub fn record_rtt(&self, relay: &NodeId, rtt: Duration) -> bool {
        self.inner().record_rtt(relay, rtt)
    }

    /// Forgets the round trips of a relay, which counts as unmeasured from here on; false if it is
    /// not registered.
    ///
    /// For a path that is known to have changed. What another thread [records](Self::record_rtt)
    /// meanwhile counts or is forgotten; what is recorded after this has returned counts.
    /// [`due_for_probe`](Self::due_for_probe) may return the relay again at once. This waits for a
    /// thread that is inside `due_for_probe`: not for a hot path. No call on the hot path waits for
    /// this.
    pub fn forget_rtt(&self, relay: &NodeId) -> bool {
        self.inner().forget_rtt(relay)
    }

    /// Forgets the round trips of all relays: for when the network has changed, and with it all
    /// paths.
    ///
    /// Without this, the minimum of the old network counts until it leaves the window, up to 300
    /// seconds later. Visits all records, a thousand under one pin, and writes each: about half a
    /// microsecond per relay. No other operation waits for it. The next maintenance pass sorts the
    /// relays anew. Coordinates stay and follow what is measured next.
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
        self.inner().forget_rtts();
    }

    /// Which relays to measure next: up to `max` that are unmeasured, or were measured longer than
    /// half of [`rtt_lifetime`](crate::RegistryBuilder::rtt_lifetime) ago.
    ///
    /// The likeliest choices come first, by score, where an unmeasured leg counts as the assumed
    /// round trip. Costs count in this score, and tiers do not. Relays that back off are included,
    /// and so are those that are full, which come last. Relays that drain or are banned, and this
    /// node, are left out.
    ///
    /// A relay is returned again only after a tenth of the lifetime, if it is still due then, or after it was
    /// [forgotten](Self::forget_rtt), also if it leaves and returns meanwhile. So a caller that
    /// asks for a few relays repeatedly gets all of them in turn, and a relay with one bad
    /// measurement gets another chance.
    ///
    /// Visits all records, a thousand under one pin, and waits for another thread that does so: not
    /// for a hot path. Remembers the relays returned for a tenth of the lifetime, in about 80 bytes
    /// each: at most [`max_relays`](crate::RegistryBuilder::max_relays) and those of this call.
    #[must_use]
    pub fn due_for_probe(&self, max: usize) -> Vec<NodeId> {
        self.inner().due_for_probe(max)
    }

    /// Where this node is, in the frame of the relays that it measures and of the peers that it
    /// [learns](Self::update_peer) from.
    ///
    /// It follows the round trips that are [recorded](Self::record_rtt), one maintenance pass
    /// later. A registry keeps positions from the first call of this,
    /// [`relay_coordinate`](Self::relay_coordinate) or [`update_peer`](Self::update_peer) on. Waits
    /// for other threads that use positions or sort: not for a hot path.
    #[must_use]
    pub fn coordinate(&self) -> Coordinate {
        self.inner().coordinates.own()
    }

    /// Where a relay is, as far as is known. Peers find their own coordinate by it; see
    /// [`Vivaldi`](crate::Vivaldi). `None` if the relay is not registered, or was not measured.
    ///
    /// It follows the round trips that this node and others measured to the relay. A relay does not
    /// state its own position. Waits for other threads that use positions or sort: not for a hot
    /// path.
    #[must_use]
    pub fn relay_coordinate(&self, relay: &NodeId) -> Option<Coordinate> {
        self.inner().relay_coordinate(relay)
    }

    /// Remembers what a peer says of itself, and learns from it where relays are. Returns how many
    /// of its round trips taught the position of a relay. 0 does not mean that the view was not
    /// remembered.
    ///
    /// **Remembering.** From now on each call with this peer as the target, or as the
    /// [requester](FindOptions::requester), uses the view, unless its options have one of the same
    /// peer. A find looks the view up: lock-free, at the price of a
    /// [look-up](Self::is_relay) and a copy. The view replaces the one before; an empty one
    /// [forgets](Self::forget_peer) it. It is forgotten after
    /// [`peer_ttl`](RegistryBuilder::peer_ttl), and earlier if there are more than
    /// [`max_peers`](RegistryBuilder::max_peers): then the view that was updated longest ago is
    /// forgotten first. So a flood of peers costs no more memory than that, but it crowds out
    /// others: decide whose views you take. If the system has no memory, the view is not
    /// remembered.
    ///
    /// **Learning.** A view without a coordinate teaches nothing, and a peer teaches nothing about
    /// itself. A round trip that does not fit the others is left out, and no single view moves a
    /// relay far. Many views of one peer do: use the views of all peers equally often. A position
    /// counts in finds after the next maintenance pass.
    ///
    /// Reads the clock with [`Maintenance::Manual`] only. Waits for other threads that update
    /// peers, use positions or sort: not for a hot path.
    ///
    /// A broker keeps the views of its peers up to date, and then names two peers:
    ///
    /// ```
    /// use relay_registry::{FindOptions, NodeId, PeerView, Registry, Vivaldi};
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
    /// let [a, b] = [8, 9].map(|n| NodeId::from([n; 32]));
    /// assert_eq!(registry.update_peer(&a, view), 1);
    /// registry.update_peer(&b, PeerView::new().measured(relay, Duration::from_millis(20))?);
    ///
    /// // Which relay between a and b?
    /// let between = registry.find_relay_with(&b, &FindOptions::new().requester(a))?;
    /// assert_eq!(between.node_id(), relay);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn update_peer(&self, peer: &NodeId, view: impl Borrow<PeerView>) -> usize {
        self.inner().update_peer(peer, view.borrow())
    }

    /// Forgets the [view](Self::update_peer) of a peer, such as one that has left; whether one was
    /// remembered.
    ///
    /// What was learned from it about relays stays. A find that starts after this has returned does
    /// not use the view. Waits for other threads that update peers: not for a hot path.
    ///
    /// ```
    /// use relay_registry::{NodeId, PeerView, Registry};
    /// use std::time::Duration;
    ///
    /// let registry = Registry::new();
    /// let [relay, peer] = [1, 8].map(|n| NodeId::from([n; 32]));
    /// let view = PeerView::new().measured(relay, Duration::from_millis(12))?;
    /// registry.update_peer(&peer, view);
    /// assert!(registry.forget_peer(&peer));
    /// assert!(!registry.forget_peer(&peer), "it was forgotten before");
    /// # Ok::<(), relay_registry::PeerViewError>(())
    /// ```
    pub fn forget_peer(&self, peer: &NodeId) -> bool {
        self.inner().forget_peer(peer)
    }

    /// Records the total load of a relay in units, those in leases of this registry included;
    /// false if it is not registered.
    ///
    /// What the report exceeds the units in this registry's leases by, at this moment, was put
    /// there by others, and is added to them from then on. Totals beyond
    /// [`MAX_CAPACITY`](crate::MAX_CAPACITY) count as that. Lock-free, without allocation.
    ///
    /// The report must be of this moment. If it was measured earlier, when there were fewer or more
    /// leases, use [`report_load_of_others`](Self::report_load_of_others).
    pub fn report_load(&self, relay: &NodeId, load: u32) -> bool {
        self.inner().report_load(relay, load)
    }

    /// Records the load in units that others put on a relay, leases of this registry not included;
    /// false if it is not registered.
    ///
    /// It is right however late it arrives, in any order with leases and their release. Figures
    /// beyond [`MAX_CAPACITY`](crate::MAX_CAPACITY) count as that. Lock-free, without allocation.
    pub fn report_load_of_others(&self, relay: &NodeId, load: u32) -> bool {
        self.inner().report_load_of_others(relay, load)
    }

    /// Starts or ends the draining of a relay: while it drains it keeps its leases and gets no new
    /// ones.
    ///
    /// This is kept by id until it is ended or [lifted](Self::lift), also if the relay renews,
    /// leaves, expires, returns or restarts. It can be set before the relay is known. After this
    /// returns, no new lease on the relay is given.
    ///
    /// For a relay that is registered or remembered, this costs one compare-and-swap and an update
    /// of its leaf in the [search trees](crate::guide::choosing#search-trees). For any other id it
    /// allocates a record of about 150 bytes. Ending the draining always succeeds.
    ///
    /// # Errors
    ///
    /// An [`OperatorError`], only for a relay that is neither registered nor remembered: too many
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
        self.inner().set_draining(relay, draining)
    }

    /// Sets the tier of a relay, in place of what its registration gave: a relay is handed out
    /// only if none of a lower tier is eligible to the call.
    ///
    /// This is kept by id until it is set anew or [lifted](Self::lift), also if the relay
    /// renews, leaves, expires, returns or restarts. It can be set before the relay is known.
    /// Leases stay. After this returns, calls that start later go by it.
    ///
    /// For a relay that is registered or remembered, this costs one compare-and-swap and an
    /// update of its leaf in the trees of all tiers in use. For any other id it allocates a record
    /// of about 150 bytes. Which memory the trees of a tier take is said under [search
    /// trees](crate::guide::choosing#search-trees).
    ///
    /// # Errors
    ///
    /// An [`OperatorError`]: no memory; or, only for a relay that is neither registered nor
    /// remembered, too many of those (65,536).
    ///
    /// ```
    /// use relay_registry::{NodeId, Registry};
    /// # use std::net::SocketAddr;
    ///
    /// let registry = Registry::new();
    /// let [own, rented, target] = [1, 2, 9].map(|n| NodeId::from([n; 32]));
    /// for (relay, host) in [(own, 1), (rented, 2)] {
    ///     registry.register(relay, SocketAddr::from(([192, 0, 2, host], 4433)))?;
    /// }
    /// registry.set_tier(&rented, 1)?;
    /// assert_eq!(registry.find_relay(&target)?.node_id(), own);
    /// registry.set_draining(&own, true)?;
    /// assert_eq!(registry.find_relay(&target)?.node_id(), rented);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_tier(&self, relay: &NodeId, tier: u8) -> Result<(), OperatorError> {
        self.inner().set_tier(relay, tier)
    }

    /// Sets the cost of a relay, in place of what its registration gave: a factor on its score,
    /// 0.1 to 10, kept to a thousandth. With 2.0 the relay is chosen as if each path over it
    /// took twice as long.
    ///
    /// This is kept, and costs, as [`set_tier`](Self::set_tier).
    ///
    /// # Errors
    ///
    /// An [`OperatorError`]: the cost is out of range; or as [`set_tier`](Self::set_tier).
    ///
    /// ```
    /// use relay_registry::{NodeId, OperatorError, Registry};
    /// # use std::net::SocketAddr;
    /// use std::time::Duration;
    ///
    /// let registry = Registry::new();
    /// let [near, far, target] = [1, 2, 9].map(|n| NodeId::from([n; 32]));
    /// for (relay, host, ms) in [(near, 1, 20), (far, 2, 60)] {
    ///     registry.register(relay, SocketAddr::from(([192, 0, 2, host], 4433)))?;
    ///     registry.record_rtt(&relay, Duration::from_millis(ms));
    /// }
    /// // The traffic of the near one is expensive. (20 + 100) * 1.5 is more than 60 + 100.
    /// registry.set_cost(&near, 1.5)?;
    /// assert_eq!(registry.find_relay(&target)?.node_id(), far);
    ///
    /// let refused = registry.set_cost(&near, 0.0);
    /// assert!(matches!(refused, Err(OperatorError::InvalidCost { min: 0.1, max: 10.0, .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_cost(&self, relay: &NodeId, cost: f64) -> Result<(), OperatorError> {
        self.inner().set_cost(relay, cost)
    }

    /// Forgets all that the operator said of a relay: draining, ban, tier and cost. Returns whether
    /// any of these was set. Tier and cost are those of its registration again.
    ///
    /// The settings are lifted one after another, not in one step: another call may see some of
    /// them lifted and others not yet. If the relay was failing before a ban that is lifted, it is
    /// handed out on trial.
    ///
    /// Costs what [`set_draining`](Self::set_draining), [`unban`](Self::unban) and
    /// [`set_tier`](Self::set_tier) cost.
    ///
    /// ```
    /// use relay_registry::{NodeId, RegisterOptions, Registry};
    /// # use std::net::SocketAddr;
    /// use std::time::Duration;
    ///
    /// let registry = Registry::new();
    /// let relay = NodeId::from([1; 32]);
    /// let options = RegisterOptions::new().tier(2);
    /// registry.register_with(relay, SocketAddr::from(([192, 0, 2, 1], 4433)), &options)?;
    ///
    /// registry.set_tier(&relay, 0)?;
    /// registry.ban(&relay, Duration::from_secs(60))?;
    /// assert!(registry.lift(&relay));
    /// let now = registry.relay(&relay).expect("it is live");
    /// assert_eq!((now.tier(), now.is_banned()), (2, false));
    /// assert!(!registry.lift(&relay), "there was nothing left");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lift(&self, relay: &NodeId) -> bool {
        self.inner().lift(relay)
    }

    /// Reports that an attempt to use a relay failed; false if the relay is not registered. The
    /// relay is not handed out for a while, and then on trial, to one caller at a time. If the
    /// attempt has a lease, use [`Lease::failed`](crate::Lease::failed).
    ///
    /// Each relay has a circuit breaker. How long it stays open depends on the [`Failure`]: from
    /// 1 s up to 10 minutes ([by default](crate::RegistryBuilder::back_off)), longer each time,
    /// plus or minus a quarter. Failures while it is open do not count: those attempts were under
    /// way. Three successes, reported through [leases](crate::Lease::succeeded) or
    /// [by id](Self::report_success), close it and halve the level that several failures reached.
    /// Each minute without a failure, the back-off not counted, takes back one level. A relay that
    /// leaves and returns finds its circuit as it was: the registry keeps those of the last 65,536
    /// relays that had failed when they were forgotten.
    ///
    /// # Outages
    ///
    /// If more than [a share](crate::RegistryBuilder::max_ejected_share) of the relays back off at
    /// once, the cause is probably this node's own network. A failure beyond the share begins an
    /// outage. That failure belongs to the outage, and so does each further one, until a minute
    /// after the last one beyond the share. (A minute is a tenth of the longest back-off, here and
    /// above.) Such failures raise no level: the relay backs off for as long as its earlier
    /// failures call for. The first success of a relay that was failing ends the outage. Then the
    /// relays that failed in it are on trial at once: the call that reports the success updates 64
    /// of them, and the next maintenance pass the rest. A probe ends no outage.
    ///
    /// Relays that no caller could be given, because they are draining, banned or full, are not
    /// part of the share; this node's own relay is. While all relays that a call could be given are
    /// backing off, one of them is handed out as a [last
    /// resort](crate::RelayInfo::is_last_resort), at about the price of a find.
    ///
    /// Report your own attempts, and be careful with what peers report of others. Lock-free,
    /// without system call: one compare-and-swap of the relay's circuit, a few loads of counters,
    /// and an update of its leaf in the [search trees](crate::guide::choosing#search-trees). The
    /// first failure or ban in a part of these allocates memory.
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
        self.inner().report_failure(relay, failure)
    }

    /// Reports that a relay was used with success; false if it is not registered. If the use has a
    /// lease, use [`Lease::succeeded`](crate::Lease::succeeded).
    ///
    /// For a relay that failed lately it counts only while a trial is open: from when a find, a
    /// list or a reservation handed the relay out on trial or as a last resort until the outcome of
    /// that is reported. It ends no back-off, for it may be of a session from before the relay
    /// [failed](Self::report_failure).
    ///
    /// Writes nothing unless it counts. Lock-free, without allocation or system call.
    pub fn report_success(&self, relay: &NodeId) -> bool {
        self.inner().report_success(relay)
    }

    /// Closes the circuit of a relay and takes back all levels, as when it is known to be repaired.
    /// False if the relay is not live and no failures of it are remembered. A ban stays.
    ///
    /// Also forgets the failures of a relay that left. Lock-free, without allocation or system
    /// call.
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
        self.inner().reset_circuit(relay)
    }

    /// [Resets the circuit](Self::reset_circuit) of every relay, those that left included, as after
    /// an outage of this node's own network.
    ///
    /// Ends an outage. Visits all records, and waits for no other thread: not for a hot path. A
    /// relay that fails, enters or leaves during the visit may keep its circuit.
    pub fn reset_circuits(&self) {
        self.inner().reset_circuits();
    }

    /// Bans a relay for some time from now, rounded up to a tick: it is not handed out, and no
    /// [lease](Self::lease) on it is given. This holds by id, also if the relay renews, leaves and
    /// returns, or is not known yet. Leases that were given stay. A ban that is in force is
    /// replaced.
    ///
    /// When this returns, no call that starts later hands the relay out. A duration of zero ends
    /// the ban. Costs what [`set_draining`](Self::set_draining) costs, and a reading of the clock.
    ///
    /// # Errors
    ///
    /// A [`BanError`]: too long; or, only for a relay that is neither registered nor remembered,
    /// too many (65,536), or no memory.
    ///
    /// ```
    /// use relay_registry::{LeaseError, NodeId, Registry};
    /// # use std::net::SocketAddr;
    /// use std::time::Duration;
    ///
    /// let registry = Registry::new();
    /// let relay = NodeId::from([1; 32]);
    /// registry.ban(&relay, Duration::from_secs(3600))?; // before it is known
    /// registry.register(relay, SocketAddr::from(([192, 0, 2, 1], 4433)))?;
    /// assert_eq!(registry.lease(&relay).unwrap_err(), LeaseError::Banned);
    /// assert!(registry.find_relay(&NodeId::from([9; 32])).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ban(&self, relay: &NodeId, duration: Duration) -> Result<(), BanError> {
        self.inner().ban(relay, duration)
    }

    /// Ends the ban of a relay; whether there was one. If the relay was failing before, it is
    /// handed out on trial.
    ///
    /// ```
    /// use relay_registry::{NodeId, Registry};
    /// # use std::net::SocketAddr;
    /// use std::time::Duration;
    ///
    /// let registry = Registry::new();
    /// let relay = NodeId::from([1; 32]);
    /// registry.register(relay, SocketAddr::from(([192, 0, 2, 1], 4433)))?;
    /// registry.ban(&relay, Duration::from_secs(3600))?;
    /// assert!(registry.unban(&relay));
    /// assert!(registry.lease(&relay).is_ok());
    /// assert!(!registry.unban(&relay), "it was not banned any more");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unban(&self, relay: &NodeId) -> bool {
        self.inner().unban(relay)
    }

    /// The banned relays, registered or not, and when each ban ends, on the calendar that was in
    /// force when the registry was built. Visits all records.
    #[must_use]
    pub fn banned(&self) -> Vec<(NodeId, SystemTime)> {
        self.inner().banned()
    }

    /// Lists for every relay whether it would be handed out for a path to `target` now, and why.
    ///
    /// With default options this explains [`find_relays`](Self::find_relays), which returns up to
    /// three relays. To explain [`find_relay_with`](Self::find_relay_with) or
    /// [`reserve`](Self::reserve), set [`max_results(1)`](FindOptions::max_results). With more
    /// results a [preference](FindOptions::prefer) does not count.
    /// [`find_home_relay`](Self::find_home_relay) cannot be explained.
    ///
    /// Judges all relays by their exact scores and hands none out. A find may return another one
    /// that is [about as good](Self::find_relay_with). Lock-free; allocates the answer and visits
    /// all records: for people, not for a hot path. `{:.20}` prints the first 20 relays.
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
        self.inner().explain(target, options)
    }

    /// One maintenance pass: raises the tick, removes relays that are due, sorts the relays by
    /// round trip if anything changed, and reclaims memory.
    ///
    /// Needed with [`Maintenance::Manual`] and after [`close`](Self::close) only, as seldom as
    /// stale order and memory are acceptable: an expired relay is not handed out in any case. These
    /// wait for it, too: the ranks of relays whose round trip has lapsed, and of those that
    /// [start slowly](RegistryBuilder::slow_start); positions that were learned; the search trees
    /// for [filters](FindOptions::require) and [several units](FindOptions::units); trials after an
    /// outage beyond the first 64 relays; [saves](crate::guide::persistence) at intervals, unless the
    /// registry is closed; figures for the feature `metrics`; tasks that
    /// [wait for a relay](Self::find_relay_async); and [`Stats::expirations`]. Takes the maintenance
    /// locks, so that passes run one after another. No call on the hot path waits for them.
    pub fn maintain(&self) -> MaintenanceReport {
        let report = self.inner().maintain();
        if self.shared.threads.is_none() {
            self.shared.saver.save_if_due();
        }
        report
    }

    /// Ends the threads of this registry, withdraws this node's relay from the DHT, and makes the
    /// last save, if the builder asked for saves. [Subscriptions](Self::events) and
    /// [searches that wait](Self::find_relay_async) end. All handles go on working, as with
    /// [`Maintenance::Manual`]: from here on calls read the [clock](crate::Clock) themselves, and
    /// passes are made by [`maintain`](Self::maintain) alone.
    ///
    /// Returns when the threads have ended; those of the DHT, and the withdrawal, within
    /// `DhtOptions::shutdown_timeout`. DHT threads that still run then are left to end by
    /// themselves. If the DHT has no worker threads, this thread makes the withdrawal, which
    /// dropping the registry does not. Nothing is published or learned afterwards, and learned relays
    /// expire at their deadlines.
    ///
    /// Any thread may call this, at any time and more than once. A call beside another one waits
    /// for the same end; a later one returns at once. The drop of the last handle ends the threads
    /// as well, but waits for none of them: a process that exits then may do so before the relay is
    /// withdrawn and the last save made. [`closed`](Self::closed) waits without blocking a thread of a runtime.
    ///
    /// The embedder's clock, engine and probe may call this, too. If the registry's own thread, or
    /// `run_distribution`, called them, this does not wait: threads end, and the relay is
    /// withdrawn, once these calls have returned. A clock that hangs on a thread of the registry
    /// holds this up. No other call waits for it.
    ///
    /// ```
    /// use relay_registry::{NodeId, Registry};
    /// # use std::net::SocketAddr;
    ///
    /// let registry = Registry::new();
    /// let relay = NodeId::from([1; 32]);
    /// registry.register(relay, SocketAddr::from(([192, 0, 2, 1], 4433)))?;
    ///
    /// registry.close();
    /// assert!(registry.find_relay(&NodeId::from([9; 32])).is_ok());
    /// registry.maintain(); // now and then, from here on
    /// # Ok::<(), relay_registry::RegisterError>(())
    /// ```
    pub fn close(&self) {
        self.shared.close();
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.inner.fmt(f)
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}
