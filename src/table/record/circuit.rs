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
//! A relay that refuses is alive, and may have room again any time: its level
//! rises by one, and not far. One that does not answer cost its caller much
//! more to find out: its level rises by two.
//!
//! # What counts as proof
//!
//! The sequence is the number of failures that counted, so a lease that remembers it
//! from when it was taken knows whether the relay has failed since. A success that is
//! told by id may be one of a session from before the failure: it counts only
//! while a trial is under way. A probe is not a session: one of its successes counts
//! among those that close a circuit, and none ends a back-off after failures of callers.
//! So the word says whether callers saw the relay fail, and whether a probe's success
//! is among those that passed.
//!
//! A failure that is taken for an outage of our own raises no level; it is marked,
//! so that the relay is on trial as soon as that outage ends.
//!
//! A ban shares the word, for it ends at a tick as well. All changes are made
//! by compare-and-swap, so that of the reports of many callers on one fault
//! only the first counts, and of the callers that would try, one does.

use crate::relay::CircuitState;
use crate::time::Tick;
use std::fmt;
use std::time::Duration;

/// How an attempt to use a relay failed.
///
/// The spans are those of the default
/// [back-off](crate::RegistryBuilder::back_off), of 1 s to 10 minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// The relay answered, and would not serve: it is full, or overloaded. It
    /// is left alone for 1 s, and for twice as long each time, up to half a minute.
    Refused,
    /// The relay did not answer, or broke off. It is left alone for 2 s, and
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

/// How it is known that an attempt went well or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// It was told by the relay's id, so when the attempt began is not known.
    Id,
    /// It was told through a lease, which was taken when the circuit had this sequence.
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
    /// One of the relay's own that was told by its id.
    #[cfg(test)]
    pub(crate) fn told(failure: Failure) -> Self {
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

/// What a caller may do with a relay, as far as its circuit says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Free,
    /// Once the trial has been [claimed](Circuit::with_trial).
    OnTrial,
    BackingOff,
    Banned,
}

/// What a circuit says of a relay to all callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Availability {
    /// It may be handed out, perhaps on trial.
    Free,
    BackingOff {
        until: Tick,
    },
    Banned {
        until: Tick,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed = 0,
    Open = 1,
    /// It may be tried once its time comes.
    HalfOpen = 2,
    /// A caller has the relay on trial, and has not told how that went.
    Trial = 3,
}

/// How long relays are left alone in one registry: the shortest and the longest back-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BackOffRange {
    shortest_nanos: u64,
    longest_nanos: u64,
}

