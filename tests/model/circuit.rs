//! When a relay is left alone after failures, as far as that can be told from outside: back-offs are
//! give or take a quarter, so between the earliest and the latest end of one only the registry knows.

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

/// What may be done with a relay, as far as its failures and bans go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Free,
    OnTrial,
    BackingOff,
    Banned,
    /// On trial or backing off.
    Unknown,
}

/// The circuit of one relay. A ban takes the place of a back-off.
#[derive(Clone, Debug)]
pub struct Circuit {
    trust: Trust,
    level: u32,
    successes: u32,
    /// The ticks between which the back-off ends; since when the circuit is closed; until when it is
    /// banned.
    earliest: u64,
    latest: u64,
    is_banned: bool,
    /// When the present back-off began.
    pub since: u64,
}

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(600);
const FORGETTING: Duration = Duration::from_secs(60);
const SUSTAINED: u32 = 3;

impl Circuit {
    pub fn new() -> Self {
        Self {
            trust: Trust::Closed,
            level: 0,
            successes: 0,
            earliest: 0,
            latest: 0,
            is_banned: false,
            since: 0,
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

    /// What is told of it; nothing where that is not to be known.
    pub fn trust(&self, tick: u64) -> Option<Trust> {
        match (self.trust, self.access(tick)) {
            (Trust::Open, Access::Unknown) => None,
            (Trust::Open, Access::OnTrial) => Some(Trust::HalfOpen),
            (trust, _) => Some(trust),
        }
    }

    /// Takes in what the registry gave away of a back-off.
    pub fn observe(&mut self, tick: u64, is_backing_off: bool) {
        if is_backing_off {
            self.earliest = self.earliest.max(tick + 1);
        } else {
            self.latest = self.latest.min(tick);
        }
    }

    /// Of an open circuit it must be known whether the back-off is over.
    pub fn fail(&mut self, fault: Fault, tick: u64, tick_length: Duration) {
        match self.access(tick) {
            Access::Banned => return,
            Access::BackingOff if self.trust == Trust::Open => return,
            Access::Unknown if self.trust == Trust::Open => panic!("not known"),
            _ => {}
        }
        if self.trust == Trust::Closed {
            let closed_for = tick_length.as_nanos() * u128::from(tick.saturating_sub(self.latest));
            let forgotten = closed_for / FORGETTING.as_nanos();
            self.level = self.level.saturating_sub(forgotten.min(99) as u32);
        }
        self.level = match fault {
            Fault::Refused if self.level >= 6 => self.level,
            Fault::Refused => self.level + 1,
            Fault::TimedOut => (self.level + 2).min(11),
        };
        self.successes = 0;
        self.back_off(Trust::Open, tick, tick_length);
    }

    pub fn succeed(&mut self, tick: u64) {
        if self.trust == Trust::Closed || self.is_banned_at(tick) {
            return;
        }
        self.successes += 1;
        self.trust = Trust::HalfOpen;
        if self.successes == SUSTAINED {
            self.successes = 0;
            self.trust = Trust::Closed;
        }
        self.end_at(tick);
    }

    /// Somebody was handed the relay.
    pub fn hand_out(&mut self, tick: u64, tick_length: Duration) {
        if self.trust != Trust::Closed {
            self.back_off(Trust::HalfOpen, tick, tick_length);
        }
    }

    pub fn ban(&mut self, until: u64) {
        self.end_at(until);
        self.is_banned = true;
    }

    pub fn lift_ban(&mut self, tick: u64) {
        if self.is_banned {
            self.end_at(tick);
        }
    }

    fn back_off(&mut self, trust: Trust, tick: u64, tick_length: Duration) {
        let nominal = (SHORTEST * (1 << (self.level - 1))).min(LONGEST);
        let ticks = |length: Duration| {
            let length = length.clamp(SHORTEST, LONGEST);
            length.as_nanos().div_ceil(tick_length.as_nanos()) as u64
        };
        self.trust = trust;
        self.is_banned = false;
        self.since = tick;
        self.earliest = tick + ticks(nominal * 3 / 4);
        self.latest = tick + ticks(nominal * 5 / 4);
    }

    fn end_at(&mut self, tick: u64) {
        self.is_banned = false;
        (self.earliest, self.latest) = (tick, tick);
    }
}
