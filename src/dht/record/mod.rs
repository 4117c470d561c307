//! Records: what a relay says of itself, signed so that anyone can pass it on.
//!
//! Each layer knows only those before it: `cbor` says what bytes are
//! deterministic CBOR, `announcement` and `contents` what a relay can say,
//! `codec` how that is written, `key` and `network` who says it and where,
//! `signed` binds all of it together, and `freshness` tells the latest word
//! from an older one. `format.md` describes the bytes.

mod announcement;
mod cbor;
mod codec;
mod contents;
mod error;
mod freshness;
mod key;
mod network;
mod signed;

use std::time::Duration;

pub use announcement::{Announcement, FailureDomain, Load};
pub use contents::RelayRecord;
pub use error::{CborError, KeyError, RecordError};
pub use freshness::{Freshness, SequenceMemory, next_sequence};
pub use key::SecretKey;
pub use network::Network;
pub use signed::SignedRecord;

/// The most bytes that a record takes as one piece
/// ([`SignedRecord::encode`]): 900.
///
/// BEP 44 allows 1000 for a value; common networks carry this much in one
/// packet without fragmentation, with room for an engine's own envelope.
pub const MAX_RECORD_LEN: usize = 900;

/// The most bytes of a record's signed value ([`SignedRecord::value`]):
/// [`MAX_RECORD_LEN`] less what goes before it.
pub const MAX_VALUE_LEN: usize = MAX_RECORD_LEN - signed::HEADER_LEN;

/// The longest that a record can be valid for: 24 hours.
///
/// It bounds how long a record can be replayed, and with it how long a
/// withdrawal must be remembered.
pub const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// How far the clock of whoever signed a record may be ahead of the clock of
/// whoever judges it: 5 minutes.
pub const MAX_SKEW: Duration = Duration::from_secs(5 * 60);

/// Microseconds, the unit of issue times and sequences, saturating.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
