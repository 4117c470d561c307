//! A registry, and the true state of its relays.

use crate::bars::Regrets;
use crate::common::*;
use crate::question::Question;
use fastrand::Rng;
use relay_registry::{Lease, NodeId, RelayInfo};
use std::time::Duration;

/// The true state of one relay.
#[derive(Clone, Debug)]
pub struct Relay {
    /// The round trip from this node, if it was measured.
    pub rtt_micros: Option<u32>,
    pub capacity: u32,
    pub load: u32,
    /// It left, drains, failed or is banned.
    pub is_out: bool,
}

/// The registry and the true state of its relays. Relay `n` is `id(n)`.
pub struct Scene {
    pub world: World,
    pub relays: Vec<Relay>,
    pub rng: Rng,
    leases: Vec<(u32, Lease)>,
}

impl Relay {
    pub fn new(rtt: Duration, capacity: u32) -> Self {
        Self {
            rtt_micros: Some(rtt.as_micros() as u32),
            capacity,
            load: 0,
            is_out: false,
        }
    }

    /// Somewhere within 300 ms beyond a nearest distance; one in twenty is not
    /// measured.
    fn anywhere(nearest_micros: u32, capacities: (u32, u32), rng: &mut Rng) -> Self {
        let micros = nearest_micros + rng.u32(0..300_000);
        Self {
            rtt_micros: (rng.u32(0..20) > 0).then_some(micros),
            capacity: rng.u32(capacities.0..=capacities.1),
            load: 0,
            is_out: false,
        }
    }
}

impl Scene {
    /// Idle relays at random distances. How near the nearest may be is random,
    /// too, so that the best scores lie anywhere within a bin.
    pub fn random(relays: usize, capacities: (u32, u32), seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let nearest = rng.u32(1_000..60_000);
        let relay = |_| Relay::anywhere(nearest, capacities, &mut rng);
        Self::of((0..relays).map(relay).collect(), seed)
    }

    /// These relays, merged into the registry's order.
    pub fn of(relays: Vec<Relay>, seed: u64) -> Self {
        // What the registry draws is the same in each run, too.
        fastrand::seed(seed);
        let room = relays.len() * 2 + 64;
        // So there are no last resorts.
        let world = world_with(|builder| builder.max_relays(room).max_ejected_share(1.0));
        let mut scene = Self {
            world,
            relays: Vec::with_capacity(relays.len()),
            rng: Rng::with_seed(!seed),
            leases: Vec::new(),
        };
        for relay in relays {
            scene.join(relay);
        }
        scene.world.maintain();
        scene
    }

    /// One more relay, which `maintain` has not merged yet.
    pub fn join(&mut self, relay: Relay) {
        let n = self.relays.len() as u32;
        self.world.join_with(n, &capacity(relay.capacity));
        if let Some(micros) = relay.rtt_micros {
            self.world.measure(n, Duration::from_micros(micros.into()));
        }
        self.relays.push(relay);
    }

    pub fn report(&mut self, n: u32, load: u32) {
        self.world.report(n, load);
        self.relays[n as usize].load = load;
    }

    /// Loads of other registries: around this share of the capacity, spread as widely as possible.
    pub fn load_from_elsewhere(&mut self, share: f64) {
        let spread = share.min(1.0 - share);
        for n in 0..self.relays.len() as u32 {
            let share = share + spread * (2.0 * self.rng.f64() - 1.0);
            let capacity = f64::from(self.relays[n as usize].capacity);
            self.report(n, (capacity * share) as u32);
        }
    }

    /// Removes all loads of other registries.
    pub fn unload(&mut self) {
        for n in 0..self.relays.len() as u32 {
            self.report(n, 0);
        }
    }

    /// Fills up to this share of all capacity by reservations, those that are
    /// held included, and replaces each session so often on average.
    pub fn settle(&mut self, share: f64, turnovers: usize, questions: &[Question]) {
        let capacity: u64 = self.relays.iter().map(|it| u64::from(it.capacity)).sum();
        let wanted = (capacity as f64 * share) as usize;
        while self.leases.len() < wanted {
            self.begin(questions);
        }
        for _ in 0..wanted * turnovers {
            self.end_one();
            self.begin(questions);
        }
    }

