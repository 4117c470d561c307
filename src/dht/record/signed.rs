//! [`SignedRecord`]: a record with its public key and signature.

use std::fmt;
use std::time::Duration;

use ed25519_dalek::{Signature, VerifyingKey};

use super::codec::{decode_value, encode_value};
use super::{MAX_RECORD_LEN, Network, RecordError, RelayRecord, SecretKey};
use crate::relay::NodeId;
use crate::sync::Arc;

/// The first byte of [`SignedRecord::encode`]: the version of its layout.
const LAYOUT: u8 = 1;

const KEY_LEN: usize = 32;
const SEQUENCE_LEN: usize = 8;
const SIGNATURE_LEN: usize = 64;

/// The length of layout, public key, sequence and signature, which precede the value.
pub(super) const HEADER_LEN: usize = 1 + KEY_LEN + SEQUENCE_LEN + SIGNATURE_LEN;

/// A [`RelayRecord`] with a valid signature of its node.
///
/// A value of this type was either [signed](Self::sign) by this process or
/// [decoded](Self::decode) and verified. Its node id is the public key that
/// verifies it, so the record is self-certifying: the node that passed it on need
/// not be trusted. The signature does not prove that the record is the *latest* of
/// its node: see [`SequenceMemory`](super::SequenceMemory).
///
/// The signature is that of a mutable item of [BEP 44]. Storage nodes of
/// BitTorrent's DHT verify the same signature as every other engine.
///
/// A clone increments a reference count. A decoded record is encoded byte for byte
/// as it was, including fields that this version does not know.
///
/// ```
/// use std::time::Duration;
/// use relay_registry::dht::{Announcement, Network, RelayRecord, SecretKey, SignedRecord};
///
/// let (key, network) = (SecretKey::generate()?, Network::default());
/// let announcement = Announcement::new("192.0.2.7:4433".parse()?, 100)?;
/// let now = Duration::from_secs(1_800_000_000);
/// let (sequence, ttl) = (1_800_000_000_000_000, Duration::from_secs(600));
/// let record = RelayRecord::announce(announcement, sequence, now, ttl)?;
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
    /// Signs a record.
    ///
    /// Never sign two different records with one sequence: storage nodes and
    /// readers would disagree about which of them is valid.
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
        // Decoding checks the value as readers will, including its length.
        let record = decode_value(&value, record.sequence())?;
        let signature = key.sign(&signed_message(network.salt(), record.sequence(), &value));
        Ok(Self(Arc::new(Inner {
            record,
            value: value.into(),
            signature,
            public_key: key.public_key(),
            network: *network,
        })))
    }

    /// Signs a withdrawal of all earlier announcements:
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

    /// Decodes and verifies bytes that [`encode`](Self::encode) wrote. Costs one
    /// check of a signature; longer input than [`MAX_RECORD_LEN`] is rejected
    /// unread.
    ///
    /// # Errors
    ///
    /// A [`RecordError`] if the bytes are not the canonical encoding of a record,
    /// or if the signature is not valid for the key and `network`.
    pub fn decode(bytes: &[u8], network: &Network) -> Result<Self, RecordError> {
        let parts = Parts::split(bytes)?;
        Self::from_bep44(
            *parts.public_key,
            parts.value,
            parts.sequence,
            *parts.signature,
            network,
        )
    }

    /// Decodes bytes that [`decode`](Self::decode) accepted before, without another check
    /// of the signature.
    #[cfg(not(relay_loom))]
    pub(crate) fn decode_verified(bytes: &[u8], network: &Network) -> Result<Self, RecordError> {
        let parts = Parts::split(bytes)?;
        let sequence = u64::try_from(parts.sequence).map_err(|_| RecordError::InvalidSequence)?;
        Ok(Self(Arc::new(Inner {
            record: decode_value(parts.value, sequence)?,
            value: parts.value.into(),
            signature: *parts.signature,
            public_key: *parts.public_key,
            network: *network,
        })))
    }

    /// Decodes and verifies a mutable item of BEP 44 that was stored under the
    /// [salt](Self::salt) of `network`. The arguments are `k`, the content of the
    /// byte string `v`, `seq` and `sig`.
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
        let message = signed_message(network.salt(), sequence, value);
        verify(&public_key, &message, &signature)?;
        Ok(Self(Arc::new(Inner {
            record,
            value: value.into(),
            signature,
            public_key,
            network: *network,
        })))
    }

    /// The record as at most [`MAX_RECORD_LEN`] bytes, for engines that store plain
    /// bytes.
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

    /// The contents.
    #[must_use]
    pub fn record(&self) -> &RelayRecord {
        &self.0.record
    }

    /// Whether the record withdraws earlier announcements.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.0.record.is_tombstone()
    }

    /// The node that signed the record.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        NodeId::from(self.0.public_key)
    }

    /// The public key that verifies the record: `k` of BEP 44.
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

    /// The sequence: `seq` of BEP 44, 0 to [`RelayRecord::MAX_SEQUENCE`].
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.0.record.sequence()
    }

    /// The salt under which the record is stored: `salt` of BEP 44.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        self.0.network.salt()
    }

    /// The network that the record is signed for.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.0.network
    }
}

/// Records are equal if their bytes and their networks are equal.
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

/// The bytes that are signed, as BEP 44 defines them: the bencoded `salt`, `seq`
/// and `v` in this order, without a surrounding dictionary.
fn signed_message(salt: &[u8], sequence: u64, value: &[u8]) -> Vec<u8> {
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
    // Some points have several encodings, and one node must not have two ids.
    if key.to_edwards().compress().as_bytes() != public_key {
        return Err(RecordError::InvalidKey);
    }
    if key.is_weak() {
        return Err(RecordError::WeakKey);
    }
    key.verify_strict(message, &Signature::from_bytes(signature))
        .map_err(|_| RecordError::BadSignature)
}

/// The parts of an encoded record, none of them verified.
pub(crate) struct Parts<'a> {
    pub(crate) public_key: &'a [u8; KEY_LEN],
    pub(crate) sequence: i64,
    pub(crate) signature: &'a [u8; SIGNATURE_LEN],
    value: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Splits the bytes of a record by its layout, and checks nothing else.
    pub(crate) fn split(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let len = bytes.len();
        if len > MAX_RECORD_LEN {
            return Err(RecordError::TooLarge {
                len,
                max: MAX_RECORD_LEN,
            });
        }
        let (layout, rest) = split(bytes, len)?;
        if *layout != [LAYOUT] {
            return Err(RecordError::UnknownLayout { layout: layout[0] });
        }
        let (public_key, rest) = split(rest, len)?;
        let (sequence, rest) = split(rest, len)?;
        let (signature, value) = split(rest, len)?;
        Ok(Self {
            public_key,
            sequence: i64::from_be_bytes(*sequence),
            signature,
            value,
        })
    }
}

/// Splits off the first `N` bytes. `len` is the length of the whole record.
fn split<const N: usize>(bytes: &[u8], len: usize) -> Result<(&[u8; N], &[u8]), RecordError> {
    bytes
        .split_first_chunk()
        .ok_or(RecordError::TooShort { len })
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
    fn the_signed_message_is_that_of_bep_44() {
        let key = bytes([
            "77ff84905a91936367c01360803104f9",
            "2432fcd904a43511876df5cdf3e7e548",
        ]);
        let signature = bytes([
            "6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17d",
            "df9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a08",
        ]);
        let message = signed_message(b"foobar", 1, b"Hello World!");
        assert_eq!(message, b"4:salt6:foobar3:seqi1e1:v12:Hello World!");
        assert_eq!(verify(&key, &message, &signature), Ok(()));
    }
}
