//! Records: a relay's announcement or withdrawal, signed so that any node can
//! pass it on. `format.md` describes the bytes.
//!
//! Each module uses only those above it in this list:
//!
//! - `announcement`, `contents`: the fields of a record;
//! - `codec`: the encoding of the fields;
//! - `key`, `network`: the signer, and the network that a record belongs to;
//! - `signed`: fields, key, network and signature in one;
//! - `freshness`: whether a record is the latest of its node.

mod announcement;
mod codec;
mod contents;
mod error;
mod freshness;
mod key;
mod network;
mod signed;

use std::time::Duration;

pub use crate::cbor::CborError;
pub use announcement::{Announcement, FailureDomain, Load};
pub use contents::RelayRecord;
pub use error::{KeyError, RecordError};
#[cfg(feature = "persistence")]
pub(crate) use freshness::SavedSequence;
pub use freshness::{Freshness, SequenceMemory, next_sequence};
pub use key::SecretKey;
pub use network::Network;
#[cfg(not(relay_loom))]
pub(crate) use signed::Parts;
pub use signed::SignedRecord;

/// The maximum length of an encoded record ([`SignedRecord::encode`]): 900 bytes.
///
/// A record of this length, with an engine's framing, fits into one UDP packet
/// that common networks do not fragment. BEP 44 allows 1,000 bytes for a value.
pub const MAX_RECORD_LEN: usize = 900;

/// The maximum length of a record's signed value ([`SignedRecord::value`]): 795
/// bytes, which is [`MAX_RECORD_LEN`] less the header.
pub const MAX_VALUE_LEN: usize = MAX_RECORD_LEN - signed::HEADER_LEN;

/// The maximum time for which a record is valid: 24 hours.
///
/// It bounds how long a record can be replayed, and so how long a withdrawal
/// must be remembered.
pub const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// How far the signer's clock may be ahead of the reader's clock: 5 minutes.
pub const MAX_SKEW: Duration = Duration::from_secs(5 * 60);

/// The length of a record of this announcement, whatever its load, its times and its TTL are.
pub(crate) fn longest_record_len(announcement: &Announcement) -> usize {
    record_len(codec::longest_value(announcement))
}

/// The length of a record with a value of `value` bytes.
pub(crate) const fn record_len(value: usize) -> usize {
    signed::HEADER_LEN + value
}

/// [`Network::MAX_LEN`].
const MAX_NETWORK_LEN: usize = 32;

/// The greatest load in a record, in sixteenths: [`Load::FULL`].
const FULL_LOAD: u8 = 16;

/// `time` in microseconds, the unit of issue times and sequences; saturates.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
