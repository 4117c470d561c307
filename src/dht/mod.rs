//! Announces this node's relay to other nodes, and learns relays that other nodes announce.
//!
//! A relay signs a [`RelayRecord`] with its [`SecretKey`]. A [`SignedRecord`] is
//! self-certifying: its [`NodeId`](crate::NodeId) is the Ed25519 public key that verifies it.
//! So it may pass through untrusted nodes. A signature does not show that a record is its
//! relay's latest; [`SequenceMemory`] does, by the sequences that were seen before. The
//! [`format`](mod@format) specifies records byte by byte, with test vectors.
//!
//! An engine carries records between nodes. It implements [`RelayDht`]. [`Memory`] works
//! within one process, [`Kad`] over any raw Kademlia store, `Mainline` (feature `mainline`)
//! over BitTorrent's DHT (BEP 5, BEP 44), `Redis` (feature `redis`) over a Redis server. The guide
//! says [which to use](crate::guide::distribution#which-engine), and [how to write
//! another](crate::guide::distribution#writing-an-adaptor). The suite in `conformance` (feature
//! `conformance`) tests one.
//!
//! A registry that is [built with](crate::RegistryBuilder::dht) an engine publishes the relay
//! of this node and learns others, as [`DhtOptions`] say. The [`threats`](mod@threats) page
//! lists which attacks are defended, and which are not.

mod admission;
mod backend;
#[cfg(all(feature = "conformance", not(relay_loom)))]
pub mod conformance;
mod discovery;
mod distribution;
mod engine;
mod expiring_map;
#[cfg(all(test, relay_loom))]
mod models;
mod options;
mod probe;
mod publisher;
mod record;
mod reject_reason;
mod retry;
#[cfg(all(test, not(relay_loom)))]
mod simulation;
mod stats;
mod wake_flags;

pub use admission::OfferOutcome;
pub use engine::*;
pub use options::{DhtOptions, DhtOptionsError};
pub use probe::{Probe, ProbeError};
pub use record::{
    Announcement, CborError, FailureDomain, Freshness, KeyError, Load, MAX_RECORD_LEN, MAX_SKEW,
    MAX_TTL, MAX_VALUE_LEN, Network, RecordError, RelayRecord, SecretKey, SequenceMemory,
    SignedRecord, next_sequence,
};
pub use reject_reason::RejectReason;
pub use stats::DhtStats;
#[cfg(feature = "serde")]
pub(crate) use stats::Refused;

pub(crate) use admission::Prefix;
pub(crate) use backend::{LearnError, LocalRelay, RegistryBackend};
pub(crate) use distribution::{Distribution, StatsReader};
#[cfg(feature = "persistence")]
pub(crate) use distribution::{DistributionMemory, SavedMemory};
#[cfg(feature = "persistence")]
pub(crate) use record::SavedSequence;
pub(crate) use record::{longest_record_len, record_len};
pub(crate) use wake_flags::WakeFlags;

#[doc = include_str!("record/format.md")]
pub mod format {}

#[doc = include_str!("threats.md")]
pub mod threats {}
