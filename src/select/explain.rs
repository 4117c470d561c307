//! [`Explanation`]: which relays would be handed out, which not, and why.

use crate::relay::{CircuitState, NodeId, Rejection};
use crate::select::path::Leg;
use crate::select::search::Search;
use crate::table::snapshot::penalty;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// For every relay, whether it would be handed out now, and why: the result of
/// [`Registry::explain`](crate::Registry::explain).
///
/// Relays that would be handed out are first, then other eligible ones, then those that are
/// not eligible; each group best first. Displays as a table with a line for each relay:
///
/// ```text
/// relay             a leg         b leg         used  penalty   score  verdict
/// 0101010101010101  12.0 measured 100.0 assumed  40 %    1.03  115.0   chosen
/// 0202020202020202  80.0 measured 100.0 assumed   0 %    1.00  180.0   worse
/// 0303030303030303  10.0 measured 100.0 assumed 100 %       -      -   full
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    relays: Vec<Explained>,
}

/// One relay in an [`Explanation`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explained {
    /// The relay.
    pub relay: NodeId,
    /// Whether it would be handed out, or why not.
    pub verdict: Verdict,
    /// The expected round trip from the requester to the relay.
    pub requester_leg: Duration,
    /// How that leg is known.
    pub requester_leg_source: LegSource,
    /// The expected round trip from the relay to the target.
    pub target_leg: Duration,
    /// How that leg is known.
    pub target_leg_source: LegSource,
    /// Load over capacity.
    pub utilisation: f64,
    /// The state of its circuit breaker.
    pub circuit: CircuitState,
    /// The factor on the path for the load: `1 / (1 - u^4)`; infinite for a relay that is
    /// full.
    pub penalty: f64,
}

/// Whether a relay would be handed out, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// It would be handed out: the best, or one of the best that were asked for.
    Chosen,
    /// It would be handed out: the preferred one, and no other is sufficiently better.
    Kept,
    /// It would be handed out as a last resort: it failed lately, and so did all others that
    /// would be eligible.
    LastResort,
    /// It is eligible, but others are better or, in an answer of several, in other failure
    /// domains.
    Worse,
    /// It left or expired.
    Departed,
    /// It is the target, the requester, this node, or excluded.
    Excluded,
    /// The operator banned it.
    Banned,
    /// It failed lately, and is not yet due for a trial.
    BackingOff,
    /// It takes no new leases.
    Draining,
    /// All its units are taken.
    Full,
    /// It was measured, and is beyond the maximum latency of the call.
    TooFar,
    /// It was not measured, and the call has a maximum latency.
    Unmeasured,
}

/// How a leg of a path is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LegSource {
    /// This node measured it.
    Measured,
    /// The peer at its end measured it.
    Published,
    /// Estimated between network coordinates.
    Estimated,
    /// Nothing is known of it; it counts as the assumed round trip.
    Assumed,
}

impl Explained {
    /// The expected round trip of the whole path.
    #[must_use]
    pub fn path(&self) -> Duration {
        self.requester_leg + self.target_leg
    }

    /// The score in milliseconds, lower is better: the path times the penalty.
    #[must_use]
    pub fn score_ms(&self) -> f64 {
        self.path().as_secs_f64() * 1e3 * self.penalty
    }
}

impl Explanation {
    /// All relays, those that would be handed out first.
    #[must_use]
    pub fn relays(&self) -> &[Explained] {
        &self.relays
    }

    /// The relays that would be handed out, best first.
    pub fn chosen(&self) -> impl Iterator<Item = &Explained> {
        self.relays
            .iter()
            .filter(|explained| explained.verdict.is_handed_out())
    }

    /// The explanation of one relay.
    #[must_use]
    pub fn of(&self, relay: &NodeId) -> Option<&Explained> {
        self.relays
            .iter()
            .find(|explained| explained.relay == *relay)
    }
}

impl Verdict {
    /// Whether the relay would be handed out.
    #[must_use]
    pub fn is_handed_out(self) -> bool {
        matches!(self, Self::Chosen | Self::Kept | Self::LastResort)
    }

    /// Relays with a lower rank are listed first.
    fn rank(self) -> u8 {
        if self.is_handed_out() {
            0
        } else if self == Self::Worse {
            1
        } else {
            2
        }
    }
}

