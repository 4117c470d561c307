//! The phases of a run, in order.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_registry::NodeId;
use relay_registry::dht::{Network, RejectReason};

use crate::args::Args;
use crate::attack::{AttackRecords, AttackScenario, Kind};
use crate::error::Failure;
use crate::fleet::Fleet;
use crate::ground_truth::{GroundTruth, hands_out};
use crate::intervals::Intervals;
use crate::joining_node::{JoiningNode, Search};
use crate::net;
use crate::outcome::{Outcome, Spread};
use crate::progress::Progress;
use crate::relay::Relay;

/// The attacker captures the records of so many relays at most.
const MAX_CAPTURED: usize = 200;

/// How many relays more than wanted later nodes look for, because of impostors.
const SPARE: usize = 8;

pub fn run(args: &Args, progress: &Progress) -> Result<Outcome, Failure> {
    let begun = Instant::now();
    let network = Network::new(b"mesh").map_err(Failure::registry)?;
    let intervals = Intervals::of(args.engine, args.relays, network);
    let attack_records = Arc::<AttackRecords>::default();
    let mut outcome = Outcome {
        refresh: intervals.refresh,
        registries: args.relays,
        wanted: args.wanted,
        ..Outcome::default()
    };

    progress.begin("the DHT starts", args.nodes);
    let mut net = net::start(args, intervals, Arc::clone(&attack_records))?;
    progress.begin("relays publish themselves", args.relays);
    let fleet = Fleet::start(args.relays, &*net, intervals, args.seed)?;
    outcome.published = fleet.wait_for_publication(args.deadline, progress);
    outcome.published_in = begun.elapsed();

    let relays = fleet.relays();
    let addresses = relays.iter().map(|relay| (relay.id(), relay.address()));
    let mut ground_truth = GroundTruth::of(addresses);
    let mut expected: BTreeSet<NodeId> = relays.iter().map(|relay| relay.id()).collect();
    let mut search = Search {
        intervals,
        deadline: args.deadline,
        nodes: args.joining,
        relays: args.relays,
        wanted: args.wanted,
        spare: 0,
    };
    progress.begin("joining nodes find them", args.joining);
    let first = search.by_joining_nodes(&expected, &*net, args.seed)?;
    discovered(&first, args.wanted, &mut outcome);

    net.infiltrate()?;
    let mut scenario = AttackScenario::start(
        &*net,
        intervals,
        &attack_records,
        args.seed,
        &first,
        &mut ground_truth,
    )?;
    let known = best_known(relays, &first);
    let gone = scenario.run(&known, progress, &mut outcome)?;

    progress.begin("half of the nodes stop", args.joining);
    // A node that knows no record of a relay cannot tell that an old one is replayed.
    attack_records.retain_kinds(Kind::is_forged);
    outcome.killed = net.kill_half()?;
    expected.remove(&gone);
    search.wanted = args.wanted.min(expected.len());
    search.spare = SPARE;
    let later = search.by_joining_nodes(&expected, &*net, args.seed.wrapping_add(1_000))?;
    outcome.after_kill_share = least_share(&later, search.wanted);
    outcome.after_kill = slowest(&later, time_to_enough);

    for (number, node) in first.iter().chain(&later).enumerate() {
        ground_truth.check(number, &node.registry);
        outcome.withdrawn_seen += u64::from(hands_out(&node.registry, &gone));
    }
    outcome.forged_accepted += ground_truth.false_relays() as u64;
    outcome.forged_offered = attack_records.offered(Kind::is_forged);
    outcome.replayed_offered = attack_records.offered(|kind| !kind.is_forged());
    outcome.refused = refusals(first.iter().chain(&later));
    outcome.seconds = begun.elapsed().as_secs_f64();
    Ok(outcome)
}

/// Notes what the first joining nodes found, and what it took.
fn discovered(nodes: &[JoiningNode], wanted: usize, outcome: &mut Outcome) {
    outcome.discovered_share = least_share(nodes, wanted);
    outcome.first_relay = slowest(nodes, |node| node.first);
    outcome.all_relays = slowest(nodes, time_to_enough);
    outcome.all_relays_median = median(nodes, time_to_enough);
    let costs = || nodes.iter().filter_map(|node| Some(node.enough?.1));
    outcome.requests_shards = Spread::of(costs().map(|cost| cost.shards));
    outcome.requests_records = Spread::of(costs().map(|cost| cost.records));
    outcome.bytes = Spread::of(costs().map(|cost| cost.bytes));
}

/// The relays that most nodes know, these first.
fn best_known(relays: &[Arc<Relay>], nodes: &[JoiningNode]) -> Vec<Arc<Relay>> {
    let knowing = |relay: &Arc<Relay>| {
        let id = relay.id();
        nodes
            .iter()
            .filter(|node| node.registry.is_relay(&id))
            .count()
    };
    let mut relays = relays.to_vec();
    relays.sort_by_cached_key(|relay| Reverse(knowing(relay)));
    relays.truncate(MAX_CAPTURED);
    relays
}

fn time_to_enough(node: &JoiningNode) -> Option<Duration> {
    node.enough.map(|(time, _)| time)
}

fn least_share(nodes: &[JoiningNode], wanted: usize) -> f64 {
    let found = nodes.iter().map(|node| node.found).min();
    found.unwrap_or(0) as f64 / wanted as f64
}

/// The longest of these times; `None` if one is missing.
fn slowest(
    nodes: &[JoiningNode],
    time: impl Fn(&JoiningNode) -> Option<Duration>,
) -> Option<Duration> {
    sorted(nodes, time)?.pop()
}

/// The median of these times; `None` if one is missing.
fn median(
    nodes: &[JoiningNode],
    time: impl Fn(&JoiningNode) -> Option<Duration>,
) -> Option<Duration> {
    let times = sorted(nodes, time)?;
    times.get(times.len() / 2).copied()
}

fn sorted(
    nodes: &[JoiningNode],
    time: impl Fn(&JoiningNode) -> Option<Duration>,
) -> Option<Vec<Duration>> {
    let mut times: Vec<Duration> = nodes.iter().map(time).collect::<Option<_>>()?;
    times.sort_unstable();
    Some(times)
}

/// What joining nodes refused, by reason, most frequent first.
fn refusals<'a>(nodes: impl Iterator<Item = &'a JoiningNode>) -> Vec<(RejectReason, u64)> {
    let stats: Vec<_> = nodes.map(JoiningNode::stats).collect();
    let count = |reason| stats.iter().map(|stats| stats.refused(reason)).sum();
    let mut refusals: Vec<(RejectReason, u64)> = RejectReason::ALL
        .into_iter()
        .map(|reason| (reason, count(reason)))
        .filter(|(_, count)| *count > 0)
        .collect();
    refusals.sort_by_key(|(_, count)| Reverse(*count));
    refusals
}
