//! [`Coordinate`]: a node's position in the space of round-trip times.

use super::{CoordinateError, MAX_ERROR, MAX_MICROS};
use crate::simd::{Lanes, splats};
use crate::sync::random_below;
use std::time::Duration;

/// A node's network coordinate. The distance between two coordinates is an estimate of the
/// round trip between their nodes.
///
/// It follows Vivaldi (Dabek, Cox, Kaashoek and Morris, "Vivaldi: a decentralized network
/// coordinate system", SIGCOMM 2004) and HashiCorp's Serf. A Euclidean *position* stands
/// for the core of the network. A *height* above it stands for the node's access link,
/// which every round trip crosses. An *adjustment* stands for what neither can express
/// (Ledlie, Gardner and Seltzer, "Network coordinates in the wild", NSDI 2007; Chen et al.,
/// "Phoenix", 2009). The *error* says how far the node's estimates are off, relative to
/// what it measured.
///
/// **Units:** positions, heights and adjustments are in microseconds. The error is a ratio.
/// Every part is finite and in its range:
///
/// | part | range |
/// |---|---|
/// | position, each axis | within [`MAX_RTT`](crate::MAX_RTT) of 0 |
/// | height | 0 to [`MAX_RTT`](crate::MAX_RTT) |
/// | adjustment | within [`MAX_RTT`](crate::MAX_RTT) of 0 |
/// | error | 0 to [`MAX_ERROR`](Self::MAX_ERROR) |
///
/// A coordinate has a meaning only within its frame: among nodes that measured each other,
/// or the same relays.
///
/// ```
/// use relay_registry::Coordinate;
/// use std::time::Duration;
///
/// let mut position = [0.0; Coordinate::DIMENSIONS];
/// let here = Coordinate::new(position, 1_000.0, 0.0, 0.1)?;
/// position[0] = 30_000.0;
/// let there = Coordinate::new(position, 4_000.0, 0.0, 0.1)?;
/// assert_eq!(here.rtt_to(&there), Duration::from_millis(35));
/// # Ok::<(), relay_registry::CoordinateError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coordinate {
    position: [f32; Self::DIMENSIONS],
    height: f32,
    adjustment: f32,
    error: f32,
}

impl Coordinate {
    /// The number of axes of a position.
    ///
    /// Serf has as many. On measured matrices six axes choose nearly as well, and with four
    /// the worst tenth of paths is 3 % longer.
    pub const DIMENSIONS: usize = 8;

    /// The largest error. A node that has measured nothing has it (`VivaldiErrorMax` of
    /// Serf).
    pub const MAX_ERROR: f32 = MAX_ERROR;

    /// The lowest height after an update: 10 us (`HeightMin` of Serf).
    pub(super) const MIN_HEIGHT: f32 = 10.0;

    /// The coordinate of a node that has measured nothing.
    pub(super) const ORIGIN: Self = Self {
        position: [0.0; Self::DIMENSIONS],
        height: Self::MIN_HEIGHT,
        adjustment: 0.0,
        error: Self::MAX_ERROR,
    };

    /// A coordinate as another node sent it, in microseconds.
    ///
    /// # Errors
    ///
    /// The first part that is not a number or not in its range.
    pub fn new(
        position: [f32; Self::DIMENSIONS],
        height: f32,
        adjustment: f32,
        error: f32,
    ) -> Result<Self, CoordinateError> {
        // A NaN is in no range.
        let around_zero = -MAX_MICROS..=MAX_MICROS;
        let astray = |value: &f32| !around_zero.contains(value);
        if let Some(axis) = position.iter().position(astray) {
            let value = position[axis];
            return Err(CoordinateError::Position { axis, value });
        }
        if !(0.0..=MAX_MICROS).contains(&height) {
            return Err(CoordinateError::Height { value: height });
        }
        if astray(&adjustment) {
            return Err(CoordinateError::Adjustment { value: adjustment });
        }
        if !(0.0..=Self::MAX_ERROR).contains(&error) {
            return Err(CoordinateError::Error { value: error });
        }
        Ok(Self {
            position,
            height,
            adjustment,
            error,
        })
    }

    /// A point in the core of the network, without an access link.
    pub(super) fn at_core(position: [f32; Self::DIMENSIONS]) -> Self {
        Self {
            position,
            height: 0.0,
            adjustment: 0.0,
            error: 0.0,
        }
    }

    /// A coordinate of parts that were valid before.
    pub(super) fn of_parts(
        position: [f32; Self::DIMENSIONS],
        height: f32,
        adjustment: f32,
        error: f32,
    ) -> Self {
        Self {
            position,
            height,
            adjustment,
            error,
        }
    }