/// How long a relay is left alone, counted from now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BackOff {
    pub(crate) now: Tick,
    pub(crate) tick_nanos: u64,
    /// Between 0 and 255, fixed for one relay in one registry.
    pub(crate) jitter: u8,
    pub(crate) back_off_range: BackOffRange,
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

    /// Whether it is failing, or would be left alone for longer at the next failure.
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

    /// Whether the relay may be handed out at `now`.
    #[inline]
    pub(crate) fn access(self, now: Tick) -> Access {
        if self.0 >> STATE_SHIFT == 0 {
            return Access::Free;
        }
        self.restricted_access(now)
    }

    #[cold]
    fn restricted_access(self, now: Tick) -> Access {
        match (self.is_banned(now), self.state()) {
            (true, _) => Access::Banned,
            (false, State::Closed) => Access::Free,
            (false, _) if self.until() > now => Access::BackingOff,
            (false, _) => Access::OnTrial,
        }
    }

    /// How the relay stands at a tick.
    #[inline]
    pub(crate) fn availability(self, now: Tick) -> Availability {
        let until = self.until();
        match self.access(now) {
            Access::Free | Access::OnTrial => Availability::Free,
            Access::BackingOff => Availability::BackingOff { until },
            Access::Banned => Availability::Banned { until },
        }
    }

    #[inline]
    pub(crate) fn is_banned(self, now: Tick) -> bool {
        self.0 & BANNED != 0 && self.until() > now
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
            (Access::Banned, ..) | (Access::BackingOff, State::Open, _) => false,
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

impl BackOffRange {
    pub(crate) const SHORTEST: Duration = Duration::from_secs(1);
    pub(crate) const LONGEST: Duration = Duration::from_secs(600);

    #[cfg(test)]
    pub(crate) const DEFAULT: Self = Self {
        shortest_nanos: 1_000_000_000,
        longest_nanos: 600_000_000_000,
    };

    /// `None` unless both are above zero, in order, and counted in 64 bits.
    pub(crate) fn new(shortest: Duration, longest: Duration) -> Option<Self> {
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).ok();
        let (shortest_nanos, longest_nanos) = (nanos(shortest)?, nanos(longest)?);
        (1..=longest_nanos)
            .contains(&shortest_nanos)
            .then_some(Self {
                shortest_nanos,
                longest_nanos,
            })
    }

    /// By how many times two the longest is above the shortest.
    fn doublings(self) -> u64 {
        let times = self.longest_nanos.div_ceil(self.shortest_nanos);
        u64::from(u64::BITS - (times - 1).leading_zeros())
    }

    /// One, unless that takes more levels than there are.
    fn doublings_per_level(self) -> u64 {
        self.doublings().div_ceil(LEVEL_MASK - 1).max(1)
    }

    /// The level of the longest back-off.
    fn last_level(self) -> u64 {
        1 + self.doublings().div_ceil(self.doublings_per_level())
    }

    /// Half way between the shortest and the longest, in levels.
    fn last_level_of_refusals(self) -> u64 {
        self.last_level().div_ceil(2)
    }

    /// What back-offs of this level take, give or take a quarter.
    fn nominal_nanos(self, level: u64) -> u64 {
        let doublings = level.saturating_sub(1) * self.doublings_per_level();
        let nanos = u128::from(self.shortest_nanos) << doublings.min(64);
        u64::try_from(nanos).map_or(self.longest_nanos, |nanos| nanos.min(self.longest_nanos))
    }

    /// Time without a failure that takes one level off.
    pub(crate) fn nanos_per_level(self) -> u64 {
        (self.longest_nanos / 10).max(1)
    }
}

impl BackOff {
    /// The length of a back-off: that of its level, give or take a quarter,
    /// so that those who learnt of a fault together do not return together.
    fn ticks(self, level: u64) -> u64 {
        let nominal = self.back_off_range.nominal_nanos(level);
        self.whole_ticks((nominal / 512).saturating_mul(384 + u64::from(self.jitter)))
    }

    /// The longest that one of this level can be.
    fn most_ticks(self, level: u64) -> u64 {
        let nominal = self.back_off_range.nominal_nanos(level);
        self.whole_ticks(nominal.saturating_add(nominal / 4))
    }

    fn whole_ticks(self, nanos: u64) -> u64 {
        nanos
            .clamp(
                self.back_off_range.shortest_nanos,
                self.back_off_range.longest_nanos,
            )
            .div_ceil(self.tick_nanos)
    }

