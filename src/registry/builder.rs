//! [`RegistryBuilder`]: the settings of a registry, judged when it is built.

use crate::limits::MAX_RELAYS;
use crate::registry::Registry;
use crate::registry::build_error::{BuildError, MIN_TICK};
use crate::registry::counters::Counters;
use crate::registry::dht_bridge::{DhtLink, DhtSetup};
use crate::registry::inner::Inner;
use crate::registry::relays::Relays;
use crate::registry::reputation::Reputation;
use crate::registry::settings::{Settings, is_countable, longest_ttl};
use crate::relay::{AddressPolicy, NodeId};
use crate::rtt::sane_micros;
use crate::sync::{Arc, random_key};
use crate::table::Table;
use crate::table::record::BackOffRange;
use crate::table::snapshot::SelectionSettings;
use crate::time::{Clock, MonotonicClock, Timeline, nanos};
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

/// Who does the housekeeping: expiry, sorting by round-trip time, reclamation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Maintenance {
    /// Two threads, started by [`build`](RegistryBuilder::build) and joined when
    /// the last handle is dropped.
    ///
    /// `relay-clock` reads the [clock](Clock) once a tick, and does nothing else. So
    /// a relay is handed out for at most a tick after its deadline, and for as long
    /// as the system takes to run that thread, whatever the other one is at.
    ///
    /// `relay-registry` makes a pass every tick and spends at most an eighth of its
    /// time on sorting, so at hundreds of thousands of relays more than a tick
    /// passes before arrivals are sorted in and new positions count. Finds see
    /// arrivals, loads and round trips at once all the same. While it sorts,
    /// expired relays take up memory, but are handed out to nobody.
    ///
    /// After the machine was suspended, the clock is read within a tick of its
    /// waking: most systems do not count the time asleep in a thread's pause, so
    /// what was left of the pause is waited for.
    #[default]
    Thread,
    /// The embedder, by calling [`Registry::maintain`].
    ///
    /// Each call that judges whether a relay is live reads the [clock](Clock)
    /// itself, so expired relays are handed out to nobody, however seldom
    /// `maintain` is called. Until then they take up memory, and relays are in the
    /// order of the last call, or of the last registration that sorted them.
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
    local_id: Option<NodeId>,
    address_policy: AddressPolicy,
    assumed_rtt: Duration,
    rtt_lifetime: Duration,
    max_ejected_share: f64,
    return_grace: Option<Duration>,
    back_off: (Duration, Duration),
    pub(super) dht: DhtSetup,
}