    /// The position in the core of the network, in microseconds.
    #[must_use]
    pub fn position(&self) -> [f32; Self::DIMENSIONS] {
        self.position
    }

    /// The height above the core, in microseconds.
    #[must_use]
    pub fn height(&self) -> f32 {
        self.height
    }

    /// What is added to each estimate, in microseconds.
    #[must_use]
    pub fn adjustment(&self) -> f32 {
        self.adjustment
    }

    /// How far the node's estimates are off, relative to its measurements.
    #[must_use]
    pub fn error(&self) -> f32 {
        self.error
    }

    /// The estimated round trip between two nodes. It is the same both ways, above zero and
    /// at most [`MAX_RTT`](crate::MAX_RTT).
    #[must_use]
    pub fn rtt_to(&self, other: &Self) -> Duration {
        Duration::from_micros(self.micros_to(other).into())
    }

    /// [`rtt_to`](Self::rtt_to) in microseconds.
    #[inline]
    pub(crate) fn micros_to(&self, other: &Self) -> u32 {
        let plain = self.plain_distance(other);
        with_adjustment(plain, self.adjustment + other.adjustment) as u32
    }

    /// Lower bounds of the estimates to nodes within a box: from a bound of the squared
    /// distances, of the heights and of the adjustments. The second bound is without
    /// heights, and is minus infinity if the adjustment may exceed the distance.
    #[inline(always)]
    pub(crate) fn least_within<L: Lanes>(&self, square: L, heights: L, adjustment: f32) -> (L, L) {
        let [zero, one, most]: [L; 3] = splats(&[0.0, 1.0, MAX_MICROS]);
        let minus_infinite = L::splat(f32::NEG_INFINITY);
        let way = square.sqrt() + L::splat(self.height);
        let adjusted = way + L::splat(self.adjustment + adjustment);
        let leg = adjusted + heights;
        (
            zero.if_below(leg, leg.min(most).max(one), one),
            adjusted.if_below(zero, minus_infinite, adjusted),
        )
    }

    /// The distance without adjustments.
    #[inline]
    pub(super) fn plain_distance(&self, other: &Self) -> f32 {
        self.core_distance(other) + (self.height + other.height)
    }

    /// The distance of the positions alone.
    #[inline]
    fn core_distance(&self, other: &Self) -> f32 {
        self.square_to(other).sqrt()
    }

    /// The squared distance of the positions alone: enough to tell which of two nodes is
    /// nearer.
    #[inline]
    pub(crate) fn square_to(&self, other: &Self) -> f32 {
        square(|axis| self.position[axis] - other.position[axis])
    }

    /// Moves by `force` in the space of positions and heights: away from `other` if it is
    /// above zero, else towards it. If the positions coincide, the direction is random.
    ///
    /// The force is divided as in section 5.4 of the paper, so that no part moves further
    /// than the force. (In Serf, heights may.)
    pub(super) fn push(&mut self, other: &Self, force: f32) {
        let core = self.core_distance(other);
        let heights = self.height + other.height;
        if core < COINCIDENT {
            self.shift(random_direction(), force);
            return;
        }
        let per_micro = force / (core + heights);
        let from_other = std::array::from_fn(|axis| self.position[axis] - other.position[axis]);
        self.shift(from_other, per_micro);
        self.height = (self.height + heights * per_micro).clamp(Self::MIN_HEIGHT, MAX_MICROS);
    }

    fn shift(&mut self, direction: [f32; Self::DIMENSIONS], factor: f32) {
        for (axis, component) in self.position.iter_mut().zip(direction) {
            *axis = (*axis + component * factor).clamp(-MAX_MICROS, MAX_MICROS);
        }
    }

    pub(super) fn set_error(&mut self, error: f32) {
        self.error = error.clamp(MIN_ERROR, Self::MAX_ERROR);
    }

    pub(super) fn set_adjustment(&mut self, adjustment: f32) {
        self.adjustment = adjustment.clamp(-MAX_MICROS, MAX_MICROS);
    }
}

/// A squared distance, from its part along each axis.
///
/// It is summed in halves: in the order of the axes, the compiler could not vectorise it.
#[inline(always)]
pub(super) fn square(along: impl Fn(usize) -> f32) -> f32 {
    const HALF: usize = Coordinate::DIMENSIONS / 2;
    let [a, b, c, d]: [f32; HALF] = std::array::from_fn(|axis| {
        let (near, far) = (along(axis), along(axis + HALF));
        near * near + far * far
    });
    (a + b) + (c + d)
}

