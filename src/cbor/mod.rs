//! Reads and writes deterministic CBOR.
//!
//! RFC 8949, section 4.2.1, defines one encoding of each value: shortest numbers
//! and lengths, definite lengths, keys sorted by their bytes. The reader rejects
//! every other encoding: two lenient decoders could read the same bytes
//! differently. `cbor4ii` decodes and encodes single items. The reader encodes
//! each decoded item again and compares the bytes.
//!
//! The records of the DHT and the files of saved registries use integers, byte and
//! text strings, arrays, maps, booleans and null. Floating-point numbers and tags
//! have several encodings of one value, so they are not supported.

mod error;

use std::cmp::Ordering;
use std::convert::Infallible;
use std::fmt;

use cbor4ii::core::dec::{Decode, Error, Read, Reference, if_major, low};
use cbor4ii::core::enc::{self, Encode, Write};
use cbor4ii::core::{major, marker, types};

pub use error::CborError;

/// The maximum nesting depth of arrays and maps, including the outermost map.
const MAX_DEPTH: usize = 8;

/// An entry of the outermost map: its key, and the encoding of its value.
pub(crate) type MapEntry<'a> = (u64, &'a [u8]);

/// The entries of `bytes`, sorted by key. Fails unless the bytes are exactly one
/// deterministic map with unsigned keys.
pub(crate) fn entries(bytes: &[u8]) -> Result<Vec<MapEntry<'_>>, CborError> {
    let mut reader = Reader { bytes, at: 0 };
    if reader
        .peek()
        .is_some_and(|byte| if_major(byte) != major::MAP)
    {
        return Err(CborError::NotAMap);
    }
    let mut entries = Vec::new();
    reader.skip_map(1, |key_at, key, value| {
        let key = decode(key).ok_or(CborError::NotAnIntegerKey { at: key_at })?;
        entries.push((key, value));
        Ok(())
    })?;
    reader.end()?;
    Ok(entries)
}

/// Checks that `bytes` are exactly one deterministic item that may be the value of
/// a [`MapEntry`].
#[cfg(any(feature = "dht", test))]
pub(crate) fn check_value(bytes: &[u8]) -> Result<(), CborError> {
    let mut reader = Reader { bytes, at: 0 };
    reader.skip_item(2)?;
    reader.end()
}

/// Decodes `bytes` as one item of the type `T`; `None` if it has another type.
pub(crate) fn decode<'a, T: Decode<'a>>(bytes: &'a [u8]) -> Option<T> {
    T::decode(&mut Reader { bytes, at: 0 }).ok()
}

/// The encodings of the elements of an array; `None` if `bytes` are none.
pub(crate) fn elements(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut reader = Reader { bytes, at: 0 };
    let is_array = if_major(reader.peek()?) == major::ARRAY;
    let len = is_array.then(|| reader.length(1, types::Array::len).ok())??;
    let mut elements = Vec::new();
    for _ in 0..len {
        let at = reader.at;
        reader.skip_item(2).ok()?;
        elements.push(reader.since(at));
    }
    Some(elements)
}

/// The encoding of one item.
pub(crate) fn item(value: impl Encode) -> Vec<u8> {
    let mut item = Buffer::default();
    ignore_infallible(value.encode(&mut item));
    item.0
}

/// The encoding of an array of items that are encoded already.
pub(crate) fn array(items: impl ExactSizeIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut array = Buffer::default();
    ignore_infallible(types::Array::bounded(items.len(), &mut array));
    items.for_each(|item| array.0.extend(item));
    array.0
}

