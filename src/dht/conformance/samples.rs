//! Generates relays and signs their records.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::dht::record::{
    Announcement, Network, RelayRecord, SecretKey, SignedRecord, next_sequence,
};
use crate::relay::{Endpoint, NodeId};

const TTL: Duration = Duration::from_secs(3_600);

/// A relay with a new key.
pub(super) struct Relay {
    key: SecretKey,
    network: Network,
}

impl Relay {
    pub(super) fn new(network: &Network) -> Self {
        Self {
            key: SecretKey::generate().expect("the operating system has random bytes"),
            network: *network,
        }
    }

    pub(super) fn id(&self) -> NodeId {
        self.key.node_id()
    }

    /// A first announcement.
    pub(super) fn first(&self) -> SignedRecord {
        self.sign(&announcement(next_sequence(None, now()), 4_433))
    }

    /// An announcement with a higher sequence than `record`.
    pub(super) fn next(&self, record: &SignedRecord) -> SignedRecord {
        self.sign(&announcement(next_after(record), 4_433))
    }

    /// Another announcement with the sequence of `record`. A correct relay does not
    /// sign one.
    pub(super) fn conflicting(&self, record: &SignedRecord) -> SignedRecord {
        self.sign(&announcement(record.sequence(), 4_434))
    }

    /// A withdrawal with a higher sequence than `record`.
    pub(super) fn withdraw(&self, record: &SignedRecord) -> SignedRecord {
        let sequence = next_after(record);
        SignedRecord::tombstone(
            sequence,
            issue_time(sequence),
            TTL,
            &self.key,
            &self.network,
        )
        .expect("a withdrawal can be signed")
    }

    /// An announcement with a value of exactly `len` bytes, if there is one.
    pub(super) fn with_value_len(&self, len: usize) -> Option<SignedRecord> {
        // A CBOR byte string of 256 to 65,535 bytes has a header of 3 bytes.
        let padded = |padding: usize| {
            let mut bytes = vec![0x59];
            bytes.extend_from_slice(&u16::try_from(padding).ok()?.to_be_bytes());
            bytes.resize(3 + padding, 0);
            let record = announcement(next_sequence(None, now()), 4_433)
                .with_extension(RelayRecord::FIRST_EXTENSION, &bytes)
                .ok()?;
            SignedRecord::sign(&record, &self.key, &self.network).ok()
        };
        let overhead = padded(256)?.value().len() - 256;
        padded(len.checked_sub(overhead)?).filter(|record| record.value().len() == len)
    }

    fn sign(&self, record: &RelayRecord) -> SignedRecord {
        SignedRecord::sign(record, &self.key, &self.network).expect("a record can be signed")
    }
}

fn announcement(sequence: u64, port: u16) -> RelayRecord {
    let endpoint: Endpoint = format!("192.0.2.7:{port}")
        .parse()
        .expect("this is an endpoint");
    let announcement = Announcement::new(endpoint, 100).expect("this can be announced");
    RelayRecord::announce(announcement, sequence, issue_time(sequence), TTL)
        .expect("this is a record")
}

/// The issue time of a record: its sequence was taken from the clock.
fn issue_time(sequence: u64) -> Duration {
    Duration::from_micros(sequence)
}

fn next_after(record: &SignedRecord) -> u64 {
    next_sequence(Some(record.sequence()), now())
}

fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is past 1970")
}
