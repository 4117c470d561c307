//! Which relays may be handed out to a caller, and what they are worth to it.

use crate::record::{Lifecycle, Load, Refusal};
use crate::relay::NodeId;
use crate::rtt::micros_at_most;
use crate::select::FindOptions;
use crate::select::score::{least_score, score};
use crate::table::RecordRef;
use crate::time::Tick;

/// What one call asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Criteria<'a> {
    pub(crate) target: &'a NodeId,
    pub(crate) local: Option<&'a NodeId>,
    pub(crate) options: &'a FindOptions,
    /// What was live at this tick is live.
    pub(crate) tick: Tick,
    /// What a leg that nobody measured is ranked at.
    pub(crate) assumed_rtt_micros: u32,
}

/// A relay that meets the criteria.
#[derive(Clone, Copy)]
pub(crate) struct Candidate<'g> {
    pub(crate) record: RecordRef<'g>,
    /// Its lifecycle when it was judged, which names what to hand out.
    pub(crate) word: Lifecycle,
    pub(crate) score: f32,
}

impl Candidate<'_> {
    /// Whether there is room also by what the relay announces.
    #[inline]
    pub(crate) fn is_confirmed(&self) -> bool {
        self.record.has_room(self.word)
    }
}

/// Why a relay is not handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    Departed,
    Excluded,
    Draining,
    Full,
    TooFar,
    Unmeasured,
}

impl Criteria<'_> {
    /// Whether a relay may be handed out, and how good it is; from its first
    /// cache line.
    ///
    /// A renewal changes what is announced first, and the capacity in that line
    /// after that; in between, the two differ.
    #[inline]
    pub(crate) fn judge<'g>(&self, record: RecordRef<'g>) -> Result<Candidate<'g>, Rejection> {
        self.judge_by(record, |_| record.load())
    }

    /// The same, by the capacity that the relay announces.
    pub(crate) fn judge_announced<'g>(
        &self,
        record: RecordRef<'g>,
    ) -> Result<Candidate<'g>, Rejection> {
        self.judge_by(record, |word| {
            let capacity = record.announcement(word).capacity;
            record.load().with_capacity(capacity)
        })
    }

    #[inline]
    fn judge_by<'g>(
        &self,
        record: RecordRef<'g>,
        load: impl FnOnce(Lifecycle) -> Load,
    ) -> Result<Candidate<'g>, Rejection> {
        let word = record.lifecycle();
        if !word.is_live_at(self.tick) {
            return Err(Rejection::Departed);
        }
        if self.excludes(&record) {
            return Err(Rejection::Excluded);
        }
        let load = load(word);
        if let Some(refusal) = load.refusal() {
            return Err(refusal.into());
        }
        let rtt = record.rtt_micros();
        self.check_latency(rtt)?;
        let path = self.path_micros(rtt.unwrap_or(self.assumed_rtt_micros));
        Ok(Candidate {
            record,
            word,
            score: score(path, load),
        })
    }

    /// The least score of any relay at this round trip from here.
    #[inline]
    pub(crate) fn least_score(&self, rtt_micros: u32) -> f32 {
        least_score(self.path_micros(rtt_micros))
    }

    /// The whole path; nothing is known of the leg from relay to target.
    #[inline]
    fn path_micros(&self, rtt_micros: u32) -> u32 {
        rtt_micros + self.assumed_rtt_micros
    }

    #[inline]
    fn excludes(&self, record: &RecordRef<'_>) -> bool {
        record.is_of(self.target)
            || self.local.is_some_and(|local| record.is_of(local))
            || self.options.exclude.iter().any(|id| record.is_of(id))
    }

    #[inline]
    fn check_latency(&self, rtt_micros: Option<u32>) -> Result<(), Rejection> {
        let Some(max_latency) = self.options.max_latency else {
            return Ok(());
        };
        match rtt_micros {
            Some(rtt) if rtt <= micros_at_most(max_latency) => Ok(()),
            Some(_) => Err(Rejection::TooFar),
            None if self.options.allow_unmeasured => Ok(()),
            None => Err(Rejection::Unmeasured),
        }
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Closed => Self::Departed,
            Refusal::Draining => Self::Draining,
            Refusal::Full => Self::Full,
        }
    }
}
