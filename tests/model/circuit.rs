//! Circuit breakers, as far as they are visible from outside: back-offs have a jitter of a quarter, so
//! between the earliest and the latest end only the registry knows whether a back-off is over.

use std::time::Duration;

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Refused,
    TimedOut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    Closed,
    Open,
    HalfOpen,
}

/// Whether failures and bans let a relay be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Free,
    OnTrial,
    BackingOff,
    Banned,
    /// On trial or backing off.
    Unknown,
}

/// How an outcome was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Id,
    /// Through a lease that was taken after this many failures.
    Lease(u64),
}

/// The circuit of one relay. A ban replaces a back-off.
#[derive(Clone, Debug)]
pub struct Circuit {
    trust: Trust,
    /// A caller has the relay on trial, and has not reported the outcome.
    is_tried: bool,
    level: u32,
    successes: u32,
    /// How many failures counted.
    failures: u64,
    /// The last failure was part of an outage of this node's network.
    is_in_outage: bool,
    /// For a back-off, the earliest and the latest tick of its end. For a closed circuit, since when it is
    /// closed. For a ban, its end.
    earliest: u64,
    latest: u64,
    is_banned: bool,
    /// When the current back-off began.
    pub since: u64,
    /// Since when the level decays.
    calm_since: u64,
}

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(600);
const FORGETTING: Duration = Duration::from_secs(60);
const SUSTAINED: u32 = 3;

impl Circuit {
    pub fn new() -> Self {
        Self {
            trust: Trust::Closed,
            is_tried: false,
            level: 0,
            successes: 0,
            failures: 0,
            is_in_outage: false,
            earliest: 0,
            latest: 0,
            is_banned: false,
            since: 0,
            calm_since: 0,
        }
    }

    pub fn access(&self, tick: u64) -> Access {
        match self.trust {
            _ if self.is_banned_at(tick) => Access::Banned,
            Trust::Closed => Access::Free,
            _ if tick < self.earliest => Access::BackingOff,
            _ if tick >= self.latest => Access::OnTrial,
            _ => Access::Unknown,
        }
    }

    pub fn is_banned_at(&self, tick: u64) -> bool {
        self.is_banned && tick < self.latest
    }

    /// The state that the registry shows; `None` if only the registry knows.
    pub fn trust(&self, tick: u64) -> Option<Trust> {
        match (self.trust, self.access(tick)) {
            (Trust::Open, Access::Unknown) => None,
            (Trust::Open, Access::OnTrial) => Some(Trust::HalfOpen),
            (trust, _) => Some(trust),
        }
    }

    /// Whether a caller has the relay on trial, and has not reported the outcome.
    pub fn is_tried(&self) -> bool {
        self.is_tried
    }

    /// How many failures have counted.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Whether it is backing off, or the next back-off would be longer than the first.
    pub fn is_penalised(&self) -> bool {
        self.trust != Trust::Closed || self.level > 0
    }

    /// Learns from an answer of the registry whether the back-off is over.
    pub fn observe(&mut self, tick: u64, is_backing_off: bool) {
        if is_backing_off {
            self.earliest = self.earliest.max(tick + 1);
        } else {
            self.latest = self.latest.min(tick);
        }
    }

    /// Whether a failure counts. If the circuit is open, it must be known whether the back-off is over.
    pub fn counts(&self, source: Source, tick: u64) -> bool {
        match (self.access(tick), self.trust) {
            (Access::Banned, _) | (Access::BackingOff, Trust::Open) => false,
            (Access::Unknown, Trust::Open) => panic!("not known"),
            (_, Trust::Closed) => true,
            _ => self.is_fresh(source),
        }
    }

    fn is_fresh(&self, source: Source) -> bool {
        match source {
            Source::Id => true,
            Source::Lease(failures) => failures == self.failures,
        }
    }

