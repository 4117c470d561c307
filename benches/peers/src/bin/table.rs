//! Look-ups and renewals: this crate compared with concurrent maps.
//!
//! Measured with one thread, beside a writer that inserts and removes ids, and with two threads. Each map is
//! filled in an order of its own, so no order of allocation is the order of the queries. Each call pins
//! or locks by itself.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml --bin table [-- RELAYS...]
//! ```

use relay_registry::NodeId;
use relay_registry_peers::interleaved::{CHUNK, Contender, measure_interleaved, report};
use relay_registry_peers::maps::*;
use relay_registry_peers::results;
use relay_registry_peers::scaling;
use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const ROUNDS: usize = 101;
const CHUNKS: usize = 64;

/// How many ids the writer inserts and removes.
const VISITORS: usize = 256;
/// How often the writer inserts one id and removes another.
const PACE: Duration = Duration::from_micros(5);

fn main() {
    for relays in results::sizes(&[1_000, 100_000, 1_000_000]) {
        let maps = Maps::new(relays);
        maps.compare_hits();
        maps.compare_misses();
        maps.compare_renewals();
        maps.compare_beside_a_writer();
        maps.compare_threads();
    }
}

struct Maps {
    ids: Vec<Id>,
    nodes: Vec<NodeId>,
    ours: Ours,
    papaya_plain: PapayaPlain,
    papaya: Papaya,
    dashmap: DashMap,
    scc: Scc,
    flurry: Flurry,
    moka: Moka,
    locked: Locked,
    bare: Bare,
}

/// Does the same with every concurrent map, this crate first.
macro_rules! each_map {
    ($maps:expr, |$map:ident, $keys:ident| $act:expr) => {{
        let maps: &Maps = $maps;
        vec![
            {
                let ($map, $keys) = (&maps.ours, &maps.nodes);
                $act
            },
            {
                let ($map, $keys) = (&maps.papaya_plain, &maps.ids);
                $act
            },
            {
                let ($map, $keys) = (&maps.papaya, &maps.ids);
                $act
            },
            {
                let ($map, $keys) = (&maps.dashmap, &maps.ids);
                $act
            },
            {
                let ($map, $keys) = (&maps.scc, &maps.ids);
                $act
            },
            {
                let ($map, $keys) = (&maps.flurry, &maps.ids);
                $act
            },
            {
                let ($map, $keys) = (&maps.moka, &maps.ids);
                $act
            },
            {
                let ($map, $keys) = (&maps.locked, &maps.ids);
                $act
            },
        ]
    }};
}

impl Maps {
    fn new(relays: usize) -> Self {
        let mut ids = random_ids(relays);
        let ours: Ours = filled(&ids);
        ours.registry.maintain();
        fastrand::shuffle(&mut ids);
        let mut maps = Self {
            nodes: Vec::new(),
            ours,
            papaya_plain: filled(&ids),
            papaya: filled(&ids),
            dashmap: filled(&ids),
            scc: filled(&ids),
            flurry: filled(&ids),
            moka: filled(&ids),
            locked: filled(&ids),
            bare: Bare::of(&ids),
            ids,
        };
        fastrand::shuffle(&mut maps.ids);
        maps.nodes = maps.ids.iter().copied().map(NodeId::from).collect();
        maps
    }

    fn relays(&self) -> usize {
        self.ids.len()
    }

    fn compare_hits(&self) {
        let mut contenders = each_map!(self, |map, keys| hits(map, keys));
        contenders.push(Contender::of_keys(Bare::NAME, CHUNKS, &self.ids, |id| {
            self.bare.holds(id)
        }));
        report(
            "hit",
            self.relays(),
            &measure_interleaved(ROUNDS, &mut contenders),
        );
    }

    fn compare_misses(&self) {
        let absent = random_ids(self.relays().max(CHUNK));
        let absent_nodes: Vec<NodeId> = absent.iter().copied().map(NodeId::from).collect();
        let mut contenders = vec![
            misses(&self.ours, &absent_nodes),
            misses(&self.papaya_plain, &absent),
            misses(&self.dashmap, &absent),
            misses(&self.scc, &absent),
            misses(&self.flurry, &absent),
            misses(&self.moka, &absent),
            misses(&self.locked, &absent),
            Contender::of_keys(Bare::NAME, CHUNKS, &absent, |id| !self.bare.holds(id)),
        ];
        report(
            "miss",
            self.relays(),
            &measure_interleaved(ROUNDS, &mut contenders),
        );
    }

