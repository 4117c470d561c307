//! What may be done to a registry, in histories that proptest or a fuzzer makes up.

use super::{Change, Fault, Query, Settings};
use relay_registry::{Endpoint, NodeId};
use std::time::Duration;

/// So few nodes that they meet each other all the time.
pub const NODES: usize = 8;

/// The ids of nodes that only change together, for trees of several levels. At most 247.
pub fn crowd(size: usize) -> impl Iterator<Item = NodeId> {
    (NODES..NODES + size).map(node)
}

/// A node that is not a relay.
pub fn non_relay() -> NodeId {
    NodeId::from([0xff; 32])
}

/// The nodes' ids, of different lengths and with common beginnings.
pub fn node(index: usize) -> NodeId {
    let lengths = [32, 1, 63, 2, 8, 33, 16, 62];
    let mut bytes = vec![7; *lengths.get(index).unwrap_or(&32)];
    bytes[0] = index as u8 / 2;
    if index >= NODES {
        bytes[1] = index as u8;
    }
    NodeId::from_bytes(&bytes).expect("a valid length")
}

#[derive(Clone, Debug)]
pub enum Operation {
    /// With `Change::default()` also by the shorter `register`.
    Register(NodeId, Endpoint, Change),
    Unregister(NodeId),
    Lease(NodeId),
    /// Gives back one of the leases held, counted around.
    DropLease(usize),
    Reserve(NodeId, Query<NodeId>),
    /// With no wishes also by the shorter `find_relay`.
    Find(NodeId, Query<NodeId>),
    FindMany(NodeId, Query<NodeId>),
    RecordRtt(NodeId, Duration),
    ForgetRtt(NodeId),
    ForgetRtts,
    DueForProbe(usize),
    ReportLoad(NodeId, u32),
    ReportLoadOfOthers(NodeId, u32),
    Renew(NodeId),
    Lift(NodeId),
    SetDraining(NodeId, bool),
    ReportFailure(NodeId, Fault),
    ReportSuccess(NodeId),
    /// Told through one of the leases held, counted around.
    LeaseFails(usize, Fault),
    LeaseSucceeds(usize),
    ResetCircuit(NodeId),
    Ban(NodeId, Duration),
    Unban(NodeId),
    Maintain,
    Advance(Step),
    /// Each of a crowd, which from then on is the crowd.
    RegisterCrowd {
        size: usize,
        capacity: u32,
    },
    /// One in so many of the crowd changes.
    ChangeCrowd(usize, Wave),
}

/// A step in time, in the measure of the registry's settings.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    WithinTick { permille: u32 },
    Tick,
    JustBelowTtl,
    Ttl,
    Slice,
    BackOff { millis: u32 },
    Far { days: u32 },
    Exactly(Duration),
}

/// What becomes of a part of the crowd.
#[derive(Clone, Copy, Debug)]
pub enum Wave {
    Fills,
    Empties,
    Drains(bool),
    Fails(Fault),
    Succeeds,
    Leaves,
}

impl Step {
    pub fn duration(self, settings: &Settings<NodeId>) -> Duration {
        match self {
            Step::WithinTick { permille } => settings.tick * permille / 1_000,
            Step::Tick => settings.tick,
            Step::JustBelowTtl => settings.ttl.saturating_sub(Duration::from_nanos(1)),
            Step::Ttl => settings.ttl,
            Step::Slice => Duration::from_secs(50),
            Step::BackOff { millis } => Duration::from_millis(millis.into()),
            Step::Far { days } => Duration::from_secs(86_400) * days,
            Step::Exactly(duration) => duration,
        }
    }
}

/// What every wish in a query defaults to.
pub fn no_wishes() -> Query<NodeId> {
    Query {
        max_results: 3,
        excluded: [].into(),
        max_latency: None,
        allow_unmeasured: false,
        preferred: None,
        requester_view: None,
        target_view: None,
    }
}
