//! Why a record was not made, or is not believed.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::{FailureDomain, Load, MAX_TTL, Network};
use crate::limits::MAX_CAPACITY;
use crate::relay::EndpointError;

/// Why a record could not be made, or bytes are no record to be believed.
///
/// Nothing is done with refused bytes: whoever handed them over is damaged,
/// wrong or lying, and another source may do better.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordError {
    /// The tag of a network is empty or longer than [`Network::MAX_LEN`].
    #[non_exhaustive]
    InvalidNetwork {
        /// Its length in bytes.
        len: usize,
    },
    /// There are more bytes than a record, or its value, may have.
    #[non_exhaustive]
    TooLarge {
        /// How many there are.
        len: usize,
        /// How many are allowed.
        max: usize,
    },
    /// The bytes end before the value of the record starts.
    #[non_exhaustive]
    TooShort {
        /// How many there are.
        len: usize,
    },
    /// The first byte names another layout than this crate knows: something
    /// else, or a record of a later version.
    #[non_exhaustive]
    UnknownLayout {
        /// The byte.
        layout: u8,
    },
    /// The public key is no Ed25519 key in its one spelling.
    InvalidKey,
    /// The public key is one of the few for which anyone can make signatures.
    WeakKey,
    /// The signature does not verify: the record is forged, damaged, or of
    /// another network.
    BadSignature,
    /// The sequence is negative, or beyond the 63 bits that BEP 44 gives it.
    InvalidSequence,
    /// The sequence lies before the issue time, and so would outlive the
    /// memory of what was issued after it. Take it from
    /// [`next_sequence`](super::next_sequence).
    #[non_exhaustive]
    SequenceBeforeIssue {
        /// The sequence.
        sequence: u64,
        /// The issue time, in microseconds since the Unix epoch.
        issued_at: u64,
    },
    /// The value is not deterministic CBOR; the [source](Error::source) says
    /// why not, and where.
    NotCanonical(CborError),
    /// A field says what it does in another way than the one it is written in:
    /// by an IPv4 address wrapped in an IPv6 one, for instance, or by a name in
    /// capitals.
    OtherSpelling,
    /// The record is of a later version, which changed the meaning of what this
    /// one knows.
    #[non_exhaustive]
    UnsupportedVersion {
        /// The version.
        version: u64,
    },
    /// The record is neither an announcement nor a withdrawal.
    #[non_exhaustive]
    UnsupportedKind {
        /// The kind.
        kind: u64,
    },
    /// A field that must be there is not.
    #[non_exhaustive]
    Missing {
        /// Its key.
        key: u64,
    },
    /// A field is there that a record of this kind does not have.
    #[non_exhaustive]
    Unexpected {
        /// Its key.
        key: u64,
    },
    /// A field holds a value of another type than it should, or one that is out
    /// of all range.
    #[non_exhaustive]
    WrongType {
        /// Its key.
        key: u64,
    },
    /// The TTL is under a millisecond or above [`MAX_TTL`].
    #[non_exhaustive]
    InvalidTtl {
        /// What was given.
        ttl: Duration,
    },
    /// The endpoint can be dialled under no address policy; the
    /// [source](Error::source) says why.
    InvalidEndpoint(EndpointError),
    /// The capacity is 0 or above [`MAX_CAPACITY`].
    #[non_exhaustive]
    InvalidCapacity {
        /// What was given.
        capacity: u64,
    },
    /// The kind of NAT is none that this version knows.
    #[non_exhaustive]
    InvalidNat {
        /// Its code.
        code: u64,
    },
    /// The load is above [`Load::FULL`].
    #[non_exhaustive]
    InvalidLoad {
        /// What was given, in sixteenths.
        sixteenths: u64,
    },
    /// The failure domain is empty, longer than [`FailureDomain::MAX_LEN`], or
    /// has other than visible ASCII characters.
    InvalidFailureDomain,
    /// The key of an extension is below
    /// [`RelayRecord::FIRST_EXTENSION`](super::RelayRecord::FIRST_EXTENSION), or
    /// already there.
    #[non_exhaustive]
    InvalidExtension {
        /// The key.
        key: u64,
    },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidNetwork { len } => write!(
                f,
                "the tag of a network has 1 to {} bytes, not {len}",
                Network::MAX_LEN
            ),
            Self::TooLarge { len, max } => {
                write!(f, "there are {len} bytes, and at most {max} are allowed")
            }
            Self::TooShort { len } => write!(f, "{len} bytes are too few for a record"),
            Self::UnknownLayout { layout } => write!(f, "{layout} is no known layout of a record"),
            Self::InvalidKey => f.write_str("the public key is not valid"),
            Self::WeakKey => f.write_str("the public key is weak: anyone can sign for it"),
            Self::BadSignature => {
                f.write_str("the signature does not verify for this key and network")
            }
            Self::InvalidSequence => f.write_str("the sequence is not within 0 to 2^63 - 1"),
            Self::SequenceBeforeIssue {
                sequence,
                issued_at,
            } => write!(
                f,
                "the sequence {sequence} lies before the issue time {issued_at}"
            ),
            Self::NotCanonical(_) => f.write_str("the value is not deterministic CBOR"),
            Self::OtherSpelling => f.write_str("a field is not written in its one spelling"),
            Self::UnsupportedVersion { version } => {
                write!(f, "version {version} of the record format is not supported")
            }
            Self::UnsupportedKind { kind } => write!(f, "{kind} is no known kind of record"),
            Self::Missing { key } => write!(f, "the field with key {key} is missing"),
            Self::Unexpected { key } => write!(
                f,
                "a record of this kind does not have the field with key {key}"
            ),
            Self::WrongType { key } => {
                write!(f, "the field with key {key} holds something else")
            }
            Self::InvalidTtl { ttl } => {
                write!(f, "the TTL is {ttl:?}, not 1ms to {MAX_TTL:?}")
            }
            Self::InvalidEndpoint(_) => f.write_str("the endpoint is not acceptable"),
            Self::InvalidCapacity { capacity } => {
                write!(f, "the capacity is {capacity}, not 1 to {MAX_CAPACITY}")
            }
            Self::InvalidNat { code } => write!(f, "{code} is no known kind of NAT"),
            Self::InvalidLoad { sixteenths } => write!(
                f,
                "the load is {sixteenths} sixteenths, not 0 to {}",
                Load::FULL.sixteenths()
            ),
            Self::InvalidFailureDomain => write!(
                f,
                "a failure domain has 1 to {} visible ASCII characters",
                FailureDomain::MAX_LEN
            ),
            Self::InvalidExtension { key } => {
                write!(f, "no extension can be added under key {key}")
            }
        }
    }
}

