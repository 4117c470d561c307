//! The step that Vivaldi and landmarks share: a spring between two coordinates
//! that moves one of its ends.

use super::Coordinate;

/// How fast the error follows what is seen (`VivaldiCE` of Serf, `c_e` of the
/// Vivaldi paper).
const ERROR_GAIN: f32 = 0.25;
/// How much of a spring's tension one sample lets off (`VivaldiCC` of Serf,
/// `c_c` of the Vivaldi paper).
const FORCE_GAIN: f32 = 0.25;
/// The least error that a peer is believed to have: whoever claims less gets no
/// more weight for it. Honest nodes were seen to have 0.10 to 0.15.
const LEAST_PEER_ERROR: f32 = 0.2;
/// The furthest that one sample moves anything, in microseconds: a quarter of
/// the way around the world.
const MAX_FORCE: f32 = 100_000.0;

/// The error of a peer as far as strangers are believed.
pub(super) fn believed_error(peer: &Coordinate) -> f32 {
    peer.error().max(LEAST_PEER_ERROR)
}

/// Moves `end` by what a round trip to `peer` was off: measured less estimated.
/// The less certain `end` is beside its peer, the more of it is `end`'s fault.
pub(super) fn relax(
    end: &mut Coordinate,
    peer: &Coordinate,
    peer_error: f32,
    micros: f32,
    residual: f32,
) {
    let weight = end.error() / (end.error() + peer_error);
    let relative = residual.abs() / micros;
    let follow = ERROR_GAIN * weight;
    end.set_error(relative * follow + end.error() * (1.0 - follow));
    let force = FORCE_GAIN * weight * residual;
    end.push(peer, force.clamp(-MAX_FORCE, MAX_FORCE));
}
