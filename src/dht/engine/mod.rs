//! The trait between the registry and whatever carries its records, and the
//! engines that come with the crate.

mod answer;
mod error;
mod limits;

// The engines wait on clocks, sockets and each other, which the model checker
// does not follow: its builds do without them.
#[cfg(not(relay_loom))]
mod kad;
#[cfg(all(feature = "mainline", not(relay_loom)))]
mod mainline;
#[cfg(not(relay_loom))]
mod memory;
#[cfg(not(relay_loom))]
mod slots;

use std::ops::ControlFlow;
use std::time::Instant;

use crate::dht::record::SignedRecord;
use crate::relay::NodeId;
use crate::sync::Arc;

pub use answer::{Answer, Candidate, CandidateError, Coverage, Member, Put};
pub use error::DhtError;
#[cfg(not(relay_loom))]
pub use kad::{Kad, RawKad, ValueSink};
pub use limits::Limits;
#[cfg(all(feature = "mainline", not(relay_loom)))]
pub use mainline::{Mainline, MainlineBuilder};
#[cfg(not(relay_loom))]
pub use memory::{Memory, MemoryBuilder};

// Doubles for tests.
#[cfg(all(any(test, feature = "conformance"), not(relay_loom)))]
pub use {
    kad::RawMemory,
    memory::{Faults, Hang, Lie},
};

/// Where a [`RelayDht::get`] puts what it finds. `Break` ends the read.
pub type CandidateSink<'a> = dyn FnMut(Candidate<'_>) -> ControlFlow<()> + 'a;

/// Where [`RelayDht::members`] puts whom it finds. `Break` ends the read.
pub type MemberSink<'a> = dyn FnMut(Member<'_>) -> ControlFlow<()> + 'a;

