//! The word that keeps a failing or banned relay from being handed out: a
//! circuit breaker (Nygard, *Release It!*, 2007), with outlier ejection's
//! growing back-off (Envoy).
//!
//! ```text
//!  63    62 61  60  59  58 55    54      53     52    51   39 38     0
//! +------+------+------+-----+-------+------+------+--------+--------+
//! |banned|state |passed|level|callers|probed|outage|sequence| until  |
//! +------+------+------+-----+-------+------+------+--------+--------+
//! ```
//!
//! A circuit is *closed* while its relay works. A failure *opens* it until some
//! tick. From then on it is *half open*: one caller gets the relay, on *trial*,
//! and the next trial is a back-off later, unless the first succeeds. A failure
//! opens it again for longer; a few successes in a row close it. The level
//! says for how long a failure opens. It rises with each failure, is halved when the
//! circuit closes, and falls with the time that passes without a failure, beyond what
//! the back-off itself takes.
//!
//! If a relay refuses, its level rises by one, up to a low limit: it is alive, and may
//! have room again at any time. If it does not answer, its level rises by two, because
//! each attempt costs its caller a timeout.
//!
//! # What counts as proof
//!
//! The sequence is the number of failures that counted, so a lease that remembers it
//! from when it was taken knows whether the relay has failed since. A success that is
//! reported by id may be one of a session from before the failure: it counts only
//! while a trial is under way. A probe is not a session: one of its successes counts
//! among those that close a circuit, and none ends a back-off after failures of callers.
//! So the word says whether callers saw the relay fail, and whether a probe's success
//! is among those that passed.
//!
//! A failure that is taken for an outage of our own raises no level; it is marked,
//! so that the relay is on trial as soon as that outage ends.
//!
//! A ban shares the word, because it ends at a tick as well. All changes are made by
//! compare-and-swap. So if many callers report one fault, the first report counts, and if
//! many callers want the trial, one gets it.

mod back_off;
#[cfg(feature = "persistence")]
mod saved;
#[cfg(all(test, not(relay_loom)))]
mod tests;

pub(crate) use back_off::{BackOff, BackOffRange};

use crate::relay::CircuitState;
use crate::relay::Rejection;
use crate::time::Tick;
use std::fmt;

/// How an attempt to use a relay failed.
///
/// The spans are those of the default
/// [back-off](crate::RegistryBuilder::back_off), of 1 s to 10 minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// The relay answered, and would not serve: it is full, or overloaded. It
    /// backs off for 1 s, and for twice as long each time, up to half a minute.
    Refused,
    /// The relay did not answer, or broke off. It backs off for 2 s, and
    /// for four times as long each time, up to 10 minutes.
    TimedOut,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Refused => "refused",
            Self::TimedOut => "timed out",
        })
    }
}

/// A change that one thread made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CircuitChange {
    pub(crate) before: Circuit,
    pub(crate) after: Circuit,
}

/// How it is known that an attempt went well or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// It was reported by the relay's id, so when the attempt began is not known.
    Id,
    /// It was reported through a lease, which was taken when the circuit had this sequence.
    Lease { sequence: u16 },
    /// The registry's own probe.
    Probe,
}

/// A failure, and what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) failure: Failure,
    pub(crate) source: Source,
    /// Whether it is taken for an outage of our own.
    pub(crate) is_outage: bool,
}

impl Fault {
    /// One of the relay's own that was reported by its id.
    #[cfg(test)]
    pub(crate) fn reported(failure: Failure) -> Self {
        Self {
            failure,
            source: Source::Id,
            is_outage: false,
        }
    }
}

/// State of one relay's circuit, in one word. All zeros: closed, no penalty.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Circuit(u64);

/// How a relay may be handed out whose circuit does not reject it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// To any number of callers.
    Free,
    /// To the one caller that [claims](Circuit::with_trial) the trial.
    OnTrial,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed = 0,
    Open = 1,
    /// It may be tried once its time comes.
    HalfOpen = 2,
    /// A caller has the relay on trial, and has not reported the outcome.
    Trial = 3,
}

