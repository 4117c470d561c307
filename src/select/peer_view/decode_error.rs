//! [`PeerViewDecodeError`]: why bytes are not a view.

use super::PeerView;
use crate::coordinates::CoordinateError;
use crate::limits::MAX_RTT;
use crate::relay::NodeIdError;
use std::error::Error;
use std::fmt;

/// Why bytes are not a [`PeerView`]: the first thing that is wrong. Ignore what the peer sent.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PeerViewDecodeError {
    /// The bytes end too early.
    #[non_exhaustive]
    Truncated {
        /// How many bytes there are.
        len: usize,
        /// How many there must be at least.
        needed: usize,
    },
    /// There are bytes behind the last part.
    #[non_exhaustive]
    TrailingBytes {
        /// How many.
        extra: usize,
    },
    /// The version is not 1. The peer may have a later release of this crate.
    #[non_exhaustive]
    UnknownVersion {
        /// The version that the bytes have.
        version: u8,
    },
    /// The second byte has bits that have no meaning in this version.
    #[non_exhaustive]
    UnknownForm {
        /// The byte.
        byte: u8,
    },
    /// The id of a relay is empty or too long. The [source](Error::source) says which, and so
    /// does the message.
    #[non_exhaustive]
    InvalidRelay {
        /// Which relay, from 0.
        index: usize,
        /// What is wrong with the id.
        reason: NodeIdError,
    },
    /// A relay is in the view twice.
    #[non_exhaustive]
    DuplicateRelay {
        /// Which relay is the second one, from 0.
        index: usize,
    },
    /// The round trip to a relay is 0 or above [`MAX_RTT`].
    #[non_exhaustive]
    InvalidRtt {
        /// Which relay, from 0.
        index: usize,
        /// The round trip in microseconds.
        micros: u32,
    },
    /// A part of the coordinate is not a number, or out of its range. The
    /// [source](Error::source) says which, and so does the message.
    InvalidCoordinate(CoordinateError),
}

impl fmt::Display for PeerViewDecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { len, needed } => write!(
                f,
                "the view is cut off: it has {len} bytes, and {needed} are needed"
            ),
            Self::TrailingBytes { extra } => {
                write!(f, "the view has {extra} bytes behind its end")
            }
            Self::UnknownVersion { version } => {
                write!(f, "the view is of version {version}, not 1")
            }
            Self::UnknownForm { byte } => write!(
                f,
                "the second byte of the view is {byte}, not 0 to {max}, or 128 more",
                max = PeerView::MAX_MEASURED
            ),
            Self::InvalidRelay { index, reason } => {
                write!(f, "relay {index} of the view: {reason}")
            }
            Self::DuplicateRelay { index } => {
                write!(f, "relay {index} of the view is in it twice")
            }
            Self::InvalidRtt { index, micros } => write!(
                f,
                "the RTT of relay {index} of the view is {micros} us, not 1 to {}",
                MAX_RTT.as_micros()
            ),
            Self::InvalidCoordinate(reason) => {
                write!(f, "the coordinate of the view: {reason}")
            }
        }
    }
}

impl Error for PeerViewDecodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::InvalidRelay { reason, .. } => Some(reason),
            Self::InvalidCoordinate(reason) => Some(reason),
            _ => None,
        }
    }
}
