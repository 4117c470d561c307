//! How each kind of record is forged, from what relays said and the attacker's
//! own keys.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ed25519_dalek::{Signer, SigningKey};
use relay_registry::dht::{
    Announcement, Network, RelayRecord, SecretKey, SignedRecord, next_sequence,
};
use relay_registry::{Endpoint, NodeId};

use super::{Kind, Shot};
use crate::error::Failure;

/// For how long what the attacker signs is valid.
const VALID: Duration = Duration::from_secs(60);

const HOUR: Duration = Duration::from_secs(3_600);

/// Under a relay's name, with the attacker's endpoint and signature.
pub fn wrong_signature(victim: &SignedRecord, own: &SignedRecord) -> Shot {
    let mut bytes = own.encode();
    bytes[1..33].copy_from_slice(victim.public_key());
    shot(Kind::WrongSignature, victim.node_id(), bytes)
}

/// Another relay's record under this one's name.
pub fn foreign(victim: &SignedRecord, other: &SignedRecord) -> Shot {
    shot(Kind::Foreign, victim.node_id(), other.encode())
}

pub fn garbage(victim: &SignedRecord) -> Shot {
    shot(Kind::Garbage, victim.node_id(), noise(300))
}

pub fn huge(victim: &SignedRecord) -> Shot {
    let mut bytes = victim.encode();
    bytes.extend(noise(50_000));
    shot(Kind::Huge, victim.node_id(), bytes)
}

/// What any storage node accepts, for it checks signatures and no more.
pub fn signed_garbage(key: &SecretKey, network: &Network) -> Shot {
    let (value, sequence) = (noise(200), next_sequence(None, now()));
    let mut signed = format!("4:salt{}:", network.salt().len()).into_bytes();
    signed.extend_from_slice(network.salt());
    signed.extend_from_slice(format!("3:seqi{sequence}e1:v{}:", value.len()).as_bytes());
    signed.extend_from_slice(&value);
    let id = key.node_id();
    let signature = SigningKey::from_bytes(key.expose_seed()).sign(&signed);
    let bytes = [
        &[1][..],
        id.as_bytes(),
        &sequence.to_be_bytes(),
        &signature.to_bytes(),
        &value,
    ];
    shot(Kind::SignedGarbage, id, bytes.concat())
}

/// The attacker's own, an hour ahead.
pub fn future(key: &SecretKey, at: &Endpoint, network: &Network) -> Result<Shot, Failure> {
    own(Kind::Future, key, at, now() + HOUR, network)
}

/// The attacker's own, an hour late.
pub fn expired(key: &SecretKey, at: &Endpoint, network: &Network) -> Result<Shot, Failure> {
    own(Kind::Expired, key, at, now().saturating_sub(HOUR), network)
}

/// The attacker's own, with nothing wrong but that someone else is at `victim`.
pub fn impostor(key: &SecretKey, victim: &Endpoint, network: &Network) -> Result<Shot, Failure> {
    own(Kind::Impostor, key, victim, now(), network)
}

/// What a relay said before.
pub fn replay(record: &SignedRecord) -> Shot {
    shot(Kind::Replay, record.node_id(), record.encode())
}

fn own(
    kind: Kind,
    key: &SecretKey,
    at: &Endpoint,
    issued_at: Duration,
    network: &Network,
) -> Result<Shot, Failure> {
    let record = announced(key, at, issued_at, network)?;
    Ok(shot(kind, record.node_id(), record.encode()))
}

/// What the holder of `key` says of itself, at that time.
pub fn announced(
    key: &SecretKey,
    at: &Endpoint,
    issued_at: Duration,
    network: &Network,
) -> Result<SignedRecord, Failure> {
    let announcement = Announcement::new(at.clone(), 666).map_err(Failure::registry)?;
    let sequence = next_sequence(None, issued_at);
    RelayRecord::announce(announcement, sequence, issued_at, VALID)
        .and_then(|record| SignedRecord::sign(&record, key, network))
        .map_err(Failure::registry)
}

pub fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

fn shot(kind: Kind, under: NodeId, bytes: Vec<u8>) -> Shot {
    Shot {
        kind,
        under,
        bytes: Arc::from(bytes),
    }
}

fn noise(len: usize) -> Vec<u8> {
    let mut noise = vec![0; len];
    fastrand::fill(&mut noise);
    noise
}
