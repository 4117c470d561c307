//! Deterministic CBOR: what is accepted, how it is read and written.
//!
//! RFC 8949, section 4.2.1, gives each value one encoding: shortest lengths and
//! numbers, definite lengths, keys in the order of their bytes. What a decoder
//! is lenient about, two implementations read differently; so anything else is
//! refused. `cbor4ii` reads and writes the items; each item that is read is
//! written again and must come out as it was.
//!
//! Numbers, byte and text strings, arrays, maps, booleans and null are enough
//! for records. Floating point numbers and tags have too many spellings of one
//! meaning to be worth their rules.

use std::cmp::Ordering;
use std::convert::Infallible;
use std::fmt;

use cbor4ii::core::dec::{Decode, Error, Read, Reference, if_major, low};
use cbor4ii::core::enc::{self, Encode, Write};
use cbor4ii::core::{major, marker, types};

use super::CborError;

/// How deep arrays and maps may be nested, the outermost map included.
const MAX_DEPTH: usize = 8;

/// An entry of the outermost map: its key, and the encoding of its value.
pub(super) type Entry<'a> = (u64, &'a [u8]);

/// The entries of `bytes`, in ascending order of their keys, if the bytes are
/// one deterministic map with unsigned keys and nothing else.
pub(super) fn entries(bytes: &[u8]) -> Result<Vec<Entry<'_>>, CborError> {
    let mut reader = Reader { bytes, at: 0 };
    if reader
        .peek()
        .is_some_and(|byte| if_major(byte) != major::MAP)
    {
        return Err(CborError::NotAMap);
    }
    let mut entries = Vec::new();
    reader.map(1, |key_at, key, value| {
        let key = decode(key).ok_or(CborError::NotAnIntegerKey { at: key_at })?;
        entries.push((key, value));
        Ok(())
    })?;
    reader.end()?;
    Ok(entries)
}

/// Whether `bytes` are one deterministic item, nested as deep as the value of an
/// [`Entry`] may be.
pub(super) fn check_value(bytes: &[u8]) -> Result<(), CborError> {
    let mut reader = Reader { bytes, at: 0 };
    reader.item(2)?;
    reader.end()
}

/// The value of the item that `bytes` are, if it is of the type.
pub(super) fn decode<'a, T: Decode<'a>>(bytes: &'a [u8]) -> Option<T> {
    T::decode(&mut Reader { bytes, at: 0 }).ok()
}

/// A place in the bytes.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    fn end(&self) -> Result<(), CborError> {
        match self.rest() {
            [] => Ok(()),
            _ => Err(CborError::TrailingBytes { at: self.at }),
        }
    }

    /// Reads past the item that starts here. `depth` is that of an array or map
    /// here: at most as many calls are on the stack.
    fn item(&mut self, depth: usize) -> Result<(), CborError> {
        let at = self.at;
        let Some(first) = self.peek() else {
            return Err(CborError::Truncated { at });
        };
        match if_major(first) {
            major::UNSIGNED => self.scalar::<u64>(),
            major::NEGATIVE => self.scalar::<types::Negative<u64>>(),
            major::BYTES => self.scalar::<types::Bytes<&[u8]>>(),
            major::STRING => self.scalar::<&str>(),
            major::ARRAY => self.array(depth),
            major::MAP => self.map(depth, |_, _, _| Ok(())),
            major::SIMPLE if matches!(first, marker::FALSE | marker::TRUE | marker::NULL) => {
                self.advance(1);
                Ok(())
            }
            _ => Err(CborError::Unsupported { at }),
        }
    }

    fn scalar<T: Decode<'a> + Encode>(&mut self) -> Result<(), CborError> {
        let at = self.at;
        self.definite()?;
        let value = T::decode(self).map_err(|error| reason(&error, at))?;
        self.is_shortest(at, |expected| value.encode(expected))
    }

    fn array(&mut self, depth: usize) -> Result<(), CborError> {
        let at = self.at;
        let len = self.length(depth, types::Array::len)?;
        self.is_shortest(at, |expected| types::Array::bounded(len, expected))?;
        (0..len).try_for_each(|_| self.item(depth + 1))
    }

    /// Reads past a map and hands each entry to `entry`: where its key stands,
    /// the encoding of the key, and that of the value.
    fn map(
        &mut self,
        depth: usize,
        mut entry: impl FnMut(usize, &'a [u8], &'a [u8]) -> Result<(), CborError>,
    ) -> Result<(), CborError> {
        let at = self.at;
        let len = self.length(depth, types::Map::len)?;
        self.is_shortest(at, |expected| types::Map::bounded(len, expected))?;
        let mut previous: Option<&[u8]> = None;
        for _ in 0..len {
            let at = self.at;
            self.item(depth + 1)?;
            let key = self.since(at);
            match previous.map(|previous| previous.cmp(key)) {
                None | Some(Ordering::Less) => previous = Some(key),
                Some(Ordering::Equal) => return Err(CborError::DuplicateKey { at }),
                Some(Ordering::Greater) => return Err(CborError::Disordered { at }),
            }
            let value_at = self.at;
            self.item(depth + 1)?;
            entry(at, key, self.since(value_at))?;
        }
        Ok(())
    }

    /// The length of the array or map that starts here.
    fn length(
        &mut self,
        depth: usize,
        len: impl FnOnce(&mut Self) -> Result<Option<usize>, Error<Infallible>>,
    ) -> Result<usize, CborError> {
        let at = self.at;
        if depth > MAX_DEPTH {
            return Err(CborError::TooDeep { at });
        }
        self.definite()?;
        match len(self) {
            Ok(Some(len)) => Ok(len),
            Ok(None) => Err(CborError::Indefinite { at }),
            Err(error) => Err(reason(&error, at)),
        }
    }

    /// Refuses an indefinite length; a number that says so is of no type.
    fn definite(&self) -> Result<(), CborError> {
        let at = self.at;
        match self.peek() {
            Some(byte) if low(byte) == marker::START => match if_major(byte) {
                major::UNSIGNED | major::NEGATIVE => Err(CborError::Unsupported { at }),
                _ => Err(CborError::Indefinite { at }),
            },
            _ => Ok(()),
        }
    }

    /// Whether what was read since `start` is what `encode` writes.
    fn is_shortest(
        &self,
        start: usize,
        encode: impl FnOnce(&mut Expected<'a>) -> Result<(), enc::Error<Differs>>,
    ) -> Result<(), CborError> {
        let mut expected = Expected(self.since(start));
        match encode(&mut expected) {
            Ok(()) if expected.0.is_empty() => Ok(()),
            _ => Err(CborError::NotShortest { at: start }),
        }
    }
}

