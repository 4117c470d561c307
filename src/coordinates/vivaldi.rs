//! [`Vivaldi`]: a node learns where it is from its own round trips.

use super::Coordinate;
use super::ObserveError;
use super::repeated_outliers::RepeatedOutliers;
use super::spring::{believed_error, relax};
use crate::rtt::sane_micros;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A node's own coordinate, moved by each round trip it measures.
///
/// The algorithm is Vivaldi with heights (Dabek et al., SIGCOMM 2004), with
/// adjustment and gravity (Ledlie et al., NSDI 2007) and the parameters that
/// HashiCorp's Serf publishes:
///
/// | parameter | value | |
/// |---|---|---|
/// | dimensions | 8 | [`Coordinate::DIMENSIONS`] |
/// | greatest error | 1.5 | [`Coordinate::MAX_ERROR`] |
/// | `ce`, `cc` | 0.25 | how fast error and position follow a sample |
/// | adjustment window | 20 samples | |
/// | gravity `rho` | 150 s | keeps the frame from drifting off |
/// | least height | 10 us | |
///
/// Peers may lie about where they are, and delay their answers. So
///
/// - a [`Coordinate`] cannot hold a value that is not finite or not in range;
/// - a peer's error counts as 0.2 at least, so a liar weighs no more than an
///   honest peer;
/// - one sample moves the coordinate by 100 ms at most;
/// - a sample whose residual (measured less estimated) is further from the
///   median of the last 50 than 3.5 times their scaled median absolute
///   deviation, plus 1 ms, is refused as an [outlier](ObserveError::Outlier).
///   It is still counted among the last 50: when the network has changed, or the
///   coordinate is wrong, it is the refused ones that soon make up the median.
/// - an outlier that is nearly the same three times, from nearly the same place and with
///   eight ordinary samples or more in between, is evidence: round trips on the Internet
///   break the triangle inequality. It is taken in as half of the farthest sample that is
///   no outlier, and must then be repeated as often again. So repeating a lie gains less
///   than the farthest lie that passes. Sixteen outliers are kept for that, in 162 bytes.
///
/// That resists liars as long as fewer than half of the samples are theirs:
/// choose whom to probe by your own dice. It is not a proof against peers that
/// shift together by little at a time.
///
/// Updating costs about a microsecond and allocates nothing. Where two positions
/// coincide a direction is drawn from `fastrand`'s generator of the thread.
///
/// ```
/// use relay_registry::{Coordinate, Vivaldi};
/// use std::time::Duration;
///
/// let relay = Coordinate::new([0.0; Coordinate::DIMENSIONS], 500.0, 0.0, 0.3)?;
/// let mut here = Vivaldi::new();
/// for _ in 0..100 {
///     here.observe(&relay, Duration::from_millis(40))?;
/// }
/// let estimate = here.coordinate().rtt_to(&relay);
/// assert!(estimate.abs_diff(Duration::from_millis(40)) < Duration::from_millis(2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Vivaldi {
    coordinate: Coordinate,
    /// What estimates were off by, adjustments included.
    residuals: Recent<JUDGED_BY>,
    /// What they were off by without adjustments.
    plain_residuals: Recent<ADJUSTED_BY>,
    /// What was refused, should it be repeated.
    repeated: RepeatedOutliers<REMEMBERED>,
}

