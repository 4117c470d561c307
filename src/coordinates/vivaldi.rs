//! [`Vivaldi`]: a node's own coordinate, from the round trips that it measures.

use super::Coordinate;
use super::ObserveError;
use super::repeated_outliers::RepeatedOutliers;
use super::spring::{bounded_error, relax};
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
/// Peers may lie about their coordinates, and delay their answers. So
///
/// - a [`Coordinate`] cannot hold a value that is not finite or not in range;
/// - a peer's error counts as at least 0.2, so a liar has no more weight than an honest
///   peer;
/// - one sample moves the coordinate by at most 100 ms;
/// - a sample is refused as an [outlier](ObserveError::Outlier) if its residual (measured
///   less estimated) is further from the median of the last 50 than 3.5 times their scaled
///   median absolute deviation, plus 1 ms. It still counts among the last 50. So when the
///   network has changed, or the coordinate is wrong, refused samples soon are the median;
/// - an outlier that is nearly the same three times, from nearly the same position and with
///   at least eight ordinary samples in between, is evidence: round trips on the Internet
///   break the triangle inequality. It counts as half of the farthest sample that is no
///   outlier, and must then be repeated as often again. So a repeated lie gains less than
///   the farthest lie that passes. Sixteen outliers are kept for that, in 162 bytes.
///
/// This resists liars while fewer than half of the samples are theirs: choose at random
/// which peers to probe. It does not resist peers that shift together, a little at a time.
///
/// An update takes about a microsecond and allocates nothing. If two positions coincide,
/// the direction is drawn from `fastrand`'s generator of the thread.
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
    /// Residuals of estimates with adjustments.
    residuals: Recent<WINDOW_LEN>,
    /// Residuals of estimates without adjustments.
    plain_residuals: Recent<ADJUSTMENT_WINDOW>,
    /// Refused samples, in case they are repeated.
    repeated: RepeatedOutliers<KEPT_OUTLIERS>,
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

    /// The node's coordinate.
    #[must_use]
    pub const fn coordinate(&self) -> Coordinate {
        self.coordinate
    }

    /// Adds a round trip that this node measured to a peer whose coordinate, as it
    /// says, is `peer`.
    ///
    /// # Errors
    ///
    /// [`ObserveError`] says why the sample does not count. The coordinate then stays as it
    /// was.
    pub fn observe(&mut self, peer: &Coordinate, rtt: Duration) -> Result<(), ObserveError> {
        let micros = sane_micros(rtt).ok_or(ObserveError::InvalidRtt { rtt })?;
        self.observe_micros(peer, micros)
    }

    /// [`observe`](Self::observe) with a round trip that was checked by [`sane_micros`].
    pub(super) fn observe_micros(
        &mut self,
        peer: &Coordinate,
        micros: u32,
    ) -> Result<(), ObserveError> {
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
        let counted = residual.clamp(*usual.start(), *usual.end()) * REPEATED_SHARE;
        self.follow(peer, micros as f32 - residual + counted, counted);
        Ok(())
    }

    /// Moves by a round trip and the residual of its estimate.
    fn follow(&mut self, peer: &Coordinate, micros: f32, residual: f32) {
        relax(
            &mut self.coordinate,
            peer,
            bounded_error(peer),
            micros,
            residual,
        );
        self.adjust(micros - self.coordinate.plain_distance(peer));
        self.gravitate();
    }

    /// Sets the adjustment to half of the mean residual: the peer's has the other half.
    fn adjust(&mut self, residual: f32) {
        self.plain_residuals.push(residual);
        self.coordinate
            .set_adjustment(self.plain_residuals.sum() / (2 * ADJUSTMENT_WINDOW) as f32);
    }

    /// Draws the coordinate towards the origin, more strongly the further off it is: by 2 us
    /// for each sample at 200 ms.
    fn gravitate(&mut self) {
        let distance = self.coordinate.plain_distance(&Coordinate::ORIGIN);
        let pull = -(distance / GRAVITY_RHO) * (distance / GRAVITY_RHO_MICROS);
        self.coordinate.push(&Coordinate::ORIGIN, pull);
    }
}

/// What of a [`Vivaldi`] outlives the process: all but the refused samples that it keeps in case
/// they are repeated.
#[cfg(feature = "persistence")]
#[derive(Clone, Debug)]
pub(crate) struct SavedVivaldi {
    pub(crate) coordinate: Coordinate,
    /// The oldest first.
    pub(crate) residuals: Vec<f32>,
    pub(crate) plain_residuals: Vec<f32>,
}

#[cfg(feature = "persistence")]
impl Vivaldi {
    pub(crate) fn saved(&self) -> SavedVivaldi {
        let Self {
            coordinate,
            residuals,
            plain_residuals,
            repeated: _,
        } = self;
        SavedVivaldi {
            coordinate: *coordinate,
            residuals: residuals.oldest_first().collect(),
            plain_residuals: plain_residuals.oldest_first().collect(),
        }
    }

    /// The same with these parts; of too many residuals, the latest count.
    pub(crate) fn restored(saved: SavedVivaldi) -> Self {
        let mut restored = Self::new();
        let SavedVivaldi {
            coordinate,
            residuals,
            plain_residuals,
        } = saved;
        restored.coordinate = coordinate;
        residuals
            .into_iter()
            .for_each(|residual| restored.residuals.push(residual));
        plain_residuals
            .into_iter()
            .for_each(|residual| restored.plain_residuals.push(residual));
        restored
    }
}