/// A position in the bytes.
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

    /// Checks the item at this position and moves past it. An array or map here
    /// has the nesting depth `depth`; [`MAX_DEPTH`] bounds the recursion.
    fn skip_item(&mut self, depth: usize) -> Result<(), CborError> {
        let at = self.at;
        let Some(first) = self.peek() else {
            return Err(CborError::Truncated { at });
        };
        match if_major(first) {
            major::UNSIGNED => self.skip_scalar::<u64>(),
            major::NEGATIVE => self.skip_scalar::<types::Negative<u64>>(),
            major::BYTES => self.skip_scalar::<types::Bytes<&[u8]>>(),
            major::STRING => self.skip_scalar::<&str>(),
            major::ARRAY => self.skip_array(depth),
            major::MAP => self.skip_map(depth, |_, _, _| Ok(())),
            major::SIMPLE if matches!(first, marker::FALSE | marker::TRUE | marker::NULL) => {
                self.advance(1);
                Ok(())
            }
            _ => Err(CborError::Unsupported { at }),
        }
    }

    fn skip_scalar<T: Decode<'a> + Encode>(&mut self) -> Result<(), CborError> {
        let at = self.at;
        self.check_definite()?;
        let value = T::decode(self).map_err(|error| to_cbor_error(&error, at))?;
        self.check_shortest(at, |expected| value.encode(expected))
    }

    fn skip_array(&mut self, depth: usize) -> Result<(), CborError> {
        let at = self.at;
        let len = self.length(depth, types::Array::len)?;
        self.check_shortest(at, |expected| types::Array::bounded(len, expected))?;
        (0..len).try_for_each(|_| self.skip_item(depth + 1))
    }

    /// Checks the map at this position and moves past it. Calls `entry` with the
    /// offset of each key, the encoding of the key, and that of the value.
    fn skip_map(
        &mut self,
        depth: usize,
        mut entry: impl FnMut(usize, &'a [u8], &'a [u8]) -> Result<(), CborError>,
    ) -> Result<(), CborError> {
        let at = self.at;
        let len = self.length(depth, types::Map::len)?;
        self.check_shortest(at, |expected| types::Map::bounded(len, expected))?;
        let mut previous: Option<&[u8]> = None;
        for _ in 0..len {
            let at = self.at;
            self.skip_item(depth + 1)?;
            let key = self.since(at);
            match previous.map(|previous| previous.cmp(key)) {
                None | Some(Ordering::Less) => previous = Some(key),
                Some(Ordering::Equal) => return Err(CborError::DuplicateKey { at }),
                Some(Ordering::Greater) => return Err(CborError::UnsortedKey { at }),
            }
            let value_at = self.at;
            self.skip_item(depth + 1)?;
            entry(at, key, self.since(value_at))?;
        }
        Ok(())
    }

    /// Reads the length of the array or map at this position.
    fn length(
        &mut self,
        depth: usize,
        len: impl FnOnce(&mut Self) -> Result<Option<usize>, Error<Infallible>>,
    ) -> Result<usize, CborError> {
        let at = self.at;
        if depth > MAX_DEPTH {
            return Err(CborError::TooDeep { at });
        }
        self.check_definite()?;
        match len(self) {
            Ok(Some(len)) => Ok(len),
            Ok(None) => Err(CborError::Indefinite { at }),
            Err(error) => Err(to_cbor_error(&error, at)),
        }
    }

    /// Rejects an indefinite length. Integers do not have one: there the same bits
    /// are reserved.
    fn check_definite(&self) -> Result<(), CborError> {
        let at = self.at;
        match self.peek() {
            Some(byte) if low(byte) == marker::START => match if_major(byte) {
                major::UNSIGNED | major::NEGATIVE => Err(CborError::Unsupported { at }),
                _ => Err(CborError::Indefinite { at }),
            },
            _ => Ok(()),
        }
    }

    /// Checks that the bytes since `start` are those that `encode` writes.
    fn check_shortest(
        &self,
        start: usize,
        encode: impl FnOnce(&mut Expected<'a>) -> Result<(), enc::Error<Mismatch>>,
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

fn to_cbor_error(error: &Error<Infallible>, at: usize) -> CborError {
    match error {
        Error::Mismatch { .. } | Error::Unsupported { .. } => CborError::Unsupported { at },
        Error::RequireUtf8 { .. } => CborError::InvalidText { at },
        _ => CborError::Truncated { at },
    }
}

/// A writer that compares: it fails at the first byte that differs from the
/// expected ones.
struct Expected<'a>(&'a [u8]);

#[derive(Debug)]
struct Mismatch;

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("other bytes were written")
    }
}

impl std::error::Error for Mismatch {}

impl Write for Expected<'_> {
    type Error = Mismatch;

    fn push(&mut self, written: &[u8]) -> Result<(), Mismatch> {
        self.0 = self.0.strip_prefix(written).ok_or(Mismatch)?;
        Ok(())
    }
}

/// Encodes one map. The caller adds the entries sorted by key.
#[derive(Default)]
pub(crate) struct MapWriter {
    len: usize,
    entries: Buffer,
}

impl MapWriter {
    pub(crate) fn entry(&mut self, key: u64, value: impl Encode) {
        self.key(key);
        ignore_infallible(value.encode(&mut self.entries));
    }