impl Vivaldi {
    /// A node that has measured nothing: at the origin, with the greatest error.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            coordinate: Coordinate::ORIGIN,
            residuals: Recent::new(),
            plain_residuals: Recent::new(),
            repeated: RepeatedOutliers::new(),
        }
    }

    /// Where the node is, as far as it knows.
    #[must_use]
    pub const fn coordinate(&self) -> Coordinate {
        self.coordinate
    }

    /// Takes in a round trip that this node measured to a peer which says that
    /// it is at `peer`.
    ///
    /// # Errors
    ///
    /// [`ObserveError`] says why the sample does not count; the coordinate then
    /// stays as it was.
    pub fn observe(&mut self, peer: &Coordinate, rtt: Duration) -> Result<(), ObserveError> {
        let micros = sane_micros(rtt).ok_or(ObserveError::InvalidRtt { rtt })?;
        self.take_in(peer, micros)
    }

    /// [`observe`](Self::observe) with a round trip that is known to be sane.
    pub(super) fn take_in(&mut self, peer: &Coordinate, micros: u32) -> Result<(), ObserveError> {
        let expected = self.coordinate.micros_to(peer);
        let residual = micros as f32 - expected as f32;
        let usual = self.residuals.usual();
        self.residuals.push(residual);
        if usual.contains(&residual) {
            self.repeated.pass();
            self.follow(peer, micros as f32, residual);
            return Ok(());
        }
        if !self.repeated.is_evidence(peer, micros) {
            return Err(ObserveError::outlier(micros, expected));
        }
        let counted = residual.clamp(*usual.start(), *usual.end()) * GENTLY;
        self.follow(peer, micros as f32 - residual + counted, counted);
        Ok(())
    }

    /// Moves by a round trip and what the estimate of it was off by.
    fn follow(&mut self, peer: &Coordinate, micros: f32, residual: f32) {
        relax(
            &mut self.coordinate,
            peer,
            believed_error(peer),
            micros,
            residual,
        );
        self.adjust(micros - self.coordinate.plain_distance(peer));
        self.gravitate();
    }

    /// Half of the mean of what was left over lately: the peer has the other half.
    fn adjust(&mut self, left_over: f32) {
        self.plain_residuals.push(left_over);
        self.coordinate
            .set_adjustment(self.plain_residuals.sum() / (2 * ADJUSTED_BY) as f32);
    }

    /// Draws the coordinate towards the origin, the more so the further off it
    /// is: 2 us per sample at 200 ms.
    fn gravitate(&mut self) {
        let distance = self.coordinate.plain_distance(&Coordinate::ORIGIN);
        let pull = -(distance / GRAVITY_RHO) * (distance / GRAVITY_RHO_MICROS);
        self.coordinate.push(&Coordinate::ORIGIN, pull);
    }
}

impl Default for Vivaldi {
    fn default() -> Self {
        Self::new()
    }
}

/// `AdjustmentWindowSize` of Serf.
const ADJUSTED_BY: usize = 20;
/// By how many residuals outliers are judged. With 30 % of liars among those a
/// node probes, chance gives them half of 20 samples in one of 20 windows, and
/// half of 50 in one of 500.
const JUDGED_BY: usize = 50;
/// How many refused samples are kept, should they be repeated.
const REMEMBERED: usize = 16;
/// As what share of the farthest sample that is no outlier a repeated one counts: at most
/// 1, so that repeating a lie gains nothing.
const GENTLY: f32 = 0.5;
/// So many residuals make a median.
const ENOUGH: usize = 10;
/// `GravityRho` of Serf, in seconds.
const GRAVITY_RHO: f32 = 150.0;
const GRAVITY_RHO_MICROS: f32 = GRAVITY_RHO * 1e6;
/// How many standard deviations are too far (Iglewicz and Hoaglin, "How to detect
/// and handle outliers", ASQC 1993).
const OUTLIER_DEVIATIONS: f32 = 3.5;
/// From a median absolute deviation to a standard deviation, where errors are
/// normally distributed.
const MAD_TO_SIGMA: f32 = 1.4826;
/// Clocks and queues alone make so much, in microseconds.
const JITTER: f32 = 1_000.0;

/// The last few residuals, in the order of a ring.
#[derive(Clone, Debug)]
struct Recent<const WINDOW: usize> {
    values: [f32; WINDOW],
    len: usize,
    next: usize,
}

impl<const WINDOW: usize> Recent<WINDOW> {
    const fn new() -> Self {
        Self {
            values: [0.0; WINDOW],
            len: 0,
            next: 0,
        }
    }

    fn push(&mut self, value: f32) {
        self.values[self.next] = value;
        self.next = (self.next + 1) % WINDOW;
        self.len = WINDOW.min(self.len + 1);
    }

    fn sum(&self) -> f32 {
        self.values.iter().sum()
    }

    /// What is not too far from the median; anything, while there is none yet.
    fn usual(&self) -> RangeInclusive<f32> {
        if self.len < ENOUGH {
            return f32::NEG_INFINITY..=f32::INFINITY;
        }
        let mut values = self.values;
        let known = &mut values[..self.len];
        let centre = median(known);
        for value in known.iter_mut() {
            *value = (*value - centre).abs();
        }
        // A median far from zero says that it is the coordinate that is wrong.
        let deviation = median(known).max(centre.abs());
        let reach = outlier_bound(deviation);
        centre - reach..=centre + reach
    }
}

/// The upper median of at least one value; reorders them.
fn median(values: &mut [f32]) -> f32 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

