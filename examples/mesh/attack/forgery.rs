//! How each kind of record is forged, from captured records and the attacker's keys.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ed25519_dalek::{Signer, SigningKey};
use relay_registry::dht::{
    Announcement, Network, RelayRecord, SecretKey, SignedRecord, next_sequence,
};
use relay_registry::{Endpoint, NodeId};

use super::{AttackRecord, Kind};
use crate::error::Failure;

/// How long a record is valid that the attacker signs.
const VALID: Duration = Duration::from_secs(60);

const HOUR: Duration = Duration::from_secs(3_600);

/// The victim's id, with the attacker's endpoint and signature.
pub fn wrong_signature(victim: &SignedRecord, own: &SignedRecord) -> AttackRecord {
    let mut bytes = own.encode();
    bytes[1..33].copy_from_slice(victim.public_key());
    attack_record(Kind::WrongSignature, victim.node_id(), bytes)
}

/// Another relay's record under the victim's id.
pub fn foreign(victim: &SignedRecord, other: &SignedRecord) -> AttackRecord {
    attack_record(Kind::Foreign, victim.node_id(), other.encode())
}

pub fn garbage(victim: &SignedRecord) -> AttackRecord {
    attack_record(Kind::Garbage, victim.node_id(), random_bytes(300))
}

pub fn huge(victim: &SignedRecord) -> AttackRecord {
    let mut bytes = victim.encode();
    bytes.extend(random_bytes(50_000));
    attack_record(Kind::Huge, victim.node_id(), bytes)
}

/// Every storage node accepts it, because it checks only the signature.
pub fn signed_garbage(key: &SecretKey, network: &Network) -> AttackRecord {
    let (value, sequence) = (random_bytes(200), next_sequence(None, now()));
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
    attack_record(Kind::SignedGarbage, id, bytes.concat())
}

/// The attacker's own record, issued one hour in the future.
pub fn future(key: &SecretKey, at: &Endpoint, network: &Network) -> Result<AttackRecord, Failure> {
    own(Kind::Future, key, at, now() + HOUR, network)
}

/// The attacker's own record, issued one hour ago.
pub fn expired(key: &SecretKey, at: &Endpoint, network: &Network) -> Result<AttackRecord, Failure> {
    own(Kind::Expired, key, at, now().saturating_sub(HOUR), network)
}

/// The attacker's own record, valid, but with the endpoint of the victim.
pub fn impostor(
    key: &SecretKey,
    victim: &Endpoint,
    network: &Network,
) -> Result<AttackRecord, Failure> {
    own(Kind::Impostor, key, victim, now(), network)
}

pub fn replay(record: &SignedRecord) -> AttackRecord {
    attack_record(Kind::Replay, record.node_id(), record.encode())
}

fn own(
    kind: Kind,
    key: &SecretKey,
    at: &Endpoint,
    issued_at: Duration,
    network: &Network,
) -> Result<AttackRecord, Failure> {
    let record = announced(key, at, issued_at, network)?;
    Ok(attack_record(kind, record.node_id(), record.encode()))
}

/// A record signed by `key`, issued at `issued_at`.
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

fn attack_record(kind: Kind, under: NodeId, bytes: Vec<u8>) -> AttackRecord {
    AttackRecord {
        kind,
        under,
        bytes: Arc::from(bytes),
    }
}

fn random_bytes(len: usize) -> Vec<u8> {
    let mut random_bytes = vec![0; len];
    fastrand::fill(&mut random_bytes);
    random_bytes
}
