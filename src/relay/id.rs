//! [`NodeId`]: who a peer is.

use std::cmp::min;
use std::error::Error;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::str::FromStr;

const HEAD_LEN: usize = 32;

/// The identity of a node: 1 to 64 opaque bytes, most often a public key or its hash.
///
/// The bytes are held inline, so an id is copied and compared without touching the heap.
/// As text it is lower-case hexadecimal. Parsing accepts either case. Ids have the order of
/// their bytes. A precision shortens what is displayed: `{:.8}` writes the first 8 digits.
///
/// ```
/// use relay_registry::NodeId;
///
/// let key = NodeId::from([7; 32]);
/// assert_eq!(key.as_bytes(), [7; 32]);
///
/// let short: NodeId = "C0FFEE".parse()?;
/// assert_eq!(short, NodeId::from_bytes(&[0xc0, 0xff, 0xee])?);
/// assert_eq!(short.to_string(), "c0ffee");
/// # Ok::<(), relay_registry::NodeIdError>(())
/// ```
// Padded with zeros, and the length comes last. So the derived equality is that of the
// ids, and the derived order that of `as_bytes`: a proper prefix is less than a longer id,
// or equal up to the padding, and then the length decides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct NodeId {
    bytes: [u8; NodeId::MAX_LEN],
    len: u8,
}

impl NodeId {
    /// The greatest length of an id, in bytes.
    pub const MAX_LEN: usize = 64;

    /// Makes an id of `bytes`.
    ///
    /// # Errors
    ///
    /// [`NodeIdError::Empty`] or [`NodeIdError::TooLong`] unless there are 1 to
    /// [`MAX_LEN`](Self::MAX_LEN) bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NodeIdError> {
        let mut id = Self::zeroed(bytes.len())?;
        id.bytes[..bytes.len()].copy_from_slice(bytes);
        Ok(id)
    }

    /// The bytes of the id.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        // Only parts that do not belong together can exceed the maximum. The bound is
        // cheaper than a branch that panics.
        &self.bytes[..min(usize::from(self.len), Self::MAX_LEN)]
    }

    /// An id of `len` zero bytes, to be filled in.
    fn zeroed(len: usize) -> Result<Self, NodeIdError> {
        match u8::try_from(len) {
            Ok(0) => Err(NodeIdError::Empty),
            Ok(len) if usize::from(len) <= Self::MAX_LEN => Ok(Self {
                bytes: [0; Self::MAX_LEN],
                len,
            }),
            _ => Err(NodeIdError::TooLong { len }),
        }
    }

    /// The first 32 bytes, zero padded, as words. Most ids have no more.
    #[inline]
    pub(crate) fn head(&self) -> [u64; 4] {
        words(&self.bytes[..HEAD_LEN])
    }

    /// The 32 bytes after the [`head`](Self::head), zero padded, as words.
    #[inline]
    pub(crate) fn tail(&self) -> [u64; 4] {
        words(&self.bytes[HEAD_LEN..])
    }

    /// A hash for tables whose keys are ids and nothing else.
    ///
    /// It hashes whole words, and an id of 32 bytes as two pairs of them. So it is several
    /// times as fast as `Hash`, and as safe against attackers who do not know the keys of
    /// `state`.
    #[inline]
    pub(crate) fn keyed_hash(&self, state: &ahash::RandomState) -> u64 {
        if usize::from(self.len_u8()) != HEAD_LEN {
            return self.keyed_hash_with_tail(state);
        }
        let mut hasher = state.build_hasher();
        write_words(self.head(), &mut hasher);
        hasher.finish()
    }

    #[cold]
    #[inline(never)]
    fn keyed_hash_with_tail(&self, state: &ahash::RandomState) -> u64 {
        let mut hasher = state.build_hasher();
        write_words(self.head(), &mut hasher);
        write_words(self.tail(), &mut hasher);
        hasher.write_u8(self.len);
        hasher.finish()
    }

    /// The number of bytes, 1 to 64.
    #[inline]
    pub(crate) const fn len_u8(&self) -> u8 {
        self.len
    }

    /// The inverse of [`head`](Self::head), [`tail`](Self::tail) and
    /// [`len_u8`](Self::len_u8).
    ///
    /// Parts that do not belong together make a wrong id, but one that can be held,
    /// compared and printed. So parts may be read first and validated later.
    #[inline]
    pub(crate) fn from_parts(head: [u64; 4], tail: [u64; 4], len: u8) -> Self {
        let mut bytes = [0; Self::MAX_LEN];
        for (place, word) in bytes.chunks_exact_mut(8).zip(head.into_iter().chain(tail)) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        Self { bytes, len }
    }
}

