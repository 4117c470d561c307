//! Why a peer's view was not made.

use crate::limits::MAX_RTT;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why a peer's view was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerViewError {
    /// The round trip is above [`MAX_RTT`]. Leave the relay out.
    #[non_exhaustive]
    InvalidRtt {
        /// What was given.
        rtt: Duration,
    },
    /// The view holds as many relays as it can. Give the nearest ones.
    Full,
}

impl fmt::Display for PeerViewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidRtt { rtt } => {
                write!(f, "the RTT is {rtt:?}, above {MAX_RTT:?}")
            }
            Self::Full => f.write_str("the view holds three relays already"),
        }
    }
}

impl Error for PeerViewError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn view_errors_explain_themselves() {
        let rtt = Duration::from_secs(11);
        assert_eq!(
            PeerViewError::InvalidRtt { rtt }.to_string(),
            "the RTT is 11s, above 10s"
        );
        assert_eq!(
            PeerViewError::Full.to_string(),
            "the view holds three relays already"
        );
    }
}
