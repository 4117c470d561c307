//! [`Candidate`]: an eligible relay, and what it is worth to a call.

use crate::table::RecordRef;
use crate::table::record::{Circuit, Lifecycle, Load};
use crate::table::snapshot::score;
use std::cmp::Ordering;

/// What an eligible relay is worth to a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evaluation {
    /// The lifecycle word by which it was evaluated. It names the announcement.
    pub(crate) word: Lifecycle,
    pub(crate) path_micros: u32,
    pub(crate) score: f32,
}

impl Evaluation {
    #[inline]
    pub(crate) fn new(word: Lifecycle, path_micros: u32, load: Load) -> Self {
        Self {
            word,
            path_micros,
            score: score(path_micros, load),
        }
    }
}

/// An eligible relay.
#[derive(Clone, Copy)]
pub(crate) struct Candidate<'g> {
    pub(crate) record: RecordRef<'g>,
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
    pub(crate) fn new(record: RecordRef<'g>, evaluation: Evaluation) -> Self {
        Self {
            record,
            evaluation,
            circuit: record.circuit(),
            is_last_resort: false,
        }
    }

    /// The same relay with a later lifecycle word.
    #[inline]
    pub(crate) fn with_word(self, word: Lifecycle) -> Self {
        let evaluation = Evaluation {
            word,
            ..self.evaluation
        };
        Self { evaluation, ..self }
    }

    pub(crate) fn last_resort(record: RecordRef<'g>, evaluation: Evaluation) -> Self {
        Self {
            is_last_resort: true,
            ..Self::new(record, evaluation)
        }
    }

    /// Whether it failed lately, so that one caller at a time gets it.
    #[inline]
    pub(crate) fn is_on_trial(&self) -> bool {
        self.circuit.is_failing()
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.record
            .announced_load(self.evaluation.word)
            .utilisation()
            > BUSY
    }

    /// Orders candidates best first.
    pub(crate) fn by_score(&self, other: &Self) -> Ordering {
        self.evaluation.score.total_cmp(&other.evaluation.score)
    }

    /// Whether the announcement by which it was evaluated is still in force, and leaves room.
    #[inline]
    pub(crate) fn is_confirmed(&self) -> bool {
        self.record.has_room(self.evaluation.word)
    }
}
