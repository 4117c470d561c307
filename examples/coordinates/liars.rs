//! What liars say: the naive attacks on network coordinates that are known from
//! the literature (Kaafar et al., "Real attacks on virtual networks", 2006;
//! Zage and Nita-Rotaru, "On the accuracy of decentralized virtual coordinate
//! systems in adversarial networks", CCS 2007).

use std::time::Duration;

use fastrand::Rng;
use relay_registry::{Coordinate, CoordinateError};

/// What one kind of liar does. All claim to be certain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lie {
    /// Somewhere else each time, up to a second away on each axis.
    Far,
    /// Somewhere else each time, among the honest.
    Near,
    /// All of these liars are at one place, far away.
    Colluding,
    NotANumber,
    Huge,
    /// True coordinates, and answers up to a second late.
    Delaying,
}

pub const LIES: [Lie; 6] = [
    Lie::Far,
    Lie::Near,
    Lie::Colluding,
    Lie::NotANumber,
    Lie::Huge,
    Lie::Delaying,
];

/// Which nodes lie, and how.
#[derive(Debug)]
pub struct Liars {
    lies: Vec<Option<Lie>>,
    lair: [f32; Coordinate::DIMENSIONS],
}

impl Liars {
    /// A share of `nodes`, drawn by `rng`; of each kind as many.
    pub fn new(nodes: usize, share: f64, rng: &mut Rng) -> Self {
        Self::telling(nodes, share, &LIES, rng)
    }

    /// The same, with these lies only.
    pub fn telling(nodes: usize, share: f64, kinds: &[Lie], rng: &mut Rng) -> Self {
        let liars = (nodes as f64 * share) as usize;
        let mut lies: Vec<Option<Lie>> = (0..nodes)
            .map(|node| (node < liars).then(|| kinds[node % kinds.len()]))
            .collect();
        rng.shuffle(&mut lies);
        Self {
            lies,
            lair: [400_000.0; Coordinate::DIMENSIONS],
        }
    }

    pub fn is_honest(&self, node: usize) -> bool {
        self.lies[node].is_none()
    }

    /// Where `node` says it is, which is at `truth`, as it arrives elsewhere.
    pub fn claim(
        &self,
        node: usize,
        truth: Coordinate,
        rng: &mut Rng,
    ) -> Result<Coordinate, CoordinateError> {
        let mut scattered = |reach: f32| std::array::from_fn(|_| (rng.f32() * 2.0 - 1.0) * reach);
        let position = match self.lies[node] {
            None | Some(Lie::Delaying) => return Ok(truth),
            Some(Lie::Far) => scattered(1e6),
            Some(Lie::Near) => scattered(1e5),
            Some(Lie::Colluding) => self.lair,
            Some(Lie::NotANumber) => [f32::NAN; Coordinate::DIMENSIONS],
            Some(Lie::Huge) => [-1e30; Coordinate::DIMENSIONS],
        };
        Coordinate::new(position, 10.0, 0.0, 0.01)
    }

    /// How long a probe of `node` takes that would have taken `rtt`.
    pub fn delay(&self, node: usize, rtt: Duration, rng: &mut Rng) -> Duration {
        match self.lies[node] {
            Some(Lie::Delaying) => rtt + Duration::from_secs_f32(rng.f32()),
            _ => rtt,
        }
    }

    /// What `node` says it measured when it measured `rtt`.
    pub fn report(&self, node: usize, rtt: Duration, rng: &mut Rng) -> Duration {
        match self.lies[node] {
            None => rtt,
            Some(Lie::Delaying) => rtt + Duration::from_secs_f32(rng.f32()),
            Some(_) => Duration::from_secs_f32(0.001 + 0.05 * rng.f32()),
        }
    }
}
