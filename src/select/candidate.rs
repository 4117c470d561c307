//! [`Candidate`]: an eligible relay, and what it is worth to a call.

use crate::table::LiveRecord;
use crate::table::record::{Circuit, Load};
use crate::table::snapshot::{Weight, score};
use std::cmp::Ordering;
use std::num::NonZeroU32;

/// What an eligible relay is worth to a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evaluation {
    pub(crate) path_micros: u32,
    pub(crate) score: f32,
}

impl Evaluation {
    /// Of a relay that needs none: the summaries say that it is one of the best.
    pub(crate) const NONE: Self = Self {
        path_micros: 0,
        score: 0.0,
    };

    #[inline(always)]
    pub(crate) fn new(path_micros: u32, load: Load, weight: Option<Weight>) -> Self {
        let score = match weight {
            None => score(path_micros, load, Weight::PLAIN),
            Some(weight) => weighted_score(path_micros, load, weight),
        };
        Self { path_micros, score }
    }
}

/// An eligible relay.
#[derive(Clone, Copy)]
pub(crate) struct Candidate<'g> {
    /// With the lifecycle word by which it was evaluated, which names the announcement.
    pub(crate) record: LiveRecord<'g>,
    pub(crate) evaluation: Evaluation,
    /// Its circuit, which says whether it is on trial.
    pub(crate) circuit: Circuit,
    pub(crate) is_last_resort: bool,
    /// The tier in which it was found.
    pub(crate) tier: u8,
}

#[cold]
fn weighted_score(path_micros: u32, load: Load, weight: Weight) -> f32 {
    score(path_micros, load, weight)
}

/// A relay above this utilisation is neither kept as the preferred one nor chosen for its
/// failure domain.
const BUSY: f32 = 0.9;

impl<'g> Candidate<'g> {
    /// In the lowest tier.
    #[inline]
    pub(crate) fn new(record: LiveRecord<'g>, evaluation: Evaluation) -> Self {
        Self {
            record,
            evaluation,
            circuit: record.circuit(),
            is_last_resort: false,
            tier: 0,
        }
    }

    /// The same relay, found in another tier.
    pub(crate) fn in_tier(self, tier: u8) -> Self {
        Self { tier, ..self }
    }

    /// The same relay with a later lifecycle word.
    #[inline]
    pub(crate) fn with_record(self, record: LiveRecord<'g>) -> Self {
        Self { record, ..self }
    }

    /// Whether it failed lately, so that one caller at a time gets it.
    #[inline]
    pub(crate) fn is_on_trial(&self) -> bool {
        self.circuit.is_failing()
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.record.announced_load().utilisation() > BUSY
    }

    /// Orders candidates of several tiers best first.
    pub(crate) fn by_tier_and_score(&self, other: &Self) -> Ordering {
        let by_tier = self.tier.cmp(&other.tier);
        by_tier.then_with(|| self.by_score(other))
    }

    /// Orders candidates best first.
    pub(crate) fn by_score(&self, other: &Self) -> Ordering {
        self.evaluation.score.total_cmp(&other.evaluation.score)
    }

    /// Whether the announcement by which it was evaluated is still in force, and leaves room
    /// for so many units.
    #[inline]
    pub(crate) fn is_confirmed(&self, units: NonZeroU32) -> bool {
        self.record.has_room(units.get())
    }
}
