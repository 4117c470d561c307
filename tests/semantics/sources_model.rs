//! `sync_source` beside registrations, departures and time, compared with a model: maps of tags
//! and relays.

use crate::common::*;
use proptest::prelude::*;
use relay_registry::{RegisterOptions, SourceRelay};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const TAGS: [&str; 3] = ["file", "dns", "http"];
const IDS: u32 = 5;
/// In ticks.
const TTL_TICKS: u64 = 4;

#[derive(Clone, Copy, Debug)]
struct Entry {
    relay: u32,
    /// Zero is refused.
    capacity: Option<u32>,
    has_domain: bool,
}

#[derive(Clone, Debug)]
enum Op {
    Sync(usize, Vec<Entry>),
    Register(u32),
    Unregister(u32),
    Advance(u64),
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let capacity = prop::option::of(prop_oneof![Just(0), 1..5_u32]);
    (0..IDS, capacity, any::<bool>()).prop_map(|(relay, capacity, has_domain)| Entry {
        relay,
        capacity,
        has_domain,
    })
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..TAGS.len(), prop::collection::vec(any_entry(), 0..5))
            .prop_map(|(tag, list)| Op::Sync(tag, list)),
        1 => (0..IDS).prop_map(Op::Register),
        1 => (0..IDS).prop_map(Op::Unregister),
        1 => (0..=TTL_TICKS).prop_map(Op::Advance),
    ]
}

#[derive(Debug, Default)]
struct Model {
    now: u64,
    /// Deadline, capacity and whether it has a failure domain.
    relays: BTreeMap<u32, (u64, u32, bool)>,
    tags: [BTreeSet<u32>; TAGS.len()],
}

/// Registered, renewed, removed, refused.
type Counts = [usize; 4];

impl Model {
    fn sync(&mut self, tag: usize, list: &[Entry]) -> Counts {
        // The last entry of each id, in the place of the first.
        let mut order: Vec<u32> = list.iter().map(|entry| entry.relay).collect();
        let mut seen = BTreeSet::new();
        order.retain(|relay| seen.insert(*relay));
        let last: BTreeMap<u32, Entry> = list.iter().map(|it| (it.relay, *it)).collect();
        let before = std::mem::take(&mut self.tags[tag]);
        let mut counts = [0; 4];
        for relay in order {
            let Entry {
                capacity,
                has_domain,
                ..
            } = last[&relay];
            let deadline = self.now + TTL_TICKS;
            if capacity != Some(0) {
                let announced = (deadline, capacity.unwrap_or(100), has_domain);
                let was = self.relays.insert(relay, announced);
                counts[usize::from(was.is_some())] += 1;
                self.tags[tag].insert(relay);
                continue;
            }
            counts[3] += 1;
            if before.contains(&relay) {
                self.tags[tag].insert(relay);
                if let Some(known) = self.relays.get_mut(&relay) {
                    known.0 = deadline;
                }
            }
        }
        for relay in before.iter().filter(|relay| !seen.contains(relay)) {
            if !self.tags.iter().any(|members| members.contains(relay)) {
                counts[2] += usize::from(self.relays.remove(relay).is_some());
            }
        }
        counts
    }

    fn register(&mut self, relay: u32) {
        let deadline = self.now + TTL_TICKS;
        let known = self.relays.entry(relay).or_insert((0, 100, false));
        known.0 = deadline;
    }

    fn advance(&mut self, ticks: u64) {
        self.now += ticks;
        self.relays.retain(|_, (deadline, ..)| *deadline > self.now);
    }
}

fn sync(world: &World, tag: usize, list: &[Entry]) -> Counts {
    let relay = |entry: &Entry| {
        let mut options = RegisterOptions::new();
        if let Some(capacity) = entry.capacity {
            options = options.capacity(capacity);
        }
        if entry.has_domain {
            options = options.failure_domain("rack");
        }
        SourceRelay::new(id(entry.relay), endpoint(entry.relay)).with_options(options)
    };
    let report = world
        .sync_source(TAGS[tag], list.iter().map(relay))
        .unwrap();
    assert_eq!(report.returned, 0);
    [
        report.registered,
        report.renewed,
        report.removed,
        report.refused.len(),
    ]
}

fn held(world: &World) -> BTreeMap<u32, (u32, bool)> {
    let relays = world.relays().into_iter();
    let held = relays.map(|relay| {
        let announced = (relay.capacity(), relay.failure_domain().is_some());
        (number(relay.node_id()), announced)
    });
    held.collect()
}

proptest! {
    #[test]
    fn sources_are_as_the_model_says(ops in prop::collection::vec(any_op(), 1..30)) {
        let world = world_with(|builder| {
            let ttl = TICK * TTL_TICKS as u32;
            builder.ttl(ttl).return_grace(Duration::ZERO)
        });
        let mut model = Model::default();
        for op in ops {
            match &op {
                Op::Sync(tag, list) => {
                    prop_assert_eq!(sync(&world, *tag, list), model.sync(*tag, list), "{:?}", op);
                }
                Op::Register(relay) => {
                    world.register(id(*relay), endpoint(*relay)).unwrap();
                    model.register(*relay);
                }
                Op::Unregister(relay) => {
                    let was_there = model.relays.remove(relay).is_some();
                    prop_assert_eq!(world.unregister(&id(*relay)), was_there);
                }
                Op::Advance(ticks) => {
                    world.advance(TICK * *ticks as u32);
                    model.advance(*ticks);
                }
            }
            let expected = model.relays.iter().map(|(relay, (_, capacity, domain))| (*relay, (*capacity, *domain)));
            prop_assert_eq!(held(&world), expected.collect::<BTreeMap<_, _>>(), "{:?}", op);
        }
    }
}
