//! What leaves are computed with, besides the records.

use crate::events::EventLog;
use crate::sync::{Arc, AtomicBool, AtomicU64, Ordering, Padded};
use crate::table::record::{BackOff, BackOffRange, Record};
use crate::table::snapshot::filters::Filters;
use crate::table::snapshot::forest::TierSet;
use crate::table::snapshot::free_units::UnitsAsked;
use crate::table::snapshot::outage::Outage;
use crate::table::snapshot::score::Bins;
use crate::time::{Tick, Watch};
use std::iter;

/// In so many steps the leaf of a newcomer follows its slow start.
const SLOW_START_STEPS: u64 = 16;

/// What scores and back-offs depend on, for the life of the registry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SelectionSettings {
    /// What an unmeasured leg counts as.
    pub(crate) assumed_micros: u32,
    pub(crate) tick_nanos: u64,
    /// How long a measured round trip counts.
    pub(crate) rtt_lifetime_nanos: u64,
    /// The key from which the jitter of back-offs is drawn.
    pub(crate) jitter_key: u64,
    pub(crate) back_off_range: BackOffRange,
    /// If a larger share of the relays backs off, that is taken for an outage of this node.
    pub(crate) max_ejected_share: f64,
    /// For how long the capacity of a newcomer counts in part; 0 if it counts at once.
    pub(crate) slow_start_nanos: u64,
}

impl SelectionSettings {
    /// The distances to a target, in microseconds, for which the joint tree keeps the least
    /// score of a path. Shortest first.
    pub(crate) fn distance_marks(&self) -> [f32; 3] {
        [0.0, 0.4, 1.4].map(|share| share * self.assumed_micros as f32)
    }

    /// The share of the capacity that counts, of a newcomer that arrived at a tick: it grows
    /// from a tenth to the whole.
    pub(crate) fn share_that_counts(&self, arrived_at: Tick, now: Tick) -> f32 {
        let age = now.0.saturating_sub(arrived_at.0) as f32 * self.tick_nanos as f32;
        let done = age / self.slow_start_nanos as f32;
        // Without a slow start, that is infinite, or not a number.
        if done < 1.0 { 0.1 + 0.9 * done } else { 1.0 }
    }

    /// When the leaves of such a newcomer are to be recomputed next: sixteen times in all.
    pub(crate) fn next_step_of_slow_start(&self, arrived_at: Tick, now: Tick) -> Option<Tick> {
        let ticks = self.slow_start_nanos.div_ceil(self.tick_nanos);
        let age = now.0.saturating_sub(arrived_at.0);
        let step = ticks.div_ceil(SLOW_START_STEPS).max(1);
        (age < ticks).then(|| Tick(now.0 + step))
    }

    /// The back-off of a relay, counted from `now`. Its jitter differs between the relays of
    /// a registry, and between registries.
    pub(in crate::table) fn back_off(&self, record: &Record, now: Tick) -> BackOff {
        BackOff {
            now,
            tick_nanos: self.tick_nanos,
            jitter: record.jitter(self.jitter_key),
            back_off_range: self.back_off_range,
        }
    }

    #[cfg(test)]
    pub(crate) const FOR_TESTS: Self = Self {
        assumed_micros: 100_000,
        tick_nanos: 1_000_000_000,
        rtt_lifetime_nanos: u64::MAX,
        jitter_key: 1,
        back_off_range: BackOffRange::DEFAULT,
        max_ejected_share: 0.5,
        slow_start_nanos: 0,
    };
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) settings: SelectionSettings,
    /// The tick as of which leaves compare deadlines, bans and back-offs.
    leaf_tick: Padded<AtomicU64>,
    /// The clock that leases read, too.
    pub(crate) watch: Watch,
    pub(crate) outage: Outage,
    /// Set for good before the first relay is suspended.
    may_have_suspended: AtomicBool,
    /// Whether every part of the snapshot has coarse bins.
    is_coarse: AtomicBool,
    /// The tiers above the lowest in which any relay was.
    higher_tiers: TierSet,
    /// How often a relay has moved from one tier to another.
    tier_moves: AtomicU64,
    pub(crate) filters: Filters,
    /// Whether the base has the position of any relay.
    is_located: AtomicBool,
    pub(crate) units_asked: UnitsAsked,
    /// To which changes are published.
    pub(crate) events: Arc<EventLog>,
}

