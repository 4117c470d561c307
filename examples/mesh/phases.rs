//! The phases of a run, in order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use relay_registry::NodeId;
use relay_registry::dht::{Network, RejectReason};

use crate::args::Args;
use crate::attack::{AttackRecords, AttackScenario, Kind};
use crate::error::Failure;
use crate::ground_truth::{GroundTruth, hands_out};
use crate::intervals::Intervals;
use crate::joining_node::{JoiningNode, Search};
use crate::net::{self, Net};
use crate::outcome::Outcome;
use crate::progress::Progress;
use crate::relay::Relay;

/// How often the published relays are counted.
const POLL: Duration = Duration::from_millis(10);

/// How many threads start relays, or stop them.
const THREADS: usize = 8;

pub fn run(args: &Args, progress: &Progress) -> Result<Outcome, Failure> {
    let begun = Instant::now();
    let network = Network::new(b"mesh").map_err(Failure::registry)?;
    let intervals = Intervals::of(args.engine, network);
    let attack_records = Arc::<AttackRecords>::default();
    let mut outcome = Outcome {
        refresh: intervals.refresh,
        registries: args.relays,
        ..Outcome::default()
    };

    progress.begin("the DHT starts", args.nodes);
    let mut net = net::start(args, intervals, Arc::clone(&attack_records))?;
    progress.begin("relays publish themselves", args.relays);
    let relays = start(args.relays, &*net, intervals, args.seed)?;
    outcome.published = wait_for_publication(&relays, args.deadline, progress);
    outcome.published_in = begun.elapsed();

    let mut ground_truth =
        GroundTruth::of(relays.iter().map(|relay| (relay.id(), relay.address())));
    let mut expected: BTreeSet<NodeId> = relays.iter().map(Relay::id).collect();
    let search = Search {
        intervals,
        deadline: args.deadline,
        nodes: args.joining,
    };
    progress.begin("joining nodes find them", args.joining);
    let first = search.by_joining_nodes(&expected, &*net, args.seed)?;
    outcome.discovered_share = least_share(&first, expected.len());
    outcome.first_relay = slowest(&first, |node| node.first);
    outcome.all_relays = slowest(&first, |node| node.all);

    net.infiltrate()?;
    let mut scenario = AttackScenario::start(
        &*net,
        intervals,
        &attack_records,
        args.seed,
        &first,
        &mut ground_truth,
    )?;
    let gone = scenario.run(&relays, progress, &mut outcome)?;

    progress.begin("half of the nodes stop", args.joining);
    // A node that knows no record of a relay cannot tell that an old one is replayed.
    attack_records.retain_kinds(Kind::is_forged);
    outcome.killed = net.kill_half();
    expected.remove(&gone);
    let later = search.by_joining_nodes(&expected, &*net, args.seed.wrapping_add(1_000))?;
    outcome.after_kill_share = least_share(&later, expected.len());
    outcome.after_kill = slowest(&later, |node| node.all);

    for (number, node) in first.iter().chain(&later).enumerate() {
        ground_truth.check(number, &node.registry);
        outcome.withdrawn_seen += u64::from(hands_out(&node.registry, &gone));
    }
    outcome.forged_accepted += ground_truth.false_relays() as u64;
    outcome.forged_offered = attack_records.offered(Kind::is_forged);
    outcome.replayed_offered = attack_records.offered(|kind| !kind.is_forged());
    outcome.refused = refusals(first.iter().chain(&later));
    progress.begin("relays shut down", 1);
    shut_down(relays);
    outcome.seconds = begun.elapsed().as_secs_f64();
    Ok(outcome)
}

fn start(
    relays: usize,
    net: &dyn Net,
    intervals: Intervals,
    seed: u64,
) -> Result<Vec<Relay>, Failure> {
    let numbers: Vec<u64> = (0..relays as u64).collect();
    thread::scope(|scope| {
        let starters: Vec<_> = numbers
            .chunks(relays.div_ceil(THREADS))
            .map(|numbers| {
                let relay = move |number: &u64| {
                    // So runs with consecutive seeds share no seed of a relay.
                    let seed = (seed << 16).wrapping_add(*number);
                    Relay::start(net, intervals, seed)
                };
                scope.spawn(move || numbers.iter().map(relay).collect::<Result<Vec<_>, _>>())
            })
            .collect();
        let mut started = Vec::with_capacity(relays);
        for starter in starters {
            let panicked = |_| Err(Failure::registry("a relay panicked"));
            started.extend(starter.join().unwrap_or_else(panicked)?);
        }
        Ok(started)
    })
}

/// Returns how many were published once all were, or the deadline passed. A relay counts once it was
/// published, since it soon has a next record to publish.
fn wait_for_publication(relays: &[Relay], deadline: Duration, progress: &Progress) -> usize {
    let begun = Instant::now();
    let mut waiting: Vec<&Relay> = relays.iter().collect();
    loop {
        waiting.retain(|relay| !relay.is_published());
        progress.reached(relays.len() - waiting.len());
        if waiting.is_empty() || begun.elapsed() > deadline {
            return relays.len() - waiting.len();
        }
        thread::sleep(POLL);
    }
}

/// Stops relays; each withdraws its record from the DHT.
fn shut_down(mut relays: Vec<Relay>) {
    let share = relays.len().div_ceil(THREADS);
    thread::scope(|scope| {
        while !relays.is_empty() {
            let stopping = relays.split_off(relays.len().saturating_sub(share));
            scope.spawn(move || drop(stopping));
        }
    });
}

fn least_share(nodes: &[JoiningNode], relays: usize) -> f64 {
    let found = nodes.iter().map(|node| node.found).min();
    found.unwrap_or(0) as f64 / relays as f64
}

/// The longest of these times; `None` if one is missing.
fn slowest(
    nodes: &[JoiningNode],
    time: impl Fn(&JoiningNode) -> Option<Duration>,
) -> Option<Duration> {
    let times: Option<Vec<Duration>> = nodes.iter().map(time).collect();
    times?.into_iter().max()
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
    refusals.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    refusals
}
