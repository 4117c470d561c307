//! [`CborError`]: why bytes are refused.

use std::error::Error;
use std::fmt;

/// Why bytes are not deterministic CBOR (RFC 8949, section 4.2.1) of the types
/// that records and saves use. Offsets are in bytes from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CborError {
    /// The bytes end within an item.
    #[non_exhaustive]
    Truncated {
        /// The offset of the item.
        at: usize,
    },
    /// Further bytes follow the outermost item.
    #[non_exhaustive]
    TrailingBytes {
        /// The offset of the first of them.
        at: usize,
    },
    /// The item has an indefinite length.
    #[non_exhaustive]
    Indefinite {
        /// The offset of the item.
        at: usize,
    },
    /// A number or length is not in its shortest encoding.
    #[non_exhaustive]
    NotShortest {
        /// The offset of the item.
        at: usize,
    },
    /// A key of a map occurs twice.
    #[non_exhaustive]
    DuplicateKey {
        /// The offset of the second occurrence.
        at: usize,
    },
    /// A key of a map sorts before the preceding key.
    #[non_exhaustive]
    UnsortedKey {
        /// The offset of the key.
        at: usize,
    },
    /// A text string is not UTF-8.
    #[non_exhaustive]
    InvalidText {
        /// The offset of the string.
        at: usize,
    },
    /// The item has a type that they do not use (a tag, a floating-point
    /// number, a simple value other than false, true and null), or a reserved one.
    #[non_exhaustive]
    Unsupported {
        /// The offset of the item.
        at: usize,
    },
    /// Arrays and maps nest more than 8 deep.
    #[non_exhaustive]
    TooDeep {
        /// The offset of the first array or map beyond that depth.
        at: usize,
    },
    /// The outermost item is not a map.
    NotAMap,
    /// A key of the outermost map is not an unsigned integer.
    #[non_exhaustive]
    NotAnIntegerKey {
        /// The offset of the key.
        at: usize,
    },
}

impl fmt::Display for CborError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, at) = match self {
            Self::Truncated { at } => ("the bytes end within the item", at),
            Self::TrailingBytes { at } => ("there are trailing bytes", at),
            Self::Indefinite { at } => ("the length is indefinite", at),
            Self::NotShortest { at } => ("the encoding is not the shortest", at),
            Self::DuplicateKey { at } => ("the key is a duplicate", at),
            Self::UnsortedKey { at } => ("the key is not in order", at),
            Self::InvalidText { at } => ("the text is not UTF-8", at),
            Self::Unsupported { at } => ("the type is not supported", at),
            Self::TooDeep { at } => ("the nesting is too deep", at),
            Self::NotAnIntegerKey { at } => ("the key is not an unsigned integer", at),
            Self::NotAMap => return f.write_str("the outermost item is not a map"),
        };
        write!(f, "{what} at byte {at}")
    }
}

impl Error for CborError {}
