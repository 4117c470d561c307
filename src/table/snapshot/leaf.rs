//! What the trees say of one relay.
//!
//! It says the same in each [forest](super::forest) that has the relay, in the trees of its
//! tier. In all others the leaf is zero. A word of a summary tree has four lanes:
//!
//! ```text
//!  63     49   48    47       32 31      16 15        0
//! +---------+-------+-----------+----------+-----------+
//! | version | unme- |   score   |   RTT    |  penalty  |
//! |         | sured |   rank    |   rank   |   rank    |
//! +---------+-------+-----------+----------+-----------+
//! ```
//!
//! A [rank](Bins::rank) stands for a range of figures; a higher rank means a lower figure.
//! The leaf of an eligible relay has the rank of its score where nothing is known of the
//! pair, the rank of its round trip from this node (or the flag, if that was not measured),
//! and the rank of the penalty for its load and cost. The leaf of any other relay has no score
//! rank, and the number of its [state](LeafState) in the lowest lane. If the relay may be a last
//! resort, the leaf also has the RTT rank or the flag.
//!
//! If positions of relays are known, a *joint* tree has three more ranks for each relay:
//! of `(own leg + height + distance) x penalty`, for three
//! [distances](SelectionSettings::distance_marks) to a target. A summary word alone gives a
//! weak bound, since the relay with the least leg is often not the one with the least
//! penalty. These ranks bound both together.
//!
//! A relay is *suspended* while it is banned or backs off. Two further
//! [trees](super::suspended) have the tick at which the suspension ends, and the tick since
//! which a possible last resort has backed off.

use crate::relay::Rejection;
use crate::table::record::{Load, Record, Subject};
use crate::table::snapshot::context::{Context, SelectionSettings};
use crate::table::snapshot::lanes;
use crate::table::snapshot::leaf_state::LeafState;
use crate::table::snapshot::score::{Bins, Weight, penalty, score};
use crate::table::snapshot::suspended::Earliest;
use crate::table::snapshot::tree::{FANOUT, Join};
use crate::time::Tick;

/// The join of summary words: the maximum of each lane.
pub(crate) enum Summary {}

impl Join for Summary {
    const FIELDS: u64 = lanes::LANES | lanes::FLAG;

    #[inline]
    fn join_two(one: u64, other: u64) -> u64 {
        lanes::join_two(one, other)
    }

    #[inline(always)]
    fn join(word: impl Fn(usize) -> u64) -> u64 {
        lanes::join::<FANOUT>(word)
    }
}

/// The fields of one leaf in each of the trees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) summary: u64,
    /// When the suspension ends, as a word of [`Earliest`].
    pub(crate) due: u64,
    /// Since when a possible last resort has backed off, as a word of [`Earliest`].
    pub(crate) since: u64,
}

impl Leaf {
    /// The leaf of a relay that is not eligible.
    fn not_eligible(state: LeafState) -> Self {
        Self {
            summary: state.number() as u64,
            ..Self::default()
        }
    }

    fn rejected(reason: Rejection) -> Self {
        Self::not_eligible(LeafState::Rejected(reason))
    }

    /// The leaf that follows from the record of a relay at a tick.
    pub(crate) fn of(subject: &Subject<'_>, context: &Context, bins: Bins, tick: Tick) -> Self {
        let record = subject.record;
        let lifecycle = record.lifecycle_at(tick);
        let leaf = if lifecycle.is_live_at(tick) {
            Self::of_live(subject, context, bins, tick)
        } else if lifecycle.is_staged() {
            Self::not_eligible(LeafState::Vacant)
        } else {
            Self::rejected(Rejection::Departed)
        };
        // If the record has a later generation by now, the fields above may be of that one,
        // which has another leaf.
        match record.has_generation(subject.handle) {
            true => leaf,
            false => Self::rejected(Rejection::Departed),
        }
    }

    fn of_live(subject: &Subject<'_>, context: &Context, bins: Bins, tick: Tick) -> Self {
        let (record, settings) = (subject.record, &context.settings);
        let load = record.load();
        let circuit = record.circuit();
        let Some((reason, until)) = circuit.suspension(tick) else {
            return match subject.weight(context) {
                None => Self::of_unsuspended(record, load, Weight::PLAIN, settings, bins),
                Some(weight) => Self::of_weighted(record, load, weight, settings, bins),
            };
        };
        let due = Earliest::word(until);
        let is_last_resort = reason == Rejection::BackingOff && load.rejection().is_none();
        if !is_last_resort {
            return Self {
                due,
                ..Self::rejected(reason)
            };
        }
        let since = circuit.ejected_at(settings.back_off(record, tick));
        Self {
            summary: LeafState::LastResort.number() as u64 | rtt_lane(record),
            due,
            since: Earliest::word(since),
        }
    }

