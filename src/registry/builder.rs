//! [`RegistryBuilder`]: the settings of a registry, checked when it is built.

use crate::events::EventLog;
use crate::limits::{MAX_EVENT_CAPACITY, MAX_PEERS, MAX_RELAYS};
use crate::registry::Registry;
use crate::registry::build_error::{BuildError, MAX_NAME_LEN, MIN_TICK};
use crate::registry::counters::Counters;
use crate::registry::dht_bridge::{DhtLink, DhtSetup};
use crate::registry::exporter::ExporterSettings;
use crate::registry::inner::Inner;
use crate::registry::peers::Peers;
use crate::registry::persistence::SaveSetup;
use crate::registry::relays::Relays;
use crate::registry::reputation::Reputation;
use crate::registry::settings::{Settings, is_countable, longest_ttl};
use crate::relay::{AddressPolicy, NodeId};
use crate::rtt::sane_micros;
use crate::sync::{Arc, random_key};
use crate::table::Table;
use crate::table::record::BackOffRange;
use crate::table::snapshot::SelectionSettings;
use crate::time::{Clock, MonotonicClock, SystemCalendar, Timeline, nanos};
use crate::trace::RegistryTrace;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

/// What runs the maintenance passes: expiry, sorting, reclamation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Maintenance {
    /// Two threads, started by [`build`](RegistryBuilder::build) and ended by
    /// [`close`](Registry::close), or when the last handle is dropped.
    ///
    /// `relay-clock` reads the [clock](Clock) once a tick, and does nothing else. So a
    /// relay is handed out for at most one tick after its deadline, plus the time that
    /// the system takes to run that thread. It does not matter what the other thread is
    /// doing.
    ///
    /// `relay-registry` makes a maintenance pass every tick. It sorts for at most an eighth of its
    /// time. With hundreds of thousands of relays, more than one tick passes before arrivals are
    /// [merged](crate::guide::choosing#search-trees) and new positions count. Finds see arrivals,
    /// loads and round trips at once in any case. While the thread sorts, expired relays occupy
    /// memory, but are not handed out.
    ///
    /// After the machine was suspended, the clock is read within one tick of resumption.
    /// (Most systems do not count suspended time in a thread's sleep, so the thread
    /// sleeps for the rest of its tick.)
    #[default]
    Thread,
    /// The embedder, by calling [`Registry::maintain`].
    ///
    /// Each call that checks whether a relay is live reads the [clock](Clock) itself. So
    /// expired relays are never handed out, however seldom `maintain` is called. Until
    /// `maintain` is called, expired relays occupy memory, and the order of relays is that
    /// of the last call, or of the last registration that sorted them.
    Manual,
}

/// Settings of a [`Registry`]; see [`Registry::builder`].
#[must_use = "a builder does nothing until built"]
pub struct RegistryBuilder {
    max_relays: usize,
    ttl: Duration,
    tick: Duration,
    maintenance: Maintenance,
    clock: Box<dyn Clock>,
    wall_clock: Arc<dyn Clock>,
    local_id: Option<NodeId>,
    address_policy: AddressPolicy,
    assumed_rtt: Duration,
    rtt_lifetime: Duration,
    max_ejected_share: f64,
    return_grace: Option<Duration>,
    back_off: (Duration, Duration),
    slow_start: Duration,
    one_id_per_endpoint: bool,
    max_peers: usize,
    event_capacity: usize,
    peer_ttl: Duration,
    name: Option<Arc<str>>,
    pub(super) exporter: ExporterSettings,
    pub(super) dht: DhtSetup,
    pub(super) persistence: SaveSetup,
}

/// It calls the embedder's clocks and engine only in `build`, which consumes it.
impl UnwindSafe for RegistryBuilder {}
impl RefUnwindSafe for RegistryBuilder {}

