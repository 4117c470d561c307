//! Where the relays of a base are: the position of each leaf, and a bounding box for each
//! word above the leaves.

use crate::coordinates::{Coordinate, CoordinateBatch};
use crate::footprint::Footprint;
use crate::simd::Lanes;
use crate::table::snapshot::tree::FANOUT;

/// A number for each child of a node.
type EachChild = [f32; CoordinateBatch::MANY];

const AXES: usize = Coordinate::DIMENSIONS;

const _: () = assert!(FANOUT <= CoordinateBatch::MANY);

/// See the module's description.
pub(crate) struct Geometry {
    /// By node of leaves.
    positions: Box<[Option<Box<CoordinateBatch>>]>,
    /// By level, from the one above the leaves on, and by node.
    boxes: Box<[Box<[Boxes]>]>,
}

/// The bounding boxes of the relays below each child of a node.
#[derive(Clone)]
pub(crate) struct Boxes {
    low: [EachChild; AXES],
    high: [EachChild; AXES],
    /// The least height.
    heights: EachChild,
    /// The least adjustment of any.
    pub(crate) least_adjustment: f32,
    /// A bit for each child below which is a relay whose position is not known.
    pub(crate) unlocated: u64,
}

/// The bounding box of some relays.
#[derive(Clone, Copy)]
struct BoundingBox {
    low: [f32; AXES],
    high: [f32; AXES],
    height: f32,
    adjustment: f32,
    has_unlocated: bool,
}

impl BoundingBox {
    /// Of no relays.
    const EMPTY: Self = Self {
        low: [f32::INFINITY; AXES],
        high: [f32::NEG_INFINITY; AXES],
        height: f32::INFINITY,
        adjustment: f32::INFINITY,
        has_unlocated: false,
    };

    fn add(&mut self, position: Option<&Coordinate>) {
        let Some(at) = position else {
            self.has_unlocated = true;
            return;
        };
        for (axis, value) in at.position().into_iter().enumerate() {
            self.low[axis] = self.low[axis].min(value);
            self.high[axis] = self.high[axis].max(value);
        }
        self.height = self.height.min(at.height());
        self.adjustment = self.adjustment.min(at.adjustment());
    }
}

impl Boxes {
    fn around(children: &[BoundingBox]) -> Self {
        let mut boxes = Self {
            low: [[f32::INFINITY; CoordinateBatch::MANY]; AXES],
            high: [[f32::NEG_INFINITY; CoordinateBatch::MANY]; AXES],
            heights: [f32::INFINITY; CoordinateBatch::MANY],
            least_adjustment: f32::INFINITY,
            unlocated: 0,
        };
        for (branch, child) in children.iter().enumerate() {
            for axis in 0..AXES {
                boxes.low[axis][branch] = child.low[axis];
                boxes.high[axis][branch] = child.high[axis];
            }
            boxes.heights[branch] = child.height;
            boxes.least_adjustment = boxes.least_adjustment.min(child.adjustment);
            boxes.unlocated |= u64::from(child.has_unlocated) << branch;
        }
        boxes
    }

    fn whole(&self) -> BoundingBox {
        let mut whole = BoundingBox::EMPTY;
        for axis in 0..AXES {
            whole.low[axis] = self.low[axis].iter().copied().fold(f32::INFINITY, f32::min);
            let high = self.high[axis].iter().copied();
            whole.high[axis] = high.fold(f32::NEG_INFINITY, f32::max);
        }
        whole.height = self.heights.iter().copied().fold(f32::INFINITY, f32::min);
        whole.adjustment = self.least_adjustment;
        whole.has_unlocated = self.unlocated != 0;
        whole
    }

    /// The squares of the distances to several boxes, from `at` on; infinite for an empty
    /// box.
    #[inline(always)]
    pub(crate) fn squares<L: Lanes>(&self, from: &[L; AXES], at: usize) -> L {
        let zero = L::splat(0.0);
        let mut square = zero;
        for ((low, high), &from) in self.low.iter().zip(&self.high).zip(from) {
            let below = L::of(low, at) - from;
            let above = from - L::of(high, at);
            let off = below.max(above).max(zero);
            square = square + off * off;
        }
        square
    }

    /// The least heights in several boxes, from `at` on; infinite for an empty box.
    #[inline(always)]
    pub(crate) fn heights_from<L: Lanes>(&self, at: usize) -> L {
        L::of(&self.heights, at)
    }
}

impl Geometry {
    /// Of relays in these slots, up to `last`.
    pub(crate) fn new(
        relays: impl Iterator<Item = (usize, Option<Coordinate>)>,
        last: usize,
        levels: usize,
    ) -> Self {
        let nodes = last / FANOUT + 1;
        let mut positions: Vec<Option<Box<CoordinateBatch>>> = (0..nodes).map(|_| None).collect();
        let mut bounds = vec![BoundingBox::EMPTY; nodes];
        for (slot, position) in relays {
            let node = slot / FANOUT;
            bounds[node].add(position.as_ref());
            if let Some(position) = position {
                let node = positions[node].get_or_insert_default();
                node.put(slot % FANOUT, &position);
            }
        }
        let mut boxes = Vec::new();
        for _ in 1..levels {
            let level: Box<[_]> = bounds.chunks(FANOUT).map(Boxes::around).collect();
            bounds = level.iter().map(Boxes::whole).collect();
            boxes.push(level);
        }
        Self {
            positions: positions.into_boxed_slice(),
            boxes: boxes.into_boxed_slice(),
        }
    }

    pub(super) fn footprint(&self) -> Footprint {
        let located = self.positions.iter().flatten().count();
        let boxes = self.boxes.iter().map(|level| level.len()).sum();
        Footprint::of_items::<Option<Box<CoordinateBatch>>>(self.positions.len())
            + Footprint::of_items::<CoordinateBatch>(located)
            + Footprint::of_items::<Boxes>(boxes)
    }

    /// The positions of the relays in a node of leaves.
    #[inline]
    pub(crate) fn positions(&self, node: usize) -> Option<&CoordinateBatch> {
        self.positions.get(node)?.as_deref()
    }

    /// The boxes of a node above the leaves.
    #[inline]
    pub(crate) fn boxes(&self, level: usize, node: usize) -> Option<&Boxes> {
        self.boxes[level - 1].get(node)
    }

    /// The height of the relay in a slot; 0 if its position is not known.
    pub(crate) fn height(&self, slot: usize) -> f32 {
        let positions = self.positions(slot / FANOUT);
        positions.map_or(0.0, |positions| positions.height(slot % FANOUT))
    }

    /// The position of the relay in a slot.
    pub(crate) fn position(&self, slot: usize) -> Option<Coordinate> {
        self.positions(slot / FANOUT)?.get(slot % FANOUT)
    }
}
