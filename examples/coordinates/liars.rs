//! Lying nodes: the basic attacks on network coordinates in the literature (Kaafar et al., "Real attacks on virtual networks", 2006;
//! Zage and Nita-Rotaru, "On the accuracy of decentralized virtual coordinate
//! systems in adversarial networks", CCS 2007).

use std::time::Duration;

use fastrand::Rng;
use relay_registry::{Coordinate, CoordinateError};

/// The kinds of lies. All of them claim a small error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lie {
    /// Another random coordinate each time, up to 1 s away on each axis.
    Far,
    /// Another random coordinate each time, among the honest nodes.
    Near,
    /// The same coordinate for all liars of this kind, far away.
    Colluding,
    NotANumber,
    Huge,
    /// The true coordinate, and answers delayed by up to 1 s.
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

/// The lying nodes, and the lie of each.
#[derive(Debug)]
pub struct Liars {
    lies: Vec<Option<Lie>>,
    lair: [f32; Coordinate::DIMENSIONS],
}

impl Liars {
    /// Makes a share of the nodes liars, with equal numbers of each kind.
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

    /// The coordinate that `node` claims, whose true one is `truth`.
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

    /// How long a probe of `node` takes, if the true round trip is `rtt`.
    pub fn delay(&self, node: usize, rtt: Duration, rng: &mut Rng) -> Duration {
        match self.lies[node] {
            Some(Lie::Delaying) => rtt + Duration::from_secs_f32(rng.f32()),
            _ => rtt,
        }
    }

    /// The round trip that `node` reports after it measured `rtt`.
    pub fn report(&self, node: usize, rtt: Duration, rng: &mut Rng) -> Duration {
        match self.lies[node] {
            None => rtt,
            Some(Lie::Delaying) => rtt + Duration::from_secs_f32(rng.f32()),
            Some(_) => Duration::from_secs_f32(0.001 + 0.05 * rng.f32()),
        }
    }
}
