//! What the tree says of one relay.
//!
//! ```text
//!  63     49   48    47   32 31   16 15    0
//! +---------+-------+-------+-------+-------+
//! | version | unme- | merit | near  | slack |
//! |         | sured |       |       |       |
//! +---------+-------+-------+-------+-------+
//! ```
//!
//! Of a relay that may be handed out, *merit* is the [rank](Bins::rank) of its score
//! where nothing is known of the pair, *near* that of its round trip from here, if it
//! was measured (else the flag is set), and *slack* that of the penalty for its
//! load. Of any other, merit is 0 and slack says why; *near* or the flag are set also of
//! one that is backing off and could be a last resort.
//!
//! Where positions are known, one more tree has the ranks of `(own leg + height + way) x
//! penalty`, each in a lane of its own, for [several ways](Terms::ways) from the relay's
//! link to the target. In an equilibrium the relays with short legs are the loaded ones,
//! so the least leg and the least penalty of a node are those of two relays; these ranks
//! bound what one relay has together.
//!
//! A relay that is left alone for a while is in two further trees: in one by the tick
//! at which that ends, so that the first find of that tick sees it; and in the other
//! by when it began, if nothing else speaks against the relay, so that the one that
//! has waited for longest is at hand when it is needed as a last resort.

use crate::table::record::{
    Availability, BackOff, BackOffRange, Extra, Handle, Load, Record, Refusal,
};
use crate::table::snapshot::bins::Bins;
use crate::table::snapshot::lanes;
use crate::table::snapshot::score::{penalty, score};
use crate::table::snapshot::tree::{Join, Words};
use crate::time::Tick;

/// What the scores and back-offs of a registry depend on, for good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// What a leg that was not measured is ranked at.
    pub(crate) assumed_micros: u32,
    pub(crate) tick_nanos: u64,
    /// How long a measured round trip counts.
    pub(crate) rtt_lifetime_nanos: u64,
    /// What the jitter of back-offs is drawn from.
    pub(crate) jitter_key: u64,
    pub(crate) back_off_range: BackOffRange,
    /// A share: when more of the relays back off, that is taken for an outage of our own.
    pub(crate) max_ejected_share: f64,
}

impl Terms {
    /// The ways to a target, in microseconds, for which a tree sums up the scores of
    /// paths: shortest first.
    pub(crate) fn ways(&self) -> [f32; 3] {
        [0.0, 0.4, 1.4].map(|share| share * self.assumed_micros as f32)
    }

    /// How long a relay is left alone, counted from `now`: with a jitter that differs
    /// between the relays of a registry, and between registries.
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

/// One life of a record, and where it lies.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(in crate::table) record: &'a Record,
    pub(in crate::table) extra: &'a Extra,
    pub(crate) handle: Handle,
}

/// Summaries of relays: words of lanes, of which a node has the greatest of each.
pub(crate) enum Summary {}

impl Join for Summary {
    const FIELDS: u64 = lanes::LANES | lanes::FLAG;

    #[inline]
    fn join(words: Words) -> u64 {
        lanes::join(words)
    }
}

/// Numbers of which a node has the greatest.
pub(crate) enum Greatest {}

const NUMBER_BITS: u32 = 40;

impl Join for Greatest {
    const FIELDS: u64 = (1 << NUMBER_BITS) - 1;

    fn join(words: Words) -> u64 {
        let fields = words.into_iter().map(|word| word & Self::FIELDS);
        fields.max().unwrap_or(0)
    }
}

/// Ticks as numbers, such that the earliest is the greatest.
pub(crate) struct Earliest;

impl Earliest {
    /// Later than every tick.
    pub(crate) const NEVER: u64 = Greatest::FIELDS;

    pub(crate) fn word(tick: Tick) -> u64 {
        Self::NEVER - tick.0.min(Self::NEVER - 1)
    }

    /// The tick in a word; `None` if it says nothing.
    #[inline]
    pub(crate) fn tick(word: u64) -> Option<Tick> {
        match Self::number(word) {
            Self::NEVER => None,
            tick => Some(Tick(tick)),
        }
    }

    /// The tick in a word as a number; [`NEVER`](Self::NEVER) if it says nothing.
    #[inline]
    pub(crate) fn number(word: u64) -> u64 {
        Self::NEVER - (word & Greatest::FIELDS)
    }
}

/// Why a relay is not handed out to any caller, or that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Class {
    /// There is no relay, or it was not admitted yet.
    Vacant = 0,
    /// It left or expired.
    Departed = 1,
    Banned = 2,
    /// It backs off, and nothing else speaks against it.
    BackingOff = 3,
    Draining = 4,
    Full = 5,
    /// It may be handed out, and its round trip from here was measured.
    Measured = 6,
    /// It may be handed out.
    Unmeasured = 7,
    /// It backs off, and is draining or full as well.
    NoResort = 8,
}

impl Class {
    pub(crate) const COUNT: usize = 9;

    /// Whether the relay may be handed out.
    pub(crate) fn is_available(self) -> bool {
        matches!(self, Self::Measured | Self::Unmeasured)
    }
}

