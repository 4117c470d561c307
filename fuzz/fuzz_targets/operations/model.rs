//! A registry as plain as can be: a map, and a time that moves when told to.
//!
//! A relay past its deadline is gone at once. Figures that the registry
//! may choose within bounds (the window of round trips) are taken from it once
//! they were seen to lie within them.

use crate::operations::{Address, Asked, Declared};
use relay_registry::{
    AddressPolicy, Endpoint, LeaseError, MAX_CAPACITY, MAX_RTT, NatType, NodeId, RegisterError,
    Registration, RelayInfo,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The last tick that can be a deadline.
const LAST_DEADLINE: u64 = (1 << 37) - 3;

/// So many ticks, at most, a relay that lapsed is remembered for less than its grace.
const SLACK: u64 = 8;

/// What a registration came to; errors by what tells them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done(Registration),
    Refused(RegisterError),
    Full { max: usize },
    NotReachable { nat: NatType },
    InvalidCapacity { capacity: u32 },
    InvalidTtl { ttl: Duration },
    InvalidLatency { latency: Duration },
}

impl From<Result<Registration, RegisterError>> for Outcome {
    fn from(result: Result<Registration, RegisterError>) -> Self {
        match result {
            Ok(registration) => Self::Done(registration),
            Err(RegisterError::Full { max, .. }) => Self::Full { max },
            Err(RegisterError::NotReachable { nat, .. }) => Self::NotReachable { nat },
            Err(RegisterError::InvalidCapacity { capacity, .. }) => {
                Self::InvalidCapacity { capacity }
            }
            Err(RegisterError::InvalidTtl { ttl, .. }) => Self::InvalidTtl { ttl },
            Err(RegisterError::InvalidLatency { latency, .. }) => Self::InvalidLatency { latency },
            Err(other) => Self::Refused(other),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Relay {
    /// Tells the lives of one id apart.
    pub life: u64,
    endpoint: Endpoint,
    is_private: bool,
    capacity: u32,
    leases: u32,
    reported: u32,
    nat: Option<NatType>,
    ttl: Duration,
    deadline: u64,
    registered_at: u64,
    is_draining: bool,
    /// When a round trip was told, in nanoseconds, and what it was.
    seed: Option<(u64, Duration)>,
    /// When round trips were measured, in nanoseconds, and what they were.
    samples: Vec<(u64, Duration)>,
    /// What the registry made of that.
    latency: Option<Duration>,
}

impl Relay {
    fn load(&self) -> u32 {
        self.leases + self.reported
    }

    /// Lower is better; for a path of this length.
    fn score(&self, path: Duration) -> f64 {
        let utilisation = f64::from(self.load()) / f64::from(self.capacity);
        path.as_secs_f64() / (1.0 - utilisation.powi(4))
    }

    /// The least and the most that the latency can be: a sample counts for at
    /// least 200 seconds and at most 300 before the latest one.
    fn latency_bounds(&self) -> Option<(Duration, Duration)> {
        let Some(&(latest, _)) = self.samples.last() else {
            return self.seed.map(|(_, told)| (told, told));
        };
        let least_within = |seconds: u64| {
            let since = latest.saturating_sub(seconds * 1_000_000_000);
            let within = self.samples.iter().filter(|&&(at, _)| at >= since);
            within.map(|&(_, rtt)| rtt).min().expect("the latest")
        };
        Some((least_within(300), least_within(200)))
    }
}

/// The default lifetime of a round trip.
const RTT_LIFETIME: u64 = 3_600_000_000_000;
const SECOND: u64 = 1_000_000_000;

impl Relay {
    fn forget_rtt(&mut self) {
        self.seed = None;
        self.samples.clear();
        self.latency = None;
    }

    /// To the second; whether there was a round trip that has lapsed.
    fn forget_lapsed(&mut self, now: u64) -> bool {
        let measured = self.samples.last().map(|&(at, _)| at);
        let latest = measured.or(self.seed.map(|(at, _)| at));
        let oldest = now.saturating_sub(RTT_LIFETIME) / SECOND;
        let has_lapsed = latest.is_some_and(|at| at / SECOND < oldest);
        if has_lapsed {
            self.forget_rtt();
        }
        has_lapsed
    }
}

/// A relay that left or lapsed.
#[derive(Debug)]
struct Gone {
    relay: Relay,
    /// The tick up to which it is remembered.
    until: u64,
    has_lapsed: bool,
}

#[derive(Debug)]
pub struct Model {
    /// By default a relay's own TTL.
    pub return_grace: Option<Duration>,
    gone: BTreeMap<NodeId, Gone>,
    draining: BTreeSet<NodeId>,
    pub max_relays: usize,
    pub policy: AddressPolicy,
    pub local: Option<NodeId>,
    pub assumed_rtt: Duration,
    pub ttl: Duration,
    pub tick_len: Duration,
    pub relays: BTreeMap<NodeId, Relay>,
    /// Nanoseconds since the registry was built.
    pub now: u64,
    tick: u64,
    pub lives: u64,
    pub expired: u64,
    /// Whether no round trip changed since the last housekeeping pass.
    pub is_sorted: bool,
    /// Whether a round trip has lapsed since the last housekeeping pass.
    pub has_lapsed: bool,
}

impl Model {
    pub fn new(max_relays: usize, ttl: Duration, tick_len: Duration) -> Self {
        Self {
            return_grace: None,
            gone: BTreeMap::new(),
            draining: BTreeSet::new(),
            max_relays,
            policy: AddressPolicy::Any,
            local: None,
            assumed_rtt: Duration::from_millis(100),
            ttl,
            tick_len,
            relays: BTreeMap::new(),
            now: 0,
            tick: 0,
            lives: 0,
            expired: 0,
            is_sorted: true,
            has_lapsed: false,
        }
    }

    pub fn raise_tick(&mut self) {
        self.tick = self.now / nanos(self.tick_len);
        let due = self
            .relays
            .iter()
            .filter(|(_, relay)| relay.deadline <= self.tick);
        for id in due.map(|(id, _)| *id).collect::<Vec<_>>() {
            let relay = self.relays.remove(&id).expect("just seen");
            let deadline = relay.deadline;
            self.remember(id, relay, deadline, true);
            self.expired += 1;
        }
        let now = self.tick.saturating_mul(nanos(self.tick_len));
        for relay in self.relays.values_mut() {
            self.has_lapsed |= relay.forget_lapsed(now);
        }
    }

    fn remember(&mut self, id: NodeId, relay: Relay, since: u64, has_lapsed: bool) {
        let grace = nanos(self.return_grace.unwrap_or(relay.ttl));
        let until = since.saturating_add(grace.div_ceil(nanos(self.tick_len)));
        let gone = Gone {
            relay,
            until: until.min(LAST_DEADLINE),
            has_lapsed,
        };
        self.gone.insert(id, gone);
    }

    pub fn unregister(&mut self, id: &NodeId) -> bool {
        let Some(relay) = self.relays.remove(id) else {
            return false;
        };
        self.remember(*id, relay, self.tick, false);
        true
    }

    /// A relay that is held, or was.
    fn known(&mut self, id: &NodeId) -> Option<&mut Relay> {
        let gone = self.gone.get_mut(id).map(|gone| &mut gone.relay);
        self.relays.get_mut(id).or(gone)
    }

    fn deadline(&self, ttl: Duration) -> Option<u64> {
        let at = self.now.checked_add(nanos(ttl))?;
        let deadline = at.div_ceil(nanos(self.tick_len));
        (deadline <= LAST_DEADLINE).then_some(deadline)
    }

    pub fn renew(&mut self, id: &NodeId) -> bool {
        let ttl = self.relays.get(id).map(|relay| relay.ttl);
        let Some(deadline) = ttl.and_then(|ttl| self.deadline(ttl)) else {
            return false;
        };
        let relay = self.relays.get_mut(id).expect("just seen");
        relay.deadline = deadline;
        true
    }

    /// `is_new` is what the registry answers, where a relay that lapsed may just be
    /// remembered or not.
    pub fn register(
        &mut self,
        id: NodeId,
        address: Address,
        declared: &Declared,
        is_new: bool,
    ) -> Outcome {
        if let Err(refusal) = self.check(address, declared) {
            return refusal;
        }
        self.raise_tick();
        let gone = self.gone.get(&id).filter(|gone| {
            let may_be_new = gone.has_lapsed && self.tick + SLACK >= gone.until && is_new;
            self.tick < gone.until && !may_be_new
        });
        let is_remembered = gone.is_some();
        let lapsed = gone.filter(|gone| gone.has_lapsed).map(|gone| &gone.relay);
        let held = self.relays.get(&id);
        let told = held.or(lapsed);
        let nat = declared.nat().or(told.and_then(|relay| relay.nat));
        if let Some(nat) = unreachable(address, nat) {
            return Outcome::NotReachable { nat };
        }
        if held.is_none() && self.relays.len() == self.max_relays {
            let max = self.max_relays;
            return Outcome::Full { max };
        }
        let ttl = declared.ttl(self.tick_len).or(told.map(|relay| relay.ttl));
        let ttl = ttl.unwrap_or(self.ttl);
        let Some(deadline) = self.deadline(ttl) else {
            return Outcome::Refused(RegisterError::ClockExhausted);
        };
        let registration = match (held, is_remembered) {
            (Some(_), _) => Registration::Renewed,
            (None, true) => Registration::Returned,
            (None, false) => Registration::New,
        };
        self.lives += 1;
        let mut fresh = Relay {
            life: self.lives,
            endpoint: address.endpoint(),
            is_private: address.is_private(),
            capacity: told.map_or(100, |relay| relay.capacity),
            leases: 0,
            reported: 0,
            nat,
            ttl,
            deadline,
            registered_at: self.now,
            is_draining: self.draining.contains(&id),
            seed: None,
            samples: Vec::new(),
            latency: None,
        };
        if let Some(Gone { relay, .. }) = self.gone.remove(&id) {
            (fresh.life, fresh.leases) = (relay.life, relay.leases);
            if is_remembered {
                fresh.reported = relay.reported;
                fresh.seed = relay.seed;
                fresh.samples = relay.samples;
                fresh.latency = relay.latency;
                fresh.forget_lapsed(self.tick.saturating_mul(nanos(self.tick_len)));
            }
        }
        let lives = self.lives;
        let relay = self.relays.entry(id).or_insert(fresh);
        if declared.restarted {
            (relay.life, relay.leases, relay.reported) = (lives, 0, 0);
        }
        relay.endpoint = address.endpoint();
        relay.is_private = address.is_private();
        relay.capacity = declared.capacity().unwrap_or(relay.capacity);
        (relay.nat, relay.ttl, relay.deadline) = (nat, ttl, deadline);
        if let Some(latency) = declared.latency(self.tick_len) {
            if relay.samples.is_empty() {
                relay.seed = Some((self.now, to_micros(latency)));
                relay.latency = Some(to_micros(latency));
            }
            self.is_sorted &= registration != Registration::Renewed;
        }
        Outcome::Done(registration)
    }

    /// What is wrong whatever is held.
    fn check(&self, address: Address, declared: &Declared) -> Result<(), Outcome> {
        if let Some(error) = address.error(self.policy) {
            return Err(Outcome::Refused(RegisterError::InvalidEndpoint(error)));
        }
        if let Some(nat) = unreachable(address, declared.nat()) {
            return Err(Outcome::NotReachable { nat });
        }
        if let Some(capacity) = declared.capacity()
            && !(1..=MAX_CAPACITY).contains(&capacity)
        {
            return Err(Outcome::InvalidCapacity { capacity });
        }
        if let Some(ttl) = declared.ttl(self.tick_len)
            && !is_countable(ttl, self.tick_len)
        {
            return Err(Outcome::InvalidTtl { ttl });
        }
        if let Some(latency) = declared.latency(self.tick_len)
            && !is_sane(latency)
        {
            return Err(Outcome::InvalidLatency { latency });
        }
        Ok(())
    }

    pub fn lease(&mut self, id: &NodeId) -> Result<u64, LeaseError> {
        let relay = self.relays.get_mut(id).ok_or(LeaseError::UnknownRelay)?;
        if relay.is_draining {
            return Err(LeaseError::Draining);
        }
        assert!(relay.load() < relay.capacity, "full: see the caller");
        relay.leases += 1;
        Ok(relay.life)
    }

    pub fn is_full(&self, id: &NodeId) -> bool {
        let relay = self.relays.get(id);
        relay.is_some_and(|relay| !relay.is_draining && relay.load() >= relay.capacity)
    }

    pub fn release(&mut self, id: &NodeId, life: u64) {
        if let Some(relay) = self.known(id).filter(|relay| relay.life == life) {
            relay.leases -= 1;
        }
    }

    pub fn record_rtt(&mut self, id: &NodeId, rtt: Duration) -> bool {
        let at = self.tick.saturating_mul(nanos(self.tick_len));
        let relay = self.relays.get_mut(id).filter(|_| is_sane(rtt));
        if let Some(relay) = relay {
            relay.samples.push((at, to_micros(rtt)));
            self.is_sorted = false;
            return true;
        }
        false
    }

    pub fn forget_rtt(&mut self, id: &NodeId) -> bool {
        let is_held = self.relays.contains_key(id);
        self.is_sorted &= !is_held;
        if let Some(relay) = self.known(id) {
            relay.forget_rtt();
        }
        is_held
    }

    pub fn forget_rtts(&mut self) {
        let gone = self.gone.values_mut().map(|gone| &mut gone.relay);
        self.relays
            .values_mut()
            .chain(gone)
            .for_each(Relay::forget_rtt);
        self.is_sorted = false;
    }

    pub fn report_load(&mut self, id: &NodeId, total: u32) -> bool {
        let relay = self.relays.get_mut(id);
        relay.is_some_and(|relay| {
            relay.reported = total.saturating_sub(relay.leases).min(MAX_CAPACITY);
            true
        })
    }

    pub fn report_load_of_others(&mut self, id: &NodeId, others: u32) -> bool {
        let relay = self.relays.get_mut(id);
        relay.is_some_and(|relay| {
            relay.reported = others;
            true
        })
    }

    /// Whether it was draining before.
    pub fn set_draining(&mut self, id: &NodeId, draining: bool) -> bool {
        if let Some(relay) = self.relays.get_mut(id) {
            relay.is_draining = draining;
        }
        match draining {
            true => !self.draining.insert(*id),
            false => self.draining.remove(id),
        }
    }

    /// Scores, ascending, and ids of the relays that may be handed out.
    pub fn eligible(&self, target: &NodeId, asked: &Asked) -> Vec<(f64, NodeId)> {
        let (requester, peer) = asked.pair().unwrap_or_default();
        let first_leg = |id: &NodeId, relay: &Relay| match requester {
            Some(requester) => requester.rtt_to(id),
            None => relay.latency,
        };
        let assumed_rtt = to_micros(self.assumed_rtt);
        let path = |id: &NodeId, relay: &Relay| {
            let second_leg = peer.and_then(|peer| peer.rtt_to(id));
            first_leg(id, relay).unwrap_or(assumed_rtt) + second_leg.unwrap_or(assumed_rtt)
        };
        let is_eligible = |id: &NodeId, relay: &Relay| {
            let is_near = match (asked.max_latency(self.tick_len), first_leg(id, relay)) {
                (None, _) => true,
                (Some(most), Some(latency)) => latency <= most,
                (Some(_), None) => asked.allow_unmeasured,
            };
            id != target
                && Some(*id) != self.local
                && asked.excluded().all(|excluded| excluded != *id)
                && relay.load() < relay.capacity
                && !relay.is_draining
                && is_near
        };
        let mut eligible: Vec<_> = self
            .relays
            .iter()
            .filter(|(id, relay)| is_eligible(id, relay))
            .map(|(id, relay)| (relay.score(path(id, relay)), *id))
            .collect();
        eligible.sort_by(|a, b| a.0.total_cmp(&b.0));
        eligible
    }

    /// Judges what the registry says of a relay, and takes in its latency.
    pub fn compare(&mut self, id: &NodeId, info: Option<&RelayInfo>) {
        let relay = self.relays.get_mut(id);
        let (relay, info) = match (relay, info) {
            (None, None) => return,
            (Some(relay), Some(info)) => (relay, info),
            (relay, info) => panic!("{id}: {relay:?}, but the registry has {info:?}"),
        };
        assert_eq!(info.node_id(), *id);
        assert_eq!(info.endpoint(), &relay.endpoint);
        assert_eq!(info.capacity(), relay.capacity);
        assert_eq!(info.current_load(), relay.load());
        assert_eq!(info.nat(), relay.nat);
        assert_eq!(info.is_draining(), relay.is_draining);
        let lifetime = info.expires_at().duration_since(info.registered_at());
        let expires_at = relay.deadline.saturating_mul(nanos(self.tick_len));
        let expected = Duration::from_nanos(expires_at - relay.registered_at);
        assert_eq!(lifetime.ok(), Some(expected), "{id}: a deadline");
        match (relay.latency_bounds(), info.latency()) {
            (None, None) => {}
            (Some((least, most)), Some(latency)) if (least..=most).contains(&latency) => {}
            (bounds, latency) => panic!("{id}: {latency:?} is not within {bounds:?}"),
        }
        relay.latency = info.latency();
    }
}

/// The declared NAT, if it means that strangers cannot reach the relay.
fn unreachable(address: Address, nat: Option<NatType>) -> Option<NatType> {
    nat.filter(|&nat| !nat.can_relay() || nat == NatType::PublicIp && address.is_private())
}

pub fn is_countable(ttl: Duration, tick: Duration) -> bool {
    let is_told = ttl.as_nanos() < u64::MAX.into();
    is_told && ttl >= tick && ttl.as_nanos() / tick.as_nanos() <= u128::from(LAST_DEADLINE / 2)
}

pub fn is_sane(rtt: Duration) -> bool {
    rtt <= MAX_RTT
}

fn to_micros(rtt: Duration) -> Duration {
    Duration::from_micros((rtt.as_nanos().div_ceil(1_000) as u64).max(1))
}

pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
