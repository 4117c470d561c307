//! Why a relay was not banned.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why a relay was not banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BanError {
    /// The end of the ban is beyond what ticks can count. Choose a nearer one.
    #[non_exhaustive]
    TooLong {
        /// What was asked for.
        duration: Duration,
    },
    /// The relay is not held, and of as many relays that were never held something is
    /// said already. Lift what is said of one of those.
    #[non_exhaustive]
    TooMany {
        /// How many those are.
        max: usize,
    },
    /// The relay is not held, and there is no memory to remember the ban in.
    OutOfMemory,
}

impl fmt::Display for BanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { duration } => {
                write!(f, "a ban of {duration:?} is beyond what ticks can count")
            }
            Self::TooMany { max } => write!(
                f,
                "bans or draining of {max} relays that are not held are kept already: lift one"
            ),
            Self::OutOfMemory => f.write_str("there is no memory to remember the ban in"),
        }
    }
}

impl Error for BanError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ban_errors_explain_themselves() {
        let duration = Duration::from_secs(11);
        assert_eq!(
            BanError::TooLong { duration }.to_string(),
            "a ban of 11s is beyond what ticks can count"
        );
        assert_eq!(
            BanError::TooMany { max: 7 }.to_string(),
            "bans or draining of 7 relays that are not held are kept already: lift one"
        );
        assert_eq!(
            BanError::OutOfMemory.to_string(),
            "there is no memory to remember the ban in"
        );
    }
}
