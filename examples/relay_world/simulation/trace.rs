//! What the page shows of a simulation: the load of each relay over time, where sessions went, and one
//! decision in detail. Nothing here draws a random number of the simulation.

use fastrand::Rng;
use relay_registry::{Explanation, FindOptions};

use super::queue::{Micros, SECOND};
use super::truth::{Meter, TrueRelay};
use super::{Event, Simulation};

/// How often the load is sampled, over the whole simulation.
pub const SAMPLES: u64 = 120;
/// Of so many random pairs the one is explained in which the load made the greatest difference.
pub const PAIRS: usize = 200;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trace {
    pub samples: Vec<Sample>,
    /// Sessions that began after the warm-up: for each embedding node, how many on each relay.
    pub sessions: Vec<Vec<u64>>,
    pub decision: Option<Decision>,
    /// For each relay, what was measured after the warm-up.
    pub meters: Vec<Meter>,
}

/// The relays at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub seconds: f64,
    /// Load over capacity; `None` for a relay that is not up.
    pub utilisation: Vec<Option<f32>>,
}

/// What a registry would choose for one pair, at the end of the simulation, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    pub home: usize,
    pub target: usize,
    pub explanation: Explanation,
}

impl Trace {
    pub fn new(homes: usize, relays: usize) -> Self {
        Self {
            sessions: vec![vec![0; relays]; homes],
            ..Self::default()
        }
    }

    /// Forgets the sessions of the warm-up.
    pub fn start_measuring(&mut self) {
        for of_home in &mut self.sessions {
            of_home.fill(0);
        }
    }
}

impl Simulation<'_> {
    pub(super) fn sample(&mut self) {
        let utilisation = |relay: &TrueRelay| {
            relay
                .is_up()
                .then(|| relay.load() as f32 / relay.capacity as f32)
        };
        self.trace.samples.push(Sample {
            seconds: self.now as f64 / SECOND as f64,
            utilisation: self.relays.iter().map(utilisation).collect(),
        });
        self.after(self.sample_interval(), Event::Sample);
    }

    pub(super) fn sample_interval(&self) -> f64 {
        let interval: Micros = (self.args.seconds * SECOND).div_ceil(SAMPLES);
        interval as f64 / SECOND as f64
    }

    /// Of many random pairs the one in which the load made the greatest difference. Without load, the
    /// relay with the shortest expected path would be chosen.
    pub(super) fn decide(&self) -> Option<Decision> {
        let mut rng = Rng::with_seed(self.args.seed.rotate_left(2));
        let pairs = (0..PAIRS).map(|_| {
            let home = rng.usize(..self.world.homes.len());
            let target = self.world.random_target(self.world.homes[home], &mut rng);
            (home, target)
        });
        let decisions = pairs.map(|(home, target)| self.explain(home, target));
        let order = |one: &Decision, other: &Decision| {
            difference_by_load(&one.explanation).total_cmp(&difference_by_load(&other.explanation))
        };
        decisions.max_by(order)
    }

    fn explain(&self, home: usize, target: usize) -> Decision {
        let mut options = FindOptions::new().max_results(1);
        if let Some(view) = self.view_of(target) {
            options = options.target_view(view);
        }
        let explanation = self.registries[home].explain(&self.world.id(target), &options);
        Decision {
            home,
            target,
            explanation,
        }
    }
}

/// The score of the eligible relay with the shortest expected path, divided by that of the chosen one.
fn difference_by_load(explanation: &Explanation) -> f64 {
    let chosen = explanation.chosen().next();
    let nearest = explanation
        .relays()
        .iter()
        .take(explanation.eligible())
        .min_by_key(|relay| relay.path());
    match (nearest, chosen) {
        (Some(nearest), Some(chosen)) => nearest.score_ms() / chosen.score_ms(),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::tests::{args, simulate};

    #[test]
    fn the_trace_covers_the_whole_run_and_every_session() {
        let outcome = simulate(&args(1, 0.6));
        let Trace {
            samples,
            sessions,
            decision,
            meters,
        } = outcome.trace;
        let mut sum = Meter::default();
        meters.into_iter().for_each(|of_relay| sum.add(of_relay));
        assert_eq!(sum, outcome.meter);
        assert_eq!(samples.len() as u64, SAMPLES);
        assert!(
            samples
                .windows(2)
                .all(|two| two[0].seconds < two[1].seconds)
        );
        let began: u64 = sessions.iter().flatten().sum();
        assert_eq!(began, outcome.requests.made - outcome.requests.refused);
        let decision = decision.unwrap();
        assert_eq!(decision.explanation.chosen().count(), 1);
        assert!(difference_by_load(&decision.explanation) >= 1.0);
    }
}