/// It calls the embedder's clock and engine only in `build`, which consumes it.
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
            local_id: None,
            address_policy: AddressPolicy::default(),
            assumed_rtt: Duration::from_millis(100),
            rtt_lifetime: Duration::from_secs(3_600),
            max_ejected_share: 0.5,
            return_grace: None,
            back_off: (BackOffRange::SHORTEST, BackOffRange::LONGEST),
            dht: DhtSetup::default(),
        }
    }

    /// The most relays held at once: 1 to [`MAX_RELAYS`], by default 1,000.
    ///
    /// The address space for three times as many is set aside when
    /// the registry is built; the memory, about 250 bytes a relay, is used as
    /// relays arrive (where the system hands out huge pages, an eighth of that
    /// soon after the first ones).
    pub fn max_relays(mut self, relays: usize) -> Self {
        self.max_relays = relays;
        self
    }

    /// How long a relay stays without being renewed, unless it says otherwise:
    /// at least a tick, by default 600 s.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// The unit in which expiry is judged: at least 1 ms, by default 100 ms.
    ///
    /// A relay expires never early, and at most one tick late (and as much later as
    /// the system takes to run the [thread](Maintenance::Thread) that reads the clock).
    pub fn tick(mut self, tick: Duration) -> Self {
        self.tick = tick;
        self
    }

    /// Who does the housekeeping, by default [`Maintenance::Thread`].
    pub fn maintenance(mut self, maintenance: Maintenance) -> Self {
        self.maintenance = maintenance;
        self
    }

    /// The source of time, by default a monotonic clock of the operating system,
    /// one that goes on while the machine is suspended where there is one. So what
    /// was registered before a long sleep has expired after it.
    ///
    /// | system | default clock | goes on while suspended |
    /// |---|---|---|
    /// | Linux, Android | `CLOCK_BOOTTIME` | yes |
    /// | macOS, iOS and the like | `CLOCK_MONOTONIC_RAW` | yes |
    /// | Windows | that of [`Instant`](std::time::Instant) | yes |
    /// | others, or where the above can't be read | that of [`Instant`](std::time::Instant) | as the system decides |
    ///
    /// To read it costs what [`Instant::now`](std::time::Instant::now) does: on
    /// common platforms, no system call.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// The id of the node that embeds the registry. It may be registered, but
    /// is never handed out.
    pub fn local_id(mut self, id: NodeId) -> Self {
        self.local_id = Some(id);
        self
    }

    /// Which addresses may be registered, by default any that can be dialled.
    pub fn address_policy(mut self, policy: AddressPolicy) -> Self {
        self.address_policy = policy;
        self
    }

    /// What a leg that was not measured is ranked at: above zero, up to
    /// [`MAX_RTT`](crate::MAX_RTT), by default 100 ms.
    ///
    /// It stands for the round trip to a relay not yet measured, and for the
    /// leg from each relay to the target.
    pub fn assumed_rtt(mut self, rtt: Duration) -> Self {
        self.assumed_rtt = rtt;
        self
    }

    /// How long a round trip counts that is not measured again: a second or more, by
    /// default an hour; from 584 years on, for ever.
    ///
    /// It is counted from the latest measurement, or from the registration that gave a
    /// [`latency`](crate::RegisterOptions::latency), each of which begins anew. Once it
    /// is over, and at most a second later, the relay counts as unmeasured: its
    /// [`latency`](crate::RelayInfo::latency) is `None`, from that tick on. Finds rank it
    /// at the [assumed round trip](Self::assumed_rtt) from the next housekeeping pass on:
    /// with [`Maintenance::Thread`] that is a tick later, with [`Maintenance::Manual`] it
    /// is when [`maintain`](Registry::maintain) is called. Until then a find that would
    /// hand out such a relay ranks it anew, up to eight of them; where the longest round
    /// trip is limited, it passes over those that it comes upon.
    /// [`due_for_probe`](Registry::due_for_probe) says in time which relays to measure.
    pub fn rtt_lifetime(mut self, lifetime: Duration) -> Self {
        self.rtt_lifetime = lifetime;
        self
    }

    /// Which share of the relays may back off after failures at once, within 0
    /// and 1, by default a half.
    ///
    /// When more of them fail, it is likely that they are not to blame, but this node's own
    /// network. (Envoy's `max_ejection_percent`.) Two things follow.
    ///
    /// - A find that has no other relay is handed one that is backing off, as a *last
    ///   resort*: the preferred one, or the one that has been for longest. The share is
    ///   of the relays that would otherwise be eligible to this very call, so as soon as
    ///   no other is, all of them are backing off. Only with a share of 1 it finds none.
    /// - A failure beyond the share begins an *outage*: see
    ///   [`report_failure`](Registry::report_failure). Here the share is of the relays that
    ///   a call without options would be given, or would be if they were not backing
    ///   off, as the counters have it at that moment. Relays that are past their deadline
    ///   count until a pass removes them: a tick later at most, with a maintenance thread.
    ///
    /// Relays that are draining, banned or full are no part of either share. Both are had
    /// from counters, and relays that are backing off are kept in the order in which
    /// that began, so neither costs more than a find.
    pub fn max_ejected_share(mut self, share: f64) -> Self {
        self.max_ejected_share = share;
        self
    }

    /// For how long after its deadline, or after it left, a relay that registers again is
    /// [what it was](crate::Registration::Returned): by default for as long as its own TTL.
    /// Of one that expired, it may be a few ticks less.
    ///
    /// As many such relays are remembered as there may be relays, and at least 1,024;
    /// beyond that, those that went first are forgotten: by the next housekeeping pass, with
    /// [`Maintenance::Manual`] also by registrations and departures. Any length will do; with
    /// zero, none is remembered. Relays that are learned from a DHT have no grace. Leases that are
    /// held on a relay are counted against it in any case, however late it comes back.
    pub fn return_grace(mut self, grace: Duration) -> Self {
        self.return_grace = Some(grace);
        self
    }

    /// How long relays are left alone after failures: the first time, and at most. Above
    /// zero, in this order, and no longer than ticks can count; by default 1 s and
    /// 10 minutes. It may be the same twice. All are rounded up to whole ticks.
    ///
    /// A relay that [refused](crate::Failure::Refused) is left alone for `min`, then for
    /// twice as long each time, up to about half way on the scale of doublings (by
    /// default 32 s). One that [did not answer](crate::Failure::TimedOut) is left alone for
    /// `2 * min`, then for four times as long each time, up to `max`. The steps are larger
    /// where `max` is more than 16,384 times `min`. A tenth of `max` without a failure
    /// takes back one doubling.
    pub fn back_off(mut self, min: Duration, max: Duration) -> Self {
        self.back_off = (min, max);
        self
    }

    /// Builds the registry.
    ///
    /// # Errors
    ///
    /// A [`BuildError`] that names the setting that is out of its range, or
    /// says that memory or a thread was not to be had.
    pub fn build(mut self) -> Result<Registry, BuildError> {
        let settings = self.check()?;
        let setup = std::mem::take(&mut self.dht);
        let (dht, link) = setup.prepare(self.max_relays, self.tick)?;
        let inner = self.inner(settings, link)?;
        Registry::start(inner, dht).map_err(|error| BuildError::Thread { kind: error.kind() })
    }

    /// What the handles will share.
    pub(super) fn inner(self, settings: Settings, link: DhtLink) -> Result<Inner, BuildError> {
        let timeline = Timeline::new(self.clock, self.tick, settings.has_maintenance_thread);
        let terms = SelectionSettings {
            assumed_micros: settings.assumed_rtt_micros,
            tick_nanos: timeline.tick_nanos(),
            rtt_lifetime_nanos: nanos(settings.rtt_lifetime),
            jitter_key: random_key(),
            back_off_range: settings.back_off_range,
            max_ejected_share: settings.max_ejected_share,
        };
        let timeline = Arc::new(timeline);
        let table = Table::new(self.max_relays, terms, timeline.watch());
        let table = table.ok_or(BuildError::OutOfMemory)?;
        let reputation = Reputation::new().ok_or(BuildError::OutOfMemory)?;
        let relays = Relays {
            settings,
            timeline,
            table,
            reputation,
            counters: Counters::default(),
        };
        Ok(Inner::new(relays, link))
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
            return Err(BuildError::InvalidMaxEjected);
        }
        let assumed_rtt_micros = sane_micros(assumed_rtt)
            .filter(|_| !assumed_rtt.is_zero())
            .ok_or(BuildError::InvalidAssumedRtt { assumed_rtt })?;
        let own_id = self.dht.own_id(self.local_id)?;
        Ok(Settings {
            ttl,
            tick,
            local_id: self.local_id.or(own_id),
            address_policy: self.address_policy,
            assumed_rtt_micros,
            rtt_lifetime,
            max_ejected_share: self.max_ejected_share,
            return_grace_nanos: self.return_grace.map(nanos),
            back_off_range: self.back_off_range()?,
            has_maintenance_thread: self.maintenance == Maintenance::Thread,
        })
    }

    /// How long relays are left alone, if ticks can count that.
    fn back_off_range(&self) -> Result<BackOffRange, BuildError> {
        let (min, max) = self.back_off;
        BackOffRange::new(min, max)
            .filter(|_| max < self.tick || is_countable(max, self.tick))
            .ok_or(BuildError::InvalidBackOff { min, max })
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
            .finish_non_exhaustive()
    }
}
