//! [`DhtError`]: why an engine did not do what it was asked.

use std::error::Error;
use std::fmt;

/// Why an engine did not do what it was asked.
///
/// None of these says that a record is absent: only a
/// [complete](crate::dht::Coverage::Complete) answer without a candidate does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DhtError {
    /// A record with a higher sequence is stored. Sign again, above it.
    Superseded {
        /// The sequence of the stored record, where the engine knows it. It is
        /// a claim of the engine's: never sign far above it for its sake.
        stored: Option<u64>,
    },
    /// Another value is stored under the same sequence, or others wrote the
    /// same place and kept winning. Sign again; join again.
    Conflict,
    /// The record's value is longer than the engine stores. Nothing was sent.
    TooLarge {
        /// The length of the value, in bytes.
        size: usize,
        /// The longest that is stored.
        max: usize,
    },
    /// There is no room for another: in this shard, or in the whole store. Try
    /// another shard, or later.
    Full {
        /// How many are held.
        max: usize,
    },
    /// Those who were asked refused. The same request will be refused again.
    Rejected {
        /// What they said. [`DhtError::rejected`] makes it fit for a log.
        reason: Box<str>,
    },
    /// The deadline passed first. What was asked for may have been done, or may
    /// yet be.
    Timeout,
    /// Nobody could be reached. Try again later.
    Unreachable,
    /// As many requests as the engine carries are in flight, and none of them
    /// ended before the deadline. Nothing was sent.
    Busy {
        /// How many requests the engine carries.
        max_in_flight: usize,
    },
    /// The engine has no such thing. Asking again is of no use.
    Unsupported {
        /// What it has not.
        what: &'static str,
    },
    /// The engine has ended and will do nothing more. Build another.
    Closed,
}

/// The most characters of a stranger's explanation that are kept.
const MAX_REASON: usize = 120;

impl DhtError {
    /// A [`Rejected`](Self::Rejected) that quotes `reason`, which a stranger
    /// may have written: control characters are escaped and no more than 120
    /// characters are kept.
    #[must_use]
    pub fn rejected(reason: &str) -> Self {
        Self::Rejected {
            reason: reason
                .chars()
                .take(MAX_REASON)
                .flat_map(char::escape_debug)
                .take(MAX_REASON)
                .collect(),
        }
    }

    /// Whether the very same request may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Full { .. } | Self::Timeout | Self::Unreachable | Self::Busy { .. } => true,
            Self::Superseded { .. }
            | Self::Conflict
            | Self::TooLarge { .. }
            | Self::Rejected { .. }
            | Self::Unsupported { .. }
            | Self::Closed => false,
        }
    }
}

impl fmt::Display for DhtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Superseded {
                stored: Some(stored),
            } => write!(f, "a newer record with sequence {stored} is stored"),
            Self::Superseded { stored: None } => f.write_str("a newer record is stored"),
            Self::Conflict => f.write_str("another value is stored in the same place"),
            Self::TooLarge { size, max } => {
                write!(f, "the value has {size} bytes, more than {max}")
            }
            Self::Full { max } => write!(f, "there is no room for more than {max}"),
            Self::Rejected { reason } => write!(f, "refused: {reason}"),
            Self::Timeout => f.write_str("the deadline passed"),
            Self::Unreachable => f.write_str("nobody could be reached"),
            Self::Busy { max_in_flight } => {
                write!(f, "all {max_in_flight} requests at once are taken")
            }
            Self::Unsupported { what } => write!(f, "the engine has no {what}"),
            Self::Closed => f.write_str("the engine has ended"),
        }
    }
}

impl Error for DhtError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_says_is_short_and_printable() {
        let rejected = DhtError::rejected(&"\u{1b}[31m\n".repeat(1_000));
        let DhtError::Rejected { reason } = &rejected else {
            panic!("not what was built: {rejected:?}");
        };
        assert_eq!(reason.chars().count(), MAX_REASON);
        assert!(!reason.chars().any(char::is_control), "{reason}");
        assert_eq!(
            DhtError::rejected("no room").to_string(),
            "refused: no room"
        );
    }
}
