//! Why a setting of the operator for a relay was not kept.

use super::register::write_backlogged;
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
    /// The relay is not registered, and each record that could keep the operator setting awaits
    /// reclamation, because a thread stalls inside a call of the registry, or gets no processor.
    /// Nothing has changed. Try again shortly.
    #[non_exhaustive]
    Backlogged {
        /// The number of departed relays and replaced announcements that hold memory.
        awaiting_reclamation: usize,
    },
}

impl fmt::Display for OperatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidCost { cost, min, max } => {
                write!(f, "the cost is {cost}, not {min} to {max}")
            }
            Self::TooMany { max } => too_many(*max, f),
            Self::OutOfMemory => f.write_str("there is no memory to keep the operator setting in"),
            Self::Backlogged {
                awaiting_reclamation,
            } => write_backlogged(f, *awaiting_reclamation),
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
    /// The relay is not registered, and each record that could keep the ban awaits
    /// reclamation, because a thread stalls inside a call of the registry, or gets no processor.
    /// Nothing has changed. Try again shortly.
    #[non_exhaustive]
    Backlogged {
        /// The number of departed relays and replaced announcements that hold memory.
        awaiting_reclamation: usize,
    },
}

impl fmt::Display for BanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { duration, max } => {
                write!(f, "a ban lasts at most {max:?}, not {duration:?}")
            }
            Self::TooMany { max } => too_many(*max, f),
            Self::OutOfMemory => f.write_str("there is no memory to keep the ban in"),
            Self::Backlogged {
                awaiting_reclamation,
            } => write_backlogged(f, *awaiting_reclamation),
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
