//! [`Landmark`]: the coordinate of a node that does not measure by itself.

use super::Coordinate;
#[cfg(feature = "persistence")]
use super::MAX_MICROS;
use super::ObserveError;
use super::repeated_outliers::RepeatedOutliers;
use super::spring::{bounded_error, relax};
use super::vivaldi::outlier_bound;
use crate::rtt::sane_micros;
use std::time::Duration;

/// The coordinate of a node, such as a relay, from round trips that *others* measured to
/// it.
///
/// What the node says of itself does not count. It can answer late, and so seem farther. It
/// cannot answer before it was asked, so it cannot seem nearer. (If it is late to some peers
/// only, it moves towards the others. Samples of peers near that position move it back.)
///
/// What peers report is bounded:
///
/// - a peer's error counts as at least 0.2;
/// - a sample counts for at most twice the usual deviation, and moves the coordinate by at
///   most 100 ms;
/// - a sample further from the running median than 3.5 scaled deviations is refused as an
///   [outlier](ObserveError::Outlier). The running median and the median absolute deviation
///   take two words (Ma, Muthukrishnan and Sandler, "Frugal streaming for estimating
///   quantiles", 2013). Refused samples move them, so a node that has moved converges again;
/// - an outlier that is nearly the same three times, from nearly the same position and with
///   at least eight ordinary samples in between, is accepted and counts as any other sample.
///   One refused sample at a time is kept for that, in 12 bytes.
///
/// This resists liars while fewer than half of the samples are theirs: let no peer report
/// more often than others.
///
/// A landmark takes at most 72 bytes. It converges after some hundred samples from
/// different positions. With fewer than three positions, its direction is arbitrary.
///
/// ```
/// use relay_registry::{Coordinate, Landmark};
/// use std::time::Duration;
///
/// let mut relay = Landmark::new();
/// assert_eq!(relay.coordinate(), None);
/// let peer = Coordinate::new([0.0; Coordinate::DIMENSIONS], 500.0, 0.0, 0.3)?;
/// for _ in 0..100 {
///     relay.observe(&peer, Duration::from_millis(40))?;
/// }
/// let estimate = relay.coordinate().map(|at| at.rtt_to(&peer));
/// assert!(estimate.is_some_and(|rtt| rtt.abs_diff(Duration::from_millis(40)).as_millis() < 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Landmark {
    coordinate: Coordinate,
    /// The running median of the residuals of peers' samples, in us.
    centre: f32,
    /// The running median of their distance from `centre`, in us.
    deviation: f32,
    /// How many samples moved it; stops at the maximum.
    samples: u16,
    /// How many of these were peers'; stops at the maximum.
    reported: u16,
    /// Refused samples, in case they are repeated.
    repeated: RepeatedOutliers<1>,
}

impl Landmark {
    /// A node of which nothing is known.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            coordinate: Coordinate::ORIGIN,
            centre: 0.0,
            deviation: INITIAL_DEVIATION,
            samples: 0,
            reported: 0,
            repeated: RepeatedOutliers::new(),
        }
    }

    /// The node's coordinate, after a first sample. Its [error](Coordinate::error) says how
    /// precise it is.
    #[must_use]
    pub fn coordinate(&self) -> Option<Coordinate> {
        (self.samples > 0).then_some(self.coordinate)
    }

    /// Adds a round trip that a peer at `peer` says it measured to the node.
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
        let usual = self.deviation;
        let off = (residual - self.centre).abs();
        self.follow(residual, off);
        if self.reported < WARM_UP || off <= outlier_bound(usual) {
            self.repeated.pass();
        } else if !self.repeated.is_evidence(peer, micros) {
            return Err(ObserveError::outlier(micros, expected));
        }
        let most = SAMPLE_DEVIATIONS * usual;
        let residual = residual.clamp(-most, most);
        relax(
            &mut self.coordinate,
            peer,
            bounded_error(peer),
            micros as f32,
            residual,
        );
        self.reported = self.reported.saturating_add(1);
        self.samples = self.samples.saturating_add(1);
        Ok(())
    }

    /// Adds a round trip that the registry's own node measured. It is never refused,
    /// and counts in full, with the error that the node really has.
    pub(super) fn observe_own(&mut self, own: &Coordinate, micros: u32) {
        let residual = micros as f32 - self.coordinate.micros_to(own) as f32;
        relax(
            &mut self.coordinate,
            own,
            own.error(),
            micros as f32,
            residual,
        );
        self.samples = self.samples.saturating_add(1);
    }

    /// The coordinate, once enough peers have reported and agree.
    #[inline]
    pub(super) fn converged(&self) -> Option<&Coordinate> {
        (self.reported >= CONVERGED && self.coordinate.error() <= CONVERGED_ERROR)
            .then_some(&self.coordinate)
    }

    /// The coordinate after a first sample.
    pub(super) fn provisional(&self) -> Option<&Coordinate> {
        (self.samples > 0).then_some(&self.coordinate)
    }

    /// Moves the running medians a small step towards a sample.
    fn follow(&mut self, residual: f32, off: f32) {
        let step = if off > self.deviation {
            1.0 + STEP
        } else {
            1.0 - STEP
        };
        let reach = STEP * self.deviation;
        self.centre += (STEP * (residual - self.centre)).clamp(-reach, reach);
        self.deviation = (self.deviation * step).clamp(MIN_DEVIATION, MAX_DEVIATION);
    }
}

