//! [`DhtError`]: why a request to an engine failed.

use std::error::Error;
use std::fmt;

/// Why a request to an engine failed.
///
/// No error proves that a record is absent: only a
/// [complete](crate::dht::Coverage::Complete) answer without a candidate does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DhtError {
    /// A record with a higher sequence is stored. Sign again with a sequence above
    /// it.
    Superseded {
        /// The sequence of the stored record, if the engine knows it. It is not
        /// verified: do not sign a sequence far in the future because of it.
        stored: Option<u64>,
    },
    /// Another value is stored under the same sequence, or concurrent writers
    /// overwrote this write at every attempt. Sign or join again.
    Conflict,
    /// The record's value is longer than the engine's limit. No request was sent.
    TooLarge {
        /// The length of the value, in bytes.
        size: usize,
        /// The maximum length, in bytes.
        max: usize,
    },
    /// The shard, or the whole store, is full. Try another shard, or try later.
    Full {
        /// The number of entries that it holds.
        max: usize,
    },
    /// The storage nodes rejected the request, and would reject it again.
    Rejected {
        /// The reason that they gave. [`DhtError::rejected`] makes it safe to log.
        reason: Box<str>,
    },
    /// The storage nodes answered that they cannot serve the request now: they have no
    /// memory left, still load their data, or are replicas. Try later. The registry repeats
    /// the request after a back-off, and goes on with other requests, such as reads, which the
    /// nodes may serve: it counts a failure, but none for the circuit breaker.
    Unavailable {
        /// The reason that they gave. [`DhtError::unavailable`] makes it safe to log.
        reason: Box<str>,
    },
    /// The deadline passed. A write may have taken effect, or may still.
    Timeout,
    /// No storage node could be reached. Try later.
    Unreachable,
    /// The maximum number of requests is in flight, and none of them ended before
    /// the deadline. No request was sent.
    Busy {
        /// The maximum number of requests in flight.
        max_in_flight: usize,
    },
    /// The engine does not support the request, and never will.
    Unsupported {
        /// The unsupported feature.
        what: &'static str,
    },
    /// The engine has stopped for good. Build another.
    Closed,
}

/// The maximum length of a remote node's reason, in characters.
const MAX_REASON: usize = 120;

impl DhtError {
    /// A [`Rejected`](Self::Rejected) with a `reason` from an untrusted node: control
    /// characters are escaped, and the text is cut to 120 characters.
    #[must_use]
    pub fn rejected(reason: &str) -> Self {
        Self::Rejected {
            reason: safe_to_log(reason),
        }
    }

    /// An [`Unavailable`](Self::Unavailable) with a `reason` from an untrusted node, made
    /// safe as by [`rejected`](Self::rejected).
    #[must_use]
    pub fn unavailable(reason: &str) -> Self {
        Self::Unavailable {
            reason: safe_to_log(reason),
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Full { .. }
            | Self::Unavailable { .. }
            | Self::Timeout
            | Self::Unreachable
            | Self::Busy { .. } => true,
            Self::Superseded { .. }
            | Self::Conflict
            | Self::TooLarge { .. }
            | Self::Rejected { .. }
            | Self::Unsupported { .. }
            | Self::Closed => false,
        }
    }
}

fn safe_to_log(reason: &str) -> Box<str> {
    let mut safe = String::new();
    for character in reason.chars().take(MAX_REASON) {
        match character {
            '\'' | '"' => safe.push(character),
            _ => safe.extend(character.escape_debug()),
        }
    }
    safe.chars().take(MAX_REASON).collect()
}

impl fmt::Display for DhtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Superseded {
                stored: Some(stored),
            } => write!(f, "a newer record with sequence {stored} is stored"),
            Self::Superseded { stored: None } => f.write_str("a newer record is stored"),
            Self::Conflict => f.write_str(
                "another value is stored under the same sequence, or other writers overwrote this one",
            ),
            Self::TooLarge { size, max } => {
                write!(f, "the value has {size} bytes, more than {max}")
            }
            Self::Full { max } => write!(f, "there is no room for more than {max} entries"),
            Self::Rejected { reason } => write!(f, "the storage nodes rejected the request: {reason}"),
            Self::Unavailable { reason } => {
                write!(f, "the storage nodes cannot serve the request now: {reason}")
            }
            Self::Timeout => f.write_str("the deadline passed"),
            Self::Unreachable => f.write_str("no storage node could be reached"),
            Self::Busy { max_in_flight } => {
                write!(
                    f,
                    "{max_in_flight} requests are in flight, which is the maximum"
                )
            }
            Self::Unsupported { what } => write!(f, "the engine does not support {what}"),
            Self::Closed => f.write_str("the engine has stopped"),
        }
    }
}

impl Error for DhtError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_of_a_remote_node_is_cut_and_escaped() {
        let remote = "\u{1b}[31m\n".repeat(1_000);
        for error in [DhtError::rejected(&remote), DhtError::unavailable(&remote)] {
            let (DhtError::Rejected { reason } | DhtError::Unavailable { reason }) = &error else {
                panic!("another error: {error:?}");
            };
            assert_eq!(reason.chars().count(), MAX_REASON);
            assert!(!reason.chars().any(char::is_control), "{reason}");
        }
        assert_eq!(
            DhtError::rejected("there's no room").to_string(),
            "the storage nodes rejected the request: there's no room"
        );
    }
}
