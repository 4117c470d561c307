//! The bytes of a [`PeerView`], as peers send them.

use super::PeerView;
use crate::coordinates::Coordinate;
use crate::limits::MAX_RTT;
use crate::relay::{NodeId, NodeIdError};
use crate::select::peer_view::decode_error::PeerViewDecodeError;
use std::time::Duration;

const VERSION: u8 = 1;
/// In the second byte: the number of relays, and whether there is a coordinate.
const COUNT: u8 = 0b0000_0011;
const HAS_COORDINATE: u8 = 0b1000_0000;

/// Before the relays.
const HEADER_LEN: usize = 2;
/// The length of an id.
const LEN_LEN: usize = 1;
const RTT_LEN: usize = 4;
const FLOATS: usize = Coordinate::DIMENSIONS + 3;
const COORDINATE_LEN: usize = 4 * FLOATS;

impl PeerView {
    /// The most bytes that a view is [written](Self::write_to) in.
    pub const MAX_BYTES: usize =
        HEADER_LEN + Self::MAX_MEASURED * (LEN_LEN + NodeId::MAX_LEN + RTT_LEN) + COORDINATE_LEN;

    /// The view as bytes, for peers to send: at most [`MAX_BYTES`](Self::MAX_BYTES), for three
    /// relays with ids of 32 bytes and a coordinate 157.
    ///
    /// Numbers are big-endian. Nothing follows the last part.
    ///
    /// | bytes | part |
    /// |---|---|
    /// | 1 | the version: 1 |
    /// | 1 | the number of relays, 0 to 3; plus 128 if there is a coordinate |
    /// | 1 | for each relay: the length of its id, 1 to [`NodeId::MAX_LEN`] |
    /// | 1 to [`NodeId::MAX_LEN`] | its id |
    /// | 4 | the round trip to it in microseconds, 1 to 10,000,000 |
    /// | 32 | of the coordinate: the position along each axis, as floats of 32 bits |
    /// | 12 | height, adjustment and error, as floats of 32 bits |
    ///
    /// ```
    /// use relay_registry::{NodeId, PeerView};
    /// use std::time::Duration;
    ///
    /// let near = NodeId::from([1; 32]);
    /// let view = PeerView::new().measured(near, Duration::from_millis(7))?;
    /// let bytes = view.to_bytes();
    /// assert_eq!(bytes.len(), 39);
    /// assert_eq!(PeerView::from_bytes(&bytes)?, view);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [0; Self::MAX_BYTES];
        let len = self.write_to(&mut bytes).unwrap_or(0);
        bytes[..len].to_vec()
    }

    /// Writes the [bytes](Self::to_bytes) of the view to the start of a buffer, without allocation.
    /// How many there are; `None`, and nothing is written, if the buffer is too short.
    /// [`MAX_BYTES`](Self::MAX_BYTES) are enough for any view.
    ///
    /// ```
    /// use relay_registry::{NodeId, PeerView};
    /// use std::time::Duration;
    ///
    /// let view = PeerView::new().measured(NodeId::from([1; 32]), Duration::from_millis(7))?;
    /// let mut buffer = [0; PeerView::MAX_BYTES];
    /// assert_eq!(view.write_to(&mut buffer), Some(39));
    /// assert_eq!(buffer[..39], view.to_bytes());
    /// assert_eq!(view.write_to(&mut buffer[..38]), None);
    /// # Ok::<(), relay_registry::PeerViewError>(())
    /// ```
    pub fn write_to(&self, buffer: &mut [u8]) -> Option<usize> {
        let buffer = buffer.get_mut(..self.encoded_len())?;
        let mut writer = Writer { rest: &mut *buffer };
        let flag = self.coordinate.map_or(0, |_| HAS_COORDINATE);
        writer.put(&[VERSION, self.pairs().count() as u8 | flag]);
        for (relay, micros) in self.pairs() {
            writer.put(&[relay.as_bytes().len() as u8]);
            writer.put(relay.as_bytes());
            writer.put(&micros.to_be_bytes());
        }
        if let Some(coordinate) = &self.coordinate {
            floats(coordinate).for_each(|float| writer.put(&float.to_be_bytes()));
        }
        Some(buffer.len())
    }

    /// The view that [`to_bytes`](Self::to_bytes) made these bytes of.
    ///
    /// For bytes from strangers: never panics, allocates nothing, and takes no value that
    /// [`measured`](Self::measured) and [`Coordinate::new`] would refuse. A view has one form only:
    /// bytes that are accepted are those that `to_bytes` returns.
    ///
    /// # Errors
    ///
    /// A [`PeerViewDecodeError`] that names the first thing that is wrong.
    ///
    /// ```
    /// use relay_registry::{PeerView, PeerViewDecodeError};
    ///
    /// let empty = PeerView::new().to_bytes();
    /// assert_eq!(PeerView::from_bytes(&empty), Ok(PeerView::new()));
    /// let refused = PeerView::from_bytes(&[9, 0]);
    /// assert!(matches!(refused, Err(PeerViewDecodeError::UnknownVersion { version: 9, .. })));
    /// ```
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PeerViewDecodeError> {
        let mut reader = Reader { bytes, at: 0 };
        let [version] = reader.take()?;
        if version != VERSION {
            return Err(PeerViewDecodeError::UnknownVersion { version });
        }
        let [form] = reader.take()?;
        if form & !(COUNT | HAS_COORDINATE) != 0 {
            return Err(PeerViewDecodeError::UnknownForm { byte: form });
        }
        let mut view = Self::new();
        for index in 0..usize::from(form & COUNT) {
            view.measured[index] = Some(reader.relay(index, &view)?);
        }
        if form & HAS_COORDINATE != 0 {
            view.coordinate = Some(reader.coordinate()?);
        }
        reader.end()?;
        Ok(view)
    }

    fn encoded_len(&self) -> usize {
        let relay_len = |relay: &NodeId| LEN_LEN + relay.as_bytes().len() + RTT_LEN;
        let relays: usize = self.pairs().map(|(relay, _)| relay_len(relay)).sum();
        HEADER_LEN + relays + self.coordinate.map_or(0, |_| COORDINATE_LEN)
    }
}

