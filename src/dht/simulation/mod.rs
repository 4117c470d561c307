//! A directory whose shards divide, with many relays that join and newcomers that read: the real
//! [`Placement`](super::publisher::Placement) of each relay and the real
//! [`Directory`](super::discovery::Directory) of each reader, over [`Memory`](super::Memory), in
//! simulated time.

mod network;
mod newcomer;

use std::collections::BTreeMap;

use network::{ShortLists, Simulation, SinceEpoch};
use newcomer::Newcomer;

use super::engine::{Faults, Kad, Lie, RawMemory, ShardPath};
use super::record::Network;
use crate::relay::NodeId;

/// What Mainline's shards hold.
const CAPACITY: usize = 28;

fn settled(relays: u32) -> Simulation {
    let mut simulation = Simulation::new(CAPACITY);
    simulation.add(relays);
    (0..3).for_each(|_| simulation.refresh());
    simulation
}

/// How many requests a newcomer needs to know of so many relays, for each of several newcomers.
fn requests(simulation: &Simulation, wanted: usize, newcomers: u64) -> Vec<u32> {
    let newcomers = (0..newcomers).map(|seed| {
        let mut newcomer = Newcomer::new(simulation, seed);
        newcomer.read_until(simulation, wanted);
        assert!(newcomer.known().len() >= wanted, "{newcomer:?}");
        newcomer.requests()
    });
    let mut requests: Vec<u32> = newcomers.collect();
    requests.sort_unstable();
    requests
}

#[test]
fn a_newcomer_knows_64_relays_after_30_requests_whatever_the_size() {
    for relays in [100, 300, 1_000, 10_000, 100_000] {
        let simulation = settled(relays);
        let requests = requests(&simulation, 64, 200);
        let (median, most) = (requests[100], requests[199]);
        println!("{relays} relays: {median} requests, {most} at most; {simulation:?}");
        assert!(most <= 30, "{relays} relays: {requests:?}");
    }
}

#[test]
fn all_relays_are_found_by_a_newcomer_that_wants_all() {
    for relays in [10, 100, 500, 2_000] {
        let simulation = settled(relays);
        let mut newcomer = Newcomer::new(&simulation, 1);
        newcomer.read_all(&simulation);
        assert_eq!(newcomer.known(), &simulation.relays(), "{relays} relays");
        let shards = newcomer.shards();
        println!("{relays} relays in {shards} shards, {simulation:?}");
        assert!(shards <= 8 + relays as usize / 5, "{shards} shards");
    }
}

#[test]
fn newcomers_sample_all_relays_alike() {
    let simulation = settled(5_000);
    let mut samples: BTreeMap<NodeId, u32> = BTreeMap::new();
    for seed in 0..2_000 {
        let mut newcomer = Newcomer::new(&simulation, seed);
        newcomer.read_until(&simulation, 64);
        for relay in newcomer.known() {
            *samples.entry(*relay).or_default() += 1;
        }
    }
    assert_eq!(samples.len(), 5_000, "some relays are never found");
    let mean = |ids: &[NodeId]| {
        let samples: u32 = ids.iter().map(|id| samples[id]).sum();
        f64::from(samples) / ids.len() as f64
    };
    let ids = simulation.in_order_of_age();
    let all = mean(&ids);
    let oldest = mean(&ids[..500]) / all;
    let youngest = mean(&ids[4_500..]) / all;
    let most = f64::from(*samples.values().max().unwrap()) / all;
    println!("oldest {oldest}, youngest {youngest}, most {most}, of {all}");
    assert!((0.85..1.15).contains(&oldest) && (0.85..1.15).contains(&youngest));
    assert!(most < 4.0);
}

#[test]
fn no_shard_is_asked_much_more_than_others() {
    let mut simulation = settled(10_000);
    simulation.forget_requests();
    simulation.refresh();
    for seed in 0..500 {
        let mut newcomer = Newcomer::new(&simulation, seed);
        newcomer.read_until(&simulation, 64);
        newcomer.go_on(&simulation, 3_600);
    }
    let by_depth = simulation.requests_per_shard();
    println!("{by_depth:?}");
    let mean = by_depth.values().sum::<f64>() / by_depth.len() as f64;
    assert!(by_depth.values().all(|requests| *requests < 4.0 * mean));
}

