//! Histories of operations on a small registry. Each answer, and all queries after it, are compared with the
//! model of the tests.
#![no_main]

#[path = "../../tests/model/mod.rs"]
#[allow(dead_code, reason = "the model offers more than is asked here")]
mod model;

use arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use model::{
    Change, DetailChange, Family, Fault, Filter, NODES, Nat, Operation, Query, RankChange,
    Settings, Step, System, View, Wave, node, unconditional,
};
use relay_registry::{Endpoint, NodeId, PeerView};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

/// More than 64 relays, so that ranks have the coarse precision.
const MOST_IN_CROWD: usize = 100;

fuzz_target!(|case: Case| {
    if let Some(mut system) = System::new(case.settings) {
        for operation in case.operations {
            system.perform(operation);
            system.check_every_view();
        }
    }
});

#[derive(Debug)]
struct Case {
    settings: Settings<NodeId>,
    operations: Vec<Operation>,
}

impl Arbitrary<'_> for Case {
    fn arbitrary(u: &mut Unstructured) -> Result<Self> {
        let settings = settings(u)?;
        let mut operations = Vec::new();
        while !u.is_empty() && operations.len() < 200 {
            operations.push(operation(u, settings.tick)?);
        }
        Ok(Self {
            settings,
            operations,
        })
    }
}

fn settings(u: &mut Unstructured) -> Result<Settings<NodeId>> {
    let tick = span(u, Duration::from_millis(1))?;
    Ok(Settings {
        max_relays: match u.int_in_range(0..=20)? {
            few @ 0..=16 => few,
            _ => NODES + MOST_IN_CROWD,
        },
        ttl: span(u, tick)?,
        tick,
        local: optional(u, node_id)?,
        public_only: u.arbitrary()?,
        assumed_rtt: match u.arbitrary()? {
            true => Duration::from_millis(100),
            false => span(u, tick)?,
        },
        rtt_lifetime: Duration::from_secs(u.int_in_range(2..=7_200)?),
        max_ejected_share: f64::from(u.int_in_range(0..=4_u8)?) / 4.0,
        return_grace: optional(u, |u| span(u, tick))?,
        clock_starts_at: span(u, tick)?,
        max_peers: match u.int_in_range(0..=3)? {
            3 => 10_000,
            few => few,
        },
        peer_ttl: span(u, tick)?,
        slow_start: optional(u, |u| span(u, tick))?.unwrap_or_default(),
    })
}

fn operation(u: &mut Unstructured, tick: Duration) -> Result<Operation> {
    Ok(match u.int_in_range(0..=42)? {
        0..=4 => Operation::Register(node_id(u)?, endpoint(u)?, change(u, tick)?),
        5 => Operation::Unregister(node_id(u)?),
        6 => Operation::Lease(node_id(u)?, units(u)?),
        7 => Operation::DropLease(u.arbitrary::<u8>()?.into()),
        8 => Operation::Reserve(node_id(u)?, query(u, tick)?),
        9 => Operation::Find(node_id(u)?, query(u, tick)?),
        10 => Operation::FindMany(node_id(u)?, query(u, tick)?),
        11 => Operation::RecordRtt(node_id(u)?, span(u, tick)?),
        12 => Operation::ForgetRtt(node_id(u)?),
        13 => Operation::ForgetRtts,
        14 => Operation::DueForProbe(u.arbitrary::<u8>()?.into()),
        15 => Operation::ReportLoad(node_id(u)?, number(u)?),
        16 => Operation::ReportLoadOfOthers(node_id(u)?, number(u)?),
        17 => Operation::Renew(node_id(u)?),
        18 => Operation::Lift(node_id(u)?),
        19 => Operation::SetDraining(node_id(u)?, u.arbitrary()?),
        20 => Operation::ReportFailure(node_id(u)?, fault(u)?),
        21 => Operation::ReportSuccess(node_id(u)?),
        22 => Operation::LeaseFails(u.arbitrary::<u8>()?.into(), fault(u)?),
        23 => Operation::LeaseSucceeds(u.arbitrary::<u8>()?.into()),
        24 => Operation::ResetCircuit(node_id(u)?),
        25 => Operation::Ban(node_id(u)?, span(u, tick)?),
        26 => Operation::Unban(node_id(u)?),
        27 => Operation::Maintain,
        28 => Operation::RegisterCrowd {
            size: u.int_in_range(0..=MOST_IN_CROWD)?,
            capacity: u.int_in_range(1..=3)?,
        },
        29 => Operation::ChangeCrowd(u.int_in_range(1..=16)?, wave(u)?),
        30..=31 => Operation::SetTier(node_id(u)?, tier(u)?),
        32 => Operation::SetCost(node_id(u)?, cost(u)?),
        33 => Operation::UseUpFilters,
        34..=35 => Operation::UpdatePeer(node_id(u)?, view(u)?),
        36 => Operation::ForgetPeer(node_id(u)?),
        37..=38 => Operation::FindHome(query(u, tick)?),
        _ => Operation::Advance(Step::Exactly(span(u, tick)?)),
    })
}