/// What of a [`Landmark`] outlives the process: all but the refused sample that it keeps in case
/// it is repeated.
#[cfg(feature = "persistence")]
#[derive(Clone, Debug)]
pub(crate) struct SavedLandmark {
    pub(crate) coordinate: Coordinate,
    pub(crate) centre: f32,
    pub(crate) deviation: f32,
    pub(crate) samples: u16,
    pub(crate) reported: u16,
}

#[cfg(feature = "persistence")]
impl Landmark {
    pub(crate) fn saved(&self) -> SavedLandmark {
        let &Self {
            coordinate,
            centre,
            deviation,
            samples,
            reported,
            repeated: _,
        } = self;
        SavedLandmark {
            coordinate,
            centre,
            deviation,
            samples,
            reported,
        }
    }

    /// The same with these parts, within their bounds.
    pub(crate) fn restored(saved: SavedLandmark) -> Self {
        let SavedLandmark {
            coordinate,
            centre,
            deviation,
            samples,
            reported,
        } = saved;
        Self {
            coordinate,
            centre: centre.clamp(-2.0 * MAX_MICROS, 2.0 * MAX_MICROS),
            deviation: deviation.clamp(MIN_DEVIATION, MAX_DEVIATION),
            samples,
            reported: reported.min(samples),
            repeated: RepeatedOutliers::new(),
        }
    }
}

impl Default for Landmark {
    fn default() -> Self {
        Self::new()
    }
}