fn floats(coordinate: &Coordinate) -> impl Iterator<Item = f32> {
    let rest = [
        coordinate.height(),
        coordinate.adjustment(),
        coordinate.error(),
    ];
    coordinate.position().into_iter().chain(rest)
}

/// Writes to a buffer that is long enough.
struct Writer<'a> {
    rest: &'a mut [u8],
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let (place, rest) = std::mem::take(&mut self.rest).split_at_mut(bytes.len());
        place.copy_from_slice(bytes);
        self.rest = rest;
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn slice(&mut self, len: usize) -> Result<&'a [u8], PeerViewDecodeError> {
        let end = self.at + len;
        let slice = self.bytes.get(self.at..end);
        self.at = end;
        slice.ok_or(PeerViewDecodeError::Truncated {
            len: self.bytes.len(),
            needed: end,
        })
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], PeerViewDecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.slice(N)?);
        Ok(array)
    }

    /// The relay with this index, behind those in `before`.
    fn relay(
        &mut self,
        index: usize,
        before: &PeerView,
    ) -> Result<(NodeId, u32), PeerViewDecodeError> {
        let [len] = self.take()?;
        let len = usize::from(len);
        let id_error = |reason| PeerViewDecodeError::InvalidRelay { index, reason };
        if len > NodeId::MAX_LEN {
            // Before the bytes are looked at, which may be cut off.
            return Err(id_error(NodeIdError::TooLong { len }));
        }
        let relay = NodeId::from_bytes(self.slice(len)?).map_err(id_error)?;
        if before.pairs().any(|(known, _)| *known == relay) {
            return Err(PeerViewDecodeError::DuplicateRelay { index });
        }
        let micros = u32::from_be_bytes(self.take()?);
        if micros == 0 || Duration::from_micros(micros.into()) > MAX_RTT {
            return Err(PeerViewDecodeError::InvalidRtt { index, micros });
        }
        Ok((relay, micros))
    }

    fn coordinate(&mut self) -> Result<Coordinate, PeerViewDecodeError> {
        let mut floats = [0.0; FLOATS];
        for float in &mut floats {
            *float = f32::from_be_bytes(self.take()?);
        }
        let [position @ .., height, adjustment, error] = floats;
        Coordinate::new(position, height, adjustment, error)
            .map_err(PeerViewDecodeError::InvalidCoordinate)
    }

    fn end(self) -> Result<(), PeerViewDecodeError> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            extra => Err(PeerViewDecodeError::TrailingBytes { extra }),
        }
    }
}
