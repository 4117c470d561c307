//! Relays that this node never heard of: how they announce themselves to
//! strangers, and why strangers can believe it.
//!
//! A relay signs a [`RelayRecord`] with its [`SecretKey`]. The
//! [`SignedRecord`] is self-certifying: its [`NodeId`](crate::NodeId) *is* the
//! public key that verifies it, so it can pass through any number of hands that
//! nobody trusts. What a signature cannot say is whether a record is the
//! relay's latest word; that is for a [`SequenceMemory`] to judge. The
//! [`format`](mod@format) is described in full, with test vectors.
//!
//! What carries records between nodes is an engine: anything that implements
//! [`RelayDht`]. [`Memory`] carries them within the process, [`Kad`] over any raw
//! Kademlia store, `Mainline` (feature `mainline`) through BitTorrent's DHT. The
//! [`guide`] shows how to write another, and says what an engine can and cannot
//! do to those who use it; `conformance` (feature `conformance`) tests one.
//!
//! A registry that is [given](crate::RegistryBuilder::dht) an engine publishes
//! the relay that this node is, and learns of others: see [`DhtOptions`], and
//! [`threats`](mod@threats) for what is defended and what is not.

mod admission;
mod backend;
#[cfg(all(feature = "conformance", not(relay_loom)))]
pub mod conformance;
mod discovery;
mod distribution;
mod engine;
#[cfg(all(test, relay_loom))]
mod models;
mod options;
mod probe;
mod publisher;
mod record;
mod reject_reason;
mod retry;
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

pub(crate) use backend::{EnterOutcome, LocalRelay, RegistryBackend};
pub(crate) use distribution::Distribution;
pub(crate) use wake_flags::WakeFlags;

#[doc = include_str!("record/format.md")]
pub mod format {}

#[doc = include_str!("guide.md")]
pub mod guide {}

#[doc = include_str!("threats.md")]
pub mod threats {}
