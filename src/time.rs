//! Clocks, and the coarse tick that decides expiry.
//!
//! A registry counts whole ticks since it was built. Its current tick is one atomic word
//! that only rises. Registrations read the clock and raise the tick. If a thread raises
//! it once a tick, all other calls only load it. Otherwise they read the clock, too.
//!
//! The clock is the embedder's code: it may take long, panic, or call the registry. So a
//! call reads it before it pins the epoch or takes a lock.

mod system;

pub(crate) use system::MonotonicClock;

use crate::sync::{Arc, AtomicU64, Ordering, Padded, Weak, unmodelled};
use crate::trace::Noted;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A source of monotonic time.
///
/// Readings that go backwards are ignored. With the feature `tracing`, one from before the current
/// tick is followed by a second reading, and a warning if that is from before it, too.
///
/// # When it is read
///
/// With [`Maintenance::Thread`](crate::Maintenance::Thread), a thread reads the
/// clock once a tick. Registrations, bans, [`maintain`](crate::Registry::maintain) and
/// calls that concern the DHT read it, too. No other call does.
///
/// With [`Maintenance::Manual`](crate::Maintenance::Manual), and after
/// [`close`](crate::Registry::close), every call that must know whether a relay is live reads
/// it once. Finds are among these calls.
///
/// # What it may do
///
/// The registry holds no lock and pins no epoch while it reads the clock. So a slow
/// clock delays its caller and no other call. A clock may itself call the registry, if
/// that ends.
///
/// If the clock panics during a call, the panic reaches the caller before the call has
/// changed anything. The maintenance thread survives such a panic and counts it in
/// [`Stats::maintenance_panics`](crate::Stats::maintenance_panics).
pub trait Clock: Send + Sync + 'static {
    /// Time passed since an origin that is fixed for this clock.
    fn now(&self) -> Duration;
}

/// A clock that moves only when told to, for tests and simulations.
///
/// Clones share the same time.
///
/// ```
/// use relay_registry::{Clock, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// clock.clone().advance(Duration::from_secs(3));
/// assert_eq!(clock.now(), Duration::from_secs(3));
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<unmodelled::AtomicU64>);

impl ManualClock {
    /// A clock that stands at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the time forward. It is counted in nanoseconds, and stops at their 64-bit
    /// maximum after 584 years.
    pub fn advance(&self, by: Duration) {
        // Relaxed: the word carries nothing but the time.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
                Some(now.saturating_add(nanos(by)))
            });
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        // Relaxed: the word carries nothing but the time.
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// A moment in units of the registry's tick, counted from when it was built. (A registry that was
/// restored counts on from the moment at which it was saved.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(pub(crate) u64);

/// One reading of the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Nanoseconds since the registry was built.
    pub(crate) nanos: u64,
    /// The current tick, raised to this reading.
    pub(crate) tick: Tick,
}

/// The operating system's calendar, as the time since the Unix epoch.
#[derive(Debug)]
pub(crate) struct SystemCalendar;

impl Clock for SystemCalendar {
    fn now(&self) -> Duration {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    }
}

/// The registry's time: a clock, an origin and the current tick.
pub(crate) struct Timeline {
    clock: Box<dyn Clock>,
    origin: Duration,
    /// What it counts from, in nanoseconds: zero, or when another registry was saved that this
    /// one goes on from.
    base_nanos: u64,
    wall_origin: SystemTime,
    tick_nanos: u64,
    /// 2^64 / `tick_nanos`, rounded down, or one less.
    ticks_per_64_bits: u64,
    /// Shared with leases, which may outlive the registry.
    current: Arc<Padded<Current>>,
    /// How far readings went back, in nanoseconds at least.
    went_back: Noted,
}

/// The current tick, and what raises it.
#[derive(Debug, Default)]
struct Current {
    tick: AtomicU64,
    /// Whether a thread raises the tick, so that calls need not do it. Once false, it stays so.
    has_thread: unmodelled::AtomicBool,
}

