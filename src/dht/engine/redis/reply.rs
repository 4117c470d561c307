//! What the server's replies are, if they are what was asked for.

use std::ops::{ControlFlow, Range};

use ::redis::Value;

use super::connection::{bytes_of, malformed};
use super::failure::dht_error;
use super::keys::node;
use crate::dht::engine::{Candidate, DhtError, Member, MemberSink};
use crate::dht::record::MAX_RECORD_LEN;

/// What a script that writes returned.
pub(super) enum Written {
    Stored,
    /// The stored bytes, if the script returned them.
    Superseded(Vec<u8>),
    Conflict(Vec<u8>),
    /// The record has ended by the server's clock.
    Ended,
    Full,
}

/// What a script that writes returned: a word, and for some the stored bytes.
pub(super) fn written(reply: Value) -> Result<Written, DhtError> {
    let parts = match reply {
        Value::ServerError(error) => return Err(dht_error(&error)),
        Value::Array(parts) => parts,
        _ => Vec::new(),
    };
    let stored = || parts.get(1).and_then(bytes_of).unwrap_or_default().to_vec();
    match parts.first().and_then(bytes_of) {
        Some(b"stored") => Ok(Written::Stored),
        Some(b"superseded") => Ok(Written::Superseded(stored())),
        Some(b"conflict") => Ok(Written::Conflict(stored())),
        Some(b"ended") => Ok(Written::Ended),
        Some(b"full") => Ok(Written::Full),
        _ => Err(unwritten()),
    }
}

pub(super) fn unwritten() -> DhtError {
    malformed("it did not say whether it wrote").into()
}

/// Some members of a shard, as the script returns them: each is followed by its record.
pub(super) struct Page {
    /// The cursor of the next page, "0" at the end.
    pub(super) next: String,
    found: Vec<Value>,
}

impl Page {
    pub(super) fn of(reply: Value) -> Result<Self, DhtError> {
        let parts = match reply {
            Value::ServerError(error) => return Err(dht_error(&error)),
            Value::Array(parts) => <[Value; 2]>::try_from(parts).ok(),
            _ => None,
        };
        if let Some([next, Value::Array(found)]) = parts {
            if let Some(next) = cursor(&next) {
                return Ok(Self { next, found });
            }
        }
        Err(malformed("it did not return members").into())
    }

    /// Skips what is no member.
    pub(super) fn pass_on(&self, sink: &mut MemberSink<'_>) -> ControlFlow<()> {
        for pair in self.found.chunks_exact(2) {
            let Some(node) = bytes_of(&pair[0]).and_then(node) else {
                continue;
            };
            let record = bytes_of(&pair[1]).filter(|bytes| can_be_record(bytes));
            sink(Member {
                node,
                record: record.map(Candidate::Encoded),
            })?;
        }
        ControlFlow::Continue(())
    }
}

/// A cursor of the server: the digits of a number of 64 bits.
fn cursor(value: &Value) -> Option<String> {
    let text = std::str::from_utf8(bytes_of(value)?).ok()?;
    text.parse::<u64>().ok().map(|number| number.to_string())
}

/// The bytes of a record that are its sequence.
const SEQUENCE: Range<usize> = 33..41;

pub(super) fn can_be_record(bytes: &[u8]) -> bool {
    (SEQUENCE.end..=MAX_RECORD_LEN).contains(&bytes.len())
}

/// The sequence of an encoded record, not verified.
pub(super) fn sequence_of(bytes: &[u8]) -> Option<u64> {
    let sequence = bytes.get(SEQUENCE)?.try_into().ok()?;
    Some(u64::from_be_bytes(sequence))
}
