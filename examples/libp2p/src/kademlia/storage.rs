//! [`StorageNode`]: which writes a storage node accepts.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use libp2p::kad::store::{self, MemoryStore, RecordStore};
use libp2p::kad::{Record, RecordKey};
use relay_registry::dht::{KadValidator, Network, ReconcileError, Reconciled};
use thiserror::Error;

use super::MAX_VALUE_LEN;
use super::circuits::{self, CircuitsError};

/// The filter of a storage node: an incoming record is stored only if it is valid for its key,
/// and lists of relays are merged.
///
/// libp2p confirms a write before the filter sees it, so a writer does not learn that its record
/// was rejected. It learns from a read.
///
/// A call checks at most 512 signatures, for a list of relays that are all new. That takes some
/// 25 ms of the task of the swarm.
#[derive(Debug)]
pub struct StorageNode {
    validator: KadValidator,
}

/// Why a storage node rejects a write.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The key is of no known kind.
    #[error("the key of {0} bytes is of no known kind")]
    UnknownKey(usize),
    /// The value is no record or list of relays for the key.
    #[error(transparent)]
    Relays(#[from] ReconcileError),
    /// The value is not the signed addresses of the key's peer.
    #[error(transparent)]
    Circuits(#[from] CircuitsError),
    /// The store is full.
    #[error("the store is full: {0}")]
    Full(store::Error),
}

impl StorageNode {
    /// The filter for the records of `network`, whose directory has so many shards, which divide
    /// as often as those of [`Kad`](relay_registry::dht::Kad) do by default. Records are written
    /// again each `refresh`.
    #[must_use]
    pub fn new(network: Network, shards: u16, refresh: Duration) -> Self {
        let validator = KadValidator::new(network, shards)
            .with_refresh(refresh)
            .with_max_list_len(MAX_VALUE_LEN);
        Self { validator }
    }

    /// Decides about an incoming record, and stores what is left of it. Returns whether
    /// anything was stored.
    ///
    /// # Errors
    ///
    /// A [`StorageError`] if the record is rejected.
    pub fn put(&self, store: &mut MemoryStore, incoming: Record) -> Result<bool, StorageError> {
        let now = Instant::now();
        let stored = store
            .get(&incoming.key)
            .filter(|stored| !stored.is_expired(now));
        let stored = stored.map(|stored| stored.value.clone());
        let decision = match <[u8; 32]>::try_from(incoming.key.as_ref()) {
            Ok(key) => self.reconcile(&key, stored.as_deref(), &incoming.value)?,
            Err(_) => newer_circuits(&incoming.key, stored.as_deref(), incoming.value)?,
        };
        let Some((value, ttl)) = decision else {
            return Ok(false);
        };
        let record = Record {
            key: incoming.key,
            value,
            publisher: None,
            expires: Some(now + ttl),
        };
        store_record(store, record, now)?;
        Ok(true)
    }

    /// The value to store, and how long it is valid.
    fn reconcile(
        &self,
        key: &[u8; 32],
        stored: Option<&[u8]>,
        incoming: &[u8],
    ) -> Result<Option<(Vec<u8>, Duration)>, StorageError> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        match self.validator.reconcile(key, stored, incoming, now)? {
            Reconciled::Store {
                value, expires_at, ..
            } => Ok(Some((value, expires_at.saturating_sub(now)))),
            _ => Ok(None),
        }
    }
}

/// The same for the addresses of a peer. Of two values with one sequence the later one is
/// stored, because the sequence is a time in seconds.
fn newer_circuits(
    key: &RecordKey,
    stored: Option<&[u8]>,
    incoming: Vec<u8>,
) -> Result<Option<(Vec<u8>, Duration)>, StorageError> {
    let peer = circuits::peer_of_key(key).ok_or(StorageError::UnknownKey(key.as_ref().len()))?;
    let record = circuits::verify(&peer, &incoming)?;
    let stored = stored.and_then(|stored| circuits::verify(&peer, stored).ok());
    let is_newer = stored.is_none_or(|stored| stored.seq() <= record.seq());
    Ok(is_newer.then_some((incoming, circuits::TTL)))
}

/// Stores a record. If the store is full, then those that have expired are removed first.
fn store_record(store: &mut MemoryStore, record: Record, now: Instant) -> Result<(), StorageError> {
    match store.put(record.clone()) {
        Err(store::Error::MaxRecords) => {
            store.retain(|_, stored| !stored.is_expired(now));
            store.put(record).map_err(StorageError::Full)
        }
        other => other.map_err(StorageError::Full),
    }
}

#[cfg(test)]
mod tests {
    use libp2p::identity::Keypair;
    use libp2p::{Multiaddr, PeerId};

    use super::*;

    fn record(key: RecordKey, value: Vec<u8>) -> Record {
        Record::new(key, value)
    }

    #[test]
    fn only_valid_records_are_stored() {
        let node = StorageNode::new(Network::default(), 4, Duration::from_secs(60));
        let local = PeerId::random();
        let mut store = MemoryStore::new(local);
        let noise = [&[7; 32][..], b"/relay-circuits/", b"any"];
        for key in noise {
            let rejected = node.put(&mut store, record(RecordKey::new(&key), b"noise".to_vec()));
            assert!(rejected.is_err(), "{key:?}");
        }
        let key = Keypair::generate_ed25519();
        let value = circuits::sign(&key, vec![Multiaddr::empty()]).expect("it signs");
        let own = circuits::key_of(&key.public().to_peer_id());
        let other = circuits::key_of(&local);
        assert!(node.put(&mut store, record(other, value.clone())).is_err());
        assert!(
            node.put(&mut store, record(own.clone(), value.clone()))
                .expect("it is valid")
        );
        let stored = store.get(&own).expect("it is stored").into_owned();
        assert_eq!(stored.value, value);
        assert!(stored.expires.is_some() && stored.publisher.is_none());
    }

    #[test]
    fn a_full_store_makes_room_from_what_has_expired() {
        let config = store::MemoryStoreConfig {
            max_records: 1,
            ..store::MemoryStoreConfig::default()
        };
        let mut store = MemoryStore::with_config(PeerId::random(), config);
        let now = Instant::now();
        let [old, new, third] = [b"old", b"new", b"two"].map(|key| {
            let mut record = record(RecordKey::new(key), vec![1]);
            record.expires = Some(now);
            record
        });
        store_record(&mut store, old, now).expect("there is room");
        let later = now + Duration::from_secs(1);
        let new = Record {
            expires: Some(later + Duration::from_secs(1)),
            ..new
        };
        store_record(&mut store, new, later).expect("the old one has expired");
        assert!(matches!(
            store_record(&mut store, third, later),
            Err(StorageError::Full(_))
        ));
    }
}
