//! The registry's directory of relays in libp2p's Kademlia DHT.
//!
//! - [`KademliaClient`] is the raw store below the engine [`Kad`](relay_registry::dht::Kad). The
//!   registry's threads call it, and block; it sends requests to the task of the swarm.
//! - [`Queries`] makes the queries in the task of the swarm, beside [`kad::Behaviour`].
//! - [`StorageNode`] decides which writes a storage node accepts.
//! - [`circuits`] are the circuit addresses of a peer, which the peer signs.
//!
//! # What libp2p's Kademlia does
//!
//! [`put_record`](kad::Behaviour::put_record) also keeps the record in the store of this node, and
//! [`get_record`](kad::Behaviour::get_record) then finds it there. So a client that writes and
//! reads back would always find its own write, whatever the network has. This package looks for
//! the closest peers and writes by [`put_record_to`](kad::Behaviour::put_record_to), which keeps
//! nothing here.

mod addresses;
mod client;
mod queries;
mod storage;

pub mod circuits;

use std::time::Duration;

use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::kad::{self, StoreInserts};
use libp2p::{PeerId, StreamProtocol};

pub use addresses::learn;
pub use client::{KademliaClient, SendError};
pub use queries::{Progress, Queries, Report, Request};
pub use storage::{StorageError, StorageNode};

/// libp2p's Kademlia with its store in memory.
pub type Kademlia = kad::Behaviour<MemoryStore>;

/// The protocol of this DHT. It is not that of IPFS: its records are others.
pub const PROTOCOL: StreamProtocol = StreamProtocol::new("/relay-registry/kad/1.0.0");

/// The maximum length of a value: about 250 relays in the list of a shard.
pub const MAX_VALUE_LEN: usize = 60 * 1024;

/// The maximum number of values of a storage node.
const MAX_RECORDS: usize = 8_192;

/// A message has a value, and up to 20 peers with their addresses.
const MAX_PACKET_LEN: usize = MAX_VALUE_LEN + 16 * 1024;

/// Kademlia as this package needs it: incoming records go through a filter, and nothing is
/// published again by libp2p, because the registry does that with newer records.
///
/// A query ends after `query_timeout`.
#[must_use]
pub fn behaviour(local: PeerId, query_timeout: Duration) -> Kademlia {
    let mut config = kad::Config::new(PROTOCOL);
    config
        .set_record_filtering(StoreInserts::FilterBoth)
        .set_query_timeout(query_timeout)
        .set_max_packet_size(MAX_PACKET_LEN)
        .set_publication_interval(None)
        .set_provider_publication_interval(None);
    let store = MemoryStoreConfig {
        max_records: MAX_RECORDS,
        // The store takes values below its limit.
        max_value_bytes: MAX_VALUE_LEN + 1,
        ..MemoryStoreConfig::default()
    };
    Kademlia::with_config(local, MemoryStore::with_config(local, store), config)
}
