//! What happens, one thing after the other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use relay_registry::NodeId;
use relay_registry::dht::{Network, RejectReason};

use crate::args::Args;
use crate::attack::{Arsenal, Kind};
use crate::census::{Census, hands_out};
use crate::error::Failure;
use crate::intervals::Intervals;
use crate::net::{self, Net};
use crate::newcomer::{Newcomer, Search};
use crate::outcome::Outcome;
use crate::progress::Progress;
use crate::relay::Relay;
use crate::siege::Siege;

/// How often it is looked who is published.
const LOOK: Duration = Duration::from_millis(10);

/// How many relays start, or end, at a time.
const AT_ONCE: usize = 8;

/// Runs it all.
pub fn run(args: &Args, progress: &Progress) -> Result<Outcome, Failure> {
    let begun = Instant::now();
    let network = Network::new(b"mesh").map_err(Failure::registry)?;
    let intervals = Intervals::of(args.engine, network);
    let arsenal = Arc::<Arsenal>::default();
    let mut outcome = Outcome {
        refresh: intervals.refresh,
        registries: args.relays,
        ..Outcome::default()
    };

    progress.begin("the DHT starts", args.nodes);
    let mut net = net::start(args, intervals, Arc::clone(&arsenal))?;
    progress.begin("relays publish themselves", args.relays);
    let relays = start(args.relays, &*net, intervals, args.seed)?;
    outcome.published = wait_for_publication(&relays, args.deadline, progress);
    outcome.published_in = begun.elapsed();

    let mut census = Census::of(relays.iter().map(|relay| (relay.id(), relay.address())));
    let mut expected: BTreeSet<NodeId> = relays.iter().map(Relay::id).collect();
    let search = Search {
        intervals,
        deadline: args.deadline,
        newcomers: args.newcomers,
    };
    progress.begin("newcomers find them", args.newcomers);
    let newcomers = search.by_newcomers(&expected, &*net, args.seed)?;
    outcome.discovered_share = least_share(&newcomers, expected.len());
    outcome.first_relay = slowest(&newcomers, |newcomer| newcomer.first);
    outcome.all_relays = slowest(&newcomers, |newcomer| newcomer.all);

    net.infiltrate()?;
    let mut siege = Siege::lay(
        &*net,
        intervals,
        &arsenal,
        args.seed,
        &newcomers,
        &mut census,
    )?;
    let gone = siege.run(&relays, progress, &mut outcome)?;

    progress.begin("half of the nodes die", args.newcomers);
    // A node that hears of a relay for the first time cannot know what it said before.
    arsenal.keep(Kind::is_forged);
    outcome.killed = net.kill_half();
    expected.remove(&gone);
    let later = search.by_newcomers(&expected, &*net, args.seed.wrapping_add(1_000))?;
    outcome.after_kill_share = least_share(&later, expected.len());
    outcome.after_kill = slowest(&later, |newcomer| newcomer.all);

    for (number, newcomer) in newcomers.iter().chain(&later).enumerate() {
        census.look_for_strays(number, &newcomer.registry);
        outcome.withdrawn_seen += u64::from(hands_out(&newcomer.registry, &gone));
    }
    outcome.forged_accepted += census.strays() as u64;
    outcome.forged_offered = arsenal.offered(Kind::is_forged);
    outcome.replayed_offered = arsenal.offered(|kind| !kind.is_forged());
    outcome.refused = refusals(newcomers.iter().chain(&later));
    progress.begin("good-bye", 1);
    part(relays);
    outcome.seconds = begun.elapsed().as_secs_f64();
    Ok(outcome)
}

/// Starts so many relays, a few at a time.
fn start(
    relays: usize,
    net: &dyn Net,
    intervals: Intervals,
    seed: u64,
) -> Result<Vec<Relay>, Failure> {
    let numbers: Vec<u64> = (0..relays as u64).collect();
    thread::scope(|scope| {
        let starters: Vec<_> = numbers
            .chunks(relays.div_ceil(AT_ONCE))
            .map(|numbers| {
                let relay = move |number: &u64| {
                    // Seeds of one run do not meet those of the next.
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

/// How many were published, as soon as all were or the deadline passed. (Once it
/// was, a relay is soon about to say the next thing.)
fn wait_for_publication(relays: &[Relay], deadline: Duration, progress: &Progress) -> usize {
    let begun = Instant::now();
    let mut waiting: Vec<&Relay> = relays.iter().collect();
    loop {
        waiting.retain(|relay| !relay.is_published());
        progress.reached(relays.len() - waiting.len());
        if waiting.is_empty() || begun.elapsed() > deadline {
            return relays.len() - waiting.len();
        }
        thread::sleep(LOOK);
    }
}

/// Ends relays, a few at a time: each takes its leave of the DHT.
fn part(mut relays: Vec<Relay>) {
    let share = relays.len().div_ceil(AT_ONCE);
    thread::scope(|scope| {
        while !relays.is_empty() {
            let leaving = relays.split_off(relays.len().saturating_sub(share));
            scope.spawn(move || drop(leaving));
        }
    });
}

fn least_share(newcomers: &[Newcomer], relays: usize) -> f64 {
    let found = newcomers.iter().map(|newcomer| newcomer.found).min();
    found.unwrap_or(0) as f64 / relays as f64
}

/// The longest of these times, if none is missing.
fn slowest(
    newcomers: &[Newcomer],
    time: impl Fn(&Newcomer) -> Option<Duration>,
) -> Option<Duration> {
    let times: Option<Vec<Duration>> = newcomers.iter().map(time).collect();
    times?.into_iter().max()
}

/// What newcomers refused, by reason, most frequent first.
fn refusals<'a>(newcomers: impl Iterator<Item = &'a Newcomer>) -> Vec<(RejectReason, u64)> {
    let stats: Vec<_> = newcomers.map(Newcomer::stats).collect();
    let count = |reason| stats.iter().map(|stats| stats.refused(reason)).sum();
    let mut refusals: Vec<(RejectReason, u64)> = RejectReason::ALL
        .into_iter()
        .map(|reason| (reason, count(reason)))
        .filter(|(_, count)| *count > 0)
        .collect();
    refusals.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    refusals
}
