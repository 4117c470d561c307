//! The circuit addresses of a peer behind a NAT, which the peer signs and keeps in the DHT.
//!
//! A peer that another one looks for is no relay, so the registry does not list it. It stores
//! a signed peer record of libp2p under a key of its own: the addresses of the relays at which
//! it has a reservation. Storage nodes verify the signature, and that the key is that peer's.

use std::time::Duration;

use libp2p::core::signed_envelope::DecodingError;
use libp2p::core::{PeerRecord, SignedEnvelope};
use libp2p::identity::{Keypair, SigningError};
use libp2p::kad::RecordKey;
use libp2p::{Multiaddr, PeerId};
use thiserror::Error;

use crate::ids::relay_of;

/// The maximum length of a value.
pub const MAX_LEN: usize = 4 * 1024;

/// The maximum number of addresses in a value.
pub const MAX_ADDRESSES: usize = 32;

/// How long a storage node keeps a value.
pub const TTL: Duration = Duration::from_secs(600);

const PREFIX: &[u8] = b"/relay-circuits/";

/// Why a value is not the signed addresses of a peer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CircuitsError {
    /// It is too long. It was not read.
    #[error("the value has {len} bytes, more than {MAX_LEN}")]
    TooLarge {
        /// The length in bytes.
        len: usize,
    },
    /// It is not an envelope.
    #[error("the value is no signed envelope")]
    Envelope(#[from] DecodingError),
    /// The signature or the content is not valid.
    #[error("the value is no valid peer record")]
    Record(#[from] libp2p::core::peer_record::FromEnvelopeError),
    /// It is the record of another peer.
    #[error("the value is the record of {0}")]
    WrongPeer(PeerId),
    /// It has too many addresses.
    #[error("the value has {0} addresses, more than {MAX_ADDRESSES}")]
    TooMany(usize),
}

/// The key of the addresses of a peer.
#[must_use]
pub fn key_of(peer: &PeerId) -> RecordKey {
    RecordKey::new(&[PREFIX, &peer.to_bytes()].concat())
}

/// The peer whose addresses are stored under a key. `None` for another kind of key.
#[must_use]
pub fn peer_of_key(key: &RecordKey) -> Option<PeerId> {
    let bytes = key.as_ref().strip_prefix(PREFIX)?;
    PeerId::from_bytes(bytes).ok()
}

/// Signs addresses, at most [`MAX_ADDRESSES`] of them. The sequence is the time in seconds.
///
/// # Errors
///
/// If the key cannot sign.
pub fn sign(key: &Keypair, mut addresses: Vec<Multiaddr>) -> Result<Vec<u8>, SigningError> {
    addresses.truncate(MAX_ADDRESSES);
    let record = PeerRecord::new_interop(key, addresses)?;
    Ok(record.into_signed_envelope().into_protobuf_encoding())
}

/// Decodes and verifies the addresses of `peer`. Costs one check of a signature; longer input
/// than [`MAX_LEN`] is rejected unread.
///
/// # Errors
///
/// A [`CircuitsError`] with the reason.
pub fn verify(peer: &PeerId, value: &[u8]) -> Result<PeerRecord, CircuitsError> {
    if value.len() > MAX_LEN {
        return Err(CircuitsError::TooLarge { len: value.len() });
    }
    let envelope = SignedEnvelope::from_protobuf_encoding(value)?;
    let record = PeerRecord::from_signed_envelope_interop(envelope)?;
    if record.peer_id() != *peer {
        return Err(CircuitsError::WrongPeer(record.peer_id()));
    }
    match record.addresses().len() {
        count if count > MAX_ADDRESSES => Err(CircuitsError::TooMany(count)),
        _ => Ok(record),
    }
}

/// The relays of the newest of several values, each once. Several values of one second count
/// as one: the sequence of libp2p's records is a time in seconds.
#[must_use]
pub fn newest_relays(peer: &PeerId, values: &[Vec<u8>]) -> Vec<PeerId> {
    let valid = || values.iter().filter_map(|value| verify(peer, value).ok());
    let newest = valid().map(|record| record.seq()).max();
    let records = valid().filter(|record| Some(record.seq()) == newest);
    let addresses = records.flat_map(|record| record.addresses().to_vec());
    let mut relays: Vec<_> = addresses.filter_map(|address| relay_of(&address)).collect();
    relays.sort_unstable();
    relays.dedup();
    relays
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circuit(relay: PeerId) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/4001/p2p/{relay}/p2p-circuit")
            .parse()
            .expect("an address")
    }

    #[test]
    fn a_peer_signs_its_own_addresses_and_no_others() {
        let (key, other) = (Keypair::generate_ed25519(), PeerId::random());
        let (peer, relay) = (key.public().to_peer_id(), PeerId::random());
        let value = sign(&key, vec![circuit(relay)]).expect("it signs");
        assert_eq!(newest_relays(&peer, std::slice::from_ref(&value)), [relay]);
        assert!(
            matches!(verify(&other, &value), Err(CircuitsError::WrongPeer(found)) if found == peer)
        );
        assert_eq!(peer_of_key(&key_of(&peer)), Some(peer));

        for at in 0..value.len() {
            let mut damaged = value.clone();
            damaged[at] ^= 1;
            assert!(verify(&peer, &damaged).is_err(), "byte {at} had no effect");
        }
    }

    #[test]
    fn too_many_addresses_and_too_long_values_are_rejected() {
        let key = Keypair::generate_ed25519();
        let peer = key.public().to_peer_id();
        let many = vec!["/ip4/127.0.0.1/tcp/1".parse().expect("an address"); MAX_ADDRESSES + 1];
        let record = PeerRecord::new_interop(&key, many).expect("it signs");
        let value = record.into_signed_envelope().into_protobuf_encoding();
        assert!(matches!(
            verify(&peer, &value),
            Err(CircuitsError::TooMany(33))
        ));
        let long = vec![0; MAX_LEN + 1];
        assert!(matches!(
            verify(&peer, &long),
            Err(CircuitsError::TooLarge { len: 4_097 })
        ));
    }
}
