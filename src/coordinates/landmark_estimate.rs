//! [`LandmarkEstimate`]: estimates to a node from its round trips to landmarks.

use super::coordinate::square;
use super::{Coordinate, CoordinateBatch, Each, MAX_MICROS};
use crate::rtt::sane_micros;
use crate::simd::{Lanes, splats};
use std::time::Duration;

/// A node that is known by its round trips to some landmarks near it, for estimates from
/// it to other coordinates.
///
/// Let a coordinate be at distance `d` from a landmark, and the node at distance `b`. By the
/// triangle inequality, the estimate is between `|d - b|` and `d + b`. The angle at the
/// landmark is not known. In a space of many dimensions it is most likely close to a right
/// one, which gives `sqrt(d^2 + b^2)`. The squares are averaged over the landmarks with the
/// weight `1 / b`, because the landmark nearest to the node is the most precise. An average
/// of squares also makes one landmark of many: by the parallel axis theorem, the mean of
/// `d^2` is the squared distance to the landmarks' centre plus their mean spread around it.
/// As the landmarks are those nearest to the node, no estimate is below the farthest of
/// their round trips.
/// (The bounds and their use as estimates: Guyton and Schwartz, "Locating nearby
/// copies of replicated Internet servers", SIGCOMM 1995. On measured matrices
/// the right angle chose better than either bound and than their mean.)
#[derive(Clone, Copy, Debug)]
pub(crate) struct LandmarkEstimate {
    centre: Coordinate,
    /// The mean squared distance of the node and the landmarks from the centre.
    spread: f32,
    least_micros: f32,
}

impl LandmarkEstimate {
    /// From landmarks and the node's round trips to them, in microseconds. `None` without
    /// any.
    #[inline]
    pub(crate) fn new<'a>(landmarks: impl Iterator<Item = (&'a Coordinate, u32)>) -> Option<Self> {
        let mut landmarks = landmarks.peekable();
        // Summed relative to the first landmark: far from the origin, squares are too
        // large for the precision of their differences.
        let first = landmarks.peek()?.0.position();
        let (mut weights, mut squares, mut farthest) = (0.0, 0.0, 1.0_f32);
        let mut sums = [0.0; Coordinate::DIMENSIONS];
        for (at, micros) in landmarks {
            let at = at.position();
            let off = |axis: usize| at[axis] - first[axis];
            let b = micros.max(1) as f32;
            let weight = 1.0 / b;
            for (axis, sum) in sums.iter_mut().enumerate() {
                *sum += weight * off(axis);
            }
            weights += weight;
            squares += weight * square(off) + b;
            farthest = farthest.max(b);
        }
        let off_first = sums.map(|sum| sum / weights);
        let centre = std::array::from_fn(|axis| first[axis] + off_first[axis]);
        Some(Self {
            centre: Coordinate::at_core(centre),
            spread: (squares / weights - square(|axis| off_first[axis])).max(0.0),
            least_micros: farthest,
        })
    }

    /// The centre of the landmarks.
    pub(crate) fn centre(&self) -> &Coordinate {
        &self.centre
    }

    /// The estimated round trip between the node and a coordinate.
    #[inline]
    pub(crate) fn micros_to(&self, other: &Coordinate) -> u32 {
        self.estimate(self.centre.square_to(other), other.height()) as u32
    }

    /// [`micros_to`](Self::micros_to) each node of a batch; `unknown` for nodes without a
    /// coordinate.
    #[inline(always)]
    pub(crate) fn micros_to_all<L: Lanes>(&self, batch: &CoordinateBatch, unknown: f32) -> Each {
        let from = splats(&self.centre.position());
        let unknown = L::splat(unknown);
        let mut micros = [0.0; CoordinateBatch::MANY];
        for at in (0..CoordinateBatch::MANY).step_by(L::MANY) {
            let square = batch.squares(&from, at);
            let (estimate, _) = self.estimates(square, batch.heights_from(at));
            batch.if_known(at, estimate, unknown).put(&mut micros, at);
        }
        micros
    }

    /// The estimates for these squared distances and heights. They rise with both. And lower
    /// bounds of them without the heights.
    #[inline(always)]
    pub(crate) fn estimates<L: Lanes>(&self, square: L, heights: L) -> (L, L) {
        let [spread, least, most] = splats(&[self.spread, self.least_micros, MAX_MICROS]);
        let way = (square + spread).sqrt();
        ((way + heights).max(least).min(most), way)
    }

    fn estimate(&self, square: f32, height: f32) -> f32 {
        let estimate = (square + self.spread).sqrt() + height;
        estimate.max(self.least_micros).min(MAX_MICROS)
    }
}

impl Coordinate {
    /// The estimated round trip to a node that has no coordinate, from its round trips to
    /// some `landmarks` near it. `None` if there are no landmarks, or if a round trip is
    /// above [`MAX_RTT`](crate::MAX_RTT).
    ///
    /// The landmarks must be those nearest to the node: the estimate takes for granted that
    /// `self` is no nearer than any of them. ARCHITECTURE.md has a table of how precise the
    /// estimates are.
    #[must_use]
    pub fn rtt_by(&self, landmarks: &[(Self, Duration)]) -> Option<Duration> {
        let sane = |(_, rtt): &(Self, Duration)| sane_micros(*rtt);
        let micros: Vec<u32> = landmarks.iter().map(sane).collect::<Option<_>>()?;
        let coordinates = landmarks.iter().map(|(at, _)| at);
        let estimate = LandmarkEstimate::new(coordinates.zip(micros.iter().copied()))?;
        Some(Duration::from_micros(estimate.micros_to(self).into()))
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    fn at(x: f32) -> Coordinate {
        let mut position = [0.0; Coordinate::DIMENSIONS];
        position[0] = x;
        Coordinate::new(position, 0.0, 0.0, 0.1).unwrap()
    }

    fn estimate(landmarks: &[(Coordinate, u32)], other: &Coordinate) -> Option<u32> {
        let landmarks = landmarks.iter().map(|(at, micros)| (at, *micros));
        Some(LandmarkEstimate::new(landmarks)?.micros_to(other))
    }

    #[test]
    fn one_landmark_makes_a_right_angle() {
        assert_eq!(estimate(&[], &at(0.0)), None);
        let alone = [(at(40_000.0), 30_000)];
        assert_eq!(estimate(&alone, &at(0.0)), Some(50_000));
    }

    #[test]
    fn no_place_is_nearer_than_the_nearest_landmarks() {
        let near = [(at(1.0), 10_000), (at(1.0), 90_000)];
        assert_eq!(estimate(&near, &at(0.0)), Some(90_000));
    }

    #[test]
    fn the_landmark_next_to_the_node_knows_best() {
        let landmarks = [(at(100_000.0), 1_000), (at(300_000.0), 50_000)];
        let estimate = estimate(&landmarks, &at(0.0)).unwrap();
        assert!((100_000..115_000).contains(&estimate), "{estimate}");
    }

    #[test]
    fn whatever_is_added_the_estimate_is_a_round_trip() {
        let mut landmarks = Vec::new();
        for micros in [0, 1, u32::MAX] {
            landmarks.push((at(MAX_MICROS), micros));
            let estimate = estimate(&landmarks, &at(-MAX_MICROS)).unwrap();
            assert!((1..=MAX_MICROS as u32).contains(&estimate));
        }
    }
}
