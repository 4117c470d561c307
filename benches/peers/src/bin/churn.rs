//! Relays that come and go: a registration and a departure, compared with an insert and a remove of
//! concurrent maps, by one thread and by two.
//!
//! Each map holds so many relays throughout. A thread has ids of its own that come and go, one at a time.
//! *Returning* ids are the same 1,024 again and again, and the registry remembers them. *New* ids were
//! never there before, and the registry forgets them at once.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml --bin churn [-- RELAYS...]
//! ```

use relay_registry_peers::interleaved::{median, median_ratio};
use relay_registry_peers::maps::*;
use relay_registry_peers::{results, scaling};
use std::hint::black_box;

const ROUNDS: usize = 31;
/// How many ids of a thread return again and again.
const VISITORS: usize = 1_024;
/// Pairs between two looks at the clock.
const CHUNK: usize = 64;

#[derive(Clone, Copy)]
enum Ids {
    Returning,
    New,
}

fn main() {
    for relays in results::sizes(&[1_000, 100_000, 1_000_000]) {
        let ids = random_ids(relays);
        compare(
            relays,
            "returning",
            Ids::Returning,
            filled::<Ours>(&ids),
            &ids,
        );
        compare(relays, "new", Ids::New, filled::<OursForgetful>(&ids), &ids);
    }
}

/// Measures a registry beside the maps, in turns.
fn compare(relays: usize, group: &str, kind: Ids, ours: impl Map, ids: &[Id]) {
    let (plain, papaya, dashmap) = (
        filled::<PapayaPlain>(ids),
        filled::<Papaya>(ids),
        filled::<DashMap>(ids),
    );
    let names = [Ours::NAME, PapayaPlain::NAME, Papaya::NAME, DashMap::NAME];
    let measures: [&dyn Fn(usize, usize) -> f64; 4] = [
        &|turn, threads| pairs_per_second(&ours, turn, threads, kind),
        &|turn, threads| pairs_per_second(&plain, turn, threads, kind),
        &|turn, threads| pairs_per_second(&papaya, turn, threads, kind),
        &|turn, threads| pairs_per_second(&dashmap, turn, threads, kind),
    ];
    let mut rates = [const { [const { Vec::new() }; 2] }; 4];
    for turn in 0..ROUNDS {
        for (measure, rates) in measures.iter().zip(&mut rates) {
            for (threads, rates) in (1..).zip(rates) {
                rates.push(measure(turn, threads));
            }
        }
    }
    println!("\n{group} relays come and go, beside {relays}");
    println!(
        "  {:<22} {:>14} {:>14} {:>8}",
        "", "1 thread, M/s", "2 threads, M/s", "2 / 1"
    );
    let ours = rates[0].clone();
    for (name, rates) in names.iter().zip(&rates) {
        let scaling = median_ratio(&rates[1], &rates[0]);
        let [one, two] = [0, 1].map(|at| median(&mut rates[at].clone()) / 1e6);
        println!("  {name:<22} {one:>14.2} {two:>14.2} {scaling:>8.2}");
        let group = format!("churn, {group}");
        results::keep(
            &group,
            relays,
            &format!("{name}, one thread"),
            one,
            median_ratio(&ours[0], &rates[0]),
        );
        results::keep(
            &group,
            relays,
            &format!("{name}, two threads"),
            two,
            median_ratio(&ours[1], &rates[1]),
        );
        results::keep(
            &group,
            relays,
            &format!("{name}, two over one"),
            scaling,
            1.0,
        );
    }
}

fn filled<M: Map>(ids: &[Id]) -> M {
    let map = M::with_room_for(ids.len() + 2 * VISITORS);
    ids.iter().for_each(|&id| map.insert(id.into()));
    map
}

/// Pairs of an insert and a remove, by all threads.
fn pairs_per_second<M: Map>(map: &M, turn: usize, threads: usize, kind: Ids) -> f64 {
    scaling::rate(turn, threads, &|thread| {
        let mut visitors = Visitors::new::<M>(thread, kind);
        move || come_and_go(map, &mut visitors)
    })
}

fn come_and_go<M: Map>(map: &M, visitors: &mut Visitors<M::Key>) -> usize {
    let ids: [M::Key; CHUNK] = std::array::from_fn(|_| visitors.next());
    for id in black_box(ids) {
        map.insert(id);
        map.remove(&id);
    }
    CHUNK
}

/// The ids that come and go on one thread.
struct Visitors<K> {
    again: Vec<K>,
    next: usize,
    rng: fastrand::Rng,
    kind: Ids,
}

impl<K: Copy + From<Id>> Visitors<K> {
    /// The same ones for the same thread, if they return.
    fn new<M: Map<Key = K>>(thread: usize, kind: Ids) -> Self {
        let mut rng = fastrand::Rng::with_seed(thread as u64);
        let again = (0..VISITORS).map(|_| random(&mut rng).into()).collect();
        if matches!(kind, Ids::New) {
            rng = fastrand::Rng::new();
        }
        Self {
            again,
            next: 0,
            rng,
            kind,
        }
    }

    fn next(&mut self) -> K {
        match self.kind {
            Ids::New => random(&mut self.rng).into(),
            Ids::Returning => {
                self.next = (self.next + 1) % VISITORS;
                self.again[self.next]
            }
        }
    }
}

fn random(rng: &mut fastrand::Rng) -> Id {
    let mut id = [0; 32];
    rng.fill(&mut id);
    id
}