    /// Notes a failure that counts.
    pub fn fail(&mut self, fault: Fault, is_outage: bool, tick: u64, tick_length: Duration) {
        self.forget(tick, tick_length);
        self.level = match fault {
            _ if is_outage => self.level,
            Fault::Refused if self.level >= 6 => self.level,
            Fault::Refused => self.level + 1,
            Fault::TimedOut => (self.level + 2).min(11),
        };
        self.successes = 0;
        self.failures += 1;
        self.is_in_outage = is_outage;
        self.is_tried = false;
        self.back_off(Trust::Open, tick, tick_length);
    }

    /// Whether the success counts.
    pub fn succeed(&mut self, source: Source, tick: u64, tick_length: Duration) -> bool {
        let is_proof = match source {
            Source::Id => self.is_tried,
            Source::Lease(_) => self.is_fresh(source),
        };
        if self.trust == Trust::Closed || self.is_banned_at(tick) || !is_proof {
            return false;
        }
        self.successes += 1;
        self.trust = Trust::HalfOpen;
        self.is_tried = false;
        self.is_in_outage = false;
        self.end_at(tick);
        if self.successes == SUSTAINED {
            self.forget(tick, tick_length);
            self.successes = 0;
            self.level /= 2;
            self.trust = Trust::Closed;
        }
        true
    }

    /// A caller was handed the relay.
    pub fn hand_out(&mut self, tick: u64, tick_length: Duration) {
        if self.trust != Trust::Closed {
            self.forget(tick, tick_length);
            self.is_tried = true;
            self.back_off(Trust::HalfOpen, tick, tick_length);
        }
    }

    /// The outage is over. If the relay failed in it, it is on trial.
    pub fn end_outage(&mut self, tick: u64) {
        if self.is_in_outage && !self.is_banned_at(tick) {
            self.is_in_outage = false;
            self.trust = Trust::HalfOpen;
            self.end_at(tick);
        }
    }

    /// Forgets all failures, but no ban.
    pub fn reset(&mut self) {
        let failures = self.failures;
        let (is_banned, until) = (self.is_banned, self.latest);
        *self = Self::new();
        self.failures = failures;
        if is_banned {
            self.ban(until);
        }
    }

    /// What is kept when the relay leaves.
    pub fn leave(mut self) -> Self {
        self.is_in_outage = false;
        self
    }

    pub fn ban(&mut self, until: u64) {
        if self.trust != Trust::Closed {
            self.trust = Trust::HalfOpen;
        }
        self.is_tried = false;
        self.is_in_outage = false;
        self.end_at(until);
        self.is_banned = true;
    }

    pub fn lift_ban(&mut self, tick: u64) {
        if self.is_banned {
            self.end_at(tick);
        }
    }

    /// Each minute without a failure lowers the level by one; time in a back-off does not count.
    fn forget(&mut self, tick: u64, tick_length: Duration) {
        let calm_for = u128::from(tick.saturating_sub(self.calm_since)) * tick_length.as_nanos();
        let forgotten = calm_for / FORGETTING.as_nanos();
        self.level = self.level.saturating_sub(forgotten.min(99) as u32);
    }

    fn back_off(&mut self, trust: Trust, tick: u64, tick_length: Duration) {
        let nominal = (SHORTEST * (1 << self.level.saturating_sub(1))).min(LONGEST);
        let ticks = |length: Duration| {
            let length = length.clamp(SHORTEST, LONGEST);
            length.as_nanos().div_ceil(tick_length.as_nanos()) as u64
        };
        self.trust = trust;
        self.is_banned = false;
        self.since = tick;
        self.earliest = tick + ticks(nominal * 3 / 4);
        self.latest = tick + ticks(nominal * 5 / 4);
        self.calm_since = self.latest;
    }

    fn end_at(&mut self, tick: u64) {
        self.is_banned = false;
        (self.earliest, self.latest) = (tick, tick);
        self.calm_since = tick;
    }
}
