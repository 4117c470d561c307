//! Why a named relay was not leased.

use std::error::Error;
use std::fmt;

/// Why a named relay could not be leased. Each reason is one to try another
/// relay for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseError {
    /// No such relay is registered, or it has expired.
    UnknownRelay,
    /// The relay is at its capacity. A lease may succeed when another has been
    /// dropped.
    #[non_exhaustive]
    Full {
        /// The relay's capacity.
        capacity: u32,
    },
    /// The relay is draining: it serves the leases it has and takes no more.
    Draining,
    /// The relay is banned for the time being.
    Banned,
}

impl fmt::Display for LeaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownRelay => f.write_str("the relay is not registered"),
            Self::Full { capacity } => {
                write!(f, "the relay is full at its capacity of {capacity}")
            }
            Self::Draining => f.write_str("the relay is draining"),
            Self::Banned => f.write_str("the relay is banned"),
        }
    }
}

impl Error for LeaseError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lease_errors_explain_themselves() {
        for (error, says) in [
            (LeaseError::Banned, "the relay is banned"),
            (LeaseError::UnknownRelay, "the relay is not registered"),
            (
                LeaseError::Full { capacity: 8 },
                "the relay is full at its capacity of 8",
            ),
            (LeaseError::Draining, "the relay is draining"),
        ] {
            assert_eq!(error.to_string(), says);
        }
    }
}
