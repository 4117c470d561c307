//! Counts the cache lines that calls write, and those that move between the cores.
//!
//! Each of so many threads makes calls for ids of its own. The threads take turns, in random order:
//! one call at a time is recorded, and [`Caches`] follow the lines. Prints, separated by tabs:
//!
//! ```text
//! CORES MAP OPERATION lines|words  CLASS  MEAN      blocks of this class that a call writes
//! CORES MAP OPERATION moves        LINES  MEAN      so many lines move so often in each call
//! CORES MAP OPERATION line SHARE   MEAN   PLACE     one of the lines that move most: the share of the
//!                                                   calls that write it, its moves in each call,
//!                                                   and where in the program most of them are caused
//! ```

use fastrand::Rng;
use relay_registry_sharing::caches::{Caches, LINE, LineFigures, WORD, Writes};
use relay_registry_sharing::operations::{Runner, run_all};
use relay_registry_sharing::recorder::{Access, Recorder, pretend_cores};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// How many calls each core makes first, which are not counted.
const WARM_UP: usize = 128;
/// How many calls of each core are counted: a multiple of how often epochs are collected.
const COUNTED: usize = 256;
/// How many lines are printed one by one.
const PRINTED: usize = 16;

fn main() {
    let cores = std::env::args().nth(1).and_then(|it| it.parse().ok());
    let cores = cores.filter(|cores| (1..=64).contains(cores));
    let cores = cores.expect("usage: count CORES, at most 64");
    pretend_cores(cores);
    run_all(&mut Turns { cores });
}

/// Threads that take turns.
struct Turns {
    cores: usize,
}

impl Runner for Turns {
    fn calls(&self) -> usize {
        self.cores * (WARM_UP + COUNTED)
    }

    fn run(&mut self, map: &'static str, operation: &'static str, call: &(dyn Fn(usize) + Sync)) {
        let caches = self.follow(call);
        let report = Report {
            head: format!("{}\t{map}\t{operation}", self.cores),
            calls: f64::from(caches.calls()),
            shards: (self.cores * 4).min(64) as f64,
        };
        report.print(&caches);
    }
}

impl Turns {
    fn follow(&self, call: &(dyn Fn(usize) + Sync)) -> Caches {
        let caches = Mutex::<Caches>::default();
        let (done, is_done) = channel();
        thread::scope(|scope| {
            let start = |core| {
                let (turn, turns) = channel();
                let (caches, done) = (&caches, done.clone());
                scope.spawn(move || take_turns(core, &turns, &done, call, caches));
                turn
            };
            let turns: Vec<Sender<usize>> = (0..self.cores).map(start).collect();
            for (number, core) in self.order().into_iter().enumerate() {
                if number == self.cores * WARM_UP {
                    caches.lock().expect("no panic").reset();
                }
                turns[core].send(number).expect("the thread runs");
                is_done.recv().expect("the thread runs");
            }
        });
        caches.into_inner().expect("no panic")
    }

    /// All cores in random order, again and again.
    fn order(&self) -> Vec<usize> {
        let mut rng = Rng::with_seed(1);
        let rounds = (0..WARM_UP + COUNTED).flat_map(|_| {
            let mut round: Vec<_> = (0..self.cores).collect();
            rng.shuffle(&mut round);
            round
        });
        rounds.collect()
    }
}

/// The thread of a core.
fn take_turns(
    core: usize,
    turns: &Receiver<usize>,
    done: &Sender<()>,
    call: &(dyn Fn(usize) + Sync),
    caches: &Mutex<Caches>,
) {
    let mut recorder = Recorder::new();
    for number in turns {
        let accesses = recorder.record(|| call(number));
        follow_call(&mut caches.lock().expect("no panic"), core, accesses);
        done.send(()).expect("it is awaited");
    }
}

fn follow_call(caches: &mut Caches, core: usize, accesses: &[Access]) {
    caches.begin_call();
    for access in accesses {
        for line in access.blocks(LINE) {
            caches.touch_line(core, line, access.writes(), access.code);
        }
        if access.writes() {
            access
                .blocks(WORD)
                .for_each(|word| caches.write_word(core, word));
        }
    }
}

/// What is printed of an operation.
struct Report {
    head: String,
    calls: f64,
    shards: f64,
}

impl Report {
    fn print(&self, caches: &Caches) {
        let lines = caches.lines();
        self.print_classes("lines", lines.iter().map(|line| line.writes));
        self.print_classes("words", caches.words());
        self.print_moves(&lines);
        self.print_busiest(lines);
    }

    fn print_classes(&self, unit: &str, blocks: impl Iterator<Item = Writes>) {
        let mut sums = BTreeMap::<_, f64>::new();
        for writes in blocks.filter(|writes| writes.calls > 0) {
            *sums.entry(self.class(writes)).or_default() += self.share(writes.calls);
        }
        for (class, sum) in sums {
            println!("{}\t{unit}\t{class}\t{sum}", self.head);
        }
    }

    /// By which calls a block is written. Those of a part are for the relays of a shard, or for those
    /// below a node of a tree.
    fn class(&self, writes: Writes) -> &'static str {
        let share = self.share(writes.calls);
        if writes.by_one_core() && writes.calls > 1 {
            "thread"
        } else if share > 6.0 / self.shards {
            "registry"
        } else if share > 1.0 / 16.0 / self.shards {
            "part"
        } else {
            "relay"
        }
    }

    fn share(&self, calls: u32) -> f64 {
        f64::from(calls) / self.calls
    }

    fn print_moves(&self, lines: &[LineFigures]) {
        let mut counts = BTreeMap::<_, u32>::new();
        for line in lines.iter().filter(|line| line.moves > 0) {
            *counts.entry(line.moves).or_default() += 1;
        }
        for (moves, lines) in counts {
            println!("{}\tmoves\t{lines}\t{}", self.head, self.share(moves));
        }
    }

    fn print_busiest(&self, mut lines: Vec<LineFigures>) {
        lines.sort_by_key(|line| std::cmp::Reverse(line.moves));
        for line in lines.iter().take(PRINTED) {
            let Some(code) = line.code else { break };
            let (written, moved) = (self.share(line.writes.calls), self.share(line.moves));
            println!("{}\tline\t{written}\t{moved}\t{code:#x}", self.head);
        }
    }
}
