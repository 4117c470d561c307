//! What leaves are computed with, besides the records.

use crate::sync::{AtomicBool, AtomicU64, Ordering, Padded};
use crate::table::record::{BackOff, BackOffRange, Record};
use crate::table::snapshot::free_units::UnitsAsked;
use crate::table::snapshot::outage::Outage;
use crate::table::snapshot::score::Bins;
use crate::time::{Tick, Watch};

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
}

impl SelectionSettings {
    /// The distances to a target, in microseconds, for which the joint tree keeps the least
    /// score of a path. Shortest first.
    pub(crate) fn distance_marks(&self) -> [f32; 3] {
        [0.0, 0.4, 1.4].map(|share| share * self.assumed_micros as f32)
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
    pub(crate) units_asked: UnitsAsked,
}

impl Context {
    pub(crate) fn new(settings: SelectionSettings, watch: Watch) -> Self {
        Self {
            settings,
            watch,
            leaf_tick: Padded(AtomicU64::default()),
            outage: Outage::default(),
            may_have_suspended: AtomicBool::new(false),
            is_coarse: AtomicBool::new(false),
            units_asked: UnitsAsked::default(),
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

    pub(crate) fn set_bins(&self, bins: Bins) {
        // Relaxed: see `bins`.
        self.is_coarse
            .store(bins == Bins::COARSE, Ordering::Relaxed);
    }
}
