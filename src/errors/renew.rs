//! Why a relay was not renewed.

use std::error::Error;
use std::fmt;

/// Why a relay was not renewed by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RenewError {
    /// No such relay is registered here, or it has expired. Register it: one that is
    /// only late is then [what it was](crate::Registration::Returned).
    UnknownRelay,
}

impl fmt::Display for RenewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownRelay => f.write_str("the relay is not registered here"),
        }
    }
}

impl Error for RenewError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renew_errors_explain_themselves() {
        assert_eq!(
            RenewError::UnknownRelay.to_string(),
            "the relay is not registered here"
        );
    }
}
