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

#[cfg(all(feature = "conformance", not(relay_loom)))]
pub mod conformance;
mod engine;
mod record;

pub use engine::*;
pub use record::{
    Announcement, CborError, FailureDomain, KeyError, Load, MAX_RECORD_LEN, MAX_SKEW, MAX_TTL,
    MAX_VALUE_LEN, Network, RecordError, RelayRecord, SecretKey, SequenceMemory, SignedRecord,
    Verdict, next_sequence,
};

#[doc = include_str!("record/format.md")]
pub mod format {}

#[doc = include_str!("guide.md")]
pub mod guide {}