fn optional<T>(
    u: &mut Unstructured,
    value: impl FnOnce(&mut Unstructured) -> Result<T>,
) -> Result<Option<T>> {
    Ok(match u.arbitrary()? {
        true => Some(value(u)?),
        false => None,
    })
}

/// Mostly the first three nodes, so that operations often concern the same one.
fn node_id(u: &mut Unstructured) -> Result<NodeId> {
    let n: u8 = u.arbitrary()?;
    Ok(node(match n {
        0..160 => usize::from(n) % 3,
        160..240 => usize::from(n) % NODES,
        _ => NODES + usize::from(n) % 4,
    }))
}

/// A length of time, from a nanosecond to more than a clock can count.
fn span(u: &mut Unstructured, tick: Duration) -> Result<Duration> {
    const YEAR: u64 = 365 * 24 * 60 * 60;
    Ok(match u.int_in_range(0..=15)? {
        0..=4 => tick.saturating_mul(u32::from(u.arbitrary::<u8>()?) + 1),
        5 => Duration::from_nanos(u.arbitrary::<u16>()?.into()),
        6..=9 => Duration::from_millis(u.arbitrary::<u8>()?.into()),
        10..=12 => Duration::from_secs(u.arbitrary::<u8>()?.into()),
        13 => Duration::from_secs(YEAR * u64::from(u.arbitrary::<u16>()?)),
        14 => Duration::new(u.arbitrary()?, u.int_in_range(0..=999_999_999)?),
        _ => Duration::MAX,
    })
}

/// Mostly small, so that relays fill up.
fn number(u: &mut Unstructured) -> Result<u32> {
    Ok(match u.int_in_range(0..=7)? {
        0..=5 => u.int_in_range(0..=3)?,
        6 => u.arbitrary::<u8>()?.into(),
        _ => u.arbitrary()?,
    })
}

fn endpoint(u: &mut Unstructured) -> Result<Endpoint> {
    let n: u8 = u.arbitrary()?;
    let at = |ip: [u8; 4], port| Endpoint::from(SocketAddr::from((ip, port)));
    let at_v6 = |ip: Ipv6Addr| Endpoint::from(SocketAddr::from((ip, 443)));
    Ok(match u.int_in_range(0..=15)? {
        0..=5 => at([9, 8, 7, n], 4433),
        6 => at_v6(Ipv6Addr::new(0x2606, 0x4700, 0, 0, 0, 0, 0, n.into())),
        7 => Endpoint::from_name(&format!("relay-{n}.peers.io"), 443).expect("a hostname"),
        8 => at([10, 0, 0, n], 4433),
        9 => at([127, 0, 0, n], 4433),
        10 => at([192, 0, 2, n], 4433),
        11 => at([9, 8, 7, 6], 0),
        12 => at([0, 0, 0, 0], 1),
        13 => at([224, 0, 0, 1], 1),
        14 => at([255, 255, 255, 255], 1),
        _ => at_v6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)),
    })
}

fn change(u: &mut Unstructured, tick: Duration) -> Result<Change<Endpoint>> {
    Ok(Change {
        capacity: optional(u, number)?,
        latency: optional(u, |u| span(u, tick))?,
        nat: match u.int_in_range(0..=9)? {
            0..=4 => None,
            5..=6 => Some(Nat::PublicIp),
            7..=8 => Some(Nat::FullCone),
            _ => Some(Nat::Symmetric),
        },
        ttl: optional(u, |u| span(u, tick))?,
        restarted: u.ratio(1, 5)?,
        rank: RankChange {
            tier: optional(u, tier)?,
            cost: optional(u, cost)?,
        },
        details: details(u)?,
    })
}

