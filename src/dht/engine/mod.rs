//! [`RelayDht`], the interface of an engine, and the engines of this crate.

mod answer;
mod error;
mod limits;
mod path;

// Not built for the model checker: it does not model the clocks and sockets that
// engines wait for.
#[cfg(not(relay_loom))]
mod kad;
#[cfg(all(feature = "mainline", not(relay_loom)))]
mod mainline;
#[cfg(not(relay_loom))]
mod memory;
#[cfg(all(feature = "redis", not(relay_loom)))]
mod redis;
#[cfg(not(relay_loom))]
mod slots;

use std::ops::ControlFlow;
use std::time::Instant;

use crate::dht::record::{Network, SignedRecord};
use crate::relay::NodeId;
use crate::sync::Arc;

pub use answer::{Answer, Candidate, CandidateError, Change, Coverage, Member, Put};
pub use error::DhtError;
#[cfg(not(relay_loom))]
pub use kad::{Kad, KadValidator, RawKad, ReconcileError, Reconciled, ValueSink};
pub use limits::Limits;
#[cfg(all(feature = "mainline", not(relay_loom)))]
pub use mainline::{Mainline, MainlineBuilder};
#[cfg(not(relay_loom))]
pub use memory::{Memory, MemoryBuilder};
pub use path::ShardPath;
#[cfg(all(feature = "redis", not(relay_loom)))]
pub use redis::{Redis, RedisBuilder, RedisUrlError};
#[cfg(all(feature = "redis-tls", not(relay_loom)))]
pub use redis::{RedisTls, RedisTlsBuilder, RedisTlsError};

// Test doubles.
#[cfg(all(any(test, feature = "conformance"), not(relay_loom)))]
pub use {
    kad::RawMemory,
    memory::{Faults, Hang, Lie},
};

/// Receives each value that [`RelayDht::get`] finds. `Break` ends the read.
pub type CandidateSink<'a> = dyn FnMut(Candidate<'_>) -> ControlFlow<()> + 'a;

/// Receives each member that [`RelayDht::members`] finds. `Break` ends the read.
pub type MemberSink<'a> = dyn FnMut(Member<'_>) -> ControlFlow<()> + 'a;

/// Receives each change that [`RelayDht::changed`] sees. `Break` ends the call.
pub type ChangeSink<'a> = dyn FnMut(Change) -> ControlFlow<()> + 'a;

