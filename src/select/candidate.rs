//! [`Candidate`]: an eligible relay, and what it is worth to a call.

use crate::table::LiveRecord;
use crate::table::record::{Circuit, Load};
use crate::table::snapshot::score;
use std::cmp::Ordering;
use std::num::NonZeroU32;

/// What an eligible relay is worth to a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evaluation {
    pub(crate) path_micros: u32,
    pub(crate) score: f32,
}

impl Evaluation {
    #[inline]
    pub(crate) fn new(path_micros: u32, load: Load) -> Self {
        Self {
            path_micros,
            score: score(path_micros, load),
        }
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
}

/// A relay above this utilisation is neither kept as the preferred one nor chosen for its
/// failure domain.
const BUSY: f32 = 0.9;

impl<'g> Candidate<'g> {
    #[inline]
    pub(crate) fn new(record: LiveRecord<'g>, evaluation: Evaluation) -> Self {
        Self {
            record,
            evaluation,
            circuit: record.circuit(),
            is_last_resort: false,
        }
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
