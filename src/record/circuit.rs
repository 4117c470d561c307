//! The word that keeps a failing or banned relay from being handed out: a
//! circuit breaker (Nygard, *Release It!*, 2007), with outlier ejection's
//! growing back-off (Envoy).
//!
//! ```text
//!  63    62   61   60   58 57  54 53      39 38               0
//! +------+---------+------+-----+-----------+------------------+
//! |banned|  state  |passed|level|  unused   |      until       |
//! +------+---------+------+-----+-----------+------------------+
//! ```
//!
//! A circuit is *closed* while its relay works. A failure *opens* it until some
//! tick. From then on it is *half open*: one caller gets the relay, on trial,
//! and the next trial is a back-off later, unless the first succeeds. A failure
//! opens it again for longer; a few successes in a row close it. The level
//! says for how long a failure opens; it rises with each, and falls by one with
//! each minute that the circuit stays closed.
//!
//! A relay that refuses is alive, and may have room again any time: its level
//! rises by one, and not far. One that does not answer cost its caller much
//! more to find out: its level rises by two.
//!
//! A ban shares the word, for it ends at a tick as well. All changes are made
//! by compare-and-swap, so that of the reports of many callers on one fault
//! only the first counts, and of the callers that would try, one does.

use crate::relay::CircuitState;
use crate::time::Tick;
use std::fmt;

/// How an attempt to use a relay failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// The relay answered, and would not serve: it is full, or overloaded. It
    /// is left alone for 1 s, and for longer each time, up to half a minute.
    Refused,
    /// The relay did not answer, or broke off. It is left alone for 2 s, and
    /// for four times as long each time, up to 10 minutes.
    TimedOut,
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
pub(crate) enum Standing {
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
    Closed,
    Open,
    HalfOpen,
}

/// How long a relay is left alone, counted from now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BackOff {
    pub(crate) now: Tick,
    pub(crate) tick_nanos: u64,
    /// Between 0 and 255, fixed for one relay in one registry.
    pub(crate) jitter: u8,
}

const UNTIL_MASK: u64 = (1 << 39) - 1;
const LEVEL_SHIFT: u32 = 54;
const LEVEL_MASK: u64 = 0xf;
const PASSED_SHIFT: u32 = 58;
const PASSED_MASK: u64 = 0x7;
const STATE_SHIFT: u32 = 61;
const STATE_MASK: u64 = 0x3;
const BANNED: u64 = 1 << 63;
/// The unused bits.
const MARK_SHIFT: u32 = 39;

