//! The operations of random histories, for proptest and for the fuzzer.

use super::{Change, Fault, Filter, Query, Settings, View};
use relay_registry::{Endpoint, NodeId};
use std::time::Duration;

/// Few nodes, so that operations often concern the same one.
pub const NODES: usize = 8;

/// The ids of a crowd: nodes that only change together, for trees of several levels. At most 247.
pub fn crowd(size: usize) -> impl Iterator<Item = NodeId> {
    (NODES..NODES + size).map(node)
}

/// A node that is not a relay.
pub fn non_relay() -> NodeId {
    NodeId::from([0xff; 32])
}

/// The id of a node. Ids have different lengths and common prefixes.
pub fn node(index: usize) -> NodeId {
    let lengths = [32, 1, 64, 2, 8, 33, 16, 63];
    let mut bytes = vec![7; *lengths.get(index).unwrap_or(&32)];
    bytes[0] = index as u8 / 2;
    if index >= NODES {
        bytes[1] = index as u8;
    }
    NodeId::from_bytes(&bytes).expect("a valid length")
}

#[derive(Clone, Debug)]
pub enum Operation {
    /// `Change::default()` is also tried with the shorter `register`.
    Register(NodeId, Endpoint, Change<Endpoint>),
    Unregister(NodeId),
    /// So many units of one relay.
    Lease(NodeId, u32),
    /// Drops a held lease; the index wraps around.
    DropLease(usize),
    Reserve(NodeId, Query<NodeId>),
    /// A query without conditions is also tried with the shorter `find_relay`.
    Find(NodeId, Query<NodeId>),
    FindMany(NodeId, Query<NodeId>),
    FindHome(Query<NodeId>),
    RecordRtt(NodeId, Duration),
    ForgetRtt(NodeId),
    ForgetRtts,
    DueForProbe(usize),
    ReportLoad(NodeId, u32),
    ReportLoadOfOthers(NodeId, u32),
    Renew(NodeId),
    Lift(NodeId),
    SetDraining(NodeId, bool),
    SetTier(NodeId, u8),
    SetCost(NodeId, f64),
    UpdatePeer(NodeId, View<NodeId>),
    ForgetPeer(NodeId),
    ReportFailure(NodeId, Fault),
    ReportSuccess(NodeId),
    /// Reported through a held lease; the index wraps around.
    LeaseFails(usize, Fault),
    LeaseSucceeds(usize),
    ResetCircuit(NodeId),
    Ban(NodeId, Duration),
    Unban(NodeId),
    Maintain,
    /// Asks for more different filters than the registry keeps search trees for.
    UseUpFilters,
    Advance(Step),
    /// Registers the first `size` nodes of the crowd.
    RegisterCrowd {
        size: usize,
        capacity: u32,
    },
    /// Changes one in this many nodes of the crowd.
    ChangeCrowd(usize, Wave),
}

/// A step in time, relative to the registry's settings.
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

/// A change of a part of the crowd.
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

/// A query without conditions.
pub fn unconditional() -> Query<NodeId> {
    Query {
        max_results: 3,
        excluded: [].into(),
        max_latency: None,
        allow_unmeasured: false,
        preferred: None,
        requester: None,
        requester_view: None,
        target_view: None,
        units: 1,
        filter: Filter::default(),
    }
}