    #[cold]
    fn of_weighted(
        record: &Record,
        load: Load,
        weight: Weight,
        settings: &SelectionSettings,
        bins: Bins,
    ) -> Self {
        Self::of_unsuspended(record, load, weight, settings, bins)
    }

    /// Inlined, so that it costs nothing where the weight is plain.
    #[inline(always)]
    fn of_unsuspended(
        record: &Record,
        load: Load,
        weight: Weight,
        settings: &SelectionSettings,
        bins: Bins,
    ) -> Self {
        if let Some(reason) = load.rejection() {
            return Self::rejected(reason);
        }
        let own_micros = record.rtt_micros().unwrap_or(settings.assumed_micros);
        let path_micros = own_micros + settings.assumed_micros;
        let (score, penalty) = match load.total() {
            // The same without divisions, for a relay without load, as each new one is.
            0 => (weight.cost * path_micros as f32, weight.cost),
            _ => (score(path_micros, load, weight), penalty(load, weight)),
        };
        let score_lane = u64::from(bins.rank(score)) << lanes::SCORE_SHIFT;
        let penalty_lane = u64::from(bins.rank(penalty));
        Self {
            summary: score_lane | rtt_lane(record) | penalty_lane,
            ..Self::default()
        }
    }
}

/// The rank of the round trip from this node, or the flag if there is none.
fn rtt_lane(record: &Record) -> u64 {
    match record.rtt_micros() {
        Some(micros) => u64::from(Bins::FINE.rank(micros as f32)) << lanes::RTT_SHIFT,
        None => lanes::FLAG,
    }
}

/// Whether a change of load leaves the leaf of the relay as it is in each tree. Those of
/// [free units](super::free_units) count up to `most` at most.
pub(crate) fn is_alike(
    subject: &Subject<'_>,
    one: Load,
    other: Load,
    context: &Context,
    bins: Bins,
    most: u32,
) -> bool {
    // Of one unit, the summary says enough.
    if most != 1 && one.free_units(most) != other.free_units(most) {
        return false;
    }
    let (record, settings) = (subject.record, &context.settings);
    match subject.weight(context) {
        None => {
            Leaf::of_unsuspended(record, one, Weight::PLAIN, settings, bins)
                == Leaf::of_unsuspended(record, other, Weight::PLAIN, settings, bins)
        }
        Some(weight) => {
            Leaf::of_weighted(record, one, weight, settings, bins)
                == Leaf::of_weighted(record, other, weight, settings, bins)
        }
    }
}

/// A word of the summary tree, of a leaf or a node.
#[derive(Clone, Copy)]
pub(crate) struct SummaryWord(pub(crate) u64);

impl SummaryWord {
    /// The rank of the best score; 0 if no relay is eligible.
    #[inline(always)]
    pub(crate) fn score_rank(self) -> u16 {
        (self.0 >> lanes::SCORE_SHIFT) as u16
    }

    /// The rank of the shortest measured round trip from this node; 0 if there is none.
    #[inline(always)]
    pub(crate) fn rtt_rank(self) -> u16 {
        (self.0 >> lanes::RTT_SHIFT) as u16
    }

    /// The rank of the least penalty.
    #[inline(always)]
    pub(crate) fn penalty_rank(self) -> u16 {
        self.0 as u16
    }

    #[inline(always)]
    pub(crate) fn has_unmeasured(self) -> bool {
        self.0 & lanes::FLAG != 0
    }

    /// The word of the joint tree that follows from that of a leaf: the ranks of
    /// `(own leg + height + distance) x penalty`, shortest distance in the lowest lane.
    pub(crate) fn joint(self, bins: Bins, settings: &SelectionSettings, height: f32) -> u64 {
        if self.score_rank() == 0 {
            return 0;
        }
        let own = match self.rtt_rank() {
            0 => settings.assumed_micros as f32,
            rank => Bins::FINE.least(rank),
        };
        let penalty = bins.least(self.penalty_rank());
        let [low, mid, high] = settings
            .distance_marks()
            .map(|distance| u64::from(Bins::FINE.rank((own + height + distance) * penalty)));
        high << lanes::SCORE_SHIFT | mid << lanes::RTT_SHIFT | low
    }

    /// The number of the [state](Self::state).
    #[inline]
    pub(super) fn state_number(self) -> usize {
        match (self.score_rank(), self.has_unmeasured()) {
            (0, _) => self.penalty_rank().into(),
            (_, false) => LeafState::Measured.number(),
            (_, true) => LeafState::Unmeasured.number(),
        }
    }

    /// The state of the relay, if this is the word of a leaf.
    pub(crate) fn state(self) -> LeafState {
        match (self.score_rank(), self.has_unmeasured()) {
            (0, _) => LeafState::not_eligible(self.penalty_rank().into()),
            (_, false) => LeafState::Measured,
            (_, true) => LeafState::Unmeasured,
        }
    }
}
