//! [`RelayRecord`]: one statement of a relay, before it is signed and after it
//! is verified.

use std::time::Duration;

use super::{Announcement, MAX_TTL, RecordError, cbor, micros};

/// One statement of a relay: an announcement, or the withdrawal of all that
/// it announced before.
///
/// Of two statements of one relay, that with the higher
/// [`sequence`](Self::sequence) counts. Statements of later versions may say
/// more: what this version does not know is kept, signed and passed on byte for
/// byte.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayRecord {
    sequence: u64,
    issued_at: Duration,
    ttl: Duration,
    announcement: Option<Announcement>,
    /// In ascending order of the keys.
    unknown: Vec<Unknown>,
}

/// What this version does not know: its key, and the encoding of its value.
pub(super) type Unknown = (u64, Box<[u8]>);

impl RelayRecord {
    /// The greatest sequence: that of BEP 44, a signed 64-bit number.
    pub const MAX_SEQUENCE: u64 = i64::MAX as u64;

    /// The first key that is free for [extensions](Self::with_extension): 128.
    pub const FIRST_EXTENSION: u64 = 128;

    /// A relay's word that it serves, as `announcement` says.
    ///
    /// `issued_at` is the time since the Unix epoch and kept to the microsecond,
    /// `ttl` to the millisecond; both are rounded down. The sequence is that of
    /// [`next_sequence`](super::next_sequence).
    ///
    /// # Errors
    ///
    /// [`RecordError::InvalidSequence`] above
    /// [`MAX_SEQUENCE`](Self::MAX_SEQUENCE), [`RecordError::SequenceBeforeIssue`]
    /// if it is below the issue time in microseconds,
    /// [`RecordError::InvalidTtl`] unless the TTL is 1 ms to [`MAX_TTL`].
    pub fn announce(
        announcement: Announcement,
        sequence: u64,
        issued_at: Duration,
        ttl: Duration,
    ) -> Result<Self, RecordError> {
        Self::new(Some(announcement), sequence, issued_at, ttl)
    }

    /// A relay's word that it serves no longer: a *tombstone*.
    ///
    /// It overrules what the relay said before for as long as any of that could
    /// be replayed; its TTL says how long engines should keep it, and is best
    /// the longest of what it withdraws.
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
        let whole = Duration::from_millis(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        if whole.is_zero() || ttl > MAX_TTL {
            return Err(RecordError::InvalidTtl { ttl });
        }
        Ok(Self {
            sequence,
            issued_at: Duration::from_micros(issued_at),
            ttl: whole,
            announcement,
            unknown: Vec::new(),
        })
    }

    /// The same with something more, for readers that know what it means: `value`
    /// is one item of deterministic CBOR (RFC 8949, section 4.2.1) of integers,
    /// byte and text strings, arrays, maps, booleans and null.
    ///
    /// Keys below [`FIRST_EXTENSION`](Self::FIRST_EXTENSION) belong to the
    /// format.
    ///
    /// # Errors
    ///
    /// [`RecordError::InvalidExtension`] for such a key or one that is set
    /// already, [`RecordError::NotCanonical`] for any other value.
    pub fn with_extension(mut self, key: u64, value: &[u8]) -> Result<Self, RecordError> {
        let place = self.unknown.binary_search_by_key(&key, |(key, _)| *key);
        match place {
            Err(place) if key >= Self::FIRST_EXTENSION => {
                cbor::check_value(value)?;
                self.unknown.insert(place, (key, value.into()));
                Ok(self)
            }
            _ => Err(RecordError::InvalidExtension { key }),
        }
    }

    pub(super) fn with_unknown(mut self, unknown: Vec<Unknown>) -> Self {
        self.unknown = unknown;
        self
    }

    /// Which of the relay's statements this is: the highest one counts.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// When the relay issued this, by its own clock, since the Unix epoch.
    #[must_use]
    pub const fn issued_at(&self) -> Duration {
        self.issued_at
    }

    /// How long this is valid from its issue on: 1 ms to [`MAX_TTL`].
    #[must_use]
    pub const fn ttl(&self) -> Duration {
        self.ttl
    }

    /// From when on this is no longer valid, since the Unix epoch.
    #[must_use]
    pub fn expires_at(&self) -> Duration {
        self.issued_at.saturating_add(self.ttl)
    }

    /// What the relay announces; nothing if it withdraws.
    #[must_use]
    pub const fn announcement(&self) -> Option<&Announcement> {
        self.announcement.as_ref()
    }

    /// Whether the relay withdraws what it announced before.
    #[must_use]
    pub const fn is_tombstone(&self) -> bool {
        self.announcement.is_none()
    }

    /// What this version does not know: keys in ascending order, each with the
    /// deterministic CBOR of its value.
    pub fn unknown(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.unknown.iter().map(|(key, value)| (*key, &**value))
    }
}