    fn begin(&mut self, questions: &[Question]) {
        let question = &questions[self.rng.usize(..questions.len())];
        let lease = self.world.reserve(&question.target, &question.options);
        self.hold(lease.expect("capacity is left"));
    }

    /// Keeps a lease that was just taken.
    pub fn hold(&mut self, lease: Lease) -> u32 {
        let n = number(lease.relay().node_id());
        self.relays[n as usize].load += 1;
        self.leases.push((n, lease));
        n
    }

    /// Ends a session drawn at random, if there is any.
    pub fn end_one(&mut self) {
        if !self.leases.is_empty() {
            let ended = self.rng.usize(..self.leases.len());
            let (n, lease) = self.leases.swap_remove(ended);
            drop(lease);
            self.relays[n as usize].load -= 1;
        }
    }

    /// Ends all sessions.
    pub fn end_all(&mut self) {
        while !self.leases.is_empty() {
            self.end_one();
        }
    }

    /// The numbers of the eligible relays and their scores, best first.
    pub fn ranking(&self, question: &Question) -> Vec<(u32, f64)> {
        let mut ranking: Vec<_> = self.scores(question).collect();
        ranking.sort_by(|one, other| one.1.total_cmp(&other.1));
        ranking
    }

    /// The least score there is.
    pub fn best(&self, question: &Question) -> f64 {
        let scores = self.scores(question).map(|(_, score)| score);
        let best = scores.min_by(f64::total_cmp);
        best.expect("one that may be handed out")
    }

    fn scores(&self, question: &Question) -> impl Iterator<Item = (u32, f64)> {
        let relays = (0..).zip(&self.relays);
        relays.filter_map(|(n, relay)| Some((n, question.score(n, relay)?)))
    }

    /// The score of a relay that was handed out, which must be eligible.
    #[track_caller]
    pub fn score_of(&self, question: &Question, relay: NodeId) -> f64 {
        let n = number(relay);
        let relay = &self.relays[n as usize];
        let score = question.score(n, relay);
        score.unwrap_or_else(|| panic!("handed out relay {n}, {relay:?}"))
    }

    /// The regret of a find.
    #[track_caller]
    pub fn find(&self, question: &Question) -> f64 {
        let best = self.best(question);
        let Question {
            target, options, ..
        } = question;
        let found = self.world.find_relay_with(target, options);
        self.score_of(question, found.expect("one will do").node_id()) / best
    }

    /// The regret of a reservation, and its lease.
    #[track_caller]
    pub fn reserve(&self, question: &Question) -> (f64, Lease) {
        let best = self.best(question);
        let lease = self.world.reserve(&question.target, &question.options);
        let lease = lease.expect("one will do");
        let score = self.score_of(question, lease.relay().node_id());
        (score / best, lease)
    }

    /// The relays of a list.
    pub fn list(&self, question: &Question) -> Vec<RelayInfo> {
        self.world.find_relays(&question.target, &question.options)
    }

    /// Regrets of so many finds, and of so many reservations that end at once.
    /// Questions that no relay meets are left out.
    pub fn measure(&self, questions: &[Question], calls: usize) -> Regrets {
        let can_be_met = |question: &&Question| self.scores(question).next().is_some();
        let questions: Vec<_> = questions.iter().filter(can_be_met).collect();
        let mut regrets = Regrets::default();
        for question in questions.iter().cycle().take(calls) {
            regrets.push(self.find(question));
            regrets.push(self.reserve(question).0);
        }
        regrets
    }

    /// The same while sessions come and go.
    pub fn measure_in_motion(&mut self, questions: &[Question], calls: usize) -> Regrets {
        let mut regrets = Regrets::default();
        for _ in 0..calls {
            self.end_one();
            let question = &questions[self.rng.usize(..questions.len())];
            regrets.push(self.find(question));
            let (regret, lease) = self.reserve(question);
            regrets.push(regret);
            self.hold(lease);
        }
        self.assert_true();
        regrets
    }

    /// The model and the registry agree on all loads.
    fn assert_true(&self) {
        for (n, relay) in (0..).zip(&self.relays).filter(|(_, it)| !it.is_out) {
            assert_eq!(self.world.load(n), relay.load, "the load of relay {n}");
        }
    }
}
