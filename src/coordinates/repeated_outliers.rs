//! [`RepeatedOutliers`]: which refused samples are the same each time they are measured.

use super::Coordinate;

/// Some refused samples, kept to see whether they are measured again.
///
/// An outlier that differs each time is a lie or a passing delay. An outlier that is the
/// same each time is evidence, even if no coordinate can express it: round trips on the
/// Internet break the triangle inequality. A sample is the same if it is from nearly the
/// same position and nearly as long.
///
/// A burst counts once: [`MIN_GAP`] ordinary samples must come in before a repeat counts.
/// Outliers do not count for that, so outliers alone change nothing.
///
/// It takes 10 bytes for each sample that is kept and 2 more, and does not grow. When it is
/// full, a sample that was not repeated for [`MAX_AGE`] ordinary samples is replaced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RepeatedOutliers<const KEPT: usize> {
    kept: [Outlier; KEPT],
    /// How many samples were no outliers; wraps around.
    ordinary: u16,
}

/// A sample that was refused, in coarse units.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Outlier {
    /// Sums of the two halves of the peer's axes: enough to tell peers apart.
    position: [i16; 2],
    rtt: u16,
    /// How many ordinary samples there were when it was last counted.
    counted_at: u16,
    /// How often it was counted; 0 in an empty entry.
    times: u8,
}

impl<const KEPT: usize> RepeatedOutliers<KEPT> {
    pub(super) const fn new() -> Self {
        Self {
            kept: [Outlier::NONE; KEPT],
            ordinary: 0,
        }
    }

    /// Counts a sample that was no outlier.
    pub(super) fn pass(&mut self) {
        self.ordinary = self.ordinary.wrapping_add(1);
    }

    /// Whether an outlier has been the same often enough to be evidence. If so, its count
    /// starts again from zero.
    pub(super) fn is_evidence(&mut self, peer: &Coordinate, micros: u32) -> bool {
        let now = self.ordinary;
        let outlier = Outlier::of(peer, micros, now);
        let Some(known) = self.kept.iter_mut().find(|kept| kept.is_from(&outlier)) else {
            self.keep(outlier);
            return false;
        };
        if !known.is_as_long(&outlier) {
            // An outlier that differs each time must not occupy an entry.
            *known = Outlier::NONE;
            return false;
        }
        if now.wrapping_sub(known.counted_at) < MIN_GAP {
            return false;
        }
        let times = known.times + 1;
        let is_enough = times >= MIN_REPEATS;
        *known = if is_enough {
            Outlier::NONE
        } else {
            Outlier { times, ..outlier }
        };
        is_enough
    }

    /// Keeps an outlier that is not kept yet, if there is an entry for it.
    fn keep(&mut self, outlier: Outlier) {
        let is_free = |kept: &&mut Outlier| {
            kept.times == 0 || outlier.counted_at.wrapping_sub(kept.counted_at) > MAX_AGE
        };
        if let Some(free) = self.kept.iter_mut().find(is_free) {
            *free = outlier;
        }
    }
}

impl Outlier {
    const NONE: Self = Self {
        position: [0; 2],
        rtt: 0,
        counted_at: 0,
        times: 0,
    };

    fn of(peer: &Coordinate, micros: u32, counted_at: u16) -> Self {
        let position = peer.position();
        let (near, far) = position.split_at(Coordinate::DIMENSIONS / 2);
        // No conversion loses more than the fraction: see the units.
        let sum = |axes: &[f32]| (axes.iter().sum::<f32>() / POSITION_UNIT) as i16;
        Self {
            position: [sum(near), sum(far)],
            rtt: (micros / RTT_UNIT) as u16,
            counted_at,
            times: 1,
        }
    }

    /// Whether both are from nearly the same position.
    fn is_from(&self, other: &Self) -> bool {
        let off = |axis: usize| u32::from(self.position[axis].abs_diff(other.position[axis]));
        let rtt = u32::from(self.rtt);
        self.times > 0 && off(0).max(off(1)) * POSITION_UNIT as u32 <= rtt * RTT_UNIT / 16 + 4_096
    }

