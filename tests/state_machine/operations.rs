//! The probability of each operation in a history.

use super::queries::{query, units, view};
use crate::common::{ms, secs};
use crate::model::{
    CAPACITY_CEILING, Change, DetailChange, Fault, NODES, Nat, Operation, RTT_CEILING, RankChange,
    Settings, Step, Wave, node,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use relay_registry::{Endpoint, NodeId};
use std::net::SocketAddr;
use std::time::Duration;

/// The size of the crowd.
pub const CROWD: usize = 40;

#[derive(Clone, Debug)]
pub struct History {
    pub settings: Settings<NodeId>,
    pub operations: Vec<Operation>,
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
    let peers = (
        prop_oneof![1 => 0..3_usize, 2 => Just(10_000)],
        prop_oneof![Just(ms(1)), Just(secs(60)), Just(secs(3_600))],
    );
    let slow_start = prop_oneof![4 => Just(Duration::ZERO), 1 => Just(ms(50)), 1 => Just(secs(60)), 1 => Just(secs(600))];
    let times = (assumed, lifetime, grace, peers, slow_start);
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
            clock_starts_at: Duration::ZERO,
            max_peers: times.3.0,
            peer_ttl: times.3.1,
            slow_start: times.4,
        },
    )
}

fn operation(settings: Settings<NodeId>) -> impl Strategy<Value = Operation> {
    use Operation::*;
    let register = registration(&settings)
        .prop_map(|(id, address, change)| Register(id, address.into(), change));
    prop_oneof![
        14 => register,
        3 => any_node().prop_map(Unregister),
        5 => (any_node(), units()).prop_map(|(id, units)| Lease(id, units)),
        6 => any::<usize>().prop_map(DropLease),
        6 => (any_node(), query()).prop_map(|(target, query)| Reserve(target, query)),
        5 => (any_node(), query()).prop_map(|(target, query)| Find(target, query)),
        4 => (any_node(), query()).prop_map(|(target, query)| FindMany(target, query)),
        4 => query().prop_map(FindHome),
        5 => (any_node(), rtt()).prop_map(|(id, rtt)| RecordRtt(id, rtt)),
        1 => any_node().prop_map(ForgetRtt),
        1 => Just(ForgetRtts),
        1 => (0..NODES).prop_map(DueForProbe),
        3 => (any_node(), load()).prop_map(|(id, load)| ReportLoad(id, load)),
        2 => (any_node(), load()).prop_map(|(id, load)| ReportLoadOfOthers(id, load)),
        2 => any_node().prop_map(Renew),
        1 => any_node().prop_map(Lift),
        3 => (any_node(), any::<bool>()).prop_map(|(id, draining)| SetDraining(id, draining)),
        2 => (any_node(), tier()).prop_map(|(id, tier)| SetTier(id, tier)),
        2 => (any_node(), cost()).prop_map(|(id, cost)| SetCost(id, cost)),
        3 => (any_node(), view()).prop_map(|(peer, view)| UpdatePeer(peer, view)),
        1 => any_node().prop_map(ForgetPeer),
        6 => (any_node(), fault()).prop_map(|(id, fault)| ReportFailure(id, fault)),
        4 => any_node().prop_map(ReportSuccess),
        3 => (any::<usize>(), fault()).prop_map(|(lease, fault)| LeaseFails(lease, fault)),
        5 => any::<usize>().prop_map(LeaseSucceeds),
        1 => any_node().prop_map(ResetCircuit),
        2 => (any_node(), ban(settings.tick)).prop_map(|(id, duration)| Ban(id, duration)),
        1 => any_node().prop_map(Unban),
        5 => Just(Maintain),
        1 => Just(UseUpFilters),
        8 => step().prop_map(Advance),
        1 => (1..=3_u32).prop_map(|capacity| RegisterCrowd { size: CROWD, capacity }),
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
pub fn any_node() -> impl Strategy<Value = NodeId> {
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
) -> impl Strategy<Value = (NodeId, SocketAddr, Change<Endpoint>)> + use<> {
    let plain = public_address().prop_map(|address| (address, Change::default()));
    (any_node(), prop_oneof![2 => plain, 3 => detailed(settings)])
        .prop_map(|(id, (address, change))| (id, address, change))
}

fn detailed(
    settings: &Settings<NodeId>,
) -> impl Strategy<Value = (SocketAddr, Change<Endpoint>)> + use<> {
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
        rank(),
        details(),
    )
        .prop_map(
            |((address, nat), capacity, latency, ttl, restarted, rank, details)| {
                let change = Change {
                    capacity,
                    latency,
                    nat,
                    ttl,
                    restarted,
                    rank,
                    details,
                };
                (address, change)
            },
        )
}

fn public_address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (1..=9_u8, 1..=u16::MAX).prop_map(|(host, port)| ([9, 9, 9, host], port).into()),
        Just(socket("[2620:fe::fe]:53")),
    ]
}

/// A private address always has a NAT type, because it is not promised what a renewal without one means for
/// a relay that was registered as public.
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

fn rank() -> impl Strategy<Value = RankChange> {
    (option::weighted(0.2, tier()), option::weighted(0.2, cost()))
        .prop_map(|(tier, cost)| RankChange { tier, cost })
}

fn details() -> impl Strategy<Value = DetailChange<Endpoint>> {
    let labels = prop_oneof![
        12 => vec(label(), 0..4),
        1 => vec("[a-z]{0,2}|\u{7f}|ü{16,17}", 1..10),
    ];
    let endpoint = || public_address().prop_map(Endpoint::from);
    let also_at = prop_oneof![
        8 => vec(endpoint(), 0..3),
        1 => vec(endpoint(), 7..10),
        1 => address_and_nat().prop_map(|(address, _)| vec![address.into()]),
    ];
    let domain = prop_oneof![12 => domain(), 1 => "[a-z]{0,1}|\u{85}|ü{31,32}"];
    let set = (
        option::weighted(0.4, labels),
        option::weighted(0.3, also_at),
        option::weighted(0.4, domain),
    );
    set.prop_map(|(labels, also_at, domain)| DetailChange {
        labels,
        also_at,
        domain,
    })
}

pub fn label() -> impl Strategy<Value = String> {
    proptest::sample::select(&["eu", "udp", "tcp", "metered"][..]).prop_map(str::to_owned)
}

pub fn domain() -> impl Strategy<Value = String> {
    proptest::sample::select(&["rack-1", "rack-2", "rack-3"][..]).prop_map(str::to_owned)
}

fn tier() -> impl Strategy<Value = u8> {
    prop_oneof![6 => 0..3_u8, 1 => any::<u8>()]
}

fn cost() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => prop_oneof![Just(0.1), Just(0.5), Just(1.0), Just(2.0), Just(10.0)],
        4 => 0.1..=10.0,
        1 => prop_oneof![Just(0.0), Just(-1.0), Just(10.001), Just(f64::INFINITY)],
    ]
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