impl Search<'_> {
    /// Evaluates every relay exactly, and hands none out.
    pub(crate) fn explain(&self, count: usize) -> Explanation {
        self.refresh_lapsed_rtts();
        let chosen = self.chosen(count);
        let positions: HashMap<NodeId, usize> = (0..)
            .zip(&chosen)
            .map(|(position, (relay, _))| (*relay, position))
            .collect();
        let position = |relay: &NodeId| positions.get(relay).copied();
        let mut relays: Vec<Explained> = Vec::new();
        for record in self.records() {
            let id = record.identity();
            let verdict = match (position(&id), self.scope.criteria.evaluate(&record)) {
                (Some(position), _) => chosen[position].1,
                (None, Ok(_)) => Verdict::Worse,
                (None, Err(reason)) => reason.into(),
            };
            let Some(record) = record.observe_live() else {
                continue;
            };
            let load = record.announced_load();
            let legs = self.scope.criteria.legs(&record);
            relays.push(Explained {
                relay: id,
                verdict,
                requester_leg: Duration::from_micros(legs.requester.micros().into()),
                requester_leg_source: legs.requester.into(),
                target_leg: Duration::from_micros(legs.target.micros().into()),
                target_leg_source: legs.target.into(),
                utilisation: load.utilisation().into(),
                circuit: record.circuit().public_state(self.scope.criteria.tick),
                penalty: penalty(load).into(),
            });
        }
        relays.sort_by(|one, other| {
            let rank =
                |explained: &Explained| (explained.verdict.rank(), position(&explained.relay));
            rank(one).cmp(&rank(other)).then(
                one.score_ms()
                    .partial_cmp(&other.score_ms())
                    .unwrap_or(Ordering::Equal),
            )
        });
        relays.dedup_by_key(|explained| explained.relay);
        Explanation { relays }
    }

    /// The relays that would be handed out, and their verdicts.
    fn chosen(&self, count: usize) -> Vec<(NodeId, Verdict)> {
        let all = self.sorted();
        let Some(best) = all.first().copied() else {
            let last_resort = self.last_resort().into_iter();
            return last_resort
                .map(|candidate| (candidate.record.identity(), Verdict::LastResort))
                .collect();
        };
        if count <= 1 {
            return vec![match self.preferred_over(&best) {
                Some(kept) => (kept.record.identity(), Verdict::Kept),
                None => (best.record.identity(), Verdict::Chosen),
            }];
        }
        let chosen = self.spread(all, count).into_iter();
        chosen
            .map(|candidate| (candidate.record.identity(), Verdict::Chosen))
            .collect()
    }
}

impl From<Rejection> for Verdict {
    fn from(reason: Rejection) -> Self {
        match reason {
            Rejection::Departed => Self::Departed,
            Rejection::Excluded => Self::Excluded,
            Rejection::Banned => Self::Banned,
            Rejection::BackingOff => Self::BackingOff,
            Rejection::Draining => Self::Draining,
            Rejection::Full => Self::Full,
            Rejection::TooFar => Self::TooFar,
            Rejection::Unmeasured => Self::Unmeasured,
        }
    }
}

impl From<Leg> for LegSource {
    fn from(leg: Leg) -> Self {
        match leg {
            Leg::Measured(_) => Self::Measured,
            Leg::Published(_) => Self::Published,
            Leg::Estimated(_) => Self::Estimated,
            Leg::Assumed(_) => Self::Assumed,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Chosen => "chosen",
            Self::Kept => "chosen: preferred, and none is so much better",
            Self::LastResort => "chosen: last resort",
            Self::Worse => "worse",
            Self::Departed => Rejection::Departed.name(),
            Self::Excluded => Rejection::Excluded.name(),
            Self::Banned => Rejection::Banned.name(),
            Self::BackingOff => Rejection::BackingOff.name(),
            Self::Draining => Rejection::Draining.name(),
            Self::Full => Rejection::Full.name(),
            Self::TooFar => Rejection::TooFar.name(),
            Self::Unmeasured => Rejection::Unmeasured.name(),
        })
    }
}

impl fmt::Display for LegSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Measured => "measured",
            Self::Published => "published",
            Self::Estimated => "estimated",
            Self::Assumed => "assumed",
        })
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<16}  {:>17}  {:>17}  {:>5}  {:>7}  {:>8}  verdict",
            "relay", "a leg, ms", "b leg, ms", "used", "penalty", "score"
        )?;
        self.relays
            .iter()
            .try_for_each(|explained| writeln!(f, "{explained}"))
    }
}

/// A line of the table.
impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.relay.to_string();
        let millis = |leg: Duration| leg.as_secs_f64() * 1e3;
        write!(f, "{:<16}", &id[..id.len().min(16)])?;
        for (leg, source) in [
            (self.requester_leg, self.requester_leg_source),
            (self.target_leg, self.target_leg_source),
        ] {
            write!(f, "  {:>7.1} {source:<9}", millis(leg))?;
        }
        write!(f, "  {:>3.0} %", self.utilisation * 100.0)?;
        if self.penalty.is_finite() {
            write!(f, "  {:>7.2}  {:>8.1}", self.penalty, self.score_ms())?;
        } else {
            write!(f, "  {:>7}  {:>8}", "-", "-")?;
        }
        write!(f, "  {}", self.verdict)?;
        match self.circuit {
            CircuitState::HalfOpen if self.verdict.is_handed_out() => f.write_str(", on trial"),
            _ => Ok(()),
        }
    }
}