    fn is_as_long(&self, other: &Self) -> bool {
        self.rtt.abs_diff(other.rtt) <= self.rtt / 16 + 4
    }
}

/// How often an outlier must be the same to be evidence.
const MIN_REPEATS: u8 = 3;
/// How many ordinary samples must lie between two that count.
const MIN_GAP: u16 = 8;
/// For how many ordinary samples an outlier is kept without a repeat.
const MAX_AGE: u16 = 512;
/// In microseconds: half of the axes at [`MAX_RTT`](crate::MAX_RTT) add up to 19,531 of these.
const POSITION_UNIT: f32 = 2_048.0;
/// In microseconds: [`MAX_RTT`](crate::MAX_RTT) is 39,062 of these.
const RTT_UNIT: u32 = 256;

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    fn at(x: f32) -> Coordinate {
        Coordinate::at_core([x; Coordinate::DIMENSIONS])
    }

    /// Whether an outlier is evidence, after so many ordinary samples.
    fn after<const KEPT: usize>(
        repeated: &mut RepeatedOutliers<KEPT>,
        ordinary: u16,
        x: f32,
        micros: u32,
    ) -> bool {
        (0..ordinary).for_each(|_| repeated.pass());
        repeated.is_evidence(&at(x), micros)
    }

    #[test]
    fn the_same_for_the_third_time_is_evidence_and_starts_over() {
        let mut repeated = RepeatedOutliers::<2>::new();
        for _ in 0..2 {
            assert!(!after(&mut repeated, MIN_GAP, 0.0, 115_000));
            assert!(!after(&mut repeated, MIN_GAP, 1_000.0, 118_000));
            assert!(after(&mut repeated, MIN_GAP, 0.0, 115_000));
        }
    }

    #[test]
    fn a_burst_counts_once() {
        let mut repeated = RepeatedOutliers::<1>::new();
        for _ in 0..1_000 {
            assert!(!after(&mut repeated, 0, 0.0, 115_000));
        }
        assert!(!after(&mut repeated, MIN_GAP, 0.0, 115_000));
        assert!(!after(&mut repeated, MIN_GAP - 1, 0.0, 115_000));
        assert!(after(&mut repeated, 1, 0.0, 115_000));
    }

    #[test]
    fn an_outlier_that_differs_each_time_is_no_evidence_and_occupies_no_entry() {
        let mut repeated = RepeatedOutliers::<1>::new();
        for micros in [115_000, 115_000, 140_000, 115_000, 115_000, 140_000] {
            assert!(!after(&mut repeated, MIN_GAP, 0.0, micros));
        }
        for is_evidence in [false, false, true] {
            assert_eq!(
                after(&mut repeated, MIN_GAP, 90_000.0, 300_000),
                is_evidence
            );
        }
    }

    #[test]
    fn what_is_not_repeated_makes_room_after_a_while() {
        let mut repeated = RepeatedOutliers::<1>::new();
        assert!(!after(&mut repeated, 0, 0.0, 115_000));
        for (ordinary, is_evidence) in [(MAX_AGE, false), (1, false), (8, false), (8, true)] {
            assert_eq!(
                after(&mut repeated, ordinary, 90_000.0, 300_000),
                is_evidence
            );
        }
    }

    #[test]
    fn no_sample_is_out_of_the_units() {
        let most = crate::coordinates::MAX_MICROS;
        let refusal = Outlier::of(&at(-most), most as u32, 0);
        assert_eq!((refusal.position, refusal.rtt), ([-19_531; 2], 39_062));
        assert!(refusal.is_from(&refusal) && refusal.is_as_long(&refusal));
        assert!(!refusal.is_from(&Outlier::of(&at(most), most as u32, 0)));
    }

    #[test]
    fn it_takes_ten_bytes_for_each_and_two_more() {
        assert_eq!(size_of::<RepeatedOutliers<1>>(), 12);
        assert_eq!(size_of::<RepeatedOutliers<16>>(), 162);
        assert!(size_of::<crate::coordinates::Landmark>() <= 72);
    }
}