/// Something that carries relays' records between nodes: a distributed hash
/// table, a coordination service, a shared map.
///
/// It stores one [`SignedRecord`] for each relay under the relay's node id, and
/// lists who is a relay in a directory cut into shards. The registry calls it
/// from worker threads of its own, never from a caller's path.
///
/// # What is asked of an engine
///
/// - **Carry, do not judge.** Everything that comes back for a key goes to the
///   sink, as it came and as soon as it came; the registry verifies signatures
///   and freshness. An engine may drop what it can tell is worthless (empty,
///   too long), and must neither hold a good answer back for stragglers nor
///   choose between two.
/// - **Hear all storage nodes.** One that sends noise must keep no other from being
///   heard: hand out a few values of each before more of any. The
///   registry ends a read after some thousands of worthless ones.
/// - **Return by the deadline**, give or take a scheduling delay, whatever the
///   network does. Where what runs beneath cannot be called back, let it run on
///   and count it as in flight until it has ended.
/// - **Say how far a read reached.** That nobody answered is
///   [`Unreachable`](Coverage::Unreachable), not an absence. Only a
///   [`Complete`](Coverage::Complete) answer makes the registry remember that
///   there is nothing.
/// - **Never let an older record replace a newer one** that the engine can see,
///   nor a second value stand under one sequence: that is
///   [`DhtError::Superseded`] and [`DhtError::Conflict`].
/// - **Take calls from several threads**, up to [`Limits::max_in_flight`] at
///   once; beyond that, wait for a turn until the deadline, then say
///   [`DhtError::Busy`].
/// - **Do not panic.** The registry survives it and counts it.
///
/// What an engine must *not* be trusted with is all that is verified anyway:
/// it sees no secret key, and a lying one can withhold, delay and replay, but
/// not forge. The [guide](crate::dht::guide) works an adaptor through; `conformance`
/// (feature `conformance`) tests one.
pub trait RelayDht: Send + Sync + 'static {
    /// What the engine can carry. Asked once; does not block.
    fn limits(&self) -> Limits;

    /// Stores `record` under its node id, in place of an older one. A
    /// [tombstone](SignedRecord::is_tombstone) is a record like any other.
    /// Storing what is stored already succeeds and makes it last longer.
    ///
    /// # Errors
    ///
    /// Any [`DhtError`]. Where many nodes store, some may have stored it all
    /// the same, unless the error says that nothing was sent.
    fn put(&self, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError>;

    /// Reads what is stored under `node`, and hands each distinct value to
    /// `sink` as it arrives, in any order.
    ///
    /// With `newer_than`, values of that sequence or a lower one need not be
    /// handed out; whoever has nothing newer counts as having answered.
    ///
    /// # Errors
    ///
    /// Any [`DhtError`]. What went to the sink before counts. To have reached
    /// nobody is no error but an [`Unreachable`](Coverage::Unreachable) answer;
    /// that the deadline passed when some had answered is a
    /// [`Partial`](Coverage::Partial) one.
    fn get(
        &self,
        node: &NodeId,
        newer_than: Option<u64>,
        deadline: Instant,
        sink: &mut CandidateSink<'_>,
    ) -> Result<Answer, DhtError>;

    /// Enters the relay whose `record` this is in `shard` of the directory.
    /// Joining again is how a membership is kept alive. It is also asked for,
    /// with the same record, to make sure that what others wrote at the same
    /// time did not undo it: where that is still listed there is nothing to
    /// write.
    ///
    /// # Errors
    ///
    /// Any [`DhtError`]; [`Unsupported`](DhtError::Unsupported) where there is
    /// no directory or no such shard, and [`Full`](DhtError::Full) where the
    /// shard has no room: the next one may.
    fn join(&self, shard: u16, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        let _ = (shard, record, deadline);
        Err(NO_DIRECTORY)
    }

    /// Takes the relay whose `tombstone` this is out of `shard`. Leaving a
    /// shard it is not in succeeds.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    fn leave(
        &self,
        shard: u16,
        tombstone: &SignedRecord,
        deadline: Instant,
    ) -> Result<Put, DhtError> {
        let _ = (shard, tombstone, deadline);
        Err(NO_DIRECTORY)
    }

    /// Hands each member of `shard` to `sink`, in any order, a member perhaps
    /// more than once.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`Unsupported`](DhtError::Unsupported) where
    /// there is no directory or no such shard.
    fn members(
        &self,
        shard: u16,
        deadline: Instant,
        sink: &mut MemberSink<'_>,
    ) -> Result<Answer, DhtError> {
        let _ = (shard, deadline, sink);
        Err(NO_DIRECTORY)
    }
}

/// Shared engines and boxed ones are engines.
macro_rules! forward {
    ($pointer:ident) => {
        impl<D: RelayDht + ?Sized> RelayDht for $pointer<D> {
            fn limits(&self) -> Limits {
                (**self).limits()
            }

            fn put(&self, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
                (**self).put(record, deadline)
            }

            fn get(
                &self,
                node: &NodeId,
                newer_than: Option<u64>,
                deadline: Instant,
                sink: &mut CandidateSink<'_>,
            ) -> Result<Answer, DhtError> {
                (**self).get(node, newer_than, deadline, sink)
            }

            fn join(
                &self,
                shard: u16,
                record: &SignedRecord,
                deadline: Instant,
            ) -> Result<Put, DhtError> {
                (**self).join(shard, record, deadline)
            }

            fn leave(
                &self,
                shard: u16,
                tombstone: &SignedRecord,
                deadline: Instant,
            ) -> Result<Put, DhtError> {
                (**self).leave(shard, tombstone, deadline)
            }

            fn members(
                &self,
                shard: u16,
                deadline: Instant,
                sink: &mut MemberSink<'_>,
            ) -> Result<Answer, DhtError> {
                (**self).members(shard, deadline, sink)
            }
        }
    };
}

forward!(Arc);
forward!(Box);

const NO_DIRECTORY: DhtError = DhtError::Unsupported { what: "directory" };

/// What a call for a shard that is not there is told.
#[cfg(not(relay_loom))]
const NO_SUCH_SHARD: DhtError = DhtError::Unsupported { what: "such shard" };
