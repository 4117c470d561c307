//! The states in which the regret is measured.

use crate::bars::Regrets;
use crate::question::Question;
use crate::scene::Scene;

/// The origin of the load, and how much there is.
#[derive(Clone, Copy, Debug)]
pub enum State {
    Idle,
    /// Reported from elsewhere, at this share of the capacity on average.
    Elsewhere(f64),
    /// Made by the registry's own reservations, at this share of all capacity.
    Equilibrium(f64),
}

pub const SIZES: [usize; 10] = [2, 3, 10, 50, 64, 65, 100, 257, 1_000, 2_000];
pub const LARGE: usize = 100_000;

/// How many instances a figure is over, and how many calls each is asked.
pub const fn extent(relays: usize) -> (u64, usize) {
    match relays {
        0..=10 => (40, 12),
        11..=300 => (16, 25),
        301..=10_000 => (4, 60),
        _ => (2, 60),
    }
}

/// The least and the most capacity of a relay: small where it takes long to fill.
pub const fn capacities(relays: usize) -> (u32, u32) {
    match relays {
        0..=300 => (4, 20),
        301..=10_000 => (4, 10),
        _ => (1, 2),
    }
}

impl State {
    pub fn name(self) -> String {
        match self {
            Self::Idle => "idle".to_owned(),
            Self::Elsewhere(share) => format!("load {share} from elsewhere"),
            Self::Equilibrium(share) => format!("equilibrium at {share}"),
        }
    }

    /// Brings a scene that is idle into this state, and asks so often.
    pub fn regrets(self, scene: &mut Scene, questions: &[Question], calls: usize) -> Regrets {
        let turnovers = match scene.relays.len() {
            0..=10 => 2,
            11..LARGE => 1,
            _ => 0,
        };
        match self {
            Self::Idle => scene.measure(questions, calls),
            Self::Elsewhere(share) => {
                scene.load_from_elsewhere(share);
                scene.measure(questions, calls)
            }
            Self::Equilibrium(share) => {
                scene.settle(share, turnovers, questions);
                scene.measure_in_motion(questions, calls)
            }
        }
    }

    /// The regrets of plain calls over random instances.
    pub fn plain_regrets(self, relays: usize) -> Regrets {
        let (instances, calls) = extent(relays);
        let mut regrets = Regrets::default();
        for seed in 0..instances {
            let mut scene = Scene::random(relays, capacities(relays), seed);
            regrets.extend(self.regrets(&mut scene, &[Question::plain()], calls));
        }
        regrets
    }
}
