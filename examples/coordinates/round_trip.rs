//! Round trips as durations.

use std::time::Duration;

use crate::matrix::Matrix;

/// The round trip between two nodes; `None` if it was not measured, or rounds
/// to nothing.
pub fn between(matrix: &Matrix, from: usize, to: usize) -> Option<Duration> {
    let rtt = Duration::from_secs_f32(matrix.rtt_ms(from, to)? / 1e3);
    (!rtt.is_zero()).then_some(rtt)
}