impl Context {
    pub(crate) fn new(settings: SelectionSettings, watch: Watch, events: Arc<EventLog>) -> Self {
        Self {
            settings,
            watch,
            leaf_tick: Padded(AtomicU64::default()),
            outage: Outage::default(),
            may_have_suspended: AtomicBool::new(false),
            is_coarse: AtomicBool::new(false),
            higher_tiers: TierSet::default(),
            tier_moves: AtomicU64::default(),
            filters: Filters::new(),
            is_located: AtomicBool::new(false),
            units_asked: UnitsAsked::default(),
            events,
        }
    }

    #[inline]
    pub(crate) fn leaf_tick(&self) -> Tick {
        // Acquire: sees what the thread that raised it did before.
        Tick(self.leaf_tick.load(Ordering::Acquire))
    }

    /// The registry's current tick.
    pub(crate) fn now(&self) -> Tick {
        self.watch.tick()
    }

    /// From now on, leaves take into account what ends up to this tick.
    pub(crate) fn raise_leaf_tick(&self, tick: Tick) {
        // AcqRel orders nothing more than the words that are written next do. A leaf that leaves
        // out an expired relay is computed after its deadline was moved back, by a
        // compare-and-swap with release (`Record::lifecycle_at`). A renewal that reads that
        // deadline sees this tick, and refreshes the leaf.
        self.leaf_tick.fetch_max(tick.0, Ordering::AcqRel);
    }

    /// Whether any relay may be suspended.
    #[inline]
    pub(crate) fn may_have_suspended(&self) -> bool {
        // Relaxed: a thread that suspends a relay has set it before, and sees it.
        self.may_have_suspended.load(Ordering::Relaxed)
    }

    /// To be called before the first relay is suspended.
    pub(crate) fn expect_suspended(&self) {
        if !self.may_have_suspended() {
            // Relaxed: the circuit word that is written next publishes it.
            self.may_have_suspended.store(true, Ordering::Relaxed);
        }
    }

    /// The finest bins of any part of the snapshot.
    #[inline]
    pub(crate) fn bins(&self) -> Bins {
        // Relaxed: a stale value makes a summary less precise, and not wrong.
        match self.is_coarse.load(Ordering::Relaxed) {
            true => Bins::COARSE,
            false => Bins::FINE,
        }
    }

    /// Whether the base in force has the position of any relay.
    #[inline]
    pub(crate) fn is_located(&self) -> bool {
        // Relaxed: a thread that sees it late shows no position, or looks for none in vain.
        self.is_located.load(Ordering::Relaxed)
    }

    pub(crate) fn set_located(&self, is_located: bool) {
        // Relaxed: see `is_located`.
        self.is_located.store(is_located, Ordering::Relaxed);
    }

    pub(crate) fn set_bins(&self, bins: Bins) {
        // Relaxed: see `bins`.
        self.is_coarse
            .store(bins == Bins::COARSE, Ordering::Relaxed);
    }

    /// To be called before a relay is in a tier.
    pub(crate) fn expect_tier(&self, tier: u8) {
        if tier > 0 {
            self.higher_tiers.add(tier);
        }
    }

    /// Whether any relay may be above the lowest tier.
    #[inline]
    pub(crate) fn has_higher_tiers(&self) -> bool {
        self.higher_tiers.are_any()
    }

    /// The tiers in which any relay may be, the lowest first.
    #[inline]
    pub(crate) fn tiers(&self) -> impl Iterator<Item = u8> {
        iter::once(0).chain(self.higher_tiers.iter())
    }

    /// A value that each move of a relay to another tier changes, before the move.
    pub(crate) fn tier_moves(&self) -> u64 {
        // Acquire: a search that sees the change then sees the pending change that was opened
        // before. One that saw a leaf of the move sees the change.
        self.tier_moves.load(Ordering::Acquire)
    }

    /// To be called before a relay moves to another tier, and after the pending change was
    /// opened.
    pub(crate) fn expect_tier_move(&self) {
        // Release: see `tier_moves`.
        self.tier_moves.fetch_add(1, Ordering::Release);
    }
}
