//! [`relay_registry`] on a libp2p network: which relay, for a peer behind a NAT, now.
//!
//! - [`autorelay`]: a behaviour that keeps reservations at the best relays;
//! - [`kademlia`]: the registry's directory of relays in libp2p's Kademlia DHT, with storage
//!   nodes that check what they store;
//! - [`node`]: a node of a network that uses both, in any role: relay, storage node, peer behind
//!   a NAT, or peer that dials one;
//! - [`network`]: many such nodes in one process, for tests and demonstrations.

#![deny(missing_docs, unsafe_code)]

pub mod autorelay;
pub mod broker;
mod causes;
pub mod ids;
pub mod kademlia;
pub mod network;
pub mod node;