/// Mostly none.
fn details(u: &mut Unstructured) -> Result<DetailChange<Endpoint>> {
    if u.ratio(2, 3)? {
        return Ok(DetailChange::default());
    }
    let further = |u: &mut Unstructured| (0..few(u)?).map(|_| endpoint(u)).collect();
    Ok(DetailChange {
        labels: optional(u, |u| (0..few(u)?).map(|_| label(u)).collect())?,
        also_at: optional(u, further)?,
        domain: optional(u, domain)?,
    })
}

/// Seldom more than a relay may have.
fn few(u: &mut Unstructured) -> Result<usize> {
    match u.int_in_range(0..=15)? {
        0..=14 => u.int_in_range(0..=3),
        _ => u.int_in_range(4..=12),
    }
}

/// One of few, so that relays have those that calls ask for; or any other.
fn label(u: &mut Unstructured) -> Result<String> {
    Ok(match u.int_in_range(0..=15)? {
        n @ 0..=14 => ["eu", "udp", "tcp", "metered"][n % 4].to_owned(),
        _ => "x".repeat(u.int_in_range(0..=40)?),
    })
}

fn domain(u: &mut Unstructured) -> Result<String> {
    Ok(match u.int_in_range(0..=15)? {
        n @ 0..=14 => format!("rack-{}", n % 3),
        _ => "x".repeat(u.int_in_range(0..=70)?),
    })
}

fn filter(u: &mut Unstructured) -> Result<Filter> {
    if u.arbitrary()? {
        return Ok(Filter::default());
    }
    Ok(Filter {
        require: (0..u.int_in_range(0..=2)?)
            .map(|_| label(u))
            .collect::<Result<_>>()?,
        avoid: (0..u.int_in_range(0..=1)?)
            .map(|_| label(u))
            .collect::<Result<_>>()?,
        family: match u.int_in_range(0..=3)? {
            0 => Some(Family::V4),
            1 => Some(Family::V6),
            _ => None,
        },
        exclude_domains: (0..u.int_in_range(0..=1)?)
            .map(|_| domain(u))
            .collect::<Result<_>>()?,
    })
}

/// Mostly one of the lowest.
fn tier(u: &mut Unstructured) -> Result<u8> {
    let n: u8 = u.arbitrary()?;
    Ok(if n < 240 { n % 3 } else { n })
}

/// Any number, and mostly one that is a cost.
fn cost(u: &mut Unstructured) -> Result<f64> {
    Ok(match u.int_in_range(0..=15)? {
        0..=14 => f64::from(u.arbitrary::<u8>()?) / 25.0,
        _ => u.arbitrary()?,
    })
}

fn fault(u: &mut Unstructured) -> Result<Fault> {
    Ok(match u.arbitrary()? {
        true => Fault::Refused,
        false => Fault::TimedOut,
    })
}

fn wave(u: &mut Unstructured) -> Result<Wave> {
    Ok(match u.int_in_range(0..=5)? {
        0 => Wave::Fills,
        1 => Wave::Empties,
        2 => Wave::Drains(u.arbitrary()?),
        3 => Wave::Fails(fault(u)?),
        4 => Wave::Succeeds,
        _ => Wave::Leaves,
    })
}

fn query(u: &mut Unstructured, tick: Duration) -> Result<Query<NodeId>> {
    let max_results = u.int_in_range(0..=NODES + 20)?;
    if u.arbitrary()? {
        return Ok(Query {
            max_results,
            ..unconditional()
        });
    }
    Ok(Query {
        max_results,
        excluded: (0..u.int_in_range(0..=3)?)
            .map(|_| node_id(u))
            .collect::<Result<_>>()?,
        max_latency: optional(u, |u| span(u, tick))?,
        allow_unmeasured: u.arbitrary()?,
        units: units(u)?,
        filter: filter(u)?,
        preferred: optional(u, node_id)?,
        requester: optional(u, node_id)?,
        requester_view: optional(u, view)?,
        target_view: optional(u, view)?,
    })
}

/// Mostly as many as some relays have.
fn units(u: &mut Unstructured) -> Result<u32> {
    Ok(match u.int_in_range(0..=15)? {
        0..=7 => 1,
        8..=13 => u.int_in_range(2..=5)?,
        14 => u.int_in_range(6..=120)?,
        _ => u.int_in_range(1..=u32::MAX)?,
    })
}

fn view(u: &mut Unstructured) -> Result<View<NodeId>> {
    (0..u.int_in_range(0..=PeerView::MAX_MEASURED)?)
        .map(|_| {
            let micros = 1 + 16 * u64::from(u.arbitrary::<u16>()?);
            Ok((node_id(u)?, Duration::from_micros(micros)))
        })
        .collect()
}