    fn end(self, level: u64) -> Tick {
        Tick(self.now.0.saturating_add(self.ticks(level)))
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

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use Failure::{Refused, TimedOut};

    const LATEST: Source = Source::Lease { sequence: 1 };

    fn at(tick: u64) -> BackOff {
        BackOff {
            now: Tick(tick),
            tick_nanos: 100_000_000,
            jitter: 128,
            back_off_range: BackOffRange::DEFAULT,
        }
    }

    fn told(failure: Failure) -> Fault {
        Fault::told(failure)
    }

    fn by(source: Source) -> Fault {
        Fault {
            source,
            ..told(TimedOut)
        }
    }

    fn circuit(state: State, level: u64, until: u64) -> Circuit {
        Circuit::CLOSED.moved(state, level, Tick(until))
    }

    /// Since tick 0, for ten ticks or twenty.
    fn opened(failure: Failure) -> Circuit {
        Circuit::CLOSED.with_failure(told(failure), at(0))
    }

    fn open_until(circuit: Circuit) -> u64 {
        assert_eq!(circuit.state(), State::Open);
        circuit.until().0
    }

    /// Fails each trial as soon as it may be made; how long each back-off was.
    fn back_offs(failure: Failure, back_off_range: BackOffRange, count: usize) -> Vec<u64> {
        let mut circuit = Circuit::CLOSED;
        let mut now = 100;
        let mut lengths = Vec::new();
        for _ in 0..count {
            let at = |now| BackOff {
                back_off_range,
                ..at(now)
            };
            circuit = circuit.with_failure(told(failure), at(now));
            lengths.push(open_until(circuit) - now);
            now = open_until(circuit);
            assert_eq!(circuit.access(Tick(now - 1)), Access::BackingOff);
            assert_eq!(circuit.access(Tick(now)), Access::OnTrial);
            circuit = circuit.with_trial(at(now));
        }
        lengths
    }

    #[test]
    fn back_off_grows_from_a_second_to_ten_minutes() {
        assert_eq!(
            back_offs(TimedOut, BackOffRange::DEFAULT, 7),
            [20, 80, 320, 1280, 5120, 6000, 6000]
        );
        assert_eq!(
            back_offs(Refused, BackOffRange::DEFAULT, 8),
            [10, 20, 40, 80, 160, 320, 320, 320]
        );
    }

    #[test]
    fn back_off_grows_within_any_two_spans() {
        let spans = |min, max| {
            let [min, max] = [min, max].map(Duration::from_secs);
            BackOffRange::new(min, max).unwrap()
        };
        assert_eq!(back_offs(TimedOut, spans(5, 5), 3), [50, 50, 50]);
        assert_eq!(back_offs(Refused, spans(5, 5), 3), [50, 50, 50]);
        assert_eq!(
            back_offs(TimedOut, spans(1, 12), 4),
            [20, 80, 120, 120],
            "levels of 1, 2, 4, 8 and 12 s"
        );
        assert_eq!(back_offs(Refused, spans(1, 12), 4), [10, 20, 40, 40]);
        // More doublings than there are levels.
        let far = back_offs(TimedOut, spans(1, 1 << 20), 9);
        assert!(far.is_sorted(), "{far:?}");
        assert_eq!(far[8], 10 << 20);
    }

    #[test]
    fn a_refusal_does_not_shorten_what_silence_earned() {
        let silent = circuit(State::Open, 9, 5);
        assert_eq!(silent.with_failure(told(Refused), at(5)).level(), 9);
    }

    #[test]
    fn failures_of_one_fault_count_once() {
        let once = opened(TimedOut);
        assert_eq!(once.with_failure(told(TimedOut), at(3)), once);
    }

    #[test]
    fn a_failure_of_an_attempt_from_before_is_part_of_the_same_fault() {
        let tried = opened(TimedOut).with_trial(at(20));
        let before = by(Source::Lease { sequence: 0 });
        assert_eq!(tried.with_failure(before, at(21)), tried);
        assert_ne!(tried.with_failure(by(LATEST), at(21)), tried);
        let closed = circuit(State::Closed, 0, 5);
        assert!(closed.with_failure(by(LATEST), at(9)).is_failing());
    }

    #[test]
    fn a_trial_is_made_once_per_back_off() {
        let tried = opened(Refused).with_trial(at(10));
        assert_eq!(tried.access(Tick(19)), Access::BackingOff);
        assert_eq!(tried.access(Tick(20)), Access::OnTrial);
    }

    #[test]
    fn only_sustained_success_closes() {
        let mut circuit = opened(TimedOut);
        for now in [20, 21, 22] {
            assert_eq!(circuit.access(Tick(now)), Access::OnTrial);
            circuit = circuit.with_trial(at(now));
            assert_eq!(circuit.access(Tick(now)), Access::BackingOff);
            circuit = circuit.with_success(Source::Id, at(now));
        }
        assert!(!circuit.is_failing());
        assert_eq!(circuit.access(Tick(22)), Access::Free);
        let relapsed = circuit.with_success(LATEST, at(23));
        assert_eq!(relapsed, circuit, "a closed circuit is not written");
    }

    #[test]
    fn a_failure_among_successes_starts_over() {
        let nearly = opened(Refused)
            .with_success(LATEST, at(10))
            .with_success(LATEST, at(11));
        let again = nearly
            .with_trial(at(11))
            .with_failure(told(Refused), at(12));
        assert_eq!((again.passed(), again.level()), (0, 2));
    }

    #[test]
    fn a_success_counts_only_as_fresh_proof() {
        let open = opened(TimedOut);
        let before = Source::Lease { sequence: 0 };
        for now in [0, 1, 20, 99] {
            for stale in [Source::Id, before] {
                assert_eq!(open.with_success(stale, at(now)), open, "{stale:?}");
            }
        }
        assert_eq!(
            open.with_success(LATEST, at(1)).access(Tick(1)),
            Access::OnTrial
        );
        let tried = open.with_trial(at(20));
        let passed = tried.with_success(Source::Id, at(25));
        assert_eq!(passed.passed(), 1);
        let twice = passed.with_success(Source::Id, at(25));
        assert_eq!(twice, passed, "of one trial");
    }

    #[test]
    fn a_probe_counts_once_and_ends_no_back_off_after_failures_of_callers() {
        let open = opened(TimedOut);
        assert_eq!(open.with_success(Source::Probe, at(19)), open);
        let probed = open.with_success(Source::Probe, at(20));
        assert_eq!((probed.passed(), probed.state()), (1, State::HalfOpen));
        assert_eq!(probed.with_success(Source::Probe, at(21)), probed);
        let tried = probed.with_trial(at(21));
        assert_eq!(tried.with_success(Source::Probe, at(22)), tried);
        let twice = tried.with_success(Source::Id, at(22));
        assert_eq!(twice.with_success(Source::Probe, at(22)), twice);
        let closed = twice.with_success(LATEST, at(23));
        assert!(!closed.is_failing());
    }

    #[test]
    fn a_probe_ends_what_probes_began() {
        let open = Circuit::CLOSED.with_failure(by(Source::Probe), at(0));
        let probed = open.with_success(Source::Probe, at(1));
        assert_eq!(probed.access(Tick(1)), Access::OnTrial);
        let failed = probed.with_trial(at(1)).with_failure(told(TimedOut), at(2));
        assert_eq!(failed.with_success(Source::Probe, at(3)), failed);
    }

    #[test]
    fn levels_fall_with_the_time_since_the_last_failure() {
        // A back-off of level 5 takes up to twenty seconds.
        for (state, spare) in [
            (State::Closed, 0),
            (State::HalfOpen, 0),
            (State::Open, 40),
            (State::Trial, 40),
        ] {
            let before = circuit(state, 5, 1_000);
            for (minutes, level) in [(0, 7), (1, 6), (4, 3), (5, 2), (99, 2)] {
                let now = 1_000 + minutes * 600 + if minutes > 0 { spare } else { 0 };
                let failed = before.with_failure(told(TimedOut), at(now));
                assert_eq!(failed.level(), level, "{state:?} for {minutes} minutes");
            }
        }
    }

    #[test]
    fn levels_are_halved_by_sustained_success() {
        let tried = circuit(State::Trial, 11, 6_000);
        let first = Source::Lease { sequence: 0 };
        let passed = |circuit: Circuit, _| circuit.with_success(first, at(10));
        let closed = (0..3).fold(tried, passed);
        assert_eq!((closed.state(), closed.level()), (State::Closed, 5));
    }

    #[test]
    fn failures_in_an_outage_raise_no_level_and_end_with_it() {
        let fault = Fault {
            is_outage: true,
            ..told(TimedOut)
        };
        let fresh = Circuit::CLOSED.with_failure(fault, at(0));
        assert_eq!((fresh.level(), open_until(fresh)), (0, 10));
        let old = circuit(State::Trial, 6, 50).with_failure(fault, at(50));
        assert_eq!((old.level(), open_until(old)), (6, 370));
        let over = old.with_outage_over(at(60));
        assert_eq!(over.access(Tick(60)), Access::OnTrial);
        assert_eq!(over.with_outage_over(at(61)), over);
        let tried = old.with_trial(at(55)).with_outage_over(at(60));
        assert_eq!(tried.access(Tick(60)), Access::OnTrial);
        assert_eq!(tried.with_success(Source::Id, at(61)).passed(), 1);
        let own = opened(TimedOut);
        assert_eq!(own.with_outage_over(at(1)), own);
    }

    #[test]
    fn a_reset_leaves_a_ban_and_the_sequence() {
        let reset = opened(TimedOut).with_reset();
        assert!(!reset.is_penalised());
        assert_eq!(reset.sequence(), 1);
        let banned = opened(TimedOut).with_ban(Tick(50)).with_reset();
        assert_eq!(banned.access(Tick(49)), Access::Banned);
        assert_eq!(banned.access(Tick(50)), Access::Free);
    }

    #[test]
    fn a_ban_holds_whatever_happens_and_ends_at_its_tick() {
        let banned = Circuit::CLOSED.with_ban(Tick(50));
        assert_eq!(banned.with_failure(told(TimedOut), at(10)), banned);
        assert_eq!(banned.with_success(LATEST, at(10)), banned);
        assert_eq!(banned.access(Tick(49)), Access::Banned);
        assert_eq!(banned.access(Tick(50)), Access::Free);
        assert_eq!(banned.without_ban(Tick(20)).access(Tick(20)), Access::Free);
        let banned = opened(TimedOut).with_ban(Tick(50));
        assert_eq!(banned.access(Tick(50)), Access::OnTrial);
        let failed = banned.with_failure(told(TimedOut), at(60));
        assert_eq!(failed.access(Tick(61)), Access::BackingOff);
    }

    #[test]
    fn jitter_stays_within_a_quarter_and_the_bounds() {
        for jitter in [0, 1, 128, 255] {
            let back_off = BackOff { jitter, ..at(0) };
            assert!((10..=13).contains(&back_off.ticks(1)));
            assert!((60..=100).contains(&back_off.ticks(4)));
            assert!((4500..=6000).contains(&back_off.ticks(11)));
            assert!((0..=11).all(|level| back_off.ticks(level) <= back_off.most_ticks(level)));
            let failed = Circuit::CLOSED.with_failure(told(TimedOut), back_off);
            assert_eq!(failed.ejected_at(back_off), Tick(0));
        }
        let shortest = BackOff { jitter: 0, ..at(0) };
        assert_eq!(shortest.ticks(11), 4500, "also of the longest");
    }

    #[test]
    fn fields_do_not_touch_each_other_at_their_limits() {
        let last = Circuit::from_bits(u64::MAX).moved(State::Trial, LEVEL_MASK, Tick(u64::MAX));
        assert_eq!(last.state(), State::Trial);
        assert_eq!((last.passed(), last.level()), (PASSED_MASK, LEVEL_MASK));
        assert_eq!(u64::from(last.sequence()), SEQUENCE_MASK);
        assert_eq!(last.until(), Tick(UNTIL_MASK));
        assert!(!last.is_banned(Tick(0)));
        assert_eq!(last.with_ban(Tick(u64::MAX)).until(), Tick(UNTIL_MASK));
        let next = last.with_next_sequence();
        assert_eq!(next.sequence(), 0);
        assert_eq!((next.state(), next.level()), (State::Trial, LEVEL_MASK));
        let marked = Circuit::from_marked(last.marked(0x5a5a));
        assert_eq!(Circuit::mark_of(last.marked(0x5a5a)), 0x5a5a);
        assert_eq!((marked.state(), marked.level()), (State::Trial, LEVEL_MASK));
        assert_eq!(
            (marked.until(), marked.passed()),
            (last.until(), PASSED_MASK)
        );
    }
}