/// 32 bytes as they lie in memory.
#[inline]
fn words(bytes: &[u8]) -> [u64; 4] {
    std::array::from_fn(|word| {
        let bytes = bytes[8 * word..][..8].try_into();
        u64::from_ne_bytes(bytes.expect("eight of them"))
    })
}

#[inline]
fn write_words(words: [u64; 4], hasher: &mut impl Hasher) {
    let pair = |low, high| u128::from(high) << 64 | u128::from(low);
    hasher.write_u128(pair(words[0], words[1]));
    hasher.write_u128(pair(words[2], words[3]));
}

impl From<[u8; 32]> for NodeId {
    #[inline]
    fn from(key: [u8; 32]) -> Self {
        let mut bytes = [0; Self::MAX_LEN];
        bytes[..HEAD_LEN].copy_from_slice(&key);
        Self { bytes, len: 32 }
    }
}

impl TryFrom<&[u8]> for NodeId {
    type Error = NodeIdError;

    fn try_from(bytes: &[u8]) -> Result<Self, NodeIdError> {
        Self::from_bytes(bytes)
    }
}

impl AsRef<[u8]> for NodeId {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// Hashes only the bytes in use: the padding would double the work for an id of 32 bytes.
/// The length comes first, so that no id's input is a prefix of another's, also where an
/// id is part of a larger key.
impl Hash for NodeId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(self.len_u8());
        state.write(self.as_bytes());
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 2 * Self::MAX_LEN];
        let mut len = 0;
        for byte in self.as_bytes() {
            for nibble in [byte >> 4, byte & 0xf] {
                text[len] = b"0123456789abcdef"[usize::from(nibble)];
                len += 1;
            }
        }
        f.pad(std::str::from_utf8(&text[..len]).expect("hexadecimal digits"))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

impl FromStr for NodeId {
    type Err = NodeIdError;

    /// Parses hexadecimal digits of either case, two to a byte.
    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        let digits = text.as_bytes();
        if digits.len() % 2 != 0 {
            return Err(NodeIdError::OddLength { len: digits.len() });
        }
        let mut id = Self::zeroed(digits.len() / 2)?;
        for (index, &digit) in digits.iter().enumerate() {
            let nibble = nibble(digit).ok_or(NodeIdError::InvalidDigit { index })?;
            let byte = &mut id.bytes[index / 2];
            *byte = *byte << 4 | nibble;
        }
        Ok(id)
    }
}

/// The value of a hexadecimal digit.
const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Why bytes or text are not a [`NodeId`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeIdError {
    /// There is nothing there.
    Empty,
    /// There are more than [`NodeId::MAX_LEN`] bytes.
    TooLong {
        /// How many bytes there are, or the text stands for.
        len: usize,
    },
    /// The text has an odd number of digits, so the last byte is incomplete.
    OddLength {
        /// The length of the text, in bytes.
        len: usize,
    },
    /// The text contains something other than a hexadecimal digit.
    InvalidDigit {
        /// Where it starts, in bytes from the start of the text.
        index: usize,
    },
}

impl fmt::Display for NodeIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a node id cannot be empty"),
            Self::TooLong { len } => write!(
                f,
                "a node id has at most {} bytes, not {len}",
                NodeId::MAX_LEN
            ),
            Self::OddLength { len } => write!(
                f,
                "a node id is written with two digits to a byte, not with {len} in all"
            ),
            Self::InvalidDigit { index } => {
                write!(
                    f,
                    "there is no hexadecimal digit at byte {index} of the node id"
                )
            }
        }
    }
}

impl Error for NodeIdError {}

#[cfg(test)]
mod tests {
    use std::hash::RandomState;

    use super::*;

    fn id(bytes: &[u8]) -> NodeId {
        NodeId::from_bytes(bytes).unwrap()
    }

    #[test]
    fn the_length_is_all_that_is_held_beside_the_bytes() {
        assert_eq!(size_of::<NodeId>(), 65);
    }

    #[test]
    fn every_length_from_1_to_64_is_kept() {
        for len in 1..=NodeId::MAX_LEN {
            let bytes = vec![0xa5; len];
            assert_eq!(id(&bytes).as_bytes(), bytes);
            assert_eq!(NodeId::try_from(&bytes[..]), Ok(id(&bytes)));
            assert_eq!(id(&bytes).as_ref(), bytes);
        }
    }