    /// As [`entry`](Self::entry), with a value that is already encoded.
    pub(crate) fn encoded_entry(&mut self, key: u64, value: &[u8]) {
        self.key(key);
        self.entries.0.extend_from_slice(value);
    }

    fn key(&mut self, key: u64) {
        self.len += 1;
        ignore_infallible(key.encode(&mut self.entries));
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        let mut map = Buffer::default();
        ignore_infallible(types::Map::bounded(self.len, &mut map));
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

/// Discards the result of a write to memory, which cannot fail.
fn ignore_infallible(result: Result<(), enc::Error<Infallible>>) {
    debug_assert!(result.is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(bytes: &[u8]) -> CborError {
        entries(bytes).expect_err("the bytes are not deterministic")
    }

    #[test]
    fn entries_have_the_encodings_of_their_values() {
        assert_eq!(entries(&[0xa0]), Ok(vec![]));
        let map = [0xa2, 0x00, 0x18, 0x18, 0x19, 0x01, 0x00, 0x82, 0x20, 0xf6];
        assert_eq!(
            entries(&map),
            Ok(vec![(0, &[0x18, 0x18][..]), (256, &[0x82, 0x20, 0xf6])])
        );
    }

    #[test]
    fn every_supported_type_is_accepted() {
        for value in [
            &[0x17][..],
            &[0x1b, 0, 0, 0, 1, 0, 0, 0, 0],
            &[0x37],
            &[0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x40],
            &[0x42, 0xff, 0x00],
            &[0x60],
            &[0x62, 0xc3, 0xbc],
            &[0x80],
            &[0xa2, 0x01, 0x02, 0x61, 0x61, 0xa0],
            &[0xf4],
            &[0xf5],
            &[0xf6],
        ] {
            assert_eq!(check_value(value), Ok(()), "{value:02x?}");
        }
    }

    #[test]
    fn unsupported_types_are_rejected() {
        for value in [
            &[0xf7][..],                           // undefined
            &[0xe0],                               // simple(0)
            &[0xf8, 0xff],                         // simple(255)
            &[0xf9, 0x3c, 0x00],                   // 1.0
            &[0xfa, 0x47, 0xc3, 0x50, 0x00],       // 100000.0
            &[0xfb, 0x3f, 0xf1, 0, 0, 0, 0, 0, 0], // a 64-bit float
            &[0xc1, 0x00],                         // a tag
            &[0xff],                               // break
            &[0x1f],                               // integer of indefinite length
            &[0x1c],                               // reserved
            &[0x3d],                               // reserved
        ] {
            let unsupported = Err(CborError::Unsupported { at: 0 });
            assert_eq!(check_value(value), unsupported, "{value:02x?}");
        }
    }

    #[test]
    fn encodings_that_are_not_the_shortest_are_rejected_at_every_level() {
        let long: [&[u8]; 12] = [
            &[0x18, 0x17],
            &[0x19, 0x00, 0xff],
            &[0x1a, 0x00, 0x00, 0xff, 0xff],
            &[0x1b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
            &[0x38, 0x00],
            &[0x58, 0x01, 0x00],
            &[0x78, 0x01, 0x61],
            &[0x79, 0x00, 0x01, 0x61],
            &[0x98, 0x00],
            &[0x99, 0x00, 0x01, 0x00],
            &[0xb8, 0x00],
            &[0xba, 0, 0, 0, 0],
        ];
        for long in long {
            assert_eq!(check_value(long), Err(CborError::NotShortest { at: 0 }));
            let nested = [&[0xa1, 0x00, 0x81], long].concat();
            assert_eq!(error_of(&nested), CborError::NotShortest { at: 3 });
        }
        assert_eq!(
            error_of(&[0xa1, 0x18, 0x01, 0x00]),
            CborError::NotShortest { at: 1 }
        );
        assert_eq!(error_of(&[0xb8, 0x00]), CborError::NotShortest { at: 0 });
    }

    #[test]
    fn indefinite_lengths_are_rejected() {
        let chunks: [&[u8]; 4] = [
            &[0x5f, 0x41, 0x00, 0xff],
            &[0x7f, 0x61, 0x61, 0xff],
            &[0x9f, 0xff],
            &[0xbf, 0xff],
        ];
        for chunks in chunks {
            assert_eq!(check_value(chunks), Err(CborError::Indefinite { at: 0 }));
        }
        assert_eq!(error_of(&[0xbf, 0xff]), CborError::Indefinite { at: 0 });
    }

    #[test]
    fn keys_are_sorted_and_unique() {
        let order = |keys: [u8; 2]| error_of(&[0xa2, keys[0], 0x00, keys[1], 0x00]);
        assert_eq!(order([0x01, 0x01]), CborError::DuplicateKey { at: 3 });
        assert_eq!(order([0x02, 0x01]), CborError::UnsortedKey { at: 3 });
        // Encoded keys are compared, also in nested maps: 10 sorts before -1.
        let inner = [0xa1, 0x00, 0xa2, 0x20, 0x00, 0x0a, 0x00];
        assert_eq!(error_of(&inner), CborError::UnsortedKey { at: 5 });
    }

    #[test]
    fn every_truncation_is_rejected() {
        let whole = [
            0xa2, 0x01, 0x82, 0x19, 0x01, 0x00, 0x62, 0x61, 0x62, 0x02, 0xa1, 0x41, 0x00, 0x20,
        ];
        assert!(entries(&whole).is_ok());
        for len in 0..whole.len() {
            let error = error_of(&whole[..len]);
            assert!(matches!(error, CborError::Truncated { .. }), "{error}");
        }
        let mut more = whole.to_vec();
        more.push(0xa0);
        assert_eq!(
            error_of(&more),
            CborError::TrailingBytes { at: whole.len() }
        );
    }

    #[test]
    fn lengths_beyond_the_input_are_truncations() {
        for major in [0x5b, 0x7b, 0x9b, 0xbb] {
            let mut huge = vec![major];
            huge.extend([0xff; 8]);
            let truncated = check_value(&huge);
            assert!(matches!(truncated, Err(CborError::Truncated { .. })));
        }
    }

    #[test]
    fn the_outermost_item_is_a_map_of_unsigned_keys() {
        for other in [0x00, 0x40, 0x80, 0xf6] {
            assert_eq!(error_of(&[other]), CborError::NotAMap);
        }
        for key in [0x20, 0x40, 0x60, 0x80, 0xf5] {
            let map = [0xa1, key, 0x00];
            assert_eq!(error_of(&map), CborError::NotAnIntegerKey { at: 1 });
        }
    }

    #[test]
    fn text_strings_are_utf_8() {
        let text = [0xa1, 0x00, 0x61, 0xff];
        assert_eq!(error_of(&text), CborError::InvalidText { at: 2 });
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth| {
            let mut value = vec![0x81; depth];
            value.push(0x00);
            value
        };
        assert_eq!(check_value(&nested(MAX_DEPTH - 1)), Ok(()));
        let deep = check_value(&nested(MAX_DEPTH));
        assert_eq!(deep, Err(CborError::TooDeep { at: MAX_DEPTH - 1 }));
        let deep = check_value(&nested(100_000));
        assert_eq!(deep, Err(CborError::TooDeep { at: MAX_DEPTH - 1 }));

        // Keys of nested maps may be maps.
        let deep = check_value(&vec![0xa1; 100_000]);
        assert_eq!(deep, Err(CborError::TooDeep { at: MAX_DEPTH - 1 }));

        let entry = [vec![0xa1, 0x00], nested(MAX_DEPTH - 1)].concat();
        assert!(entries(&entry).is_ok());
        let entry = [vec![0xa1, 0x00], nested(MAX_DEPTH)].concat();
        assert_eq!(error_of(&entry), CborError::TooDeep { at: MAX_DEPTH + 1 });
    }

    #[test]
    fn elements_of_an_array_are_those_that_were_written() {
        let items = || [item(300_u16), item("a"), array([item(1_u8)].into_iter())].into_iter();
        let written = array(items());
        assert_eq!(written, [0x83, 0x19, 0x01, 0x2c, 0x61, 0x61, 0x81, 0x01]);
        let expected: Vec<_> = items().collect();
        assert_eq!(elements(&written).unwrap(), expected);
        for other in [&[][..], &[0x00], &[0x82, 0x00], &[0xa0], &[0x9b]] {
            assert_eq!(elements(other), None, "{other:02x?}");
        }
    }

    #[test]
    fn the_writer_is_deterministic() {
        let mut map = MapWriter::default();
        map.entry(1, "a");
        map.encoded_entry(24, &[0xf6]);
        let bytes = map.finish();
        assert_eq!(bytes, [0xa2, 0x01, 0x61, 0x61, 0x18, 0x18, 0xf6]);
        assert_eq!(
            entries(&bytes),
            Ok(vec![(1, &[0x61, 0x61][..]), (24, &[0xf6])])
        );
    }
}