impl RegistryBuilder {
    pub(super) fn new() -> Self {
        Self {
            max_relays: 1_000,
            ttl: Duration::from_secs(600),
            tick: Duration::from_millis(100),
            maintenance: Maintenance::default(),
            clock: Box::new(MonotonicClock::new()),
            wall_clock: Arc::new(SystemCalendar),
            local_id: None,
            address_policy: AddressPolicy::default(),
            assumed_rtt: Duration::from_millis(100),
            rtt_lifetime: Duration::from_secs(3_600),
            max_ejected_share: 0.5,
            return_grace: None,
            back_off: (BackOffRange::SHORTEST, BackOffRange::LONGEST),
            slow_start: Duration::ZERO,
            one_id_per_endpoint: false,
            max_peers: 10_000,
            event_capacity: 4_096,
            peer_ttl: Duration::from_secs(3_600),
            name: None,
            exporter: ExporterSettings::default(),
            dht: DhtSetup::default(),
            persistence: SaveSetup::default(),
        }
    }

    /// The most relays that may be registered at once: 1 to [`MAX_RELAYS`], by default
    /// 1,000.
    ///
    /// `build` reserves address space for three times as many. Memory, about 250 bytes
    /// per relay, is used as relays arrive. (With huge pages, an eighth of it is used
    /// soon after the first relays.)
    pub fn max_relays(mut self, relays: usize) -> Self {
        self.max_relays = relays;
        self
    }

    /// How long a relay stays registered without a renewal, if its registration sets no
    /// TTL: at least one tick, by default 600 s.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// The unit of expiry: at least 1 ms, by default 100 ms.
    ///
    /// A relay never expires early, and at most one tick late, plus the time that the
    /// system takes to run the [thread](Maintenance::Thread) that reads the clock.
    pub fn tick(mut self, tick: Duration) -> Self {
        self.tick = tick;
        self
    }

    /// What runs maintenance passes, by default [`Maintenance::Thread`].
    pub fn maintenance(mut self, maintenance: Maintenance) -> Self {
        self.maintenance = maintenance;
        self
    }

