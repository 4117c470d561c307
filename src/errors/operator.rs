//! Why a setting of the operator for a relay was not kept.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why a setting of the operator for a relay was not kept.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum OperatorError {
    /// The cost is out of range, or not a number. Nothing has changed.
    #[non_exhaustive]
    InvalidCost {
        /// The cost that was given.
        cost: f64,
        /// The least cost.
        min: f64,
        /// The greatest cost.
        max: f64,
    },
    /// The relay is not registered, and settings are kept already for the most
    /// relays that were never registered. [Lift](crate::Registry::lift) one of those.
    TooMany {
        /// The most such relays.
        max: usize,
    },
    /// There is no memory to keep the operator setting in.
    OutOfMemory,
}

impl fmt::Display for OperatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidCost { cost, min, max } => {
                write!(f, "a cost is from {min} to {max}, not {cost}")
            }
            Self::TooMany { max } => too_many(*max, f),
            Self::OutOfMemory => f.write_str("there is no memory to keep the operator setting in"),
        }
    }
}

impl Error for OperatorError {}

/// Why a relay was not banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BanError {
    /// The ban ends later than ticks can count. Choose a shorter one.
    #[non_exhaustive]
    TooLong {
        /// The duration that was asked for.
        duration: Duration,
        /// The longest at this moment.
        max: Duration,
    },
    /// The relay is not registered, and settings are kept already for the most
    /// relays that were never registered. [Lift](crate::Registry::lift) one of those.
    TooMany {
        /// The most such relays.
        max: usize,
    },
    /// The relay is not registered, and there is no memory to keep the ban in.
    OutOfMemory,
}

impl fmt::Display for BanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { duration, max } => {
                write!(f, "a ban lasts at most {max:?}, not {duration:?}")
            }
            Self::TooMany { max } => too_many(*max, f),
            Self::OutOfMemory => f.write_str("there is no memory to keep the ban in"),
        }
    }
}

impl Error for BanError {}

fn too_many(max: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        f,
        "settings of {max} relays that are not registered are kept already: lift one"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operator_errors_explain_themselves() {
        let too_many = "settings of 7 relays that are not registered are kept already: lift one";
        let [max, duration] = [10, 11].map(Duration::from_secs);
        for (error, says) in [
            (&OperatorError::TooMany { max: 7 } as &dyn Error, too_many),
            (
                &OperatorError::InvalidCost {
                    cost: 0.0,
                    min: 0.1,
                    max: 10.0,
                },
                "a cost is from 0.1 to 10, not 0",
            ),
            (
                &OperatorError::OutOfMemory,
                "there is no memory to keep the operator setting in",
            ),
            (
                &BanError::TooLong { duration, max },
                "a ban lasts at most 10s, not 11s",
            ),
            (&BanError::TooMany { max: 7 }, too_many),
            (
                &BanError::OutOfMemory,
                "there is no memory to keep the ban in",
            ),
        ] {
            assert_eq!(error.to_string(), says);
        }
    }
}
