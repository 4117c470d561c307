//! Records to test with, and a signer that follows the documents and not the
//! crate's code.

use std::time::Duration;

use ed25519_dalek::{Signer, SigningKey};
use relay_registry::NatType;
use relay_registry::dht::{
    Announcement, FailureDomain, Load, Network, RecordError, RelayRecord, SecretKey, SignedRecord,
};

pub const SEED: [u8; 32] = {
    let mut seed = [0; 32];
    let mut i = 0;
    while i < 32 {
        seed[i] = i as u8;
        i += 1;
    }
    seed
};

/// Microseconds since the Unix epoch.
pub const ISSUED: u64 = 1_800_000_000_000_000;

pub const NOW: Duration = Duration::from_micros(ISSUED);
pub const TTL: Duration = Duration::from_secs(600);

/// Where the value starts in an encoded record.
pub const HEADER: usize = 105;

pub fn key() -> SecretKey {
    SecretKey::from_seed(SEED)
}

pub fn announcement(endpoint: &str) -> Announcement {
    Announcement::new(endpoint.parse().unwrap(), 100).unwrap()
}

pub fn minimal() -> RelayRecord {
    RelayRecord::announce(announcement("203.0.113.7:4433"), ISSUED, NOW, TTL).unwrap()
}

pub fn complete() -> RelayRecord {
    let announcement = announcement("[2001:db8::7]:443")
        .with_nat(NatType::FullCone)
        .with_load(Load::of(40, 100))
        .with_failure_domain(FailureDomain::new("eu-west/rack-7").unwrap());
    RelayRecord::announce(announcement, ISSUED + 1, NOW, TTL)
        .unwrap()
        .with_extension(128, &hex("82f56161"))
        .unwrap()
}

pub fn contact() -> RelayRecord {
    let further = ["203.0.113.7:443", "relay.example:8443"].map(|it| it.parse().unwrap());
    let announcement = announcement("[2001:db8::7]:443")
        .with_nat(NatType::FullCone)
        .with_load(Load::of(40, 100))
        .with_failure_domain(FailureDomain::new("Rack 7, größe").unwrap())
        .with_labels(["udp", "eu", "udp"])
        .and_then(|it| it.with_also_at(further))
        .and_then(|it| it.with_payload(b"/dns4/relay.example/udp/8443/quic-v1"))
        .unwrap();
    RelayRecord::announce(announcement, ISSUED + 5, NOW, TTL).unwrap()
}

pub fn named() -> RelayRecord {
    RelayRecord::announce(announcement("relay.example:4433"), ISSUED + 2, NOW, TTL).unwrap()
}

pub fn withdrawal() -> RelayRecord {
    RelayRecord::withdraw(ISSUED + 3, NOW, TTL).unwrap()
}

pub fn sign(record: &RelayRecord) -> SignedRecord {
    SignedRecord::sign(record, &key(), &Network::default()).unwrap()
}

/// The encoded record of any value, as the format describes it.
pub fn encoded(value: &[u8], sequence: u64) -> Vec<u8> {
    let key = SigningKey::from_bytes(&SEED);
    let mut signable = b"4:salt21:relay-registry/1/main".to_vec();
    signable.extend(format!("3:seqi{sequence}e1:v{}:", value.len()).bytes());
    signable.extend(value);

    let mut record = vec![1];
    record.extend(key.verifying_key().as_bytes());
    record.extend(sequence.to_be_bytes());
    record.extend(key.sign(&signable).to_bytes());
    record.extend(value);
    record
}

pub fn decode(bytes: &[u8]) -> Result<SignedRecord, RecordError> {
    SignedRecord::decode(bytes, &Network::default())
}

/// What is read of a correctly signed value.
pub fn decode_value(value: &[u8]) -> Result<SignedRecord, RecordError> {
    decode(&encoded(value, ISSUED))
}

pub fn hex(text: &str) -> Vec<u8> {
    assert!(text.len() % 2 == 0, "{text}");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