impl Error for RecordError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotCanonical(reason) => Some(reason),
            Self::InvalidEndpoint(reason) => Some(reason),
            _ => None,
        }
    }
}

impl From<CborError> for RecordError {
    fn from(reason: CborError) -> Self {
        Self::NotCanonical(reason)
    }
}

impl From<EndpointError> for RecordError {
    fn from(reason: EndpointError) -> Self {
        Self::InvalidEndpoint(reason)
    }
}

/// Why bytes are not deterministic CBOR (RFC 8949, section 4.2.1) of the types
/// that records use. Each says where, in bytes from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CborError {
    /// The bytes end within an item.
    #[non_exhaustive]
    Truncated {
        /// Where the item starts.
        at: usize,
    },
    /// More bytes follow the one item there should be.
    #[non_exhaustive]
    TrailingBytes {
        /// Where they start.
        at: usize,
    },
    /// The length of an item is left to a later break.
    #[non_exhaustive]
    Indefinite {
        /// Where the item starts.
        at: usize,
    },
    /// A number or length takes more bytes than it needs.
    #[non_exhaustive]
    NotShortest {
        /// Where the item starts.
        at: usize,
    },
    /// A key of a map occurs twice.
    #[non_exhaustive]
    DuplicateKey {
        /// Where it occurs again.
        at: usize,
    },
    /// A key of a map should stand before the one that it follows.
    #[non_exhaustive]
    Disordered {
        /// Where it stands.
        at: usize,
    },
    /// A text is not UTF-8.
    #[non_exhaustive]
    InvalidText {
        /// Where the text starts.
        at: usize,
    },
    /// The item is of a type that records do not use (a tag, a floating point
    /// number, a simple value other than false, true and null), or of none.
    #[non_exhaustive]
    Unsupported {
        /// Where it is.
        at: usize,
    },
    /// Arrays and maps are nested deeper than records may be.
    #[non_exhaustive]
    TooDeep {
        /// Where the innermost one starts.
        at: usize,
    },
    /// The outermost item is not a map.
    NotAMap,
    /// A key of the outermost map is not an unsigned integer.
    #[non_exhaustive]
    NotAnIntegerKey {
        /// Where the key is.
        at: usize,
    },
}

impl fmt::Display for CborError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, at) = match self {
            Self::Truncated { at } => ("the bytes end within the item", at),
            Self::TrailingBytes { at } => ("there should be nothing", at),
            Self::Indefinite { at } => ("the length is indefinite", at),
            Self::NotShortest { at } => ("the encoding is not the shortest", at),
            Self::DuplicateKey { at } => ("the key is there already", at),
            Self::Disordered { at } => ("the key is not in order", at),
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

/// Why there is no key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// The operating system gave no random bytes. It may later, if it has only
    /// just started.
    #[non_exhaustive]
    NoRandomness {
        /// What the operating system said, if it said a number.
        raw_os_error: Option<i32>,
    },
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::NoRandomness { raw_os_error } = self;
        f.write_str("the operating system gave no random bytes")?;
        match raw_os_error {
            Some(code) => write!(f, " (error {code})"),
            None => Ok(()),
        }
    }
}

impl Error for KeyError {}
