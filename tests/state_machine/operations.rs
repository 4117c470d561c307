//! What may happen in a history, and how likely.

use crate::common::{ms, secs};
use crate::model::{CAPACITY_CEILING, Change, Fault, Nat, Query, RTT_CEILING, Settings};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use relay_registry::NodeId;
use std::net::SocketAddr;
use std::time::Duration;

/// So few nodes that they meet each other all the time.
pub const NODES: usize = 8;

/// And so many that only come and go together, for trees of several levels.
pub const CROWD: usize = 40;

/// The crowd's ids follow those of the other nodes.
pub fn crowd() -> impl Iterator<Item = NodeId> {
    (NODES..NODES + CROWD).map(node)
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
pub struct History {
    pub settings: Settings<NodeId>,
    pub operations: Vec<Operation>,
}

#[derive(Clone, Debug)]
pub enum Operation {
    /// With `Change::default()` also by the shorter `register`.
    Register(NodeId, SocketAddr, Change),
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
    /// Each of the crowd, with this capacity.
    RegisterCrowd(u32),
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
            Step::JustBelowTtl => settings.ttl - Duration::from_nanos(1),
            Step::Ttl => settings.ttl,
            Step::Slice => secs(50),
            Step::BackOff { millis } => ms(millis.into()),
            Step::Far { days } => secs(86_400) * days,
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
    }
}

pub fn history() -> impl Strategy<Value = History> {
    settings().prop_flat_map(|settings| {
        let operations = vec(operation(settings.clone()), 1..80);
        operations.prop_map(move |operations| History {
            settings: settings.clone(),
            operations,
        })
    })
}

fn settings() -> impl Strategy<Value = Settings<NodeId>> {
    let pace = prop_oneof![
        3 => Just((ms(100), secs(600))),
        2 => Just((secs(1), secs(3_600))),
        2 => Just((ms(1), ms(5))),
        1 => Just((ms(7), ms(100))),
        1 => Just((ms(100), ms(100))),
    ];
    let local = option::weighted(0.2, any_node());
    let assumed = prop_oneof![3 => Just(ms(100)), 1 => Just(ms(7))];
    let lifetime = prop_oneof![3 => Just(secs(3_600)), 3 => Just(secs(60)), 1 => Just(ms(1_001))];
    let ejected = prop_oneof![1 => Just(0.0), 3 => Just(0.5), 1 => Just(1.0)];
    let max_relays = prop_oneof![4 => 1..=NODES, 1 => 20..=NODES + CROWD];
    let grace = option::weighted(
        0.4,
        prop_oneof![Just(Duration::ZERO), Just(secs(2)), Just(secs(86_400 * 3))],
    );
    let times = (assumed, lifetime, grace);
    (max_relays, pace, local, any::<bool>(), times, ejected).prop_map(
        |(max_relays, (tick, ttl), local, public_only, times, max_ejected_share)| Settings {
            max_relays,
            ttl,
            tick,
            local,
            public_only,
            assumed_rtt: times.0,
            rtt_lifetime: times.1,
            max_ejected_share,
            return_grace: times.2,
        },
    )
}

fn operation(settings: Settings<NodeId>) -> impl Strategy<Value = Operation> {
    use Operation::*;
    let register =
        registration(&settings).prop_map(|(id, address, change)| Register(id, address, change));
    prop_oneof![
        14 => register,
        3 => any_node().prop_map(Unregister),
        5 => any_node().prop_map(Lease),
        6 => any::<usize>().prop_map(DropLease),
        6 => (any_node(), query()).prop_map(|(target, query)| Reserve(target, query)),
        5 => (any_node(), query()).prop_map(|(target, query)| Find(target, query)),
        4 => (any_node(), query()).prop_map(|(target, query)| FindMany(target, query)),
        5 => (any_node(), rtt()).prop_map(|(id, rtt)| RecordRtt(id, rtt)),
        1 => any_node().prop_map(ForgetRtt),
        1 => Just(ForgetRtts),
        3 => (any_node(), load()).prop_map(|(id, load)| ReportLoad(id, load)),
        2 => (any_node(), load()).prop_map(|(id, load)| ReportLoadOfOthers(id, load)),
        2 => any_node().prop_map(Renew),
        1 => any_node().prop_map(Lift),
        3 => (any_node(), any::<bool>()).prop_map(|(id, draining)| SetDraining(id, draining)),
        6 => (any_node(), fault()).prop_map(|(id, fault)| ReportFailure(id, fault)),
        4 => any_node().prop_map(ReportSuccess),
        3 => (any::<usize>(), fault()).prop_map(|(lease, fault)| LeaseFails(lease, fault)),
        5 => any::<usize>().prop_map(LeaseSucceeds),
        1 => any_node().prop_map(ResetCircuit),
        2 => (any_node(), ban(settings.tick)).prop_map(|(id, duration)| Ban(id, duration)),
        1 => any_node().prop_map(Unban),
        5 => Just(Maintain),
        8 => step().prop_map(Advance),
        1 => (1..=3_u32).prop_map(RegisterCrowd),
        2 => (1..=6_usize, wave()).prop_map(|(one_in, wave)| ChangeCrowd(one_in, wave)),
    ]
}

fn wave() -> impl Strategy<Value = Wave> {
    prop_oneof![
        3 => Just(Wave::Fills),
        2 => Just(Wave::Empties),
        2 => any::<bool>().prop_map(Wave::Drains),
        3 => fault().prop_map(Wave::Fails),
        1 => Just(Wave::Succeeds),
        1 => Just(Wave::Leaves),
    ]
}

