//! Why a saved registry is not restored.

use crate::cbor::CborError;
use std::error::Error;
use std::fmt;
use std::io;

/// Why a save is not restored; see [`RegistryBuilder::restore`](crate::RegistryBuilder::restore).
/// Nothing of it is restored then.
#[derive(Debug)]
#[non_exhaustive]
pub enum RestoreError {
    /// The reader failed. The [source](Error::source) says how.
    Io(io::Error),
    /// The bytes do not begin as a save does: this is another file.
    NotASave,
    /// The save was written by a later version of this crate, in a format that this one cannot
    /// read. Restore it with that version.
    #[non_exhaustive]
    UnknownVersion {
        /// The major version of the format.
        major: u16,
        /// The one that is read.
        supported: u16,
    },
    /// The save is cut off.
    #[non_exhaustive]
    Truncated {
        /// How many bytes there are.
        len: u64,
    },
    /// An entry is longer than any that is written: the save was altered.
    #[non_exhaustive]
    EntryTooLong {
        /// The number of the entry, the first one being 0.
        entry: u64,
        /// Its length, in bytes.
        len: u32,
        /// The longest.
        max: u32,
    },
    /// The bytes do not have the checksum that ends the save: it was altered.
    ChecksumMismatch,
    /// Bytes follow the end of the save.
    TrailingBytes,
    /// An entry is not encoded as it should be, although the checksum is right: another program
    /// wrote this.
    #[non_exhaustive]
    InvalidEntry {
        /// The number of the entry, the first one being 0.
        entry: u64,
        /// What is wrong with it.
        reason: CborError,
    },
    /// A field of an entry is missing, or has a value that none can have, although the checksum
    /// is right: another program wrote this.
    #[non_exhaustive]
    InvalidField {
        /// The number of the entry, the first one being 0.
        entry: u64,
        /// The key of the field.
        key: u64,
    },
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the save cannot be read: {error}"),
            Self::NotASave => f.write_str("this is no save of a registry"),
            Self::UnknownVersion { major, supported } => write!(
                f,
                "the save has version {major} of the format, and this crate reads {supported}"
            ),
            Self::Truncated { len } => write!(f, "the save is cut off after {len} bytes"),
            Self::EntryTooLong { entry, len, max } => write!(
                f,
                "entry {entry} of the save has {len} bytes, more than {max}: it was altered"
            ),
            Self::ChecksumMismatch => {
                f.write_str("the save does not have its checksum: it was altered")
            }
            Self::TrailingBytes => f.write_str("bytes follow the end of the save"),
            Self::InvalidEntry { entry, reason } => {
                write!(f, "entry {entry} of the save: {reason}")
            }
            Self::InvalidField { entry, key } => write!(
                f,
                "field {key} of entry {entry} of the save is missing or not valid"
            ),
        }
    }
}

impl Error for RestoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::InvalidEntry { reason, .. } => Some(reason),
            _ => None,
        }
    }
}

impl From<io::Error> for RestoreError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