/// An engine: stores relays' records where other nodes can read them. It may be a
/// distributed hash table, a coordination service or a shared map.
///
/// An engine stores one [`SignedRecord`] for each relay under the relay's node id.
/// It also keeps a directory of relays, which is divided into shards. The registry
/// calls it from its own worker threads, never from a thread that calls the
/// registry.
///
/// # Rules
///
/// - **Pass values on unverified.** Every value that is found under a key goes to
///   the sink unchanged and as soon as it arrives. The registry verifies signatures
///   and freshness. An engine may drop values that cannot be records (empty, too
///   long). It must not delay a value until slower nodes answer, and must not
///   choose between values.
/// - **Read from all storage nodes.** A node that sends invalid values must not
///   displace other nodes: pass on a few values of each node before more of any.
///   The registry ends a read after 4,096 invalid values.
/// - **Return by the deadline**, but for a scheduling delay, whatever the network
///   does. If the underlying operation cannot be cancelled, then return, and count
///   the operation as in flight until it has ended.
/// - **Report the coverage of a read.** If no node answered, then the answer is
///   [`Unreachable`](Coverage::Unreachable). The registry caches an absence only
///   after a [`Complete`](Coverage::Complete) answer.
/// - **Do not replace a newer record by an older one**, as far as the engine can
///   see: return [`DhtError::Superseded`]. Do not store a second value under one
///   sequence: return [`DhtError::Conflict`].
/// - **Accept calls from several threads**, up to [`Limits::max_in_flight`] at
///   once. Further calls wait for a slot until the deadline, then return
///   [`DhtError::Busy`].
/// - **Do not panic.** The registry catches and counts panics.
///
/// The registry does not trust an engine. An engine sees no secret key. A malicious
/// one can withhold, delay and replay records, but cannot forge them. The
/// [guide](crate::guide::distribution#writing-an-adaptor) develops an adaptor; `conformance` (feature
/// `conformance`) tests one.
pub trait RelayDht: Send + Sync + 'static {
    /// The limits of the engine. Called once; must not block.
    fn limits(&self) -> Limits;

    /// The network whose records this engine carries. A registry whose options name
    /// [another](crate::dht::DhtOptions::network) is not built. None, as by default: the engine
    /// does not care. Called once; must not block.
    fn network(&self) -> Option<Network> {
        None
    }

    /// Stores `record` under its node id, in place of an older one. A
    /// [tombstone](SignedRecord::is_tombstone) is stored like any other record. If
    /// the record is already stored, then the call succeeds and refreshes it.
    ///
    /// # Errors
    ///
    /// Any [`DhtError`]. Some storage nodes may have stored the record, unless the
    /// error means that no request was sent.
    fn put(&self, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError>;

    /// Reads the values under `node`, and passes each distinct value to `sink` as it
    /// arrives, in any order.
    ///
    /// With `newer_than`, the engine may leave out values with that sequence or a
    /// lower one. A storage node without a newer value counts as having answered.
    ///
    /// # Errors
    ///
    /// Any [`DhtError`]. Values that were passed to the sink before remain valid.
    /// If no node was reached, then the result is not an error but an
    /// [`Unreachable`](Coverage::Unreachable) answer. If the deadline passed after
    /// some nodes answered, then it is a [`Partial`](Coverage::Partial) one.
    fn get(
        &self,
        node: &NodeId,
        newer_than: Option<u64>,
        deadline: Instant,
        sink: &mut CandidateSink<'_>,
    ) -> Result<Answer, DhtError>;

    /// Adds the relay of `record` to `shard` of the directory.
    ///
    /// The registry calls it again to refresh the membership. It also calls it again
    /// with the same record, because a concurrent writer may have overwritten the
    /// entry: if the entry is still listed, then no write is needed.
    ///
    /// # Errors
    ///
    /// Any [`DhtError`]. [`Unsupported`](DhtError::Unsupported) if there is no
    /// directory or no such shard. [`Full`](DhtError::Full) if the shard is full:
    /// the next one may have room.
    fn join(&self, shard: u16, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        let _ = (shard, record, deadline);
        Err(NO_DIRECTORY)
    }

    /// Removes the relay of `tombstone` from `shard`. Succeeds if the shard does not
    /// list the relay.
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

    /// Passes each member of `shard` to `sink`, in any order. A member may be passed
    /// more than once. A registry looks up members without records in random order. It
    /// learns those with records in this order, until it has room for no more. So for
    /// these, an order that is the same for all nodes is bad for large shards: use more
    /// shards, or begin at a place that is random for each handle.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`Unsupported`](DhtError::Unsupported) if there is
    /// no directory or no such shard.
    fn members(
        &self,
        shard: u16,
        deadline: Instant,
        sink: &mut MemberSink<'_>,
    ) -> Result<Answer, DhtError> {
        let _ = (shard, deadline, sink);
        Err(NO_DIRECTORY)
    }

    /// Adds the relay of `record` to a shard of a directory that divides: as
    /// [`join`](Self::join), which it calls for a root by default. All other shards are
    /// [`Unsupported`](DhtError::Unsupported) by default.
    ///
    /// A shard that is full [divides](Self::divide), and returns [`Full`](DhtError::Full). So
    /// does a shard that has divided, also to a relay that it lists, because the relay is to
    /// move to a child. It need not leave: its old entry ends by itself. But a shard whose mark
    /// is older than half of its time lets relays in, since those below no longer renew it, and
    /// so does one at [`Limits::max_depth`], which has no children.
    ///
    /// The result says [how many members](Put::with_members) the shard has.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    fn join_at(
        &self,
        path: ShardPath,
        record: &SignedRecord,
        deadline: Instant,
    ) -> Result<Put, DhtError> {
        match path.as_root() {
            Some(shard) => self.join(shard, record, deadline),
            None => Err(NO_SUCH_SHARD),
        }
    }

    /// Removes the relay of `tombstone` from a shard of a directory that divides, also from one
    /// that has divided: as [`leave`](Self::leave), which it calls for a root by default.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    fn leave_at(
        &self,
        path: ShardPath,
        tombstone: &SignedRecord,
        deadline: Instant,
    ) -> Result<Put, DhtError> {
        match path.as_root() {
            Some(shard) => self.leave(shard, tombstone, deadline),
            None => Err(NO_SUCH_SHARD),
        }
    }

    /// Passes each member of a shard of a directory that divides to `sink`: as
    /// [`members`](Self::members), which it calls for a root by default. The answer says
    /// whether the shard [has divided](Answer::is_divided). It may still have members.
    ///
    /// # Errors
    ///
    /// As [`members`](Self::members).
    fn members_at(
        &self,
        path: ShardPath,
        deadline: Instant,
        sink: &mut MemberSink<'_>,
    ) -> Result<Answer, DhtError> {
        match path.as_root() {
            Some(shard) => self.members(shard, deadline, sink),
            None => Err(NO_SUCH_SHARD),
        }
    }

    /// Marks a shard as divided: its relays move to its children when they join again, and
    /// readers follow. The mark lasts as long as an entry without a refresh: two refresh
    /// intervals. Relays in the shards below renew it, each now and then, while these are not
    /// [sparse](Put::is_sparse). If the mark is younger than a quarter of its time, then no write
    /// is needed.
    ///
    /// # Errors
    ///
    /// Any [`DhtError`]; [`Unsupported`](DhtError::Unsupported) by default, and if the shard
    /// can have no children.
    fn divide(&self, path: ShardPath, deadline: Instant) -> Result<Put, DhtError> {
        let _ = (path, deadline);
        Err(DhtError::Unsupported {
            what: "shards that divide",
        })
    }

    /// Waits until a relay's record changes, and passes on all changes since the last call on
    /// this handle. Returns once it has passed on at least one, or at the deadline; if that has
    /// passed, then it does not wait. If changes may have been missed, then it passes on
    /// [`Missed`](Change::Missed) first: at the first call, after an error or `Break`, or if it had
    /// to drop changes between two calls.
    ///
    /// A registry calls it if the engine [watches](Limits::watches), always from one thread at a
    /// time, with a deadline of at most 100 ms; at first and after an error, with that of a request,
    /// as the engine may have to connect. It does not count as a request in flight. Changes
    /// are hints: the registry reads the record of a relay that it knows, or that it has room for,
    /// and takes no more than 256 hints in 2 seconds. So an engine may leave out changes, or add
    /// some. It reads the directory as often as without them.
    ///
    /// # Errors
    ///
    /// Any [`DhtError`]; [`Unsupported`](DhtError::Unsupported) by default. The registry repeats
    /// the call after a back-off of up to 60 s.
    fn changed(&self, deadline: Instant, sink: &mut ChangeSink<'_>) -> Result<(), DhtError> {
        let _ = (deadline, sink);
        Err(NO_CHANGES)
    }
}