#[test]
fn halves_of_a_network_that_shrinks_join_again() {
    let mut simulation = settled(5_000);
    let deepest = simulation.mean_depth();
    simulation.keep(200);
    (0..24).for_each(|_| simulation.refresh());
    println!("from depth {deepest} to {}", simulation.mean_depth());
    // 25 relays for each root. Halves that are more than a quarter full stay.
    assert!(simulation.mean_depth() < 2.0, "{simulation:?}");
    let mut newcomer = Newcomer::new(&simulation, 1);
    newcomer.read_all(&simulation);
    assert_eq!(newcomer.known(), &simulation.relays());
}

#[test]
fn a_reader_sees_relays_that_left_after_a_sweep_and_those_that_moved() {
    let mut simulation = settled(200);
    let mut newcomer = Newcomer::new(&simulation, 1);
    newcomer.read_all(&simulation);
    simulation.add(2_000);
    (0..3).for_each(|_| {
        newcomer.go_on(&simulation, 3_600);
        simulation.refresh();
    });
    newcomer.go_on(&simulation, 7_200);
    newcomer.read_all(&simulation);
    assert_eq!(newcomer.known(), &simulation.relays());
}

#[test]
fn shards_that_are_full_of_noise_hide_no_relay() {
    let mut simulation = settled(1_000);
    for path in simulation
        .shards()
        .into_iter()
        .filter(|path| path.shard() < 4)
    {
        simulation.fill_with_noise(path);
    }
    for _ in 0..2 {
        let mut newcomer = Newcomer::new(&simulation, 1);
        newcomer.read_all(&simulation);
        assert!(newcomer.known().is_superset(&simulation.relays()));
        simulation.refresh();
    }
}

#[test]
fn a_false_mark_hides_no_relay_and_ends() {
    let mut simulation = settled(100);
    for shard in 0..8 {
        let root = ShardPath::root(shard);
        let children = [false, true].map(|bit| root.child(bit).unwrap());
        for path in [root, children[0], children[1]] {
            simulation.divide(path);
        }
    }
    for _ in 0..3 {
        simulation.refresh();
        let mut newcomer = Newcomer::new(&simulation, 1);
        newcomer.read_all(&simulation);
        assert_eq!(newcomer.known(), &simulation.relays());
    }
    (0..8).for_each(|_| simulation.refresh());
    // Halves that are more than a quarter full stay.
    assert!(simulation.mean_depth() < 1.0, "{simulation:?}");
}

#[test]
fn storage_nodes_that_fail_lie_and_forget_hide_few_relays() {
    for faults in [
        Faults::new().loss(0.3),
        Faults::new().stale(0.3),
        Faults::new().lie(Lie::Nothing, 0.3),
        Faults::new().lie(Lie::Garbage, 0.3),
        Faults::new().lie(Lie::Foreign, 0.2),
    ] {
        let mut simulation = Simulation::new(CAPACITY);
        simulation.set_faults(&faults);
        simulation.add(2_000);
        (0..3).for_each(|_| {
            simulation.forget_a_node();
            simulation.refresh();
        });
        let requests = requests(&simulation, 64, 50);
        println!(
            "{faults:?}: {} requests, {} at most",
            requests[25], requests[49]
        );
        assert!(requests[25] <= 30, "{faults:?}: {requests:?}");
        let mut newcomer = Newcomer::new(&simulation, 1);
        newcomer.read_all(&simulation);
        let found = newcomer.known().intersection(&simulation.relays()).count();
        assert!(found >= 1_980, "{faults:?}: {found} of 2,000");
    }
}

/// A network may mix nodes whose shards divide with nodes whose shards do not.
#[test]
fn nodes_of_another_depth_are_found_where_there_is_room() {
    let mut simulation = Simulation::new(CAPACITY);
    let raw = ShortLists(RawMemory::new(3));
    let clock = simulation.clock();
    let kad = move |max_depth| {
        Kad::new(raw.clone(), Network::default())
            .with_max_depth(max_depth)
            .with_clock(SinceEpoch(clock.clone()))
    };
    simulation.set_engine(kad(0));
    simulation.add(60);
    simulation.set_engine(kad(16));
    simulation.add(400);
    (0..3).for_each(|_| simulation.refresh());
    let mut newcomer = Newcomer::new(&simulation, 1);
    newcomer.read_all(&simulation);
    assert_eq!(newcomer.known(), &simulation.relays());
}