/// How fast the running medians move, per sample.
const STEP: f32 = 0.05;
/// In microseconds: the deviation before the first sample, and its bounds.
const INITIAL_DEVIATION: f32 = 50_000.0;
const MIN_DEVIATION: f32 = 500.0;
const MAX_DEVIATION: f32 = 5e6;
/// How many of the usual deviations one sample counts for at most.
const SAMPLE_DEVIATIONS: f32 = 2.0;
/// So many samples of peers are accepted before any is an outlier.
const WARM_UP: u16 = 8;
/// With so many samples of peers, and at most this error, a coordinate has converged.
const CONVERGED: u16 = 16;
const CONVERGED_ERROR: f32 = 0.5;

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::limits::MAX_RTT;

    fn at(x: f32, y: f32) -> Coordinate {
        let mut position = [0.0; Coordinate::DIMENSIONS];
        (position[0], position[4]) = (x, y);
        Coordinate::new(position, 1_000.0, 0.0, 0.2).unwrap()
    }

    /// Twenty peers on a circle of 50 ms.
    fn circle() -> Vec<Coordinate> {
        let angle = |n: u8| f32::from(n) * std::f32::consts::TAU / 20.0;
        let peer = |n| at(50_000.0 * angle(n).cos(), 50_000.0 * angle(n).sin());
        (0..20).map(peer).collect()
    }

    /// A landmark to which each peer reported the round trip that `rtt` says.
    fn landmark_of(peers: &[Coordinate], rtt: impl Fn(&Coordinate) -> u32) -> Landmark {
        fastrand::seed(3);
        let mut landmark = Landmark::new();
        for _ in 0..200 {
            for peer in peers {
                let _ = landmark.observe_micros(peer, rtt(peer));
            }
        }
        landmark
    }

    fn position() -> Coordinate {
        at(20_000.0, -10_000.0)
    }

    #[test]
    fn a_landmark_is_found_by_those_who_measure_it() {
        let landmark = landmark_of(&circle(), |peer| peer.micros_to(&position()));
        let found = landmark.converged().unwrap();
        for peer in circle() {
            let (estimate, truth) = (found.micros_to(&peer), position().micros_to(&peer));
            assert!(estimate.abs_diff(truth) < truth / 20, "{estimate} {truth}");
        }
    }

    #[test]
    fn one_liar_among_twenty_drags_it_nowhere() {
        let mut peers = circle();
        let honest = landmark_of(&peers, |peer| peer.micros_to(&position()));
        for (lair, said) in [
            (at(900_000.0, 0.0), 10),
            (at(0.0, 0.0), 1_000_000),
            (at(-60_000.0, 0.0), 10),
        ] {
            peers[0] = lair;
            let dragged = landmark_of(&peers, |peer| {
                if *peer == lair {
                    said
                } else {
                    peer.micros_to(&position())
                }
            });
            for peer in &peers[1..] {
                let [was, is] = [honest, dragged].map(|at| at.coordinate.micros_to(peer));
                assert!(is.abs_diff(was) < was / 20, "{is} {was}");
            }
        }
    }

    #[test]
    fn delaying_answers_makes_it_look_farther_from_everywhere() {
        let prompt = landmark_of(&circle(), |peer| peer.micros_to(&position()));
        let late = landmark_of(&circle(), |peer| peer.micros_to(&position()) + 40_000);
        for from in circle()
            .into_iter()
            .chain([at(0.0, 0.0), at(200_000.0, 90_000.0)])
        {
            let (prompt, late) = (&prompt.coordinate, &late.coordinate);
            assert!(late.micros_to(&from) > prompt.micros_to(&from) + 25_000);
        }
    }

    #[test]
    fn it_has_converged_once_enough_peers_agree() {
        let mut landmark = Landmark::new();
        assert_eq!(landmark.coordinate(), None);
        for _ in 0..1_000 {
            landmark.observe_own(&position(), 30_000);
        }
        assert!(landmark.coordinate().is_some());
        assert_eq!(
            landmark.converged(),
            None,
            "one position tells no direction"
        );
        for peer in circle().iter().take(usize::from(CONVERGED)) {
            assert_eq!(landmark.converged(), None);
            landmark
                .observe_micros(peer, landmark.coordinate.micros_to(peer))
                .unwrap();
        }
        assert!(landmark.converged().is_some());
        landmark.coordinate.set_error(0.6);
        assert_eq!(landmark.converged(), None);
    }

    #[test]
    fn what_this_node_measured_counts_more_than_what_peers_report() {
        let mut landmark = landmark_of(&circle(), |peer| peer.micros_to(&position()));
        landmark.coordinate.set_error(0.2);
        let own = at(-30_000.0, 0.0);
        let before = landmark.coordinate.micros_to(&own);
        let moved = |landmark: Landmark| landmark.coordinate.micros_to(&own) - before;

        let (mut measured, mut reported) = (landmark, landmark);
        measured.observe_own(&own, before + 2_500);
        reported.observe_micros(&own, before + 2_500).unwrap();
        assert!(moved(measured) > 2 * moved(reported));

        let (mut measured, mut reported) = (landmark, landmark);
        measured.observe_own(&own, before + 20_000);
        reported.observe_micros(&own, before + 20_000).unwrap_err();
        assert!(moved(measured) > 1_000 && moved(reported) == 0);
    }

    #[test]
    fn a_landmark_that_has_moved_is_found_again() {
        let mut landmark = landmark_of(&circle(), |peer| peer.micros_to(&position()));
        let moved = at(-80_000.0, 70_000.0);
        let mut refused = 0;
        for _ in 0..100 {
            for peer in circle() {
                refused += u32::from(
                    landmark
                        .observe_micros(&peer, peer.micros_to(&moved))
                        .is_err(),
                );
            }
        }
        assert!(refused > 0);
        for peer in circle() {
            let (estimate, truth) = (landmark.coordinate.micros_to(&peer), moved.micros_to(&peer));
            assert!(estimate.abs_diff(truth) < truth / 10, "{estimate} {truth}");
        }
    }

    #[test]
    fn what_nothing_measured_is_refused() {
        let mut landmark = Landmark::new();
        let rtt = MAX_RTT + Duration::from_nanos(1);
        let refused = landmark.observe(&position(), rtt);
        assert_eq!(refused, Err(ObserveError::InvalidRtt { rtt }));
        assert_eq!(landmark, Landmark::new());
    }
}
