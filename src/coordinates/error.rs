//! Why numbers are not a coordinate, or a round trip does not count towards one.

use super::MAX_ERROR;
use crate::limits::MAX_RTT;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why numbers are not a coordinate: the first part that is not a number, or is out of its
/// range. Ignore what the node that sent it says.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum CoordinateError {
    /// An axis of the position is further than [`MAX_RTT`] from 0.
    #[non_exhaustive]
    Position {
        /// Which axis, from 0.
        axis: usize,
        /// The value that was given, in microseconds.
        value: f32,
    },
    /// The height is below 0 or above [`MAX_RTT`].
    #[non_exhaustive]
    Height {
        /// The value that was given, in microseconds.
        value: f32,
    },
    /// The adjustment is further than [`MAX_RTT`] from 0.
    #[non_exhaustive]
    Adjustment {
        /// The value that was given, in microseconds.
        value: f32,
    },
    /// The error is below 0 or above [`Coordinate::MAX_ERROR`](crate::Coordinate::MAX_ERROR).
    #[non_exhaustive]
    Error {
        /// The value that was given.
        value: f32,
    },
}

impl fmt::Display for CoordinateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = MAX_RTT.as_micros();
        match self {
            Self::Position { axis, value } => write!(
                f,
                "axis {axis} of the position is {value} us, not -{most} to {most}"
            ),
            Self::Height { value } => write!(f, "the height is {value} us, not 0 to {most}"),
            Self::Adjustment { value } => {
                write!(f, "the adjustment is {value} us, not -{most} to {most}")
            }
            Self::Error { value } => {
                write!(f, "the error is {value}, not 0 to {}", MAX_ERROR)
            }
        }
    }
}

impl Error for CoordinateError {}

/// Why a round trip does not count towards a coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObserveError {
    /// The round trip is above [`MAX_RTT`], so it is not a measurement.
    #[non_exhaustive]
    InvalidRtt {
        /// The round trip that was given.
        rtt: Duration,
    },
    /// The round trip is much further from the estimate than earlier ones: the peer lies, the
    /// network has changed, or the route is not a direct one. Continue to measure: a change,
    /// or an outlier that is the same each time, is accepted later.
    #[non_exhaustive]
    Outlier {
        /// The round trip that was measured.
        rtt: Duration,
        /// The estimate.
        expected: Duration,
    },
}

impl ObserveError {
    pub(crate) fn outlier(micros: u32, expected: u32) -> Self {
        Self::Outlier {
            rtt: Duration::from_micros(micros.into()),
            expected: Duration::from_micros(expected.into()),
        }
    }
}

impl fmt::Display for ObserveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidRtt { rtt } => {
                write!(f, "the round trip is {rtt:?}, longer than {MAX_RTT:?}")
            }
            Self::Outlier { rtt, expected } => write!(
                f,
                "the round trip is {rtt:?} where about {expected:?} was expected"
            ),
        }
    }
}

impl Error for ObserveError {}