const UNTIL_MASK: u64 = (1 << 39) - 1;
const SEQUENCE_SHIFT: u32 = 39;
const SEQUENCE_MASK: u64 = 0x1fff;
const OUTAGE: u64 = 1 << 52;
const PROBED: u64 = 1 << 53;
const CALLERS: u64 = 1 << 54;
const LEVEL_SHIFT: u32 = 55;
const LEVEL_MASK: u64 = 0xf;
const PASSED_SHIFT: u32 = 59;
const PASSED_MASK: u64 = 0x3;
const STATE_SHIFT: u32 = 61;
const STATE_MASK: u64 = 0x3;
const BANNED: u64 = 1 << 63;
/// The bits that a relay which left does without: sequence, outage and probed.
const MARK_SHIFT: u32 = 39;

/// Successes in a row that close a circuit.
const SUSTAINED: u64 = 3;

impl Circuit {
    pub(crate) const CLOSED: Self = Self(0);

    /// The last tick at which a ban can end: 17 years of the shortest tick.
    pub(crate) const LAST_TICK: Tick = Tick(UNTIL_MASK);

    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline]
    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    /// What fits into the bits that a relay which left does without.
    pub(crate) const MARK_MASK: u64 = (1 << 15) - 1;

    /// The word with a mark in those bits.
    pub(crate) fn marked(self, mark: u64) -> u64 {
        Self::from_marked(self.0).0 | (mark & Self::MARK_MASK) << MARK_SHIFT
    }

    pub(crate) fn mark_of(marked: u64) -> u64 {
        marked >> MARK_SHIFT & Self::MARK_MASK
    }

    pub(crate) fn from_marked(marked: u64) -> Self {
        Self(marked & !(Self::MARK_MASK << MARK_SHIFT))
    }

    /// Whether it is failing, or would back off for longer at the next failure.
    pub(crate) fn is_penalised(self) -> bool {
        self.is_failing() || self.level() > 0
    }

    /// The number of failures that counted, of which it keeps the last 13 bits: a lease
    /// would have to outlast exactly so many failures, a back-off apart from each other,
    /// for its next success to count as if there had been none.
    #[inline]
    pub(crate) fn sequence(self) -> u16 {
        (self.0 >> SEQUENCE_SHIFT & SEQUENCE_MASK) as u16
    }

    /// How the relay may be handed out at `now`, or why it is rejected: it is backing off
    /// or banned.
    #[inline]
    pub(crate) fn access(self, now: Tick) -> Result<Access, Rejection> {
        if self.0 >> STATE_SHIFT == 0 {
            return Ok(Access::Free);
        }
        self.restricted_access(now)
    }

    #[cold]
    fn restricted_access(self, now: Tick) -> Result<Access, Rejection> {
        match (self.is_banned(now), self.state()) {
            (true, _) => Err(Rejection::Banned),
            (false, State::Closed) => Ok(Access::Free),
            (false, _) if self.until() > now => Err(Rejection::BackingOff),
            (false, _) => Ok(Access::OnTrial),
        }
    }

    /// Why the circuit rejects the relay for all callers, and until when.
    #[inline]
    pub(crate) fn suspension(self, now: Tick) -> Option<(Rejection, Tick)> {
        let reason = self.access(now).err()?;
        Some((reason, self.until()))
    }

    #[inline]
    pub(crate) fn is_banned(self, now: Tick) -> bool {
        self.0 & BANNED != 0 && self.until() > now
    }

    /// When the ban ends that is in force.
    pub(crate) fn banned_until(self, now: Tick) -> Option<Tick> {
        self.is_banned(now).then(|| self.until())
    }

    /// When the ban or the back-off ends; meaningful for those only.
    #[inline]
    pub(crate) fn until(self) -> Tick {
        Tick(self.0 & UNTIL_MASK)
    }

    /// Whether it is not closed.
    #[inline]
    pub(crate) fn is_failing(self) -> bool {
        self.state() != State::Closed
    }

    /// Whether a caller has the relay on trial, and has not reported the outcome.
    pub(crate) fn is_trial_under_way(self) -> bool {
        self.state() == State::Trial
    }

    /// What to tell of it.
    #[inline]
    pub(crate) fn public_state(self, now: Tick) -> CircuitState {
        match self.state() {
            State::Closed => CircuitState::Closed,
            State::Open if self.until() > now => CircuitState::Open,
            State::Open | State::HalfOpen | State::Trial => CircuitState::HalfOpen,
        }
    }

    /// When the present back-off began; meaningful while it lasts.
    pub(crate) fn ejected_at(self, back_off: BackOff) -> Tick {
        let span = back_off.ticks(self.level());
        Tick(self.until().0.saturating_sub(span))
    }

    /// After a failure. Those of attempts that were under way when the circuit
    /// opened change nothing, nor do any during a ban.
    pub(crate) fn with_failure(self, fault: Fault, back_off: BackOff) -> Self {
        if !self.counts(fault.source, back_off.now) {
            return self;
        }
        let level = self.level_at(back_off);
        let level = match fault.failure {
            _ if fault.is_outage => level,
            Failure::Refused => {
                let most = back_off.back_off_range.last_level_of_refusals();
                (level + 1).min(most).max(level)
            }
            Failure::TimedOut => (level + 2).min(back_off.back_off_range.last_level()),
        };
        let callers = match fault.source {
            Source::Id | Source::Lease { .. } => CALLERS,
            Source::Probe => self.0 & CALLERS,
        };
        let outage = if fault.is_outage { OUTAGE } else { 0 };
        let opened = self.moved(State::Open, level, back_off.end(level));
        Self(opened.0 & !OUTAGE | callers | outage)
            .with_passed(0)
            .with_next_sequence()
    }

    /// Whether a failure is news.
    fn counts(self, source: Source, now: Tick) -> bool {
        match (self.access(now), self.state(), source) {
            (Err(Rejection::Banned), ..) | (Err(Rejection::BackingOff), State::Open, _) => false,
            // That of an attempt from before the last failure is part of the same fault.
            (_, State::HalfOpen | State::Trial | State::Open, Source::Lease { sequence }) => {
                sequence == self.sequence()
            }
            _ => true,
        }
    }

    /// After a success, if it is [proof](self).
    pub(crate) fn with_success(self, source: Source, back_off: BackOff) -> Self {
        let (state, now) = (self.state(), back_off.now);
        if state == State::Closed || self.is_banned(now) {
            return self;
        }
        match source {
            Source::Id if state != State::Trial => self,
            Source::Lease { sequence } if sequence != self.sequence() => self,
            Source::Probe => self.with_probe(back_off),
            Source::Id | Source::Lease { .. } => {
                let passed = self.moved(State::HalfOpen, self.level(), now);
                Self(passed.0 & !OUTAGE).with_one_more(back_off)
            }
        }
    }

    /// After a probe that went well.
    fn with_probe(self, back_off: BackOff) -> Self {
        let now = back_off.now;
        let is_open = self.state() == State::Open;
        let callers_wait = is_open && self.until() > now && self.0 & CALLERS != 0;
        if callers_wait || self.0 & PROBED != 0 {
            return self;
        }
        let passed = match is_open {
            true => self.moved(State::HalfOpen, self.level(), now),
            // Perhaps a trial is under way, which goes on.
            false => self,
        };
        Self(passed.0 | PROBED).with_one_more(back_off)
    }

    /// With one more success, which may close it.
    fn with_one_more(self, back_off: BackOff) -> Self {
        match self.passed() + 1 {
            SUSTAINED.. => self.closed(self.level_at(back_off) / 2, back_off.now),
            passed => Self(self.0 & !(PASSED_MASK << PASSED_SHIFT) | passed << PASSED_SHIFT),
        }
    }

    /// With a trial under way; only where a caller was given the relay.
    pub(crate) fn with_trial(self, back_off: BackOff) -> Self {
        let level = self.level_at(back_off);
        self.moved(State::Trial, level, back_off.end(level))
    }

    /// On trial from now on, if it failed in an outage of our own.
    pub(crate) fn with_outage_over(self, back_off: BackOff) -> Self {
        let (now, level) = (back_off.now, self.level());
        if self.0 & OUTAGE == 0 || self.is_banned(now) {
            return self;
        }
        let over = match self.state() {
            // The trial under way goes on, beside others, and time counts from now on.
            State::Trial => {
                let spare = back_off.most_ticks(level) - back_off.ticks(level);
                self.moved(State::Trial, level, Tick(now.0.saturating_sub(spare)))
            }
            _ => self.moved(State::HalfOpen, level, now),
        };
        Self(over.0 & !OUTAGE)
    }

    /// Closed and without penalties; a ban stays.
    pub(crate) fn with_reset(self) -> Self {
        let kept = SEQUENCE_MASK << SEQUENCE_SHIFT;
        match self.0 & BANNED {
            0 => Self(self.0 & kept),
            _ => Self(self.0 & (kept | BANNED | UNTIL_MASK)),
        }
    }

    /// Kept from being handed out up to a tick, whatever else becomes of it. A circuit
    /// that was open is half open after that.
    pub(crate) fn with_ban(self, until: Tick) -> Self {
        let state = match self.state() {
            State::Closed => State::Closed,
            _ => State::HalfOpen,
        };
        let banned = self.moved(state, self.level(), until);
        Self(banned.0 & !OUTAGE | BANNED)
    }

    /// Without its ban.
    pub(crate) fn without_ban(self, now: Tick) -> Self {
        if self.0 & BANNED == 0 {
            return self;
        }
        Self(self.0 & !(BANNED | UNTIL_MASK) | now.0.min(UNTIL_MASK))
    }

    /// In another state, without a ban; what else it says stays.
    fn moved(self, state: State, level: u64, until: Tick) -> Self {
        let kept = PASSED_MASK << PASSED_SHIFT
            | SEQUENCE_MASK << SEQUENCE_SHIFT
            | CALLERS
            | PROBED
            | OUTAGE;
        Self(
            self.0 & kept
                | (state as u64) << STATE_SHIFT
                | level << LEVEL_SHIFT
                | until.0.min(UNTIL_MASK),
        )
    }

    fn closed(self, level: u64, now: Tick) -> Self {
        let closed = self.moved(State::Closed, level, now);
        Self(closed.0 & !(CALLERS | OUTAGE)).with_passed(0)
    }

    /// With so many successes, none of them a probe's.
    fn with_passed(self, passed: u64) -> Self {
        let others = self.0 & !(PASSED_MASK << PASSED_SHIFT | PROBED);
        Self(others | passed << PASSED_SHIFT)
    }

    fn with_next_sequence(self) -> Self {
        let next = (u64::from(self.sequence()) + 1) & SEQUENCE_MASK;
        Self(self.0 & !(SEQUENCE_MASK << SEQUENCE_SHIFT) | next << SEQUENCE_SHIFT)
    }

    #[inline]
    fn state(self) -> State {
        match self.0 >> STATE_SHIFT & STATE_MASK {
            0 => State::Closed,
            1 => State::Open,
            2 => State::HalfOpen,
            _ => State::Trial,
        }
    }

    fn passed(self) -> u64 {
        self.0 >> PASSED_SHIFT & PASSED_MASK
    }

    fn level(self) -> u64 {
        self.0 >> LEVEL_SHIFT & LEVEL_MASK
    }

    /// What is left of the level after the time without a failure.
    fn level_at(self, back_off: BackOff) -> u64 {
        let calm_since = match self.state() {
            State::Closed | State::HalfOpen => self.until(),
            // A back-off takes nothing off the level that it follows from.
            State::Open | State::Trial => {
                let Tick(began) = self.ejected_at(back_off);
                Tick(began.saturating_add(back_off.most_ticks(self.level())))
            }
        };
        let calm_for = back_off.now.0.saturating_sub(calm_since.0);
        let calm_nanos = calm_for.saturating_mul(back_off.tick_nanos);
        self.level()
            .saturating_sub(calm_nanos / back_off.back_off_range.nanos_per_level())
    }
}

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuit")
            .field("banned", &(self.0 & BANNED != 0))
            .field("state", &self.state())
            .field("passed", &self.passed())
            .field("level", &self.level())
            .field("sequence", &self.sequence())
            .field("callers", &(self.0 & CALLERS != 0))
            .field("probed", &(self.0 & PROBED != 0))
            .field("outage", &(self.0 & OUTAGE != 0))
            .field("until", &self.until())
            .finish()
    }
}