impl Current {
    #[inline(always)]
    fn tick(&self) -> Tick {
        // Acquire: a thread that sees a tick also sees what was done before it was raised.
        // So a record that was found expired is expired for all that follows.
        Tick(self.tick.load(Ordering::Acquire))
    }

    #[inline(always)]
    fn has_thread(&self) -> bool {
        // Relaxed: it publishes nothing. A call that begins after the thread was given up, in
        // the order of this thread or of what it synchronised with, sees it false.
        self.has_thread.load(Ordering::Relaxed)
    }
}

impl Timeline {
    /// The same as [`resumed`](Self::resumed), from zero.
    #[cfg(test)]
    pub(crate) fn new(
        clock: Box<dyn Clock>,
        wall: Duration,
        tick: Duration,
        has_thread: bool,
    ) -> Self {
        Self::resumed(clock, wall, tick, has_thread, 0)
    }

    /// Starts at the clock's present reading, which is the time `wall` since the Unix epoch.
    /// `tick` must not be zero. `has_thread` says that a thread will [advance](Self::advance) it
    /// once a tick. So many nanoseconds have been counted before.
    pub(crate) fn resumed(
        clock: Box<dyn Clock>,
        wall: Duration,
        tick: Duration,
        has_thread: bool,
        base_nanos: u64,
    ) -> Self {
        let tick_nanos = nanos(tick).max(1);
        let current = Current {
            tick: AtomicU64::new(base_nanos / tick_nanos),
            has_thread: has_thread.into(),
        };
        Self {
            origin: clock.now(),
            clock,
            base_nanos,
            wall_origin: calendar_origin(wall, base_nanos),
            tick_nanos,
            ticks_per_64_bits: u64::MAX / tick_nanos,
            current: Arc::new(Padded(current)),
            went_back: Noted::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Watch {
        let clock = Box::new(ManualClock::new());
        let timeline = Self::new(clock, Duration::ZERO, Duration::from_secs(1), true);
        Arc::new(timeline).watch()
    }

    /// The tick that a call uses. The call asks for it once, at its start, before it pins
    /// the epoch or takes a lock: this may read the clock.
    ///
    /// If a thread raises the tick, this is one load.
    #[inline]
    pub(crate) fn present(&self) -> Tick {
        self.raised_by_thread().unwrap_or_else(|| self.read())
    }

    /// The tick, if a thread raises it. A short call branches on this, so that its fast
    /// path saves no registers for a call of the clock.
    #[inline(always)]
    pub(crate) fn raised_by_thread(&self) -> Option<Tick> {
        self.current.has_thread().then(|| self.tick())
    }

    /// Whether a thread raises the tick.
    #[inline]
    pub(crate) fn has_thread(&self) -> bool {
        self.current.has_thread()
    }

    /// From here on calls read the clock themselves. To be called before the thread ends that
    /// raised the tick.
    pub(crate) fn give_up_thread(&self) {
        // Relaxed: see `Current::has_thread`.
        self.current.has_thread.store(false, Ordering::Relaxed);
    }

    #[inline(never)]
    fn read(&self) -> Tick {
        self.advance().tick
    }

    /// The same time for leases, which may outlive the registry.
    pub(crate) fn watch(self: &Arc<Self>) -> Watch {
        Watch {
            current: Arc::clone(&self.current),
            timeline: Arc::downgrade(self),
            wall_origin: self.wall_origin,
            tick_nanos: self.tick_nanos,
        }
    }

    /// The current tick as it was last raised: one load.
    #[inline]
    pub(crate) fn tick(&self) -> Tick {
        self.current.tick()
    }

    /// Whole ticks in `nanos`, and the nanoseconds beyond them: a division by
    /// multiplication.
    ///
    /// The factor is too small by less than a `2^64`th of a tick for each nanosecond. So
    /// the first guess falls short by one tick at most.
    #[inline]
    fn whole_ticks(&self, nanos: u64) -> (u64, u64) {
        let guess = (u128::from(nanos) * u128::from(self.ticks_per_64_bits)) >> 64;
        let guess = guess as u64;
        let rest = nanos - guess * self.tick_nanos;
        match rest.checked_sub(self.tick_nanos) {
            Some(rest) => (guess + 1, rest),
            None => (guess, rest),
        }
    }

    /// Reads the clock and raises the current tick to it. The caller must not be pinned
    /// or hold a lock: the clock is the embedder's code.
    #[inline]
    pub(crate) fn advance(&self) -> Moment {
        let since_origin = nanos(self.clock.now().saturating_sub(self.origin));
        let reading = since_origin.saturating_add(self.base_nanos);
        let (read_tick, _) = self.whole_ticks(reading);
        let mut tick = self.tick().0;
        if tick < read_tick {
            // AcqRel: see `Current::tick`. A maximum of one word: the tick only rises.
            tick = self
                .current
                .tick
                .fetch_max(read_tick, Ordering::AcqRel)
                .max(read_tick);
        } else if read_tick < tick {
            self.went_back.note_if(|| self.behind(tick));
        }
        Moment {
            // A reading from before the current tick went backwards.
            nanos: reading.max(tick.saturating_mul(self.tick_nanos)),
            tick: Tick(tick),
        }
    }

    /// By how much the clock is behind a tick that was raised before, in nanoseconds at least. A
    /// reading from before the tick does not show that: this thread may have been preempted
    /// between it and the look at the tick. So the clock is read again.
    fn behind(&self, tick: u64) -> Option<u64> {
        let reading = nanos(self.clock.now().saturating_sub(self.origin));
        let behind = self.nanos_of(Tick(tick)).checked_sub(reading)?;
        (behind > 0).then_some(behind)
    }

    /// What was noted of readings that went back.
    pub(crate) fn went_back(&self) -> &Noted {
        &self.went_back
    }

    /// An earlier reading of the clock, or the current tick if that is later. For a call that
    /// holds a lock, and so does not read the clock.
    pub(crate) fn no_earlier_than(&self, read: Moment) -> Moment {
        let tick = self.tick();
        Moment {
            nanos: read.nanos.max(self.nanos_of(tick)),
            tick,
        }
    }

    /// The first tick by which a TTL has fully passed since `now`. `None` if it cannot be
    /// counted in nanoseconds.
    #[inline]
    pub(crate) fn deadline(&self, now: Moment, ttl_nanos: u64) -> Option<Tick> {
        Some(Tick(self.ticks_in(now.nanos.checked_add(ttl_nanos)?)))
    }

    /// The ticks that so many nanoseconds take, rounded up.
    #[inline]
    pub(crate) fn ticks_in(&self, nanos: u64) -> u64 {
        let (ticks, rest) = self.whole_ticks(nanos);
        ticks + u64::from(rest > 0)
    }

    /// The time from now until a tick.
    pub(crate) fn until(&self, tick: Tick, now: Moment) -> Duration {
        Duration::from_nanos(self.nanos_of(tick).saturating_sub(now.nanos))
    }

    /// The length of a tick.
    #[inline]
    pub(crate) fn tick_nanos(&self) -> u64 {
        self.tick_nanos
    }

    /// Whole ticks since the registry was built, in nanoseconds.
    pub(crate) fn elapsed_nanos(&self) -> u64 {
        self.nanos_of(self.tick())
    }

    /// The same as a duration.
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.elapsed_nanos())
    }