/// Successes in a row that close a circuit.
const SUSTAINED: u64 = 3;
/// Back-off at level `n` is `2^(n - 1)` seconds, up to the longest.
const LAST_LEVEL: u64 = 11;
const LAST_LEVEL_OF_REFUSALS: u64 = 6;
const SHORTEST_NANOS: u64 = 1_000_000_000;
const LONGEST_NANOS: u64 = 600 * SHORTEST_NANOS;
/// Time of being closed that takes one level off.
const NANOS_PER_LEVEL: u64 = 60 * SHORTEST_NANOS;

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

    /// What fits into the unused bits.
    pub(crate) const MARK_MASK: u64 = (1 << 15) - 1;

    /// The word with a mark in its unused bits.
    pub(crate) fn marked(self, mark: u64) -> u64 {
        self.0 | (mark & Self::MARK_MASK) << MARK_SHIFT
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
    pub(crate) fn standing(self, now: Tick) -> Standing {
        let until = self.until();
        match self.access(now) {
            Access::Free | Access::OnTrial => Standing::Free,
            Access::BackingOff => Standing::BackingOff { until },
            Access::Banned => Standing::Banned { until },
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

    /// Whether it is open or half open.
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
            State::Open | State::HalfOpen => CircuitState::HalfOpen,
        }
    }

    /// When the present back-off began; meaningful while it lasts.
    pub(crate) fn ejected_at(self, back_off: BackOff) -> Tick {
        let span = back_off.ticks(self.level());
        Tick(self.until().0.saturating_sub(span))
    }

    /// After a failure. Those of attempts that were under way when the circuit
    /// opened change nothing, nor do any during a ban.
    pub(crate) fn with_failure(self, failure: Failure, back_off: BackOff) -> Self {
        match self.access(back_off.now) {
            Access::Banned => return self,
            Access::BackingOff if self.state() == State::Open => return self,
            _ => {}
        }
        let level = match self.state() {
            State::Closed => self.decayed_level(back_off),
            State::Open | State::HalfOpen => self.level(),
        };
        let level = match failure {
            Failure::Refused => (level + 1).min(LAST_LEVEL_OF_REFUSALS).max(level),
            Failure::TimedOut => (level + 2).min(LAST_LEVEL),
        };
        Self::new(State::Open, 0, level, back_off.end(level))
    }

    /// After a success. One that comes while the circuit is open is a sign of
    /// life, and ends the back-off.
    pub(crate) fn with_success(self, back_off: BackOff) -> Self {
        let now = back_off.now;
        if self.state() == State::Closed || self.is_banned(now) {
            return self;
        }
        match self.passed() + 1 {
            SUSTAINED.. => Self::new(State::Closed, 0, self.level(), now),
            passed => Self::new(State::HalfOpen, passed, self.level(), now),
        }
    }

    /// With a trial under way; only where [`Access::OnTrial`] says so.
    pub(crate) fn with_trial(self, back_off: BackOff) -> Self {
        let level = self.level();
        Self::new(State::HalfOpen, self.passed(), level, back_off.end(level))
    }

    /// Kept from being handed out up to a tick, whatever else becomes of it.
    pub(crate) fn with_ban(self, until: Tick) -> Self {
        Self(self.0 & !UNTIL_MASK | BANNED | until.0.min(UNTIL_MASK))
    }

    /// Without its ban. A circuit that was open before is half open.
    pub(crate) fn without_ban(self, now: Tick) -> Self {
        if self.0 & BANNED == 0 {
            return self;
        }
        Self(self.0 & !(BANNED | UNTIL_MASK) | now.0.min(UNTIL_MASK))
    }

    fn new(state: State, passed: u64, level: u64, until: Tick) -> Self {
        let state = state as u64;
        Self(
            state << STATE_SHIFT
                | passed << PASSED_SHIFT
                | level << LEVEL_SHIFT
                | until.0.min(UNTIL_MASK),
        )
    }

    #[inline]
    fn state(self) -> State {
        match self.0 >> STATE_SHIFT & STATE_MASK {
            0 => State::Closed,
            1 => State::Open,
            _ => State::HalfOpen,
        }
    }

    fn passed(self) -> u64 {
        self.0 >> PASSED_SHIFT & PASSED_MASK
    }

    fn level(self) -> u64 {
        self.0 >> LEVEL_SHIFT & LEVEL_MASK
    }

    /// What is left of the level after the time since the circuit closed.
    fn decayed_level(self, back_off: BackOff) -> u64 {
        let closed_for = back_off.now.0.saturating_sub(self.until().0);
        let closed_nanos = closed_for.saturating_mul(back_off.tick_nanos);
        self.level().saturating_sub(closed_nanos / NANOS_PER_LEVEL)
    }
}