/// Implements [`RelayDht`] for a pointer to an engine.
macro_rules! forward {
    ($pointer:ident) => {
        impl<D: RelayDht + ?Sized> RelayDht for $pointer<D> {
            fn limits(&self) -> Limits {
                (**self).limits()
            }

            fn network(&self) -> Option<Network> {
                (**self).network()
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

            fn join_at(
                &self,
                path: ShardPath,
                record: &SignedRecord,
                deadline: Instant,
            ) -> Result<Put, DhtError> {
                (**self).join_at(path, record, deadline)
            }

            fn leave_at(
                &self,
                path: ShardPath,
                tombstone: &SignedRecord,
                deadline: Instant,
            ) -> Result<Put, DhtError> {
                (**self).leave_at(path, tombstone, deadline)
            }

            fn members_at(
                &self,
                path: ShardPath,
                deadline: Instant,
                sink: &mut MemberSink<'_>,
            ) -> Result<Answer, DhtError> {
                (**self).members_at(path, deadline, sink)
            }

            fn divide(&self, path: ShardPath, deadline: Instant) -> Result<Put, DhtError> {
                (**self).divide(path, deadline)
            }

            fn changed(
                &self,
                deadline: Instant,
                sink: &mut ChangeSink<'_>,
            ) -> Result<(), DhtError> {
                (**self).changed(deadline, sink)
            }
        }
    };
}

forward!(Arc);
forward!(Box);

const NO_DIRECTORY: DhtError = DhtError::Unsupported {
    what: "a directory",
};

const NO_CHANGES: DhtError = DhtError::Unsupported {
    what: "waiting for changes",
};

const NO_SUCH_SHARD: DhtError = DhtError::Unsupported {
    what: "such a shard",
};

/// Fails if an engine with these limits and this network does not carry the record.
#[cfg(not(relay_loom))]
fn check_record(record: &SignedRecord, network: &Network, limits: &Limits) -> Result<(), DhtError> {
    let (size, max) = (record.value().len(), limits.max_value);
    if size > max {
        return Err(DhtError::TooLarge { size, max });
    }
    if record.network() != network {
        return Err(DhtError::Unsupported {
            what: "records of another network",
        });
    }
    Ok(())
}
