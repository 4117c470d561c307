//! [`Landmark`]: where a node is that does not say so itself.

use super::Coordinate;
use super::ObserveError;
use super::repeated_outliers::RepeatedOutliers;
use super::spring::{believed_error, relax};
use super::vivaldi::outlier_bound;
use crate::rtt::sane_micros;
use std::time::Duration;

/// The position of a node that is learned from round trips that *others*
/// measured to it, such as a relay's.
///
/// Its own word is never asked for. It can answer late, and so look farther from
/// those it is late to; to look nearer it would have to answer before it was
/// asked. (Late to some and not to others, it can shift its position towards
/// the others; those who measure it near that place shift it back.)
///
/// What peers say is not believed either, but weighed: a peer's error counts as
/// 0.2 at least; a sample counts for no more than twice the usual deviation, nor
/// moves the position by more than 100 ms; beyond 3.5 scaled deviations from
/// the running median it is refused as an [outlier](ObserveError::Outlier). The
/// running median and the median absolute deviation take two words (Ma,
/// Muthukrishnan and Sandler, "Frugal streaming for estimating quantiles", 2013);
/// refused samples move them, so that a node that has moved is found again.
/// A sample that is refused but repeated, nearly the same three times from nearly the same
/// place with eight ordinary samples or more in between, is taken in, and counts for no
/// more than any other. One refused sample at a time is kept for that, in 12 bytes.
///
/// That resists liars as long as fewer than half of the samples are theirs: let
/// no peer report more often than others.
///
/// A landmark takes 72 bytes at most. It settles after some hundred samples from
/// different places; from fewer than three places its direction is chance.
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
    /// The running median of what strangers' samples were off by, in us.
    centre: f32,
    /// The running median of how far from `centre` they were, in us.
    deviation: f32,
    /// How many samples moved it; stops at the maximum.
    samples: u16,
    /// How many of these were strangers'; stops at the maximum.
    heard: u16,
    /// What was refused, should it be repeated.
    repeated: RepeatedOutliers<1>,
}

impl Landmark {
    /// A node of which nothing is known.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            coordinate: Coordinate::ORIGIN,
            centre: 0.0,
            deviation: FIRST_DEVIATION,
            samples: 0,
            heard: 0,
            repeated: RepeatedOutliers::new(),
        }
    }

    /// Where the node is, after a first sample; how well that is known, its
    /// [error](Coordinate::error) says.
    #[must_use]
    pub fn coordinate(&self) -> Option<Coordinate> {
        (self.samples > 0).then_some(self.coordinate)
    }

    /// Takes in a round trip that a peer at `peer` says it measured to the node.
    ///
    /// # Errors
    ///
    /// [`ObserveError`] says why the sample does not count; the position then
    /// stays as it was.
    pub fn observe(&mut self, peer: &Coordinate, rtt: Duration) -> Result<(), ObserveError> {
        let micros = sane_micros(rtt).ok_or(ObserveError::InvalidRtt { rtt })?;
        self.hear(peer, micros)
    }

    /// [`observe`](Self::observe) with a round trip that is known to be sane.
    pub(super) fn hear(&mut self, peer: &Coordinate, micros: u32) -> Result<(), ObserveError> {
        let expected = self.coordinate.micros_to(peer);
        let residual = micros as f32 - expected as f32;
        let usual = self.deviation;
        let off = (residual - self.centre).abs();
        self.follow(residual, off);
        if self.heard < TRUSTING || off <= outlier_bound(usual) {
            self.repeated.pass();
        } else if !self.repeated.is_evidence(peer, micros) {
            return Err(ObserveError::outlier(micros, expected));
        }
        let most = FEW_DEVIATIONS * usual;
        let residual = residual.clamp(-most, most);
        relax(
            &mut self.coordinate,
            peer,
            believed_error(peer),
            micros as f32,
            residual,
        );
        self.heard = self.heard.saturating_add(1);
        self.samples = self.samples.saturating_add(1);
        Ok(())
    }

    /// Takes in a round trip that this very node measured, from where it is: it
    /// is never refused, counts in full, and with what this node's error really is.
    pub(super) fn measure(&mut self, own: &Coordinate, micros: u32) {
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

    /// The coordinate, once enough peers had their say and agree.
    #[inline]
    pub(super) fn settled(&self) -> Option<&Coordinate> {
        (self.heard >= SETTLED && self.coordinate.error() <= SETTLED_ERROR)
            .then_some(&self.coordinate)
    }

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
        self.deviation = (self.deviation * step).clamp(LEAST_DEVIATION, MOST_DEVIATION);
    }
}

impl Default for Landmark {
    fn default() -> Self {
        Self::new()
    }
}

