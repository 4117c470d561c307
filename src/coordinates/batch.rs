//! [`CoordinateBatch`]: the coordinates of many nodes, laid out for vector instructions.

use super::{Coordinate, MAX_MICROS};
use crate::simd::{Lanes, splats};

/// The coordinates of up to 16 nodes, part by part. So one instruction computes with
/// several of them.
///
/// A node without a coordinate has NaN in all parts.
#[derive(Clone, Debug)]
pub(crate) struct CoordinateBatch {
    axes: [Each; Coordinate::DIMENSIONS],
    heights: Each,
    adjustments: Each,
    errors: Each,
}

/// A number for each node.
pub(crate) type Each = [f32; CoordinateBatch::MANY];

impl CoordinateBatch {
    /// The number of nodes, with or without a coordinate.
    pub(crate) const MANY: usize = 16;

    /// The coordinate of a node, if it has one.
    pub(crate) fn get(&self, slot: usize) -> Option<Coordinate> {
        let height = self.heights[slot];
        let position = std::array::from_fn(|axis| self.axes[axis][slot]);
        let (adjustment, error) = (self.adjustments[slot], self.errors[slot]);
        (!height.is_nan()).then(|| Coordinate::of_parts(position, height, adjustment, error))
    }

    /// The height of a node; 0 if it has no coordinate.
    pub(crate) fn height(&self, slot: usize) -> f32 {
        // The maximum ignores NaN.
        self.heights[slot].max(0.0)
    }

    /// Sets the coordinate of a node.
    pub(crate) fn put(&mut self, slot: usize, node: &Coordinate) {
        for (axis, at) in self.axes.iter_mut().zip(node.position()) {
            axis[slot] = at;
        }
        self.heights[slot] = node.height();
        self.adjustments[slot] = node.adjustment();
        self.errors[slot] = node.error();
    }

    /// The squared distances of some positions, starting with that at `at`.
    #[inline(always)]
    pub(super) fn squares<L: Lanes>(&self, from: &[L; Coordinate::DIMENSIONS], at: usize) -> L {
        let mut square = L::splat(0.0);
        for (axis, &from) in self.axes.iter().zip(from) {
            let off = L::of(axis, at) - from;
            square = square + off * off;
        }
        square
    }

    /// Some heights, starting with that at `at`.
    #[inline(always)]
    pub(super) fn heights_from<L: Lanes>(&self, at: usize) -> L {
        L::of(&self.heights, at)
    }

    /// Some adjustments, starting with that at `at`.
    #[inline(always)]
    pub(super) fn adjustments_from<L: Lanes>(&self, at: usize) -> L {
        L::of(&self.adjustments, at)
    }

    /// For some nodes, starting with that at `at`: `then` if they have a coordinate, else
    /// `otherwise`.
    #[inline(always)]
    pub(super) fn if_known<L: Lanes>(&self, at: usize, then: L, otherwise: L) -> L {
        // NaN is not below anything.
        let heights: L = self.heights_from(at);
        heights.if_below(L::splat(f32::INFINITY), then, otherwise)
    }
}

impl Coordinate {
    /// [`micros_to`](Self::micros_to) each node of a batch, and at least `least`; `unknown`
    /// for nodes without a coordinate.
    #[inline(always)]
    pub(crate) fn micros_to_all<L: Lanes>(
        &self,
        batch: &CoordinateBatch,
        least: u32,
        unknown: f32,
    ) -> Each {
        let from: [L; Self::DIMENSIONS] = splats(&self.position());
        let [least, zero, most]: [L; 3] = splats(&[(least as f32).max(1.0), 0.0, MAX_MICROS]);
        let [height, adjustment, unknown] = splats(&[self.height(), self.adjustment(), unknown]);
        let mut micros = [0.0; CoordinateBatch::MANY];
        for at in (0..CoordinateBatch::MANY).step_by(L::MANY) {
            let plain = batch.squares(&from, at).sqrt() + (height + batch.heights_from(at));
            let adjusted = plain + (adjustment + batch.adjustments_from(at));
            let estimate = zero.if_below(adjusted, adjusted, plain);
            let estimate = estimate.min(most).max(least);
            batch.if_known(at, estimate, unknown).put(&mut micros, at);
        }
        micros
    }
}

impl Default for CoordinateBatch {
    /// No node has a coordinate.
    fn default() -> Self {
        let unknown = [f32::NAN; Self::MANY];
        Self {
            axes: [unknown; Coordinate::DIMENSIONS],
            heights: unknown,
            adjustments: unknown,
            errors: unknown,
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
    fn estimates_of_a_batch_are_those_of_each_node() {
        let nodes = [at(5_000.0, 20.0, 3.0), at(-7.0, 0.0, -90_000.0)];
        let mut batch = CoordinateBatch::default();
        for (slot, node) in nodes.iter().enumerate() {
            batch.put(slot, node);
        }
        let from = at(400.0, 1_000.0, -15.0);
        let micros = from.micros_to_all::<crate::simd::Four>(&batch, 0, 7.0);
        for (slot, node) in nodes.iter().enumerate() {
            assert!((micros[slot] - from.micros_to(node) as f32).abs() <= 1.0);
        }
        assert!(micros[nodes.len()..].iter().all(|&micros| micros == 7.0));
        assert_eq!(batch.get(1), Some(nodes[1]));
        assert_eq!(batch.get(2), None);
    }
}
