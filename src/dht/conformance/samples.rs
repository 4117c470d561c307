//! Relays of the suite's own, and what they sign.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::dht::record::{
    Announcement, Network, RelayRecord, SecretKey, SignedRecord, next_sequence,
};
use crate::relay::{Endpoint, NodeId};

const TTL: Duration = Duration::from_secs(3_600);

/// A relay that nobody ever heard of.
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

    /// What the relay announces first.
    pub(super) fn first(&self) -> SignedRecord {
        self.sign(&announcement(next_sequence(None, now()), 4_433))
    }

    /// What the relay announces after `record`.
    pub(super) fn next(&self, record: &SignedRecord) -> SignedRecord {
        self.sign(&announcement(after(record), 4_433))
    }

    /// Something else under the sequence of `record`, as no honest relay signs.
    pub(super) fn other(&self, record: &SignedRecord) -> SignedRecord {
        self.sign(&announcement(record.sequence(), 4_434))
    }

    /// A withdrawal of what was announced up to `record`.
    pub(super) fn withdraw(&self, record: &SignedRecord) -> SignedRecord {
        let sequence = after(record);
        SignedRecord::tombstone(sequence, issued(sequence), TTL, &self.key, &self.network)
            .expect("a withdrawal can be signed")
    }

    /// An announcement with a value of exactly `len` bytes, if there is one.
    pub(super) fn of_len(&self, len: usize) -> Option<SignedRecord> {
        // CBOR's byte strings of 256 to 65,535 bytes have a head of three.
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
    RelayRecord::announce(announcement, sequence, issued(sequence), TTL).expect("this is a record")
}

/// Sequences are taken from the clock; a record is as old as its own.
fn issued(sequence: u64) -> Duration {
    Duration::from_micros(sequence)
}

fn after(record: &SignedRecord) -> u64 {
    next_sequence(Some(record.sequence()), now())
}

fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock stands after 1970")
}
