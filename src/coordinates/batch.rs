//! [`CoordinateBatch`]: where many nodes are, kept so that they are looked at all at once.

use super::Coordinate;
use crate::simd::Lanes;

/// The coordinates of some nodes, part by part: what is done to each of them
/// alike is done to a few with one instruction.
///
/// A node that is not located is at no number.
#[derive(Clone, Debug)]
pub(crate) struct CoordinateBatch {
    axes: [Each; Coordinate::DIMENSIONS],
    heights: Each,
    adjustments: Each,
}

/// A number for each node.
pub(crate) type Each = [f32; CoordinateBatch::MANY];

impl CoordinateBatch {
    /// How many nodes there are, counting those that are not located.
    pub(crate) const MANY: usize = 16;

    /// Where a node is, if it has been located.
    pub(crate) fn get(&self, place: usize) -> Option<Coordinate> {
        let height = self.heights[place];
        let position = std::array::from_fn(|axis| self.axes[axis][place]);
        (!height.is_nan()).then(|| Coordinate::of_parts(position, height, self.adjustments[place]))
    }

    /// The height of a node; 0 if it has not been located.
    pub(crate) fn height(&self, place: usize) -> f32 {
        // What is no number is not the greater one.
        self.heights[place].max(0.0)
    }

    /// Notes where a node is.
    pub(crate) fn put(&mut self, place: usize, node: &Coordinate) {
        for (axis, at) in self.axes.iter_mut().zip(node.position()) {
            axis[place] = at;
        }
        self.heights[place] = node.height();
        self.adjustments[place] = node.adjustment();
    }

    /// The squares of the distances of some positions, from one on.
    #[inline(always)]
    pub(super) fn squares<L: Lanes>(&self, from: &[L; Coordinate::DIMENSIONS], at: usize) -> L {
        let mut square = L::splat(0.0);
        for (axis, &from) in self.axes.iter().zip(from) {
            let off = L::of(axis, at) - from;
            square = square + off * off;
        }
        square
    }

    /// Some heights, from one on.
    #[inline(always)]
    pub(super) fn heights_from<L: Lanes>(&self, at: usize) -> L {
        L::of(&self.heights, at)
    }

    /// Some adjustments, from one on.
    #[inline(always)]
    pub(super) fn adjustments_from<L: Lanes>(&self, at: usize) -> L {
        L::of(&self.adjustments, at)
    }

    /// For some, from one on, whether they are located: `then`, or else `otherwise`.
    #[inline(always)]
    pub(super) fn if_located<L: Lanes>(&self, at: usize, then: L, otherwise: L) -> L {
        // What is no number is not below anything.
        let heights: L = self.heights_from(at);
        heights.if_below(L::splat(f32::INFINITY), then, otherwise)
    }
}

impl Default for CoordinateBatch {
    /// Nobody anywhere.
    fn default() -> Self {
        let nowhere = [f32::NAN; Self::MANY];
        Self {
            axes: [nowhere; Coordinate::DIMENSIONS],
            heights: nowhere,
            adjustments: nowhere,
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    fn at(x: f32, height: f32, adjustment: f32) -> Coordinate {
        let mut position = [-x; Coordinate::DIMENSIONS];
        position[0] = x;
        Coordinate::new(position, height, adjustment, 0.1).unwrap()
    }

    #[test]
    fn all_at_once_are_as_far_as_one_by_one() {
        let nodes = [at(5_000.0, 20.0, 3.0), at(-7.0, 0.0, -90_000.0)];
        let mut places = CoordinateBatch::default();
        for (place, node) in nodes.iter().enumerate() {
            places.put(place, node);
        }
        let from = at(400.0, 1_000.0, -15.0);
        let micros = from.micros_to_all::<crate::simd::Four>(&places, 0, 7.0);
        for (place, node) in nodes.iter().enumerate() {
            assert!((micros[place] - from.micros_to(node) as f32).abs() <= 1.0);
        }
        assert!(micros[nodes.len()..].iter().all(|&micros| micros == 7.0));
        let parts = |at: Coordinate| (at.position(), at.height(), at.adjustment());
        assert_eq!(places.get(1).map(parts), Some(parts(nodes[1])));
        assert_eq!(places.get(2), None);
    }
}
