//! The fields of one entry: a map of deterministic CBOR with integer keys.

use crate::cbor::{self, CborError, MapWriter};
use crate::errors::RestoreError;
use cbor4ii::core::dec::Decode;
use cbor4ii::core::enc::Encode;
use cbor4ii::core::types::Bytes;

/// The key under which each entry has its kind.
const KIND: u64 = 0;

/// What an entry is of. A reader skips other kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::registry) enum Kind {
    /// When it was saved. The first entry, and no other one.
    Header = 0,
    Relay = 1,
    /// Where this node is.
    OwnPosition = 2,
    RelayPosition = 3,
    PeerView = 4,
    /// The highest sequence that this node signed.
    OwnSequence = 16,
    /// The highest sequence that was seen of another one.
    Sequence = 17,
    /// Below which sequences are not accepted of a node without one.
    SequenceFloors = 18,
    /// A record that another node signed.
    SignedRecord = 19,
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::Header,
        Self::Relay,
        Self::OwnPosition,
        Self::RelayPosition,
        Self::PeerView,
        Self::OwnSequence,
        Self::Sequence,
        Self::SequenceFloors,
        Self::SignedRecord,
    ];
}

/// Writes an entry. Fields are added in the order of their keys, from 1 on.
pub(in crate::registry) struct EntryWriter(MapWriter);

impl EntryWriter {
    pub(in crate::registry) fn new(kind: Kind) -> Self {
        let mut map = MapWriter::default();
        map.entry(KIND, kind as u64);
        Self(map)
    }

    pub(in crate::registry) fn put(&mut self, key: u64, value: impl Encode) {
        self.0.entry(key, value);
    }

    pub(in crate::registry) fn put_bytes(&mut self, key: u64, bytes: &[u8]) {
        self.0.entry(key, Bytes(bytes));
    }

    /// Puts a value, if there is one.
    pub(in crate::registry) fn put_some(&mut self, key: u64, value: Option<impl Encode>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    /// Puts `true`; nothing for `false`.
    pub(in crate::registry) fn put_flag(&mut self, key: u64, flag: bool) {
        self.put_some(key, flag.then_some(true));
    }

    /// Puts a list, unless it is empty.
    pub(in crate::registry) fn put_list<T: Encode>(
        &mut self,
        key: u64,
        values: impl IntoIterator<Item = T>,
    ) {
        let items: Vec<Vec<u8>> = values.into_iter().map(cbor::item).collect();
        if !items.is_empty() {
            self.0.encoded_entry(key, &cbor::array(items.into_iter()));
        }
    }

    /// Puts numbers as a string of their bytes.
    pub(in crate::registry) fn put_floats(
        &mut self,
        key: u64,
        floats: impl IntoIterator<Item = f32>,
    ) {
        let bytes: Vec<u8> = floats.into_iter().flat_map(f32::to_be_bytes).collect();
        self.put_bytes(key, &bytes);
    }

    pub(in crate::registry) fn finish(self) -> Vec<u8> {
        self.0.finish()
    }
}

/// The fields of an entry that was read.
pub(in crate::registry) struct Fields<'a>(Vec<(u64, &'a [u8])>);

/// Why the fields of an entry were not read.
#[derive(Debug)]
pub(in crate::registry) enum FieldError {
    Encoding(CborError),
    /// The field with this key.
    Field(u64),
}

impl FieldError {
    /// The same of the entry with this number.
    pub(super) fn of_entry(self, entry: u64) -> RestoreError {
        match self {
            Self::Encoding(reason) => RestoreError::InvalidEntry { entry, reason },
            Self::Field(key) => RestoreError::InvalidField { entry, key },
        }
    }
}

impl From<CborError> for FieldError {
    fn from(reason: CborError) -> Self {
        Self::Encoding(reason)
    }
}

impl<'a> Fields<'a> {
    pub(super) fn new(entry: &'a [u8]) -> Result<Self, FieldError> {
        Ok(Self(cbor::entries(entry)?))
    }

    /// What the entry is of; `None` if that is not known.
    pub(super) fn kind(&self) -> Result<Option<Kind>, FieldError> {
        let kind: u64 = self.required(KIND)?;
        Ok(Kind::ALL.into_iter().find(|known| *known as u64 == kind))
    }

    fn encoded(&self, key: u64) -> Option<&'a [u8]> {
        let found = self.0.iter().find(|(known, _)| *known == key);
        found.map(|(_, value)| *value)
    }

    /// The value of a field, if it is there.
    pub(in crate::registry) fn optional<T: Decode<'a>>(
        &self,
        key: u64,
    ) -> Result<Option<T>, FieldError> {
        let decode = |value| cbor::decode(value).ok_or(FieldError::Field(key));
        self.encoded(key).map(decode).transpose()
    }

    pub(in crate::registry) fn required<T: Decode<'a>>(&self, key: u64) -> Result<T, FieldError> {
        self.optional(key)?.ok_or(FieldError::Field(key))
    }

    pub(in crate::registry) fn flag(&self, key: u64) -> Result<bool, FieldError> {
        Ok(self.optional(key)?.unwrap_or(false))
    }

    pub(in crate::registry) fn bytes(&self, key: u64) -> Result<&'a [u8], FieldError> {
        self.required::<Bytes<&[u8]>>(key).map(|bytes| bytes.0)
    }

    pub(in crate::registry) fn optional_bytes(
        &self,
        key: u64,
    ) -> Result<Option<&'a [u8]>, FieldError> {
        Ok(self.optional::<Bytes<&[u8]>>(key)?.map(|bytes| bytes.0))
    }

    /// The values of a list; none if the field is not there.
    pub(in crate::registry) fn list<T: Decode<'a>>(&self, key: u64) -> Result<Vec<T>, FieldError> {
        let Some(encoded) = self.encoded(key) else {
            return Ok(Vec::new());
        };
        let elements = cbor::elements(encoded).ok_or(FieldError::Field(key))?;
        let decoded: Option<Vec<T>> = elements.into_iter().map(cbor::decode).collect();
        decoded.ok_or(FieldError::Field(key))
    }

    /// Numbers that were put as a string of their bytes, all of them finite.
    pub(in crate::registry) fn floats(&self, key: u64) -> Result<Vec<f32>, FieldError> {
        let chunks = self.bytes(key)?.chunks(4);
        let float = |chunk: &[u8]| Some(f32::from_be_bytes(chunk.try_into().ok()?));
        let floats = chunks.map(|chunk| float(chunk).filter(|float| float.is_finite()));
        floats.collect::<Option<_>>().ok_or(FieldError::Field(key))
    }

    /// The value of a field after a check: `None` if that fails.
    pub(in crate::registry) fn checked<T>(key: u64, value: Option<T>) -> Result<T, FieldError> {
        value.ok_or(FieldError::Field(key))
    }
}