impl BackOff {
    /// The length of a back-off: that of its level, give or take a quarter,
    /// so that those who learnt of a fault together do not return together.
    fn ticks(self, level: u64) -> u64 {
        let nominal = (SHORTEST_NANOS << level.saturating_sub(1)).min(LONGEST_NANOS);
        let jittered = nominal / 512 * (384 + u64::from(self.jitter));
        jittered
            .clamp(SHORTEST_NANOS, LONGEST_NANOS)
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
            .field("until", &self.until())
            .finish()
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    fn at(tick: u64) -> BackOff {
        BackOff {
            now: Tick(tick),
            tick_nanos: 100_000_000,
            jitter: 128,
        }
    }

    fn open_until(circuit: Circuit) -> u64 {
        assert_eq!(circuit.state(), State::Open);
        circuit.until().0
    }

    /// Fails each trial as soon as it may be made; how long each back-off was.
    fn back_offs(failure: Failure, count: usize) -> Vec<u64> {
        let mut circuit = Circuit::CLOSED;
        let mut now = 100;
        let mut lengths = Vec::new();
        for _ in 0..count {
            circuit = circuit.with_failure(failure, at(now));
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
            back_offs(Failure::TimedOut, 7),
            [20, 80, 320, 1280, 5120, 6000, 6000]
        );
        assert_eq!(
            back_offs(Failure::Refused, 8),
            [10, 20, 40, 80, 160, 320, 320, 320]
        );
    }

    #[test]
    fn a_refusal_does_not_shorten_what_silence_earned() {
        let silent = Circuit::from_bits(Circuit::new(State::Open, 0, 9, Tick(5)).bits());
        let refused = silent.with_failure(Failure::Refused, at(5));
        assert_eq!(refused.level(), 9);
    }

    #[test]
    fn failures_of_one_fault_count_once() {
        let once = Circuit::CLOSED.with_failure(Failure::TimedOut, at(0));
        assert_eq!(once.with_failure(Failure::TimedOut, at(3)), once);
    }

    #[test]
    fn a_trial_is_made_once_per_back_off() {
        let open = Circuit::CLOSED.with_failure(Failure::Refused, at(0));
        let tried = open.with_trial(at(10));
        assert_eq!(tried.access(Tick(19)), Access::BackingOff);
        assert_eq!(tried.access(Tick(20)), Access::OnTrial);
    }

    #[test]
    fn only_sustained_success_closes() {
        let mut circuit = Circuit::CLOSED.with_failure(Failure::TimedOut, at(0));
        for now in [20, 21, 22] {
            assert_eq!(circuit.access(Tick(now)), Access::OnTrial);
            circuit = circuit.with_trial(at(now));
            assert_eq!(circuit.access(Tick(now)), Access::BackingOff);
            circuit = circuit.with_success(at(now));
        }
        assert!(!circuit.is_failing());
        assert_eq!(circuit.access(Tick(22)), Access::Free);
        let relapsed = circuit.with_success(at(23));
        assert_eq!(relapsed, circuit, "a closed circuit is not written");
    }

    #[test]
    fn a_failure_among_successes_starts_over() {
        let open = Circuit::CLOSED.with_failure(Failure::Refused, at(0));
        let nearly = open.with_success(at(10)).with_success(at(11));
        let again = nearly
            .with_trial(at(11))
            .with_failure(Failure::Refused, at(12));
        assert_eq!((again.passed(), again.level()), (0, 2));
    }

    #[test]
    fn a_sign_of_life_ends_the_back_off() {
        let open = Circuit::CLOSED.with_failure(Failure::TimedOut, at(0));
        assert_eq!(open.access(Tick(1)), Access::BackingOff);
        assert_eq!(open.with_success(at(1)).access(Tick(1)), Access::OnTrial);
    }

    #[test]
    fn penalties_decay_by_a_level_a_minute() {
        let closed = Circuit::new(State::Closed, 0, 5, Tick(1_000));
        for (minutes, level) in [(0, 7), (1, 6), (4, 3), (5, 2), (99, 2)] {
            let failed = closed.with_failure(Failure::TimedOut, at(1_000 + minutes * 600));
            assert_eq!(failed.level(), level, "after {minutes} minutes");
        }
    }

    #[test]
    fn a_ban_holds_whatever_happens_and_ends_at_its_tick() {
        let banned = Circuit::CLOSED.with_ban(Tick(50));
        assert_eq!(banned.with_failure(Failure::TimedOut, at(10)), banned);
        assert_eq!(banned.with_success(at(10)), banned);
        assert_eq!(banned.access(Tick(49)), Access::Banned);
        assert_eq!(banned.access(Tick(50)), Access::Free);
        assert_eq!(banned.without_ban(Tick(20)).access(Tick(20)), Access::Free);
        let failing = Circuit::CLOSED.with_failure(Failure::TimedOut, at(0));
        let banned = failing.with_ban(Tick(50));
        assert_eq!(banned.access(Tick(50)), Access::OnTrial);
        let failed = banned.with_failure(Failure::TimedOut, at(60));
        assert_eq!(failed.access(Tick(61)), Access::BackingOff);
    }

    #[test]
    fn jitter_stays_within_a_quarter_and_the_bounds() {
        for jitter in [0, 1, 128, 255] {
            let back_off = BackOff { jitter, ..at(0) };
            assert!((10..=13).contains(&back_off.ticks(1)));
            assert!((60..=100).contains(&back_off.ticks(4)));
            assert!((4500..=6000).contains(&back_off.ticks(11)));
            let failed = Circuit::CLOSED.with_failure(Failure::TimedOut, back_off);
            assert_eq!(failed.ejected_at(back_off), Tick(0));
        }
        let shortest = BackOff { jitter: 0, ..at(0) };
        assert_eq!(shortest.ticks(11), 4500, "also of the longest");
    }

    #[test]
    fn fields_do_not_touch_each_other_at_their_limits() {
        let last = Circuit::new(State::HalfOpen, PASSED_MASK, LEVEL_MASK, Tick(u64::MAX));
        assert_eq!(last.state(), State::HalfOpen);
        assert_eq!((last.passed(), last.level()), (PASSED_MASK, LEVEL_MASK));
        assert_eq!(last.until(), Tick(UNTIL_MASK));
        assert!(!last.is_banned(Tick(0)));
        assert_eq!(last.with_ban(Tick(u64::MAX)).until(), Tick(UNTIL_MASK));
    }
}
