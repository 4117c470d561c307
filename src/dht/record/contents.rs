//! [`RelayRecord`]: the contents of a record, before it is signed and after it is
//! verified.

use std::time::Duration;

use super::{Announcement, MAX_TTL, RecordError, micros};
use crate::cbor;

/// The contents of a relay's record: an announcement, or the withdrawal of all
/// earlier announcements.
///
/// Of two records of one relay, the one with the higher
/// [`sequence`](Self::sequence) is valid. Records of later versions may have
/// further fields: this version keeps, signs and passes on unknown fields byte
/// for byte.
///
/// ```
/// use std::time::{Duration, SystemTime, UNIX_EPOCH};
/// use relay_registry::dht::{Announcement, RelayRecord, next_sequence};
///
/// let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
/// let announcement = Announcement::new("192.0.2.7:4433".parse()?, 100)?;
/// let record = RelayRecord::announce(
///     announcement,
///     next_sequence(None, now),
///     now,
///     Duration::from_secs(600),
/// )?;
/// assert!(!record.is_tombstone());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RelayRecord {
    sequence: u64,
    issued_at: Duration,
    ttl: Duration,
    announcement: Option<Announcement>,
    /// Sorted by key.
    unknown: Vec<Unknown>,
}

/// A field that this version does not know: its key, and the encoding of its value.
pub(super) type Unknown = (u64, Box<[u8]>);

impl RelayRecord {
    /// The maximum sequence, 2^63 - 1: in BEP 44 it is a signed 64-bit number.
    pub const MAX_SEQUENCE: u64 = i64::MAX as u64;

    /// The lowest key of an [extension](Self::with_extension): 128.
    pub const FIRST_EXTENSION: u64 = 128;

    /// The record of a relay that serves as `announcement` describes.
    ///
    /// `issued_at` is the time since the Unix epoch, rounded down to microseconds;
    /// `ttl` is rounded down to milliseconds. Take `sequence` from
    /// [`next_sequence`](super::next_sequence).
    ///
    /// # Errors
    ///
    /// - [`RecordError::InvalidSequence`] if the sequence is above
    ///   [`MAX_SEQUENCE`](Self::MAX_SEQUENCE).
    /// - [`RecordError::SequenceBeforeIssue`] if the sequence is below the issue
    ///   time in microseconds.
    /// - [`RecordError::InvalidTtl`] unless the TTL is 1 ms to [`MAX_TTL`].
    pub fn announce(
        announcement: Announcement,
        sequence: u64,
        issued_at: Duration,
        ttl: Duration,
    ) -> Result<Self, RecordError> {
        Self::new(Some(announcement), sequence, issued_at, ttl)
    }

    /// The record of a relay that no longer serves: a *tombstone*.
    ///
    /// It replaces earlier announcements for as long as they could be replayed,
    /// whatever its TTL. The TTL is how long engines should keep the tombstone:
    /// use the longest TTL among the announcements that it withdraws.
    ///
    /// # Errors
    ///
    /// As [`announce`](Self::announce).
    pub fn withdraw(
        sequence: u64,
        issued_at: Duration,
        ttl: Duration,
    ) -> Result<Self, RecordError> {
        Self::new(None, sequence, issued_at, ttl)
    }

    pub(super) fn new(
        announcement: Option<Announcement>,
        sequence: u64,
        issued_at: Duration,
        ttl: Duration,
    ) -> Result<Self, RecordError> {
        let issued_at = micros(issued_at);
        if sequence > Self::MAX_SEQUENCE {
            return Err(RecordError::InvalidSequence);
        }
        if sequence < issued_at {
            return Err(RecordError::SequenceBeforeIssue {
                sequence,
                issued_at,
            });
        }
        let whole_millis =
            Duration::from_millis(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        if whole_millis.is_zero() || ttl > MAX_TTL {
            return Err(RecordError::InvalidTtl { ttl });
        }
        Ok(Self {
            sequence,
            issued_at: Duration::from_micros(issued_at),
            ttl: whole_millis,
            announcement,
            unknown: Vec::new(),
        })
    }

    /// Adds an application-defined field.
    ///
    /// `value` is one item of deterministic CBOR (RFC 8949, section 4.2.1) of
    /// integers, byte and text strings, arrays, maps, booleans and null. Keys below
    /// [`FIRST_EXTENSION`](Self::FIRST_EXTENSION) are reserved for the format.
    ///
    /// # Errors
    ///
    /// - [`RecordError::InvalidExtension`] if the key is reserved or already set.
    /// - [`RecordError::NotCanonical`] if `value` is not such an item.
    pub fn with_extension(mut self, key: u64, value: &[u8]) -> Result<Self, RecordError> {
        let index = self.unknown.binary_search_by_key(&key, |(key, _)| *key);
        match index {
            Err(index) if key >= Self::FIRST_EXTENSION => {
                cbor::check_value(value)?;
                self.unknown.insert(index, (key, value.into()));
                Ok(self)
            }
            _ => Err(RecordError::InvalidExtension { key }),
        }
    }

    pub(super) fn with_unknown(mut self, unknown: Vec<Unknown>) -> Self {
        self.unknown = unknown;
        self
    }

    /// The sequence: of two records of a relay, the higher one is valid.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// When the relay issued the record, by its own clock, since the Unix epoch.
    #[must_use]
    pub const fn issued_at(&self) -> Duration {
        self.issued_at
    }

    /// How long the record is valid after its issue: 1 ms to [`MAX_TTL`].
    #[must_use]
    pub const fn ttl(&self) -> Duration {
        self.ttl
    }

    /// The time since the Unix epoch from which on the record is no longer valid.
    #[must_use]
    pub fn expires_at(&self) -> Duration {
        self.issued_at.saturating_add(self.ttl)
    }

    /// The announcement; `None` in a tombstone.
    #[must_use]
    pub const fn announcement(&self) -> Option<&Announcement> {
        self.announcement.as_ref()
    }

    /// Whether the record withdraws earlier announcements.
    #[must_use]
    pub const fn is_tombstone(&self) -> bool {
        self.announcement.is_none()
    }

    /// The fields that this version does not know, sorted by key, each with the
    /// deterministic CBOR of its value.
    pub fn unknown(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.unknown.iter().map(|(key, value)| (*key, &**value))
    }
}
