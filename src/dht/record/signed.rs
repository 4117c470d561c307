//! [`SignedRecord`]: a statement, whose it is, and the proof.

use std::fmt;
use std::time::Duration;

use ed25519_dalek::{Signature, VerifyingKey};

use super::codec::{decode_value, encode_value};
use super::{MAX_RECORD_LEN, Network, RecordError, RelayRecord, SecretKey};
use crate::relay::NodeId;
use crate::sync::Arc;

/// The layout of [`SignedRecord::encode`]: the byte it starts with.
const LAYOUT: u8 = 1;

const KEY_LEN: usize = 32;
const SEQUENCE_LEN: usize = 8;
const SIGNATURE_LEN: usize = 64;

/// What goes before the value: layout, public key, sequence, signature.
pub(super) const HEADER_LEN: usize = 1 + KEY_LEN + SEQUENCE_LEN + SIGNATURE_LEN;

/// A [`RelayRecord`] that was verified to be the word of its node.
///
/// There is no other way to have one: it is [signed](Self::sign) here, or
/// [decoded](Self::decode) and verified. Its node id is the public key that
/// verifies it, so it proves itself, whoever passed it on. That it is the
/// node's *latest* word it cannot prove: see
/// [`SequenceMemory`](super::SequenceMemory).
///
/// The signature is that of a mutable item of [BEP 44]: storage nodes of
/// BitTorrent's DHT check the very signature that every other engine carries.
///
/// A clone costs one reference count. What was decoded is passed on byte for
/// byte, with whatever in it this version does not know.
///
/// ```
/// use std::time::Duration;
/// use relay_registry::dht::{Announcement, Network, RelayRecord, SecretKey, SignedRecord};
///
/// let (key, network) = (SecretKey::generate()?, Network::default());
/// let announcement = Announcement::new("192.0.2.7:4433".parse()?, 100)?;
/// let now = Duration::from_secs(1_800_000_000);
/// let record = RelayRecord::announce(announcement, 1_800_000_000_000_000, now, Duration::from_secs(600))?;
///
/// let signed = SignedRecord::sign(&record, &key, &network)?;
/// let received = SignedRecord::decode(&signed.encode(), &network)?;
/// assert_eq!(received, signed);
/// assert_eq!(received.node_id(), key.node_id());
/// assert!(SignedRecord::decode(&signed.encode(), &Network::new(b"other")?).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [BEP 44]: https://www.bittorrent.org/beps/bep_0044.html
#[derive(Clone)]
pub struct SignedRecord(Arc<Inner>);

struct Inner {
    record: RelayRecord,
    value: Box<[u8]>,
    signature: [u8; SIGNATURE_LEN],
    public_key: [u8; KEY_LEN],
    network: Network,
}

impl SignedRecord {
    /// Signs a statement.
    ///
    /// Never sign two statements with one sequence: storage nodes and readers
    /// would be divided over which of them counts.
    ///
    /// # Errors
    ///
    /// [`RecordError::TooLarge`] if extensions make the value longer than
    /// [`MAX_VALUE_LEN`](super::MAX_VALUE_LEN).
    pub fn sign(
        record: &RelayRecord,
        key: &SecretKey,
        network: &Network,
    ) -> Result<Self, RecordError> {
        let value = encode_value(record);
        // What is signed is what readers will read.
        let record = decode_value(&value, record.sequence())?;
        let signature = key.sign(&signable(network.salt(), record.sequence(), &value));
        Ok(Self(Arc::new(Inner {
            record,
            value: value.into(),
            signature,
            public_key: key.public_key(),
            network: *network,
        })))
    }

    /// Signs a withdrawal of all that the node announced before: as
    /// [`RelayRecord::withdraw`], then [`sign`](Self::sign).
    ///
    /// # Errors
    ///
    /// Those of [`RelayRecord::withdraw`].
    pub fn tombstone(
        sequence: u64,
        issued_at: Duration,
        ttl: Duration,
        key: &SecretKey,
        network: &Network,
    ) -> Result<Self, RecordError> {
        let record = RelayRecord::withdraw(sequence, issued_at, ttl)?;
        Self::sign(&record, key, network)
    }

    /// Reads and verifies what [`encode`](Self::encode) wrote. Any bytes may be
    /// given; at most [`MAX_RECORD_LEN`] of them are looked at.
    ///
    /// # Errors
    ///
    /// Any [`RecordError`] of reading: the bytes are not a record in its one
    /// encoding, or not what the owner of the key signed for this network.
    pub fn decode(bytes: &[u8], network: &Network) -> Result<Self, RecordError> {
        let len = bytes.len();
        if len > MAX_RECORD_LEN {
            return Err(RecordError::TooLarge {
                len,
                max: MAX_RECORD_LEN,
            });
        }
        let (layout, rest) = split(bytes, len)?;
        if layout != [LAYOUT] {
            return Err(RecordError::UnknownLayout { layout: layout[0] });
        }
        let (public_key, rest) = split(rest, len)?;
        let (sequence, rest) = split(rest, len)?;
        let (signature, value) = split(rest, len)?;
        let sequence = i64::from_be_bytes(sequence);
        Self::from_bep44(public_key, value, sequence, signature, network)
    }

