//! What is known of a leg by the round trips of its far end to other places.

use super::{Coordinate, MAX_MICROS};

/// The estimated round trip from a place to a node that is known by its round
/// trips to a few landmarks near it.
///
/// Landmark `t` is `d` from the place and `b` from the node. The triangle gives
/// `|d - b|` to `d + b`; where nothing is known of the angle at the landmark
/// and directions are many, it is most likely close to a right one:
/// `sqrt(d^2 + b^2)`. The landmarks are averaged by `1 / b`, because one next to
/// the node knows best. As they are the nearest to the node, no other place is
/// nearer than any of them. (The bounds and their use as estimates: Guyton and
/// Schwartz, "Locating nearby copies of replicated Internet servers", SIGCOMM
/// 1995. On measured matrices the right angle chose better than either bound
/// and than their mean.)
#[derive(Clone, Copy, Debug)]
pub(crate) struct Triangle<'a> {
    place: &'a Coordinate,
    weighted: f32,
    weights: f32,
    least: f32,
}

impl<'a> Triangle<'a> {
    pub(crate) fn new(place: &'a Coordinate) -> Self {
        Self {
            place,
            weighted: 0.0,
            weights: 0.0,
            least: 0.0,
        }
    }

    /// Takes in a landmark and the node's round trip to it, above zero.
    #[inline]
    pub(crate) fn add(&mut self, landmark: &Coordinate, micros: u32) {
        let b = micros.max(1) as f32;
        let d = self.place.micros_to(landmark) as f32;
        self.weighted += (d * d + b * b).sqrt() / b;
        self.weights += 1.0 / b;
        self.least = self.least.max(b);
    }

    /// The estimate in microseconds; `None` without a landmark.
    #[inline]
    pub(crate) fn micros(&self) -> Option<u32> {
        (self.weights > 0.0).then(|| {
            let mean = self.weighted / self.weights;
            mean.max(self.least).min(MAX_MICROS) as u32
        })
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

    #[test]
    fn one_landmark_makes_a_right_angle() {
        let place = at(0.0);
        let mut triangle = Triangle::new(&place);
        assert_eq!(triangle.micros(), None);
        triangle.add(&at(40_000.0), 30_000);
        assert_eq!(triangle.micros(), Some(50_000));
    }

    #[test]
    fn no_place_is_nearer_than_the_nearest_landmarks() {
        let place = at(0.0);
        let mut triangle = Triangle::new(&place);
        triangle.add(&at(1.0), 10_000);
        triangle.add(&at(1.0), 90_000);
        assert_eq!(triangle.micros(), Some(90_000));
    }

    #[test]
    fn the_landmark_next_to_the_node_knows_best() {
        let place = at(0.0);
        let mut triangle = Triangle::new(&place);
        triangle.add(&at(100_000.0), 1_000);
        triangle.add(&at(300_000.0), 50_000);
        let estimate = triangle.micros().unwrap();
        assert!((100_000..110_000).contains(&estimate), "{estimate}");
    }

    #[test]
    fn whatever_is_added_the_estimate_is_a_round_trip() {
        let place = at(-MAX_MICROS);
        let mut triangle = Triangle::new(&place);
        for micros in [0, 1, u32::MAX] {
            triangle.add(&at(MAX_MICROS), micros);
            let estimate = triangle.micros().unwrap();
            assert!((1..=MAX_MICROS as u32).contains(&estimate));
        }
    }
}