impl Default for Vivaldi {
    fn default() -> Self {
        Self::new()
    }
}

/// `AdjustmentWindowSize` of Serf.
const ADJUSTMENT_WINDOW: usize = 20;
/// How many residuals decide what an outlier is. If 30 % of the probed peers are liars,
/// they have half of 20 samples in one of 20 windows, and half of 50 in one of 500.
const WINDOW_LEN: usize = 50;
/// How many refused samples are kept, in case they are repeated.
const KEPT_OUTLIERS: usize = 16;
/// A repeated outlier counts as this share of the farthest sample that is no outlier. It is
/// at most 1, so that a lie gains nothing by being repeated.
const REPEATED_SHARE: f32 = 0.5;
/// The least number of residuals of which a median is taken.
const MIN_SAMPLES: usize = 10;
/// `GravityRho` of Serf, in seconds.
const GRAVITY_RHO: f32 = 150.0;
const GRAVITY_RHO_MICROS: f32 = GRAVITY_RHO * 1e6;
/// More standard deviations make an outlier (Iglewicz and Hoaglin, "How to detect and handle
/// outliers", ASQC 1993).
const OUTLIER_DEVIATIONS: f32 = 3.5;
/// The standard deviation over the median absolute deviation, if errors are normally
/// distributed.
const MAD_TO_SIGMA: f32 = 1.4826;
/// What clocks and queues alone account for, in microseconds.
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

    #[cfg(feature = "persistence")]
    fn oldest_first(&self) -> impl Iterator<Item = f32> {
        let first = self.next + WINDOW - self.len;
        (first..first + self.len).map(|at| self.values[at % WINDOW])
    }

    fn sum(&self) -> f32 {
        self.values.iter().sum()
    }

    /// The residuals that are no outliers. While there are too few for a median, any.
    fn usual(&self) -> RangeInclusive<f32> {
        if self.len < MIN_SAMPLES {
            return f32::NEG_INFINITY..=f32::INFINITY;
        }
        let mut values = self.values;
        let known = &mut values[..self.len];
        let centre = median(known);
        for value in known.iter_mut() {
            *value = (*value - centre).abs();
        }
        // If the median is far from zero, the coordinate is wrong.
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

/// The distance from the median beyond which a sample is an outlier, given the median
/// absolute deviation.
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

    /// A node that has converged between peers at -`span` and `span`.
    fn converged(span: f32) -> Vivaldi {
        fastrand::seed(7);
        let mut node = Vivaldi::new();
        for _ in 0..100 {
            for peer in [at(-span), at(span)] {
                node.observe_micros(&peer, span as u32 + 3_000).unwrap();
            }
        }
        node
    }

    #[test]
    fn the_error_falls_and_the_estimate_converges() {
        let node = converged(30_000.0).coordinate();
        assert!(node.error() < 0.05, "{}", node.error());
        assert!(node.micros_to(&at(30_000.0)).abs_diff(33_000) < 1_500);
        assert!(node.micros_to(&at(-30_000.0)).abs_diff(33_000) < 1_500);
    }

    #[test]
    fn a_round_trip_that_is_too_long_is_refused() {
        let mut node = converged(30_000.0);
        let before = node.coordinate();
        let rtt = MAX_RTT + Duration::from_nanos(1);
        let refused = node.observe(&at(0.0), rtt);
        assert_eq!(refused, Err(ObserveError::InvalidRtt { rtt }));
        assert_eq!(node.coordinate(), before);
    }

    #[test]
    fn an_outlier_moves_nothing_and_says_what_was_expected() {
        let mut node = converged(30_000.0);
        let before = node.coordinate();
        let expected = before.micros_to(&at(30_000.0));
        let refused = node.observe_micros(&at(30_000.0), 900_000);
        assert_eq!(refused, Err(ObserveError::outlier(900_000, expected)));
        assert_eq!(node.coordinate(), before);
    }

    #[test]
    fn a_network_that_has_changed_is_followed_before_long() {
        let mut node = converged(30_000.0);
        let refused = (0..WINDOW_LEN)
            .filter(|_| node.observe_micros(&at(30_000.0), 90_000).is_err())
            .count();
        assert!((1..=WINDOW_LEN / 2 + 1).contains(&refused), "{refused}");
        for _ in 0..100 {
            let _ = node.observe_micros(&at(30_000.0), 90_000);
        }
        assert!(node.coordinate().micros_to(&at(30_000.0)).abs_diff(90_000) < 9_000);
    }

    #[test]
    fn one_sample_moves_a_node_by_a_tenth_of_a_second_at_most() {
        let mut node = Vivaldi::new();
        node.observe_micros(&Coordinate::ORIGIN, 10_000_000)
            .unwrap();
        let moved = node.coordinate().plain_distance(&Coordinate::ORIGIN);
        assert!((90_000.0..101_000.0).contains(&moved), "{moved}");
    }

    #[test]
    fn a_claim_of_certainty_gains_nothing() {
        let moved_by = |error| {
            let mut node = converged(30_000.0);
            let peer = Coordinate::new([0.0; Coordinate::DIMENSIONS], 0.0, 0.0, error).unwrap();
            let micros = node.coordinate().micros_to(&peer) + 1_000;
            node.observe_micros(&peer, micros).unwrap();
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
        for value in 0..MIN_SAMPLES as u16 {
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
