//! Why the operator's word on a relay was not kept.

use std::error::Error;
use std::fmt;

/// Why the operator's word on a relay was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OperatorError {
    /// The relay is not held, and of as many relays that were never held something is
    /// said already. [Lift](crate::Registry::lift) what is said of one of those.
    #[non_exhaustive]
    TooMany {
        /// How many those are.
        max: usize,
    },
    /// The relay is not held, and there is no memory to remember the word in.
    OutOfMemory,
}

impl fmt::Display for OperatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany { max } => write!(
                f,
                "bans or draining of {max} relays that are not held are kept already: lift one"
            ),
            Self::OutOfMemory => f.write_str("there is no memory to remember the word in"),
        }
    }
}

impl Error for OperatorError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operator_errors_explain_themselves() {
        assert_eq!(
            OperatorError::TooMany { max: 7 }.to_string(),
            "bans or draining of 7 relays that are not held are kept already: lift one"
        );
        assert_eq!(
            OperatorError::OutOfMemory.to_string(),
            "there is no memory to remember the word in"
        );
    }
}
