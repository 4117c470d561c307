//! The step that Vivaldi and landmarks share: a spring between two coordinates moves one
//! of its ends.

use super::Coordinate;

/// How fast the error follows the samples (`VivaldiCE` of Serf, `c_e` of the Vivaldi
/// paper).
const ERROR_GAIN: f32 = 0.25;
/// How much of its force a spring applies for one sample (`VivaldiCC` of Serf, `c_c` of the
/// Vivaldi paper).
const FORCE_GAIN: f32 = 0.25;
/// The least error that a peer counts with: a peer that claims less gains no weight.
/// Honest nodes were measured to have 0.10 to 0.15.
const MIN_PEER_ERROR: f32 = 0.2;
/// The furthest that one sample moves a coordinate, in microseconds: a quarter of the way
/// around the world.
const MAX_FORCE: f32 = 100_000.0;

/// The error that a peer counts with, whatever it claims.
pub(super) fn bounded_error(peer: &Coordinate) -> f32 {
    peer.error().max(MIN_PEER_ERROR)
}

/// Moves `end` by the residual of a round trip to `peer`: measured less estimated. The
/// less certain `end` is compared with its peer, the further it moves.
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
