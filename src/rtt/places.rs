//! [`Places`]: where many nodes are, kept so that they are looked at all at once.

use super::Coordinate;
use super::coordinate::square;

/// The coordinates of some nodes, part by part: what is done to each of them
/// alike is done to a few with one instruction.
///
/// A node that nobody has located is at no number, and so is whatever is
/// computed from that.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    axes: [Each; Coordinate::DIMENSIONS],
    pub(super) heights: Each,
    pub(super) adjustments: Each,
}

/// A number for each node.
pub(crate) type Each = [f32; Places::MANY];

impl Places {
    /// How many nodes there are, counting those that nobody has located.
    pub(crate) const MANY: usize = 32;

    /// The first nodes of these.
    pub(crate) fn new(nodes: impl Iterator<Item = Option<Coordinate>>) -> Self {
        let mut places = Self::default();
        for (place, node) in nodes.take(Self::MANY).enumerate() {
            if let Some(node) = node {
                places.put(place, &node);
            }
        }
        places
    }

    fn put(&mut self, place: usize, node: &Coordinate) {
        for (axis, at) in self.axes.iter_mut().zip(node.position()) {
            axis[place] = at;
        }
        self.heights[place] = node.height();
        self.adjustments[place] = node.adjustment();
    }

    /// The one whose position is nearest, heights apart; a few millionths further
    /// is as near.
    #[inline]
    pub(crate) fn nearest(&self, node: &Coordinate) -> Option<usize> {
        let squares = self.each(node, |square, _, _| square);
        Ascending::new(&squares).next().map(|(place, _)| place)
    }

    /// What follows for each from the square of the distance of its position, its
    /// height and its adjustment.
    #[inline(always)]
    pub(super) fn each(&self, node: &Coordinate, follows: impl Fn(f32, f32, f32) -> f32) -> Each {
        let from = node.position();
        let mut each = [0.0; Self::MANY];
        for (place, number) in each.iter_mut().enumerate() {
            let square = square(|axis| self.axes[axis][place] - from[axis]);
            *number = follows(square, self.heights[place], self.adjustments[place]);
        }
        each
    }
}

impl Default for Places {
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

/// Numbers from 0 up, the least first, each with its place; those that are none,
/// or infinite, are left out.
///
/// They are rounded down by some millionths, for the lowest bits hold the place:
/// so the least of them says where it stands.
pub(crate) struct Ascending {
    numbers: Each,
    /// Those up to here were there.
    last: f32,
}

const PLACE: u32 = Places::MANY as u32 - 1;
/// The largest number, without a place.
const NONE: f32 = f32::from_bits(f32::MAX.to_bits() & !PLACE);

impl Ascending {
    #[inline]
    pub(crate) fn new(numbers: &Each) -> Self {
        let mut numbered = *numbers;
        for (place, number) in numbered.iter_mut().enumerate() {
            let known = if *number < NONE { *number } else { NONE };
            *number = f32::from_bits(known.to_bits() & !PLACE | place as u32);
        }
        Self {
            numbers: numbered,
            last: -1.0,
        }
    }

    /// The least number of those to come.
    ///
    /// They are left where they are: vectors that were written to in part are slow
    /// to load.
    #[inline]
    fn least(&self) -> f32 {
        const LANES: usize = 8;
        let lesser = |one: f32, other: f32| if one < other { one } else { other };
        let mut least = [f32::MAX; LANES];
        for numbers in self.numbers.chunks_exact(LANES) {
            for (least, &number) in least.iter_mut().zip(numbers) {
                let to_come = if number > self.last { number } else { f32::MAX };
                *least = lesser(to_come, *least);
            }
        }
        least.into_iter().fold(f32::MAX, lesser)
    }
}

impl Iterator for Ascending {
    type Item = (usize, f32);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let least = self.least();
        if least >= NONE {
            return None;
        }
        self.last = least;
        let place = (least.to_bits() & PLACE) as usize;
        Some((place, f32::from_bits(least.to_bits() & !PLACE)))
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
    fn numbers_come_in_order_with_their_places() {
        let mut numbers = [f32::NAN; Places::MANY];
        numbers[3] = 7.0;
        numbers[31] = 0.0;
        numbers[0] = 2.5e7;
        numbers[5] = f32::INFINITY;
        let ascending: Vec<_> = Ascending::new(&numbers).collect();
        let places: Vec<_> = ascending.iter().map(|(place, _)| *place).collect();
        assert_eq!(places, [31, 3, 0]);
        for (place, number) in ascending {
            assert!((numbers[place] * (1.0 - 8e-6)..=numbers[place]).contains(&number));
        }
    }

    #[test]
    fn all_at_once_are_as_far_as_one_by_one() {
        let nodes = [at(5_000.0, 20.0, 3.0), at(-7.0, 0.0, -90_000.0)];
        let places = Places::new(nodes.iter().copied().map(Some).chain([None]));
        let from = at(400.0, 1_000.0, -15.0);
        let micros = from.micros_to_all(&places, 0);
        for (place, node) in nodes.iter().enumerate() {
            assert!((micros[place] - from.micros_to(node) as f32).abs() <= 1.0);
        }
        assert!(micros[nodes.len()..].iter().all(|micros| micros.is_nan()));
        assert_eq!(places.nearest(&from), Some(1));
        assert_eq!(Places::default().nearest(&from), None);
    }
}
