//! Why the relays of a source were not synchronised.

use crate::limits::MAX_TAG_LEN;
use std::error::Error;
use std::fmt;

/// Why [`sync_source`](crate::Registry::sync_source) refused a list as a whole. Nothing has
/// changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncError {
    /// The tag is empty, longer than 64 bytes, or has a control character. Choose one of 1 to 64
    /// bytes without such characters.
    #[non_exhaustive]
    InvalidTag {
        /// The length of the tag, in bytes.
        len: usize,
        /// The length of the longest, in bytes.
        max: usize,
    },
    /// As many other tags have relays already. Synchronise one of those with an empty list, or
    /// use its tag.
    #[non_exhaustive]
    TooManyTags {
        /// How many tags there would be.
        count: usize,
        /// The most.
        max: usize,
    },
    /// The list has more entries than the registry was built for relays. Give fewer, or build a
    /// larger registry.
    #[non_exhaustive]
    TooManyRelays {
        /// How many entries the list has at least: it was not read to its end.
        count: usize,
        /// The most, which is [`max_relays`](crate::RegistryBuilder::max_relays).
        max: usize,
    },
}

impl fmt::Display for SyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidTag { len, .. } if (1..=MAX_TAG_LEN).contains(len) => {
                f.write_str("the tag has a control character")
            }
            Self::InvalidTag { len, max } => write!(f, "the tag has {len} bytes, not 1 to {max}"),
            Self::TooManyTags { count, max } => write!(
                f,
                "there would be {count} tags with relays, and may be at most {max}"
            ),
            Self::TooManyRelays { count, max } => write!(
                f,
                "the list has {count} entries or more, and may have at most {max}"
            ),
        }
    }
}

impl Error for SyncError {}