    /// Reads and verifies a mutable item of BEP 44: `k`, the content of the byte
    /// string `v`, `seq` and `sig`, stored under the [salt](Self::salt) of the
    /// network.
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode).
    pub fn from_bep44(
        public_key: [u8; 32],
        value: &[u8],
        sequence: i64,
        signature: [u8; 64],
        network: &Network,
    ) -> Result<Self, RecordError> {
        let sequence = u64::try_from(sequence).map_err(|_| RecordError::InvalidSequence)?;
        let record = decode_value(value, sequence)?;
        let message = signable(network.salt(), sequence, value);
        verify(&public_key, &message, &signature)?;
        Ok(Self(Arc::new(Inner {
            record,
            value: value.into(),
            signature,
            public_key,
            network: *network,
        })))
    }

    /// The record as one piece, for engines that store bytes: at most
    /// [`MAX_RECORD_LEN`] of them.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN + self.0.value.len());
        bytes.push(LAYOUT);
        bytes.extend_from_slice(&self.0.public_key);
        bytes.extend_from_slice(&self.sequence().to_be_bytes());
        bytes.extend_from_slice(&self.0.signature);
        bytes.extend_from_slice(&self.0.value);
        bytes
    }

    /// What the node says.
    #[must_use]
    pub fn record(&self) -> &RelayRecord {
        &self.0.record
    }

    /// Whether the node withdraws what it announced before.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.0.record.is_tombstone()
    }

    /// Whose word it is.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        NodeId::from(self.0.public_key)
    }

    /// The public key that verifies it: `k` of BEP 44.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        &self.0.public_key
    }

    /// The signed value: the content of the byte string `v` of BEP 44, 1 to
    /// [`MAX_VALUE_LEN`](super::MAX_VALUE_LEN) bytes.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.0.value
    }

    /// The signature: `sig` of BEP 44.
    #[must_use]
    pub fn signature(&self) -> &[u8; 64] {
        &self.0.signature
    }

    /// Which of the node's statements it is: `seq` of BEP 44, 0 to
    /// [`RelayRecord::MAX_SEQUENCE`].
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.0.record.sequence()
    }

    /// The salt under which it is stored: `salt` of BEP 44.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        self.0.network.salt()
    }

    /// The network it is signed for.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.0.network
    }
}

/// Equal if they are equal byte for byte, in the same network.
impl PartialEq for SignedRecord {
    fn eq(&self, other: &Self) -> bool {
        let key = |signed: &Self| (signed.0.public_key, signed.sequence(), signed.0.network);
        key(self) == key(other)
            && self.0.signature == other.0.signature
            && self.0.value == other.0.value
    }
}

impl Eq for SignedRecord {}

impl fmt::Debug for SignedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedRecord")
            .field("node_id", &self.node_id())
            .field("record", &self.0.record)
            .field("network", &self.0.network)
            .finish_non_exhaustive()
    }
}

/// The bytes that are signed, as BEP 44 has them: the bencoded `salt`, `seq` and
/// `v` one after the other, in the order of a dictionary but not in one.
fn signable(salt: &[u8], sequence: u64, value: &[u8]) -> Vec<u8> {
    let mut bytes = format!("4:salt{}:", salt.len()).into_bytes();
    bytes.extend_from_slice(salt);
    bytes.extend_from_slice(format!("3:seqi{sequence}e1:v{}:", value.len()).as_bytes());
    bytes.extend_from_slice(value);
    bytes
}

fn verify(
    public_key: &[u8; KEY_LEN],
    message: &[u8],
    signature: &[u8; SIGNATURE_LEN],
) -> Result<(), RecordError> {
    let key = VerifyingKey::from_bytes(public_key).map_err(|_| RecordError::InvalidKey)?;
    // A point has a few spellings too many, and one node must not have two ids.
    if key.to_edwards().compress().as_bytes() != public_key {
        return Err(RecordError::InvalidKey);
    }
    if key.is_weak() {
        return Err(RecordError::WeakKey);
    }
    key.verify_strict(message, &Signature::from_bytes(signature))
        .map_err(|_| RecordError::BadSignature)
}

/// The first `N` bytes and the rest, of a record of `len` bytes in all.
fn split<const N: usize>(bytes: &[u8], len: usize) -> Result<([u8; N], &[u8]), RecordError> {
    match bytes.split_first_chunk() {
        Some((first, rest)) => Ok((*first, rest)),
        None => Err(RecordError::TooShort { len }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::NodeId;

    fn bytes<const N: usize>(hex: [&str; 2]) -> [u8; N] {
        let halves = hex.map(|half| half.parse::<NodeId>().unwrap());
        let all: Vec<u8> = halves.iter().flat_map(NodeId::as_bytes).copied().collect();
        all.try_into().unwrap()
    }

    /// "Test vectors", test 2, of BEP 44.
    #[test]
    fn what_is_signed_is_what_bep_44_signs() {
        let key = bytes([
            "77ff84905a91936367c01360803104f9",
            "2432fcd904a43511876df5cdf3e7e548",
        ]);
        let signature = bytes([
            "6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17d",
            "df9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a08",
        ]);
        let message = signable(b"foobar", 1, b"Hello World!");
        assert_eq!(message, b"4:salt6:foobar3:seqi1e1:v12:Hello World!");
        assert_eq!(verify(&key, &message, &signature), Ok(()));
    }
}
