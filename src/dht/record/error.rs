//! [`RecordError`] and [`KeyError`].

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::{FULL_LOAD, MAX_NETWORK_LEN, MAX_TTL, RelayRecord};
use crate::cbor::CborError;
use crate::limits::{MAX_CAPACITY, MAX_DOMAIN_LEN, MAX_LABEL_LEN};
use crate::relay::EndpointError;

/// Why a record could not be created, or why bytes are not a valid record.
///
/// Rejected bytes have no effect. Another storage node may have a valid record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordError {
    /// The tag of a network is empty or longer than [`Network::MAX_LEN`](crate::dht::Network::MAX_LEN).
    #[non_exhaustive]
    InvalidNetwork {
        /// The length of the tag in bytes.
        len: usize,
    },
    /// The record or its value is too long.
    #[non_exhaustive]
    TooLarge {
        /// The length in bytes.
        len: usize,
        /// The maximum length in bytes.
        max: usize,
    },
    /// The bytes end before the value of the record starts.
    #[non_exhaustive]
    TooShort {
        /// The length in bytes.
        len: usize,
    },
    /// The first byte is not a layout version that this crate knows.
    #[non_exhaustive]
    UnknownLayout {
        /// The first byte.
        layout: u8,
    },
    /// The public key is not the canonical encoding of an Ed25519 key.
    InvalidKey,
    /// The public key is of small order: signatures for it need no secret key.
    WeakKey,
    /// The signature is not valid: the record is forged, damaged, or signed for
    /// another network.
    BadSignature,
    /// The sequence is negative or above 2^63 - 1.
    InvalidSequence,
    /// The sequence is below the issue time in microseconds. A reader would then
    /// forget the sequence while the record is still valid. Take it from
    /// [`next_sequence`](super::next_sequence).
    #[non_exhaustive]
    SequenceBeforeIssue {
        /// The sequence.
        sequence: u64,
        /// The issue time, in microseconds since the Unix epoch.
        issued_at: u64,
    },
    /// The value is not deterministic CBOR. The [source](Error::source) has the
    /// reason and the offset.
    NotCanonical(CborError),
    /// The value of a field is not canonical: for example, an IPv4-mapped IPv6
    /// address, or a DNS name with upper-case letters.
    NonCanonicalField,
    /// The record has a format version that this crate does not support.
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
    /// A required field is missing.
    #[non_exhaustive]
    Missing {
        /// The key of the field.
        key: u64,
    },
    /// A record of this kind does not have this field.
    #[non_exhaustive]
    Unexpected {
        /// The key of the field.
        key: u64,
    },
    /// The value of a field has another type, or a number or length that the
    /// field cannot have.
    #[non_exhaustive]
    WrongType {
        /// The key of the field.
        key: u64,
    },
    /// The TTL is below 1 ms or above [`MAX_TTL`].
    #[non_exhaustive]
    InvalidTtl {
        /// The TTL.
        ttl: Duration,
    },
    /// No address policy allows the endpoint. The [source](Error::source) has the
    /// reason.
    InvalidEndpoint(EndpointError),
    /// The capacity is 0 or above [`MAX_CAPACITY`].
    #[non_exhaustive]
    InvalidCapacity {
        /// The capacity.
        capacity: u64,
    },
    /// The code is not a NAT type that this version knows.
    #[non_exhaustive]
    InvalidNat {
        /// The code.
        code: u64,
    },
    /// The load is above [`Load::FULL`](crate::dht::Load::FULL).
    #[non_exhaustive]
    InvalidLoad {
        /// The load in sixteenths.
        sixteenths: u64,
    },
    /// The failure domain is empty, longer than
    /// [`FailureDomain::MAX_LEN`](crate::dht::FailureDomain::MAX_LEN), or has a control
    /// character.
    InvalidFailureDomain,
    /// A label is empty, longer than 32 bytes, or has a control character.
    InvalidLabel,
    /// There are too many labels.
    #[non_exhaustive]
    TooManyLabels {
        /// How many different ones there are.
        count: usize,
        /// The most.
        max: usize,
    },
    /// There are too many further endpoints.
    #[non_exhaustive]
    TooManyEndpoints {
        /// How many different ones there are.
        count: usize,
        /// The most.
        max: usize,
    },
    /// The payload is too long.
    #[non_exhaustive]
    PayloadTooLong {
        /// Its length in bytes.
        len: usize,
        /// The length of the longest, in bytes.
        max: usize,
    },
    /// The key of an extension is below
    /// [`RelayRecord::FIRST_EXTENSION`](super::RelayRecord::FIRST_EXTENSION), or is
    /// already set.
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
                MAX_NETWORK_LEN
            ),
            Self::TooLarge { len, max } => {
                write!(f, "there are {len} bytes, and at most {max} are allowed")
            }
            Self::TooShort { len } => write!(f, "{len} bytes are too few for a record"),
            Self::UnknownLayout { layout } => {
                write!(f, "{layout} is not a known layout of a record")
            }
            Self::InvalidKey => {
                f.write_str("the public key is not the canonical encoding of an Ed25519 key")
            }
            Self::WeakKey => f.write_str(
                "the public key is of small order: signatures for it need no secret key",
            ),
            Self::BadSignature => {
                f.write_str("the signature does not verify for this key and network")
            }
            Self::InvalidSequence => f.write_str("the sequence is not within 0 to 2^63 - 1"),
            Self::SequenceBeforeIssue {
                sequence,
                issued_at,
            } => write!(
                f,
                "the sequence {sequence} is below the issue time {issued_at}"
            ),
            Self::NotCanonical(reason) => {
                write!(f, "the value is not deterministic CBOR: {reason}")
            }
            Self::NonCanonicalField => f.write_str("the value of a field is not canonical"),
            Self::UnsupportedVersion { version } => {
                write!(f, "version {version} of the record format is not supported")
            }
            Self::UnsupportedKind { kind } => write!(f, "{kind} is not a known kind of record"),
            Self::Missing { key } => write!(f, "the field with key {key} is missing"),
            Self::Unexpected { key } => write!(
                f,
                "a record of this kind does not have the field with key {key}"
            ),
            Self::WrongType { key } => {
                write!(
                    f,
                    "the value of the field with key {key} has the wrong type or size"
                )
            }
            Self::InvalidTtl { ttl } => {
                write!(f, "the TTL is {ttl:?}, not 1ms to {MAX_TTL:?}")
            }
            Self::InvalidEndpoint(reason) => write!(f, "the endpoint is not acceptable: {reason}"),
            Self::InvalidCapacity { capacity } => {
                write!(f, "the capacity is {capacity}, not 1 to {MAX_CAPACITY}")
            }
            Self::InvalidNat { code } => write!(f, "{code} is not a known NAT type"),
            Self::InvalidLoad { sixteenths } => write!(
                f,
                "the load is {sixteenths} sixteenths, not 0 to {}",
                FULL_LOAD
            ),
            Self::InvalidFailureDomain => write!(
                f,
                "a failure domain has 1 to {} bytes and no control characters",
                MAX_DOMAIN_LEN
            ),
            Self::InvalidLabel => write!(
                f,
                "a label has 1 to {} bytes and no control characters",
                MAX_LABEL_LEN
            ),
            Self::TooManyLabels { count, max } => {
                write!(f, "there are {count} labels, and at most {max} are allowed")
            }
            Self::TooManyEndpoints { count, max } => write!(
                f,
                "there are {count} further endpoints, and at most {max} are allowed"
            ),
            Self::PayloadTooLong { len, max } => write!(
                f,
                "the payload has {len} bytes, and at most {max} are allowed"
            ),
            Self::InvalidExtension { key } => {
                write!(
                    f,
                    "no extension can be added under key {key}: choose one from {} on that is not \
                     set",
                    RelayRecord::FIRST_EXTENSION
                )
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

/// Why a key could not be generated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// The operating system returned no random bytes. Early after boot a later
    /// attempt may succeed.
    #[non_exhaustive]
    NoRandomness {
        /// The error code of the operating system, if it returned one.
        raw_os_error: Option<i32>,
    },
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::NoRandomness { raw_os_error } = self;
        f.write_str("the operating system returned no random bytes")?;
        match raw_os_error {
            Some(code) => write!(f, " (error {code})"),
            None => Ok(()),
        }
    }
}

impl Error for KeyError {}