/// The fields of one leaf in each of the trees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) summary: u64,
    /// When it is to be looked at again.
    pub(crate) due: u64,
    /// Since when it is left alone.
    pub(crate) since: u64,
}

impl Leaf {
    fn of_class(class: Class) -> Self {
        Self {
            summary: class as u64,
            ..Self::default()
        }
    }

    /// The fields that follow from the record of a relay at a tick.
    pub(crate) fn of(subject: &Subject<'_>, terms: &Terms, bins: Bins, tick: Tick) -> Self {
        let record = subject.record;
        let word = record.lifecycle_at(tick);
        let leaf = if word.is_live_at(tick) {
            Self::of_live(record, terms, bins, tick)
        } else if word.is_pending() {
            Self::of_class(Class::Vacant)
        } else {
            Self::of_class(Class::Departed)
        };
        // What was read above may be of a later life, which has a leaf of its own.
        match record.is_in_life(subject.handle) {
            true => leaf,
            false => Self::of_class(Class::Departed),
        }
    }

    fn of_live(record: &Record, terms: &Terms, bins: Bins, tick: Tick) -> Self {
        let load = record.load();
        let circuit = record.circuit();
        let until = match circuit.availability(tick) {
            Availability::Free => return Self::of_free(record, load, terms, bins),
            Availability::Banned { until } => {
                return Self {
                    due: Earliest::word(until),
                    ..Self::of_class(Class::Banned)
                };
            }
            Availability::BackingOff { until } => until,
        };
        let began = || circuit.ejected_at(terms.back_off(record, tick));
        let (summary, since) = match load.refusal() {
            None => (
                Class::BackingOff as u64 | near(record),
                Earliest::word(began()),
            ),
            Some(_) => (Class::NoResort as u64, 0),
        };
        Self {
            summary,
            due: Earliest::word(until),
            since,
        }
    }

    fn of_free(record: &Record, load: Load, terms: &Terms, bins: Bins) -> Self {
        match load.refusal() {
            Some(Refusal::Closed) => return Self::of_class(Class::Departed),
            Some(Refusal::Draining) => return Self::of_class(Class::Draining),
            Some(Refusal::Full) => return Self::of_class(Class::Full),
            None => {}
        }
        let own_micros = record.rtt_micros().unwrap_or(terms.assumed_micros);
        let score = score(own_micros + terms.assumed_micros, load);
        let merit = u64::from(bins.rank(score)) << lanes::MERIT_SHIFT;
        let slack = u64::from(bins.rank(penalty(load)));
        Self {
            summary: merit | near(record) | slack,
            ..Self::default()
        }
    }
}

/// The lane and the flag that say how far a relay is.
fn near(record: &Record) -> u64 {
    match record.rtt_micros() {
        Some(micros) => u64::from(Bins::FINE.rank(micros as f32)) << 16,
        None => lanes::FLAG,
    }
}

/// Whether a change of load makes no difference to what is said of a relay.
pub(crate) fn is_alike(record: &Record, one: Load, other: Load, terms: &Terms, bins: Bins) -> bool {
    Leaf::of_free(record, one, terms, bins) == Leaf::of_free(record, other, terms, bins)
}

/// A word of the tree of summaries, leaf or not.
#[derive(Clone, Copy)]
pub(crate) struct SummaryWord(pub(crate) u64);

impl SummaryWord {
    /// The rank of the best score, or 0.
    #[inline(always)]
    pub(crate) fn merit(self) -> u16 {
        (self.0 >> lanes::MERIT_SHIFT) as u16
    }

    /// The rank of the least round trip from here that was measured, or 0.
    #[inline(always)]
    pub(crate) fn near(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The rank of the least penalty.
    #[inline(always)]
    pub(crate) fn slack(self) -> u16 {
        self.0 as u16
    }

    #[inline(always)]
    pub(crate) fn has_unmeasured(self) -> bool {
        self.0 & lanes::FLAG != 0
    }

    /// The ranks of `(own leg + height + way) x penalty`, a lane for each of the
    /// [ways](Terms::ways).
    pub(crate) fn joint(self, bins: Bins, terms: &Terms, height: f32) -> u64 {
        if self.merit() == 0 {
            return 0;
        }
        let own = match self.near() {
            0 => terms.assumed_micros as f32,
            near => Bins::FINE.least(near),
        };
        let penalty = bins.least(self.slack());
        let [low, mid, high] = terms
            .ways()
            .map(|way| u64::from(Bins::FINE.rank((own + height + way) * penalty)));
        high << lanes::MERIT_SHIFT | mid << 16 | low
    }

    /// What a leaf says of its relay.
    pub(crate) fn class(self) -> Class {
        if self.merit() > 0 {
            return match self.has_unmeasured() {
                false => Class::Measured,
                true => Class::Unmeasured,
            };
        }
        match self.slack() {
            0 => Class::Vacant,
            2 => Class::Banned,
            3 => Class::BackingOff,
            4 => Class::Draining,
            5 => Class::Full,
            8 => Class::NoResort,
            _ => Class::Departed,
        }
    }
}