    #[test]
    fn other_lengths_are_refused() {
        assert_eq!(NodeId::from_bytes(&[]), Err(NodeIdError::Empty));
        for len in [65, 255, 256, 257, 320, 100_000] {
            let refused = NodeId::from_bytes(&vec![0; len]);
            assert_eq!(refused, Err(NodeIdError::TooLong { len }));
        }
    }

    #[test]
    fn zero_bytes_count() {
        assert_ne!(id(&[1]), id(&[1, 0]));
        assert_ne!(id(&[0]), id(&[0, 0]));
    }

    #[test]
    fn order_is_that_of_the_bytes() {
        let ids: [&[u8]; 11] = [
            &[0],
            &[0, 0],
            &[0, 1],
            &[1],
            &[1, 0],
            &[1, 0, 5],
            &[2],
            &[2; 63],
            &[2; 64],
            &[0; 63],
            &[0; 64],
        ];
        for a in ids {
            for b in ids {
                assert_eq!(id(a).cmp(&id(b)), a.cmp(b), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn hash_tells_neighbours_apart() {
        let state = RandomState::new();
        let split = |a: &[u8], b: &[u8]| state.hash_one((id(a), id(b)));
        assert_eq!(split(&[1], &[2, 3]), split(&[1], &[2, 3]));
        assert_ne!(split(&[1], &[2, 3]), split(&[1, 2], &[3]));
        assert_ne!(state.hash_one(id(&[0])), state.hash_one(id(&[0, 0])));
    }

    /// Also where one is the other with zeros behind it, and where only the last
    /// byte differs.
    #[test]
    fn keyed_hash_tells_neighbours_apart() {
        let state = ahash::RandomState::new();
        let mut ids: Vec<NodeId> = (1..=64).map(|len| id(&vec![0; len])).collect();
        ids.extend((1..=64).map(|len| {
            let mut bytes = vec![0; len];
            bytes[len - 1] = 1;
            id(&bytes)
        }));
        let mut hashes: Vec<u64> = ids.iter().map(|id| id.keyed_hash(&state)).collect();
        assert_eq!(ids[31].keyed_hash(&state), hashes[31]);
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), ids.len());
    }

    #[test]
    fn parts_make_the_whole() {
        for len in [1, 31, 32, 33, 63, 64] {
            let bytes: Vec<u8> = (1..=len).collect();
            let whole = id(&bytes);
            // Of an id of up to 32 bytes, no tail is read.
            let tail = if len <= 32 { [0; 4] } else { whole.tail() };
            let parts = NodeId::from_parts(whole.head(), tail, whole.len_u8());
            assert_eq!(parts, whole);
            assert_eq!(whole.len_u8(), len);
        }
    }

    #[test]
    fn parts_that_do_not_belong_together_are_harmless() {
        for len in [0, 65, 255] {
            let odd = NodeId::from_parts([u64::MAX; 4], [u64::MAX; 4], len);
            assert!(odd.as_bytes().len() <= NodeId::MAX_LEN);
            let _ = (odd.to_string(), RandomState::new().hash_one(odd));
        }
    }

    #[test]
    fn text_is_lower_case_hexadecimal() {
        let peer = id(&[0x00, 0x1f, 0xa0, 0xff]);
        assert_eq!(peer.to_string(), "001fa0ff");
        assert_eq!(format!("{peer:?}"), "NodeId(001fa0ff)");
        for text in ["001fa0ff", "001FA0FF", "001Fa0fF"] {
            assert_eq!(text.parse(), Ok(peer));
        }
    }

    #[test]
    fn malformed_text_is_refused_with_its_reason() {
        let refusal = |text: &str| text.parse::<NodeId>().unwrap_err();
        assert_eq!(refusal(""), NodeIdError::Empty);
        assert_eq!(refusal("abc"), NodeIdError::OddLength { len: 3 });
        assert_eq!(refusal(&"0".repeat(130)), NodeIdError::TooLong { len: 65 });
        assert_eq!(refusal("0x12"), NodeIdError::InvalidDigit { index: 1 });
        assert_eq!(refusal("12 4"), NodeIdError::InvalidDigit { index: 2 });
        assert_eq!(refusal("+1"), NodeIdError::InvalidDigit { index: 0 });
        assert_eq!(refusal("12é"), NodeIdError::InvalidDigit { index: 2 });
        for near in ["/0", ":0", "@0", "G0", "`0", "g0"] {
            assert_eq!(refusal(near), NodeIdError::InvalidDigit { index: 0 });
        }
    }
}