/// The first few nodes are the busiest.
fn any_node() -> impl Strategy<Value = NodeId> {
    prop_oneof![3 => 0..3_usize, 2 => 0..NODES].prop_map(node)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..1_000_u32).prop_map(|permille| Step::WithinTick { permille }),
        4 => Just(Step::Tick),
        2 => Just(Step::JustBelowTtl),
        2 => Just(Step::Ttl),
        4 => Just(Step::Slice),
        6 => prop_oneof![500..5_000_u32, 5_000..700_000_u32].prop_map(|millis| Step::BackOff { millis }),
        1 => (1..=40_u32).prop_map(|days| Step::Far { days }),
    ]
}

fn registration(
    settings: &Settings<NodeId>,
) -> impl Strategy<Value = (NodeId, SocketAddr, Change)> + use<> {
    let plain = public_address().prop_map(|address| (address, Change::default()));
    (any_node(), prop_oneof![2 => plain, 3 => detailed(settings)])
        .prop_map(|(id, (address, change))| (id, address, change))
}

fn detailed(settings: &Settings<NodeId>) -> impl Strategy<Value = (SocketAddr, Change)> + use<> {
    let capacity = option::of(prop_oneof![
        12 => 1..=4_u32,
        1 => Just(CAPACITY_CEILING),
        1 => prop_oneof![Just(0), Just(CAPACITY_CEILING + 1), Just(u32::MAX)],
    ]);
    let (tick, life) = (settings.tick, settings.ttl);
    let ttl = option::of(prop_oneof![
        6 => (1..=3_u32).prop_map(move |ticks| tick * ticks),
        6 => (1..=2_u32).prop_map(move |lives| life * lives),
        2 => Just(secs(30 * 86_400)),
        1 => prop_oneof![Just(Duration::ZERO), Just(tick - Duration::from_nanos(1))],
    ]);
    let restarted = proptest::bool::weighted(0.2);
    (
        address_and_nat(),
        capacity,
        option::of(rtt()),
        ttl,
        restarted,
    )
        .prop_map(|((address, nat), capacity, latency, ttl, restarted)| {
            let change = Change {
                capacity,
                latency,
                nat,
                ttl,
                restarted,
            };
            (address, change)
        })
}

fn public_address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (1..=9_u8, 1..=u16::MAX).prop_map(|(host, port)| ([9, 9, 9, host], port).into()),
        Just(socket("[2620:fe::fe]:53")),
    ]
}

/// A private address always comes with a NAT type: what a renewal without one means for a relay that
/// was registered as public is not promised.
fn address_and_nat() -> impl Strategy<Value = (SocketAddr, Option<Nat>)> {
    const PRIVATE: &[&str] = &[
        "192.168.0.7:4000",
        "127.0.0.1:4000",
        "[fd00::7]:4000",
        "203.0.113.7:4000",
        "192.31.196.7:4000",
    ];
    const INVALID: &[&str] = &[
        "9.9.9.9:0",
        "0.0.0.0:4000",
        "[::]:4000",
        "224.0.0.1:4000",
        "[ff02::1]:4000",
        "255.255.255.255:4000",
        "[fe80::7]:4000",
    ];
    prop_oneof![
        16 => (public_address(), option::of(nat())),
        3 => (proptest::sample::select(PRIVATE).prop_map(socket), nat().prop_map(Some)),
        1 => (proptest::sample::select(INVALID).prop_map(socket), option::of(nat())),
    ]
}

fn socket(text: &str) -> SocketAddr {
    text.parse().expect("a socket address")
}

fn nat() -> impl Strategy<Value = Nat> {
    prop_oneof![
        6 => Just(Nat::PublicIp),
        6 => Just(Nat::FullCone),
        1 => prop_oneof![
            Just(Nat::RestrictedCone),
            Just(Nat::PortRestrictedCone),
            Just(Nat::Symmetric),
        ],
    ]
}

fn rtt() -> impl Strategy<Value = Duration> {
    prop_oneof![
        6 => prop_oneof![Just(ms(10)), Just(ms(20)), Just(ms(100)), Just(ms(101))],
        6 => (1..300_000_000_u64).prop_map(Duration::from_nanos),
        1 => Just(RTT_CEILING),
        1 => prop_oneof![Just(Duration::ZERO), Just(RTT_CEILING + Duration::from_nanos(1))],
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![Just(Fault::Refused), Just(Fault::TimedOut)]
}

fn ban(tick: Duration) -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => Just(secs(60)),
        4 => (1..3_000_u32).prop_map(move |permille| tick * permille / 1_000),
        1 => Just(Duration::ZERO),
    ]
}

fn load() -> impl Strategy<Value = u32> {
    prop_oneof![10 => 0..6_u32, 2 => 0..120_u32, 1 => 0..=CAPACITY_CEILING]
}

/// Most of the crowd: more than a search compares one by one.
fn many_excluded() -> impl Strategy<Value = std::collections::BTreeSet<NodeId>> {
    btree_set((0..NODES + CROWD).prop_map(node), 9..NODES + CROWD)
}

fn query() -> impl Strategy<Value = Query<NodeId>> {
    let wishes = (
        0..=NODES + 1,
        prop_oneof![4 => btree_set(any_node(), 0..4), 1 => many_excluded()],
        option::of(prop_oneof![
            Just(ms(10)),
            Just(ms(100)),
            (1..300_u64).prop_map(ms)
        ]),
        any::<bool>(),
        option::weighted(0.3, any_node()),
    )
        .prop_map(
            |(max_results, excluded, max_latency, allow_unmeasured, preferred)| Query {
                max_results,
                excluded,
                max_latency,
                allow_unmeasured,
                preferred,
            },
        );
    prop_oneof![1 => Just(no_wishes()), 2 => wishes]
}
