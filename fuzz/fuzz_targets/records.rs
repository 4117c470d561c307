//! Any bytes, with and without a valid signature: nothing panics, an accepted record is encoded to the same
//! bytes, and the memory of sequences accepts no record twice.
//!
//! The input is decoded as a record. It is also signed and decoded, with its first eight bytes as the
//! sequence and the rest as the value.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use ed25519_dalek::{Signer, SigningKey};
use libfuzzer_sys::fuzz_target;
use relay_registry::dht::{
    Freshness, MAX_RECORD_LEN, MAX_TTL, MAX_VALUE_LEN, Network, RecordError, RelayRecord,
    SecretKey, SequenceMemory, SignedRecord,
};

const SEED: [u8; 32] = [7; 32];
static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&SEED));
static SECRET: LazyLock<SecretKey> = LazyLock::new(|| SecretKey::from_seed(SEED));

fuzz_target!(|bytes: &[u8]| {
    match SignedRecord::decode(bytes, &Network::default()) {
        Ok(record) => assert_eq!(record.encode(), bytes),
        Err(error) => explains_itself(&error),
    }
    if let Some((sequence, value)) = bytes.split_first_chunk() {
        correctly_signed(i64::from_be_bytes(*sequence), value);
    }
});

fn correctly_signed(sequence: i64, value: &[u8]) {
    let network = Network::default();
    let key = KEY.verifying_key().to_bytes();
    let signature = KEY.sign(&signable(sequence, value)).to_bytes();
    let read = SignedRecord::from_bep44(key, value, sequence, signature, &network);
    match read {
        Ok(record) => {
            assert_eq!(record.value(), value);
            assert_eq!(i64::try_from(record.sequence()), Ok(sequence));
            assert_eq!(record.node_id(), SECRET.node_id());
            passed_on(&record);
            judged(&record);
        }
        Err(RecordError::BadSignature) => panic!("the signature is correct"),
        Err(error) => explains_itself(&error),
    }
}

fn passed_on(record: &SignedRecord) {
    let bytes = record.encode();
    assert!(bytes.len() <= MAX_RECORD_LEN && record.value().len() <= MAX_VALUE_LEN);
    assert_eq!(
        SignedRecord::decode(&bytes, record.network()).as_ref(),
        Ok(record)
    );
    let again = SignedRecord::sign(record.record(), &SECRET, record.network());
    assert_eq!(again.as_ref(), Ok(record));

    let other = Network::new(b"other").expect("5 bytes");
    let refused = SignedRecord::decode(&bytes, &other);
    assert_eq!(refused, Err(RecordError::BadSignature));
}

fn judged(record: &SignedRecord) {
    let statement = record.record();
    assert!(statement.sequence() <= RelayRecord::MAX_SEQUENCE);
    assert!(statement.issued_at() <= Duration::from_micros(statement.sequence()));
    assert!((Duration::from_millis(1)..=MAX_TTL).contains(&statement.ttl()));

    let mut memory = SequenceMemory::new(1);
    let issued = statement.issued_at();
    if memory.observe(record, issued).is_update() {
        assert_eq!(memory.observe(record, issued), Freshness::Same);
        let later = Duration::from_micros(record.sequence()) + MAX_TTL;
        assert_eq!(memory.observe(record, later), Freshness::Expired);
        assert!(memory.is_empty());
    }
}

fn explains_itself(error: &RecordError) {
    assert!(!error.to_string().is_empty());
    if let Some(source) = std::error::Error::source(error) {
        assert!(!source.to_string().is_empty());
    }
}

/// The bytes that BEP 44 signs, for the main network.
fn signable(sequence: i64, value: &[u8]) -> Vec<u8> {
    let head = format!(
        "4:salt21:relay-registry/1/main3:seqi{sequence}e1:v{}:",
        value.len()
    );
    [head.as_bytes(), value].concat()
}