/// How far from the median is too far, given the median absolute deviation.
pub(super) fn outlier_bound(deviation: f32) -> f32 {
    OUTLIER_DEVIATIONS * MAD_TO_SIGMA * deviation + JITTER
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::limits::MAX_RTT;

    fn at(x: f32) -> Coordinate {
        let mut position = [0.0; Coordinate::DIMENSIONS];
        position[1] = x;
        Coordinate::new(position, 1_000.0, 0.0, 0.1).unwrap()
    }

    /// A node that found its place between peers at -`span` and `span`.
    fn settled(span: f32) -> Vivaldi {
        fastrand::seed(7);
        let mut node = Vivaldi::new();
        for _ in 0..100 {
            for peer in [at(-span), at(span)] {
                node.take_in(&peer, span as u32 + 3_000).unwrap();
            }
        }
        node
    }

    #[test]
    fn the_error_falls_and_the_estimate_converges() {
        let node = settled(30_000.0).coordinate();
        assert!(node.error() < 0.05, "{}", node.error());
        assert!(node.micros_to(&at(30_000.0)).abs_diff(33_000) < 1_500);
        assert!(node.micros_to(&at(-30_000.0)).abs_diff(33_000) < 1_500);
    }

    #[test]
    fn what_nothing_measured_is_refused() {
        let mut node = settled(30_000.0);
        let before = node.coordinate();
        let rtt = MAX_RTT + Duration::from_nanos(1);
        let refused = node.observe(&at(0.0), rtt);
        assert_eq!(refused, Err(ObserveError::InvalidRtt { rtt }));
        assert_eq!(node.coordinate(), before);
    }

    #[test]
    fn an_outlier_moves_nothing_and_says_what_was_expected() {
        let mut node = settled(30_000.0);
        let before = node.coordinate();
        let expected = before.micros_to(&at(30_000.0));
        let refused = node.take_in(&at(30_000.0), 900_000);
        assert_eq!(refused, Err(ObserveError::outlier(900_000, expected)));
        assert_eq!(node.coordinate(), before);
    }

    #[test]
    fn a_network_that_has_changed_is_believed_before_long() {
        let mut node = settled(30_000.0);
        let refused = (0..JUDGED_BY)
            .filter(|_| node.take_in(&at(30_000.0), 90_000).is_err())
            .count();
        assert!((1..=JUDGED_BY / 2 + 1).contains(&refused), "{refused}");
        for _ in 0..100 {
            let _ = node.take_in(&at(30_000.0), 90_000);
        }
        assert!(node.coordinate().micros_to(&at(30_000.0)).abs_diff(90_000) < 9_000);
    }

    #[test]
    fn one_sample_moves_a_node_by_a_tenth_of_a_second_at_most() {
        let mut node = Vivaldi::new();
        node.take_in(&Coordinate::ORIGIN, 10_000_000).unwrap();
        let moved = node.coordinate().plain_distance(&Coordinate::ORIGIN);
        assert!((90_000.0..101_000.0).contains(&moved), "{moved}");
    }

    #[test]
    fn a_claim_of_certainty_gains_nothing() {
        let moved_by = |error| {
            let mut node = settled(30_000.0);
            let peer = Coordinate::new([0.0; Coordinate::DIMENSIONS], 0.0, 0.0, error).unwrap();
            let micros = node.coordinate().micros_to(&peer) + 1_000;
            node.take_in(&peer, micros).unwrap();
            node.coordinate()
        };
        assert_eq!(moved_by(0.0), moved_by(0.2));
        assert_ne!(moved_by(0.0), moved_by(0.3));
    }

    #[test]
    fn gravity_draws_to_the_origin() {
        let mut node = Vivaldi::new();
        node.coordinate.push(&Coordinate::ORIGIN, 1e6);
        let before = node.coordinate().plain_distance(&Coordinate::ORIGIN);
        node.gravitate();
        let after = node.coordinate().plain_distance(&Coordinate::ORIGIN);
        let pull = before - after;
        assert!(
            (40.0..50.0).contains(&pull),
            "(1 s / 150 s)^2 is 44 us: {pull}"
        );
    }

    #[test]
    fn outliers_are_judged_once_there_are_enough_and_by_the_median() {
        let mut recent = Recent::<20>::new();
        for value in 0..ENOUGH as u16 {
            assert!(recent.usual().contains(&1e6));
            recent.push(f32::from(value) * 1_000.0);
        }
        // Median 5,000, deviation 3,000, but the median itself is off by 5,000:
        // the bound is 26,946 from it.
        assert!(recent.usual().contains(&31_900.0) && recent.usual().contains(&-21_900.0));
        assert!(!recent.usual().contains(&32_000.0) && !recent.usual().contains(&-22_000.0));
        for _ in 0..20 {
            recent.push(50_000.0);
        }
        assert_eq!((recent.len, recent.sum()), (20, 1e6), "old ones make room");
    }
}
