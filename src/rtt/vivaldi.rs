//! [`Vivaldi`]: a node learns where it is from its own round trips.

use super::spring::{believed_error, relax};
use super::{Coordinate, sane_micros};
use crate::errors::ObserveError;
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
///   median of the last 20 than three times their scaled median absolute
///   deviation, plus 1 ms, is refused as an [outlier](ObserveError::Outlier).
///   It is still counted among the last 20: when the network has changed, or the
///   coordinate is wrong, it is the refused ones that soon make up the median.
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
    residuals: Recent,
    /// What they were off by without adjustments.
    plain_residuals: Recent,
}

impl Vivaldi {
    /// A node that has measured nothing: at the origin, with the greatest error.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            coordinate: Coordinate::ORIGIN,
            residuals: Recent::new(),
            plain_residuals: Recent::new(),
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
        let is_outlier = self.residuals.is_outlier(residual);
        self.residuals.push(residual);
        if is_outlier {
            return Err(ObserveError::outlier(micros, expected));
        }
        relax(
            &mut self.coordinate,
            peer,
            believed_error(peer),
            micros,
            residual,
        );
        self.adjust(micros as f32 - self.coordinate.plain_distance(peer));
        self.gravitate();
        Ok(())
    }

    /// Half of the mean of what was left over lately: the peer has the other half.
    fn adjust(&mut self, left_over: f32) {
        self.plain_residuals.push(left_over);
        self.coordinate
            .set_adjustment(self.plain_residuals.sum() / (2 * WINDOW) as f32);
    }

    /// Draws the coordinate towards the origin, the more so the further off it
    /// is; 2 us per sample at 200 ms.
    fn gravitate(&mut self) {
        let distance = self.coordinate.plain_distance(&Coordinate::ORIGIN);
        let pull = -(distance / GRAVITY_RHO_MICROS) * (distance / MICROS_PER_SECOND / GRAVITY_RHO);
        self.coordinate.push(&Coordinate::ORIGIN, pull);
    }
}

impl Default for Vivaldi {
    fn default() -> Self {
        Self::new()
    }
}

/// `AdjustmentWindowSize` of Serf; outliers are judged by as many.
const WINDOW: usize = 20;
/// So many residuals make a median.
const ENOUGH: usize = WINDOW / 2;
/// `GravityRho` of Serf, in seconds.
const GRAVITY_RHO: f32 = 150.0;
const GRAVITY_RHO_MICROS: f32 = GRAVITY_RHO * MICROS_PER_SECOND;
const MICROS_PER_SECOND: f32 = 1e6;
/// How many standard deviations are too far; 3 is the convention (Leys et al.,
/// "Detecting outliers", J. Experimental Social Psychology 49, 2013).
const OUTLIER_DEVIATIONS: f32 = 3.0;
/// From a median absolute deviation to a standard deviation, where errors are
/// normally distributed.
const MAD_TO_SIGMA: f32 = 1.4826;
/// Clocks and queues alone make so much, in microseconds.
const JITTER: f32 = 1_000.0;

/// The last few residuals, in the order of a ring.
#[derive(Clone, Debug)]
struct Recent {
    values: [f32; WINDOW],
    len: usize,
    next: usize,
}

impl Recent {
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

    /// Whether `value` is too far from the median, if there is one yet.
    fn is_outlier(&self, value: f32) -> bool {
        if self.len < ENOUGH {
            return false;
        }
        let mut values = self.values;
        let known = &mut values[..self.len];
        let centre = median(known);
        for value in known.iter_mut() {
            *value = (*value - centre).abs();
        }
        let bound = outlier_bound(median(known));
        (value - centre).abs() > bound
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