/// How fast the running medians move, per sample.
const STEP: f32 = 0.05;
/// In microseconds: the deviation expected beforehand, and what it is kept within.
const FIRST_DEVIATION: f32 = 50_000.0;
const LEAST_DEVIATION: f32 = 500.0;
const MOST_DEVIATION: f32 = 5e6;
/// How many of the usual deviations one sample counts for at most.
const FEW_DEVIATIONS: f32 = 2.0;
/// So many samples of strangers are taken before any is called an outlier.
const TRUSTING: u16 = 8;
/// So many samples of strangers, and no more error, make a position usable.
const SETTLED: u16 = 16;
const SETTLED_ERROR: f32 = 0.5;

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

    /// Whose true place is this, as the peers say that `rtt` is to each.
    fn heard(peers: &[Coordinate], rtt: impl Fn(&Coordinate) -> u32) -> Landmark {
        fastrand::seed(3);
        let mut landmark = Landmark::new();
        for _ in 0..200 {
            for peer in peers {
                let _ = landmark.hear(peer, rtt(peer));
            }
        }
        landmark
    }

    fn place() -> Coordinate {
        at(20_000.0, -10_000.0)
    }

    #[test]
    fn a_landmark_is_found_by_those_who_measure_it() {
        let landmark = heard(&circle(), |peer| peer.micros_to(&place()));
        let found = landmark.settled().unwrap();
        for peer in circle() {
            let (estimate, truth) = (found.micros_to(&peer), place().micros_to(&peer));
            assert!(estimate.abs_diff(truth) < truth / 20, "{estimate} {truth}");
        }
    }

    #[test]
    fn one_liar_among_twenty_drags_it_nowhere() {
        let mut peers = circle();
        let honest = heard(&peers, |peer| peer.micros_to(&place()));
        for (lair, said) in [
            (at(900_000.0, 0.0), 10),
            (at(0.0, 0.0), 1_000_000),
            (at(-60_000.0, 0.0), 10),
        ] {
            peers[0] = lair;
            let dragged = heard(&peers, |peer| {
                if *peer == lair {
                    said
                } else {
                    peer.micros_to(&place())
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
        let prompt = heard(&circle(), |peer| peer.micros_to(&place()));
        let late = heard(&circle(), |peer| peer.micros_to(&place()) + 40_000);
        for from in circle()
            .into_iter()
            .chain([at(0.0, 0.0), at(200_000.0, 90_000.0)])
        {
            let (prompt, late) = (&prompt.coordinate, &late.coordinate);
            assert!(late.micros_to(&from) > prompt.micros_to(&from) + 25_000);
        }
    }

    #[test]
    fn it_is_usable_once_enough_strangers_agree() {
        let mut landmark = Landmark::new();
        assert_eq!(landmark.coordinate(), None);
        for _ in 0..1_000 {
            landmark.measure(&place(), 30_000);
        }
        assert!(landmark.coordinate().is_some());
        assert_eq!(landmark.settled(), None, "one place tells no direction");
        for peer in circle().iter().take(usize::from(SETTLED)) {
            assert_eq!(landmark.settled(), None);
            landmark
                .hear(peer, landmark.coordinate.micros_to(peer))
                .unwrap();
        }
        assert!(landmark.settled().is_some());
        landmark.coordinate.set_error(0.6);
        assert_eq!(landmark.settled(), None);
    }

    #[test]
    fn what_this_node_measured_weighs_more_than_what_strangers_say() {
        let mut settled = heard(&circle(), |peer| peer.micros_to(&place()));
        settled.coordinate.set_error(0.2);
        let own = at(-30_000.0, 0.0);
        let before = settled.coordinate.micros_to(&own);
        let moved = |landmark: Landmark| landmark.coordinate.micros_to(&own) - before;

        let (mut measured, mut told) = (settled, settled);
        measured.measure(&own, before + 2_500);
        told.hear(&own, before + 2_500).unwrap();
        assert!(moved(measured) > 2 * moved(told));

        let (mut measured, mut told) = (settled, settled);
        measured.measure(&own, before + 20_000);
        told.hear(&own, before + 20_000).unwrap_err();
        assert!(moved(measured) > 1_000 && moved(told) == 0);
    }

    #[test]
    fn a_landmark_that_has_moved_is_found_again() {
        let mut landmark = heard(&circle(), |peer| peer.micros_to(&place()));
        let moved = at(-80_000.0, 70_000.0);
        let mut refused = 0;
        for _ in 0..100 {
            for peer in circle() {
                refused += u32::from(landmark.hear(&peer, peer.micros_to(&moved)).is_err());
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
        let refused = landmark.observe(&place(), rtt);
        assert_eq!(refused, Err(ObserveError::InvalidRtt { rtt }));
        assert_eq!(landmark, Landmark::new());
    }
}