    fn compare_renewals(&self) {
        let renew = |id: &NodeId| self.ours.renews(id);
        let insert = |id: &Id| {
            self.papaya_plain
                .0
                .pin()
                .insert(*id, black_box(1))
                .is_some()
        };
        let mut contenders = [
            Contender::of_keys(Ours::NAME, CHUNKS, &self.nodes, renew),
            Contender::of_keys("papaya, insert of a present key", CHUNKS, &self.ids, insert),
        ];
        report(
            "renewal",
            self.relays(),
            &measure_interleaved(ROUNDS, &mut contenders),
        );
    }

    /// The writer writes to the map that is measured.
    fn compare_beside_a_writer(&self) {
        let visitors = random_ids(VISITORS);
        let visit = each_map!(self, |map, _keys| visit_of(map, &visitors));
        let (current, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
        let outcomes = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut step = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    visit[current.load(Ordering::Relaxed)](step);
                    step += 1;
                    while start.elapsed() < PACE {
                        spin_loop();
                    }
                }
            });
            let contenders = each_map!(self, |map, keys| hits(map, keys));
            let timed = (0..).zip(contenders).map(|(number, contender)| {
                let current = &current;
                contender.after(move || current.store(number, Ordering::Relaxed))
            });
            let outcomes = measure_interleaved(ROUNDS, &mut timed.collect::<Vec<_>>());
            is_over.store(true, Ordering::Relaxed);
            outcomes
        });
        report("hit beside a writer", self.relays(), &outcomes);
    }

    fn compare_threads(&self) {
        println!("\ntwo threads over one, {} relays", self.relays());
        let control = scaling::of_two_threads(|_| arithmetic);
        results::note("two threads", self.relays(), "arithmetic alone", control);
        let scalings = each_map!(self, |map, keys| (name_of(map), scaling_of(map, keys)));
        for (name, scaling) in scalings {
            results::note("two threads", self.relays(), name, scaling);
        }
    }
}

/// With room for the ids of the writer.
fn filled<M: Map>(ids: &[Id]) -> M {
    let map = M::with_room_for(ids.len() + VISITORS);
    ids.iter().for_each(|&id| map.insert(id.into()));
    map
}

fn name_of<M: Map>(_: &M) -> &'static str {
    M::NAME
}

fn hits<'a, M: Map>(map: &'a M, keys: &'a [M::Key]) -> Contender<'a> {
    Contender::of_keys(M::NAME, CHUNKS, keys, |id| map.holds(id))
}

fn misses<'a, M: Map>(map: &'a M, keys: &'a [M::Key]) -> Contender<'a> {
    Contender::of_keys(M::NAME, CHUNKS, keys, |id| !map.holds(id))
}

/// Inserts one id, and removes one that was inserted long ago.
fn visit_of<'a, M: Map>(map: &'a M, visitors: &[Id]) -> Box<dyn Fn(usize) + Send + Sync + 'a> {
    let visitors: Vec<M::Key> = visitors.iter().map(|&id| id.into()).collect();
    Box::new(move |step| {
        map.insert(visitors[step % VISITORS]);
        map.remove(&visitors[(step + VISITORS / 2) % VISITORS]);
    })
}

/// Work without shared memory: the best scaling of this machine.
fn arithmetic() -> usize {
    let mut number = black_box(1_u64);
    for _ in 0..10 * CHUNK {
        number = black_box(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number >> 29);
    }
    CHUNK
}

fn scaling_of<M: Map>(map: &M, keys: &[M::Key]) -> f64 {
    scaling::of_two_threads(|thread| {
        let mut queries = keys.iter().cycle().skip(thread * keys.len() / 2);
        move || {
            let chunk: [M::Key; CHUNK] = std::array::from_fn(|_| *queries.next().expect("endless"));
            let done = chunk.iter().filter(|key| map.holds(black_box(key))).count();
            assert_eq!(done, CHUNK, "something else was done");
            CHUNK
        }
    })
}