/// An estimate in microseconds. An adjustment that exceeds the whole distance is ignored.
#[inline(always)]
fn with_adjustment(plain: f32, adjustment: f32) -> f32 {
    let adjusted = plain + adjustment;
    let estimate = if adjusted > 0.0 { adjusted } else { plain };
    estimate.clamp(1.0, MAX_MICROS)
}

/// Above zero, so that no weight divides zero by zero.
const MIN_ERROR: f32 = 0.001;
/// Closer than this, in microseconds, positions coincide.
const COINCIDENT: f32 = 1.0;

/// A vector of length 1.
fn random_direction() -> [f32; Coordinate::DIMENSIONS] {
    const STEPS: u32 = 1 << 20;
    loop {
        let vector: [f32; Coordinate::DIMENSIONS] =
            std::array::from_fn(|_| random_below(STEPS) as f32 / STEPS as f32 - 0.5);
        let length = vector.iter().map(|part| part * part).sum::<f32>().sqrt();
        if length > 0.1 {
            return vector.map(|part| part / length);
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    fn at(x: f32, height: f32) -> Coordinate {
        let mut position = [0.0; Coordinate::DIMENSIONS];
        position[5] = x;
        Coordinate::new(position, height, 0.0, 0.5).unwrap()
    }

    #[test]
    fn each_part_is_judged_by_its_range() {
        let judge = |axis: f32, height, adjustment, error| {
            let mut position = [0.0; Coordinate::DIMENSIONS];
            position[3] = axis;
            Coordinate::new(position, height, adjustment, error).map_err(|error| error.to_string())
        };
        assert!(judge(MAX_MICROS, MAX_MICROS, -MAX_MICROS, 1.5).is_ok());
        assert!(judge(-MAX_MICROS, 0.0, MAX_MICROS, 0.0).is_ok());
        for wrong in [f32::NAN, f32::INFINITY, -f32::INFINITY, 1.1e7, -1.1e7] {
            for (judged, part) in [
                (judge(wrong, 0.0, 0.0, 0.0), "axis 3 of the position is"),
                (judge(0.0, wrong, 0.0, 0.0), "the height is"),
                (judge(0.0, 0.0, wrong, 0.0), "the adjustment is"),
                (judge(0.0, 0.0, 0.0, wrong), "the error is"),
            ] {
                let refused = judged.unwrap_err();
                assert!(refused.starts_with(part), "{refused}");
            }
        }
        assert!(judge(0.0, -0.1, 0.0, 0.0).is_err());
        assert!(judge(0.0, 0.0, 0.0, -0.1).is_err());
        assert!(judge(0.0, 0.0, 0.0, 1.6).is_err());
    }

    #[test]
    fn an_estimate_is_above_zero_and_within_bounds() {
        let here = at(0.0, 0.0);
        assert_eq!(here.micros_to(&here), 1);
        let far = Coordinate::new(
            [MAX_MICROS; Coordinate::DIMENSIONS],
            MAX_MICROS,
            MAX_MICROS,
            0.0,
        );
        let opposite = Coordinate::new([-MAX_MICROS; Coordinate::DIMENSIONS], 0.0, 0.0, 0.0);
        assert_eq!(
            far.unwrap().rtt_to(&opposite.unwrap()),
            crate::limits::MAX_RTT
        );
    }

    #[test]
    fn an_adjustment_never_makes_two_nodes_one() {
        let mut here = at(0.0, 1_000.0);
        let there = at(9_000.0, 2_000.0);
        here.set_adjustment(-2_000.0);
        assert_eq!(here.micros_to(&there), 10_000);
        here.set_adjustment(-12_000.0);
        assert_eq!(here.micros_to(&there), 12_000, "as if there were none");
    }

    #[test]
    fn a_push_lengthens_the_distance_by_its_force() {
        for force in [20_000.0, 5.0, -7_000.0] {
            let mut here = at(40_000.0, 4_000.0);
            let there = at(10_000.0, 2_000.0);
            here.push(&there, force);
            let distance = here.plain_distance(&there);
            assert!((distance - 36_000.0 - force).abs() < 1.0, "{distance}");
        }
    }

    #[test]
    fn the_same_seed_parts_the_coinciding_in_the_same_direction() {
        let parted = |seed| {
            fastrand::seed(seed);
            let mut here = at(0.0, 10.0);
            here.push(&at(0.0, 10.0), 5_000.0);
            here
        };
        assert!((parted(1).core_distance(&at(0.0, 10.0)) - 5_000.0).abs() < 1.0);
        assert_eq!(parted(1), parted(1));
        assert_ne!(parted(1), parted(2));
    }
}