impl<'a> Read<'a> for Reader<'a> {
    type Error = Infallible;

    fn fill<'short>(&'short mut self, want: usize) -> Result<Reference<'a, 'short>, Infallible> {
        let rest = self.rest();
        Ok(Reference::Long(rest.get(..want).unwrap_or(rest)))
    }

    fn advance(&mut self, n: usize) {
        self.at += n.min(self.rest().len());
    }
}

fn reason(error: &Error<Infallible>, at: usize) -> CborError {
    match error {
        Error::Mismatch { .. } | Error::Unsupported { .. } => CborError::Unsupported { at },
        Error::RequireUtf8 { .. } => CborError::InvalidText { at },
        _ => CborError::Truncated { at },
    }
}

/// What should be written, and fails as soon as anything else is.
struct Expected<'a>(&'a [u8]);

#[derive(Debug)]
struct Differs;

impl fmt::Display for Differs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("other bytes were written")
    }
}

impl std::error::Error for Differs {}

impl Write for Expected<'_> {
    type Error = Differs;

    fn push(&mut self, written: &[u8]) -> Result<(), Differs> {
        self.0 = self.0.strip_prefix(written).ok_or(Differs)?;
        Ok(())
    }
}

/// Writes the entries of one map, which must come in ascending order of their
/// keys.
#[derive(Default)]
pub(super) struct MapWriter {
    len: usize,
    entries: Buffer,
}

impl MapWriter {
    pub(super) fn entry(&mut self, key: u64, value: impl Encode) {
        self.key(key);
        written(value.encode(&mut self.entries));
    }

    /// As [`entry`](Self::entry), with the encoding of the value.
    pub(super) fn encoded_entry(&mut self, key: u64, value: &[u8]) {
        self.key(key);
        self.entries.0.extend_from_slice(value);
    }

    fn key(&mut self, key: u64) {
        self.len += 1;
        written(key.encode(&mut self.entries));
    }

    pub(super) fn finish(self) -> Vec<u8> {
        let mut map = Buffer::default();
        written(types::Map::bounded(self.len, &mut map));
        map.0.extend_from_slice(&self.entries.0);
        map.0
    }
}

#[derive(Default)]
struct Buffer(Vec<u8>);

impl Write for Buffer {
    type Error = Infallible;

    fn push(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Memory takes whatever is written to it.
fn written(result: Result<(), enc::Error<Infallible>>) {
    debug_assert!(result.is_ok());
}
