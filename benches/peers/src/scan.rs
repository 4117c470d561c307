//! A linear scan with vector instructions: the coordinates of all relays are in arrays, and the lowest score
//! wins.

use crate::instances::topology::Place;

/// How many relays one step of the scan compares.
const LANES: usize = 16;
const AXES: usize = 8;

/// A few relays as a structure of arrays.
#[derive(Clone)]
#[repr(align(64))]
struct Block {
    axes: [[f32; LANES]; AXES],
    heights: [f32; LANES],
    own_legs: [f32; LANES],
    /// The factor for the load; infinite for a full relay, and for a slot without a relay.
    penalties: [f32; LANES],
}

pub struct Scan(Vec<Block>);

impl Scan {
    /// From the coordinate of each relay, this node's leg to it, and its utilisation.
    pub fn of(relays: impl Iterator<Item = (Place, f32, f32)>) -> Self {
        let mut blocks: Vec<Block> = Vec::new();
        for (number, ((position, height), own_leg, utilisation)) in relays.enumerate() {
            let lane = number % LANES;
            if lane == 0 {
                blocks.push(Block::EMPTY);
            }
            let block = blocks.last_mut().expect("one was pushed");
            for (axis, at) in block.axes.iter_mut().zip(position) {
                axis[lane] = at;
            }
            block.heights[lane] = height;
            block.own_legs[lane] = own_leg;
            block.penalties[lane] = 1.0 / (1.0 - utilisation.powi(4));
        }
        Self(blocks)
    }

    /// The lowest score of a path to this coordinate.
    pub fn least(&self, target: &Place) -> f32 {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has the instructions.
            return unsafe { least_by_avx2(&self.0, target) };
        }
        least_of(&self.0, target)
    }
}

impl Block {
    const EMPTY: Self = Self {
        axes: [[0.0; LANES]; AXES],
        heights: [0.0; LANES],
        own_legs: [1.0; LANES],
        penalties: [f32::INFINITY; LANES],
    };
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn least_by_avx2(blocks: &[Block], target: &Place) -> f32 {
    least_of(blocks, target)
}

#[inline(always)]
fn least_of(blocks: &[Block], (position, height): &Place) -> f32 {
    let mut least = [f32::INFINITY; LANES];
    for block in blocks {
        let mut squares = [0.0; LANES];
        for (axis, at) in block.axes.iter().zip(position) {
            for (square, x) in squares.iter_mut().zip(axis) {
                *square += (x - at) * (x - at);
            }
        }
        for lane in 0..LANES {
            let core = squares[lane].sqrt();
            let path = core + (block.heights[lane] + height) + block.own_legs[lane];
            let score = path * block.penalties[lane];
            least[lane] = if score < least[lane] {
                score
            } else {
                least[lane]
            };
        }
    }
    least.into_iter().fold(f32::INFINITY, f32::min)
}