    /// The calendar time of a tick.
    pub(crate) fn wall_time_of(&self, tick: Tick) -> SystemTime {
        calendar_time(self.wall_origin, self.nanos_of(tick))
    }

    /// Nanoseconds from its start to a tick.
    #[inline]
    pub(crate) fn nanos_of(&self, tick: Tick) -> u64 {
        tick.0.saturating_mul(self.tick_nanos)
    }
}

/// The time of a registry that may have ended. The time then stands still.
#[derive(Debug)]
pub(crate) struct Watch {
    current: Arc<Padded<Current>>,
    timeline: Weak<Timeline>,
    wall_origin: SystemTime,
    tick_nanos: u64,
}

impl Watch {
    /// The current tick as it was last raised.
    pub(crate) fn tick(&self) -> Tick {
        self.current.tick()
    }

    /// The calendar time of its start.
    #[inline]
    pub(crate) fn wall_origin(&self) -> SystemTime {
        self.wall_origin
    }

    /// As [`Timeline::wall_time_of`].
    pub(crate) fn wall_time_of(&self, tick: Tick) -> SystemTime {
        calendar_time(self.wall_origin, tick.0.saturating_mul(self.tick_nanos))
    }

    /// As [`Timeline::present`].
    pub(crate) fn present(&self) -> Tick {
        let timeline = || self.timeline.upgrade();
        match (!self.current.has_thread()).then(timeline).flatten() {
            Some(timeline) => timeline.present(),
            None => self.tick(),
        }
    }
}