    /// The source of time, by default a monotonic clock of the operating system that
    /// continues while the machine is suspended, if there is one. So relays that were
    /// registered before a long suspension have expired after it.
    ///
    /// | system | default clock | continues while suspended |
    /// |---|---|---|
    /// | Linux, Android | `CLOCK_BOOTTIME` | yes |
    /// | macOS, iOS and the like | `CLOCK_MONOTONIC_RAW` | yes |
    /// | Windows | that of [`Instant`](std::time::Instant) | yes |
    /// | others, or where the above can't be read | that of [`Instant`](std::time::Instant) | as the system decides |
    ///
    /// A reading costs as much as [`Instant::now`](std::time::Instant::now): on common
    /// platforms, no system call.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// The calendar: a clock that reads the time since the Unix epoch, by default that of the
    /// operating system.
    ///
    /// It is read once by [`build`](Self::build). All calendar times that the registry gives, such
    /// as [`RelayInfo::registered_at`](crate::RelayInfo::registered_at) and the end of a
    /// [ban](Registry::banned), are counted from there by the [clock](Self::clock). With a DHT, it
    /// also dates the records that are signed, and decides which records have expired. If the
    /// registry is saved, it dates the save; it then says how much time has passed when that is
    /// restored. All else goes by the clock.
    ///
    /// As the clock, it is the embedder's code: see [`Clock`].
    ///
    /// ```
    /// use relay_registry::{Maintenance, ManualClock, NodeId, Registry};
    /// # use std::net::SocketAddr;
    /// use std::time::{Duration, UNIX_EPOCH};
    ///
    /// let (clock, calendar) = (ManualClock::new(), ManualClock::new());
    /// calendar.advance(Duration::from_secs(1_800_000_000));
    /// let registry = Registry::builder()
    ///     .maintenance(Maintenance::Manual)
    ///     .clock(clock.clone())
    ///     .wall_clock(calendar)
    ///     .build()?;
    /// clock.advance(Duration::from_secs(60));
    /// let relay = NodeId::from([1; 32]);
    /// registry.register(relay, SocketAddr::from(([192, 0, 2, 1], 4433)))?;
    /// let registered = registry.relay(&relay).unwrap().registered_at();
    /// assert_eq!(registered, UNIX_EPOCH + Duration::from_secs(1_800_000_060));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wall_clock(mut self, clock: impl Clock) -> Self {
        self.wall_clock = Arc::new(clock);
        self
    }

    /// The id of the node that embeds the registry. It may be registered, but
    /// is never handed out.
    pub fn local_id(mut self, id: NodeId) -> Self {
        self.local_id = Some(id);
        self
    }

    /// Which addresses may be registered, by default all that can be dialled.
    pub fn address_policy(mut self, policy: AddressPolicy) -> Self {
        self.address_policy = policy;
        self
    }

    /// The round trip at which an unmeasured leg is ranked: above zero, up to
    /// [`MAX_RTT`](crate::MAX_RTT), by default 100 ms.
    ///
    /// It stands for the leg to a relay that is not measured, and for the leg from a relay
    /// to a target of which nothing is known.
    pub fn assumed_rtt(mut self, rtt: Duration) -> Self {
        self.assumed_rtt = rtt;
        self
    }

    /// How long a measured round trip counts: at least 1 s, by default an hour; 584 years
    /// or more mean for ever.
    ///
    /// The lifetime begins anew with each measurement, and with each registration that gives
    /// a [`latency`](crate::RegisterOptions::latency). At most one second after its end, the
    /// relay counts as unmeasured: its [`latency`](crate::RelayInfo::latency) is `None`.
    ///
    /// Finds rank the relay at the [assumed round trip](Self::assumed_rtt) from the next
    /// maintenance pass on: one tick later with [`Maintenance::Thread`], else when
    /// [`maintain`](Registry::maintain) is called. Before that pass, a find that would hand
    /// out such a relay corrects its rank first, for up to eight relays. A find with a
    /// maximum latency skips those that it meets; also if it allows unmeasured relays, one
    /// whose last round trip was above the maximum is not found until that pass.
    /// [`due_for_probe`](Registry::due_for_probe) lists in time which relays to measure.
    pub fn rtt_lifetime(mut self, lifetime: Duration) -> Self {
        self.rtt_lifetime = lifetime;
        self
    }

    /// Which share of the relays may back off after failures at once, 0 to 1, by default
    /// one half.
    ///
    /// If more relays fail, the likely cause is this node's own network, not the relays.
    /// (Compare Envoy's `max_ejection_percent`.) Two rules follow.
    ///
    /// - A find with no other eligible relay gets one that is backing off, as a *last resort*: the
    ///   preferred one, else, of any tier, the one that has backed off for longest. Here the share
    ///   is of the relays that would otherwise be eligible to this call. So if no other relay is
    ///   eligible, the share is 1. Only if the limit is 1 as well, the find fails.
    /// - A failure beyond the share begins an *outage*: see
    ///   [`report_failure`](Registry::report_failure). Here the share is of the relays that
    ///   are eligible to a call without options, of any tier, or would be if they were not
    ///   backing off, by the counters of that moment. An expired relay counts until a pass
    ///   removes it: at most one tick with a maintenance thread.
    ///
    /// Relays that are draining, banned or full do not count in either share. Both shares
    /// are read from counters, and relays that back off are kept in the order in which they
    /// began, so neither rule costs more than a find.
    pub fn max_ejected_share(mut self, share: f64) -> Self {
        self.max_ejected_share = share;
        self
    }

    /// For how long after its deadline or its departure a relay that registers again
    /// [keeps](crate::Registration::Returned) its leases, load, round trips and circuit: by
    /// default for its own TTL. After an expiry it may be some ticks less.
    ///
    /// Any length is accepted; with zero, no relay is remembered. As many gone relays are
    /// remembered as relays may be registered, and at least 1,024. Beyond that, those that
    /// left first are forgotten, by the next maintenance pass; with [`Maintenance::Manual`]
    /// also by each 16th relay that a thread registers, and by each 64th that it has depart. So
    /// there may be up to 64 more for each thread. Those that left between two of these are
    /// forgotten in any order. Relays that are learned from a DHT have no
    /// grace. Leases that are held count against a relay in any case, however late it
    /// returns.
    pub fn return_grace(mut self, grace: Duration) -> Self {
        self.return_grace = Some(grace);
        self
    }

    /// How long a relay backs off after failures: the shortest and the longest time. Both
    /// are above zero, `min` is not above `max`, and ticks can count both; by default 1 s
    /// and 10 minutes. Each back-off is rounded up to whole ticks.
    ///
    /// A relay that [refused](crate::Failure::Refused) backs off for `min`, then for twice as
    /// long each time, up to about half of the doublings between `min` and `max` (by default
    /// 32 s). A relay that [did not answer](crate::Failure::TimedOut) backs off for `2 * min`,
    /// then for four times as long each time, up to `max`. If `max` is more than 16,384 times
    /// `min`, the steps are larger. A tenth of `max` without a failure undoes one doubling.
    pub fn back_off(mut self, min: Duration, max: Duration) -> Self {
        self.back_off = (min, max);
        self
    }

    /// For how long a new relay starts slowly, by default not at all: zero. Its score counts a
    /// tenth of its capacity when it arrives, and the whole after this time, growing evenly in
    /// between. So it is not given all new sessions at once while the others carry theirs.
    ///
    /// Any length is accepted. A new relay whose load reaches the part that counts ranks as nearly
    /// full, at 64 times the score that it has without load, until that part has grown. With a
    /// capacity of 10 or less, that is so from its first unit on. A slow start never makes a relay
    /// ineligible: if no better one has room, a new relay is filled. (Compare Envoy's
    /// `slow_start_config` and the `slow_start` of NGINX.)
    ///
    /// When a process starts, all its relays are new, but for those that it
    /// [restores](crate::guide::persistence). A learned relay is new each time it is learned. A relay
    /// that renews, restarts or [returns](crate::Registration::Returned) is not: it goes on with the
    /// slow start that it began, if that has not ended.
    ///
    /// The ranks of new relays follow at most a sixteenth of this time later, by maintenance passes,
    /// and whenever their load changes. A slow start takes 16 bytes for each relay.
    ///
    /// ```
    /// use relay_registry::{FindOptions, Maintenance, ManualClock, NodeId, Registry};
    /// # use std::net::SocketAddr;
    /// use std::time::Duration;
    ///
    /// let (clock, minute) = (ManualClock::new(), Duration::from_secs(60));
    /// let registry = Registry::builder()
    ///     .slow_start(minute)
    ///     .maintenance(Maintenance::Manual)
    ///     .clock(clock.clone())
    ///     .build()?;
    /// let [old, new, target] = [1, 2, 9].map(|n| NodeId::from([n; 32]));
    /// registry.register(old, SocketAddr::from(([192, 0, 2, 1], 4433)))?;
    /// clock.advance(minute);
    /// registry.register(new, SocketAddr::from(([192, 0, 2, 2], 4433)))?;
    ///
    /// // Both have a capacity of 100. Of that of the new one, 10 units count, and 9 of these are taken.
    /// registry.report_load(&old, 30);
    /// registry.report_load(&new, 9);
    /// assert_eq!(registry.find_relay(&target)?.node_id(), old);
    /// clock.advance(minute);
    /// registry.maintain();
    /// assert_eq!(registry.find_relay(&target)?.node_id(), new);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn slow_start(mut self, time: Duration) -> Self {
        self.slow_start = time;
        self
    }

    /// Whether no two live relays may have the same endpoint, by default false.
    ///
    /// One process that registers many ids at one address gets a multiple of the sessions that
    /// it should get, and its relays fail together. With this, a registration at the endpoint of
    /// another live relay is refused with
    /// [`RegisterError::EndpointTaken`](crate::RegisterError::EndpointTaken), until that relay
    /// leaves, expires or moves to another endpoint. (Two ports of one host are two endpoints.)
    /// The same holds for relays learned from a DHT, but one that was learned is removed if a
    /// local one registers at its endpoint. The [further
    /// endpoints](crate::RegisterOptions::also_at) of local relays are checked, too. Those that a
    /// learned relay claims do not count, since nothing has shown that it is there. Names are
    /// compared as text. [`Registry::at`] shows which relays name an endpoint.
    ///
    /// Registrations take turns with it: each one takes a lock, but for a renewal that changes
    /// nothing and gives no latency. It keeps about 150 bytes for each endpoint.
    ///
    /// ```
    /// use relay_registry::{NodeId, RegisterError, Registry};
    /// # use std::net::SocketAddr;
    ///
    /// let registry = Registry::builder().one_id_per_endpoint(true).build()?;
    /// let endpoint = SocketAddr::from(([192, 0, 2, 1], 4433));
    /// let (relay, other) = (NodeId::from([1; 32]), NodeId::from([2; 32]));
    /// registry.register(relay, endpoint)?;
    /// assert!(matches!(
    ///     registry.register(other, endpoint),
    ///     Err(RegisterError::EndpointTaken { by, .. }) if by == relay
    /// ));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn one_id_per_endpoint(mut self, only_one: bool) -> Self {
        self.one_id_per_endpoint = only_one;
        self
    }

    /// Of how many peers the registry remembers the [view](Registry::update_peer): up to
    /// [`MAX_PEERS`], by default 10,000. With 0 it remembers none.
    ///
    /// If a view comes from one peer more, the one that was updated longest ago is forgotten.
    /// Address space is reserved when the first view comes. Memory, about 390 bytes for each
    /// peer, is used as peers come, and used again.
    ///
    /// ```
    /// use relay_registry::{NodeId, PeerView, Registry};
    /// use std::time::Duration;
    ///
    /// let registry = Registry::builder().max_peers(1).build()?;
    /// let [relay, a, b] = [1, 8, 9].map(|n| NodeId::from([n; 32]));
    /// let view = PeerView::new().measured(relay, Duration::from_millis(5))?;
    /// registry.update_peer(&a, view);
    /// registry.update_peer(&b, view);
    /// assert!(!registry.forget_peer(&a), "it had made room for b");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_peers(mut self, peers: usize) -> Self {
        self.max_peers = peers;
        self
    }

    /// How long the [view](Registry::update_peer) of a peer is remembered after its last update:
    /// above zero, by default an hour. It is counted in ticks, and rounded up: a view counts for up
    /// to two ticks longer, and not shorter unless [`max_peers`](Self::max_peers) or
    /// [`forget_peer`](Registry::forget_peer) ends it earlier.
    ///
    /// ```
    /// use relay_registry::{Maintenance, ManualClock, NodeId, PeerView, Registry};
    /// use std::time::Duration;
    ///
    /// let (clock, minute) = (ManualClock::new(), Duration::from_secs(60));
    /// // Peers of this network send their view every ten minutes.
    /// let registry = Registry::builder()
    ///     .peer_ttl(30 * minute)
    ///     .maintenance(Maintenance::Manual)
    ///     .clock(clock.clone())
    ///     .build()?;
    /// let [relay, peer] = [1, 8].map(|n| NodeId::from([n; 32]));
    /// registry.update_peer(&peer, PeerView::new().measured(relay, Duration::from_millis(12))?);
    /// clock.advance(31 * minute);
    /// assert!(!registry.forget_peer(&peer), "it was forgotten before");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn peer_ttl(mut self, ttl: Duration) -> Self {
        self.peer_ttl = ttl;
        self
    }

    /// How many events are kept for [subscribers](Registry::events): the oldest is dropped for
    /// a further one, whether all have read it or not. From 1 to 1,048,576, by default 4,096. They
    /// take memory while there is a subscriber: some 300 bytes each.
    ///
    /// ```
    /// use relay_registry::{Event, NodeId, Registry};
    /// # use std::net::SocketAddr;
    ///
    /// let registry = Registry::builder().event_capacity(1).build()?;
    /// let events = registry.events();
    /// for n in 1..=3 {
    ///     registry.register(NodeId::from([n; 32]), SocketAddr::from(([192, 0, 2, n], 4433)))?;
    /// }
    /// assert_eq!(events.try_recv(), Ok(Event::Missed(2)));
    /// assert_eq!(events.try_recv()?.id(), Some(NodeId::from([3; 32])));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn event_capacity(mut self, events: usize) -> Self {
        self.event_capacity = events;
        self
    }

    /// The name of this registry, which tells it from others in the same process: 1 to 64
    /// bytes; by default it has none.
    ///
    /// It is the label `registry` of what is recorded with the feature `metrics`, and of nothing
    /// else. It need not be unique.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Builds the registry.
    ///
    /// # Errors
    ///
    /// A [`BuildError`] names the setting that is out of range, or says that the system
    /// gave no memory or no thread.
    pub fn build(mut self) -> Result<Registry, BuildError> {
        let settings = self.check()?;
        let setup = std::mem::take(&mut self.dht);
        let (dht, link) = setup.prepare(self.max_relays, self.tick, &self.wall_clock)?;
        let wall_clock = Arc::clone(&self.wall_clock);
        let mut saves = std::mem::take(&mut self.persistence);
        let inner = self.inner(settings, link, &mut saves)?;
        let registry = Registry::start(inner, dht, saves, wall_clock)
            .map_err(|error| BuildError::Thread { kind: error.kind() })?;
        registry.inner().relays.say_built();
        Ok(registry)
    }

    /// The components that the handles share. Reads both clocks.
    pub(super) fn inner(
        self,
        settings: Settings,
        link: DhtLink,
        saves: &mut SaveSetup,
    ) -> Result<Inner, BuildError> {
        let wall = self.wall_clock.now();
        let base_nanos = saves.begin(wall, self.tick);
        let has_thread = settings.has_maintenance_thread;
        let timeline = Timeline::resumed(self.clock, wall, self.tick, has_thread, base_nanos);
        let terms = SelectionSettings {
            assumed_micros: settings.assumed_rtt_micros,
            tick_nanos: timeline.tick_nanos(),
            rtt_lifetime_nanos: nanos(settings.rtt_lifetime),
            jitter_key: random_key(),
            back_off_range: settings.back_off_range,
            max_ejected_share: settings.max_ejected_share,
            slow_start_nanos: settings.slow_start_nanos,
        };
        let timeline = Arc::new(timeline);
        let events = Arc::new(EventLog::new(self.event_capacity));
        let table = Table::new(self.max_relays, terms, timeline.watch(), events);
        let table = table.ok_or(BuildError::OutOfMemory)?;
        let reputation = Reputation::new().ok_or(BuildError::OutOfMemory)?;
        let relays = Relays {
            settings,
            timeline,
            table,
            reputation,
            counters: Counters::default(),
            trace: RegistryTrace::default(),
        };
        let peers = Peers::new(self.max_peers, nanos(self.peer_ttl));
        let exporter = self.exporter.exporter(relays.settings.name.as_ref());
        Ok(Inner::new(relays, peers, exporter, link))
    }

    pub(super) fn check(&self) -> Result<Settings, BuildError> {
        let &Self {
            max_relays,
            ttl,
            tick,
            assumed_rtt,
            rtt_lifetime,
            ..
        } = self;
        if !(1..=MAX_RELAYS).contains(&max_relays) {
            return Err(BuildError::InvalidMaxRelays { max_relays });
        }
        if tick < MIN_TICK || nanos(tick) == u64::MAX {
            return Err(BuildError::InvalidTick { tick });
        }
        if !is_countable(ttl, tick) {
            return Err(BuildError::InvalidTtl {
                ttl,
                min: tick,
                max: longest_ttl(tick),
            });
        }
        if rtt_lifetime < Duration::from_secs(1) {
            return Err(BuildError::InvalidRttLifetime { rtt_lifetime });
        }
        if !(0.0..=1.0).contains(&self.max_ejected_share) {
            return Err(BuildError::InvalidMaxEjectedShare {
                share: self.max_ejected_share,
            });
        }
        self.check_peers()?;
        if !(1..=MAX_EVENT_CAPACITY).contains(&self.event_capacity) {
            return Err(BuildError::InvalidEventCapacity {
                capacity: self.event_capacity,
                max: MAX_EVENT_CAPACITY,
            });
        }
        self.check_name()?;
        self.persistence.check()?;
        let assumed_rtt_micros = sane_micros(assumed_rtt)
            .filter(|_| !assumed_rtt.is_zero())
            .ok_or(BuildError::InvalidAssumedRtt { assumed_rtt })?;
        let own_id = self.dht.own_id(self.local_id)?;
        Ok(Settings {
            name: self.name.clone(),
            ttl,
            tick,
            local_id: self.local_id.or(own_id),
            address_policy: self.address_policy,
            assumed_rtt_micros,
            rtt_lifetime,
            max_ejected_share: self.max_ejected_share,
            return_grace_nanos: self.return_grace.map(nanos),
            back_off_range: self.back_off_range()?,
            slow_start_nanos: nanos(self.slow_start),
            one_id_per_endpoint: self.one_id_per_endpoint,
            has_maintenance_thread: self.maintenance == Maintenance::Thread,
        })
    }

    fn check_peers(&self) -> Result<(), BuildError> {
        let &Self {
            max_peers,
            peer_ttl,
            tick,
            ..
        } = self;
        if max_peers > MAX_PEERS {
            return Err(BuildError::InvalidMaxPeers { max_peers });
        }
        let max = longest_ttl(tick);
        if peer_ttl.is_zero() || peer_ttl > max {
            return Err(BuildError::InvalidPeerTtl { ttl: peer_ttl, max });
        }
        Ok(())
    }

    fn check_name(&self) -> Result<(), BuildError> {
        match &self.name {
            Some(name) if !(1..=MAX_NAME_LEN).contains(&name.len()) => {
                Err(BuildError::InvalidName { len: name.len() })
            }
            _ => Ok(()),
        }
    }

    /// The range of back-offs, if ticks can count it.
    fn back_off_range(&self) -> Result<BackOffRange, BuildError> {
        let (min, max) = self.back_off;
        BackOffRange::new(min, max)
            .filter(|_| max < self.tick || is_countable(max, self.tick))
            .ok_or_else(|| BuildError::InvalidBackOff {
                min,
                max,
                countable: longest_ttl(self.tick),
            })
    }
}

impl fmt::Debug for RegistryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryBuilder")
            .field("max_relays", &self.max_relays)
            .field("ttl", &self.ttl)
            .field("tick", &self.tick)
            .field("maintenance", &self.maintenance)
            .field("local_id", &self.local_id)
            .field("address_policy", &self.address_policy)
            .field("assumed_rtt", &self.assumed_rtt)
            .field("rtt_lifetime", &self.rtt_lifetime)
            .field("max_ejected_share", &self.max_ejected_share)
            .field("return_grace", &self.return_grace)
            .field("back_off", &self.back_off)
            .field("slow_start", &self.slow_start)
            .field("one_id_per_endpoint", &self.one_id_per_endpoint)
            .field("max_peers", &self.max_peers)
            .field("peer_ttl", &self.peer_ttl)
            .field("event_capacity", &self.event_capacity)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