impl fmt::Debug for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeline")
            .field("tick", &self.tick())
            .field("tick_nanos", &self.tick_nanos)
            .finish_non_exhaustive()
    }
}

/// A duration in nanoseconds, at most 584 years.
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    let whole = duration.as_secs().checked_mul(1_000_000_000);
    whole
        .and_then(|nanos| nanos.checked_add(duration.subsec_nanos().into()))
        .unwrap_or(u64::MAX)
}

/// The calendar time `nanos` nanoseconds before `wall`, a time since the Unix epoch. If the
/// system's calendar does not reach so far, the epoch.
fn calendar_origin(wall: Duration, nanos: u64) -> SystemTime {
    let now = UNIX_EPOCH.checked_add(wall);
    now.and_then(|now| now.checked_sub(Duration::from_nanos(nanos)))
        .unwrap_or(UNIX_EPOCH)
}

/// The time `nanos` nanoseconds after `origin`. If that is beyond the end of the
/// calendar, `origin`.
pub(crate) fn calendar_time(origin: SystemTime, nanos: u64) -> SystemTime {
    origin
        .checked_add(Duration::from_nanos(nanos))
        .unwrap_or(origin)
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    fn with(clock: impl Clock, tick: Duration) -> Timeline {
        Timeline::new(Box::new(clock), Duration::ZERO, tick, true)
    }

    fn timeline(tick_millis: u64) -> (ManualClock, Timeline) {
        let clock = ManualClock::new();
        clock.advance(Duration::from_secs(1_000));
        let timeline = with(clock.clone(), Duration::from_millis(tick_millis));
        (clock, timeline)
    }

    #[test]
    fn ticks_count_from_the_moment_of_building() {
        let (clock, timeline) = timeline(100);
        assert_eq!(timeline.advance().tick, Tick(0));
        clock.advance(Duration::from_millis(250));
        assert_eq!(timeline.tick(), Tick(0), "only advancing raises the tick");
        assert_eq!(timeline.advance().tick, Tick(2));
        assert_eq!(timeline.tick(), Tick(2));
    }

    #[test]
    fn a_call_reads_the_clock_where_no_thread_does() {
        for has_thread in [true, false] {
            let clock = ManualClock::new();
            let tick = Duration::from_millis(100);
            let timeline = Timeline::new(Box::new(clock.clone()), Duration::ZERO, tick, has_thread);
            clock.advance(tick * 2);
            let read = if has_thread { Tick(0) } else { Tick(2) };
            assert_eq!((timeline.present(), timeline.tick()), (read, read));
        }
    }

    #[test]
    fn a_timeline_that_is_resumed_counts_on_and_has_the_same_calendar() {
        let clock = ManualClock::new();
        clock.advance(Duration::from_secs(7));
        let (wall, tick) = (Duration::from_secs(1_000), Duration::from_millis(100));
        let base = 60 * 1_000_000_000 + 1;
        let timeline = Timeline::resumed(Box::new(clock.clone()), wall, tick, false, base);
        assert_eq!(timeline.tick(), Tick(600));
        assert_eq!(timeline.advance().nanos, base);
        clock.advance(Duration::from_millis(100));
        assert_eq!(timeline.present(), Tick(601));
        let began = UNIX_EPOCH + wall - Duration::from_nanos(base);
        assert_eq!(timeline.wall_origin, began);
        let end = calendar_origin(Duration::MAX, 0);
        assert_eq!(end, UNIX_EPOCH, "beyond the calendar");
    }

    #[test]
    fn calls_read_the_clock_once_the_thread_is_given_up() {
        let (clock, timeline) = timeline(100);
        let timeline = Arc::new(timeline);
        let watch = timeline.watch();
        clock.advance(Duration::from_millis(200));
        assert_eq!((timeline.present(), watch.present()), (Tick(0), Tick(0)));
        timeline.give_up_thread();
        assert!(!timeline.has_thread());
        assert_eq!(watch.present(), Tick(2));
        clock.advance(Duration::from_millis(100));
        assert_eq!((timeline.present(), watch.tick()), (Tick(3), Tick(3)));
        drop(timeline);
        assert_eq!(watch.present(), Tick(3));
    }

    #[test]
    fn a_deadline_is_rounded_up_never_early() {
        let (clock, timeline) = timeline(100);
        clock.advance(Duration::from_millis(1));
        let now = timeline.advance();
        assert_eq!(timeline.deadline(now, 100_000_000), Some(Tick(2)));
        assert_eq!(timeline.deadline(now, 99_000_000), Some(Tick(1)));
    }

    proptest::proptest! {
        #[test]
        fn ticks_are_counted_as_by_division(length in 1u64.., shift in 0u32..64, nanos: u64, near: u64) {
            let length = (length >> shift).max(1);
            let timeline = with(ManualClock::new(), Duration::from_nanos(length));
            let edge = near / length * length;
            for nanos in [nanos, edge, edge.wrapping_sub(1), edge.saturating_add(1), u64::MAX] {
                proptest::prop_assert_eq!(timeline.whole_ticks(nanos), (nanos / length, nanos % length));
            }
        }

        #[test]
        fn nanoseconds_are_counted_up_to_their_maximum(secs: u64, shift in 0u32..64, part in 0u32..1_000_000_000) {
            let span = Duration::new(secs >> shift, part);
            let exact = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
            proptest::prop_assert_eq!(nanos(span), exact);
        }
    }

    #[test]
    fn readings_that_go_backwards_are_ignored() {
        struct Backwards(unmodelled::AtomicU64);
        impl Clock for Backwards {
            fn now(&self) -> Duration {
                Duration::from_secs(self.0.load(Ordering::Relaxed))
            }
        }
        static READING: unmodelled::OnceLock<&'static Backwards> = unmodelled::OnceLock::new();
        struct Shared;
        impl Clock for Shared {
            fn now(&self) -> Duration {
                READING.get().expect("set below").now()
            }
        }
        let clock: &'static Backwards = Box::leak(Box::new(Backwards(0.into())));
        READING.set(clock).ok();
        let timeline = with(Shared, Duration::from_secs(1));
        clock.0.store(10, Ordering::Relaxed);
        assert_eq!(timeline.advance().tick, Tick(10));
        clock.0.store(3, Ordering::Relaxed);
        let now = timeline.advance();
        assert_eq!(now.tick, Tick(10));
        assert_eq!(timeline.deadline(now, 5_000_000_000), Some(Tick(15)));
        assert_eq!(timeline.behind(10), Some(7_000_000_000));
        assert_eq!(
            timeline.behind(3),
            None,
            "a tick that the clock has reached"
        );
    }
}
