//! Contenders that take turns.
//!
//! Each turn is short and is timed in chunks that are shorter still; what a
//! turn says is the median of its chunks, so what disturbs the machine for a
//! moment disturbs none, and what lasts disturbs all contenders alike. Ratios
//! are taken round by round, and their median counts.

use crate::results;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Calls timed at once, unless a contender says otherwise.
pub const CHUNK: usize = 128;

/// Something done again and again.
pub struct Contender<'a> {
    name: String,
    /// One turn; nanoseconds per call.
    turn: Box<dyn FnMut() -> f64 + 'a>,
    turns: Vec<f64>,
}

/// How a contender did in all rounds.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub name: String,
    /// Median nanoseconds per call.
    pub nanos: f64,
    /// The first contender's over this one's.
    pub ratio: f64,
}

impl<'a> Contender<'a> {
    pub fn new(name: impl Into<String>, turn: impl FnMut() -> f64 + 'a) -> Self {
        Self {
            name: name.into(),
            turn: Box::new(turn),
            turns: Vec::new(),
        }
    }

    /// One turn by itself; nanoseconds per call.
    pub fn turn(&mut self) -> f64 {
        (self.turn)()
    }

    /// The same, with something done before each turn.
    pub fn after(self, prepare: impl Fn() + 'a) -> Self {
        let mut turn = self.turn;
        Self::new(self.name, move || {
            prepare();
            turn()
        })
    }

    /// Does something to one key after another; true as long as it does what is
    /// measured. Keys are copied to one place before they are timed: a caller
    /// has the id at hand, and an id of ours is larger than one of a peer's.
    pub fn of_keys<K: Copy>(
        name: impl Into<String>,
        chunks: usize,
        keys: &'a [K],
        act: impl Fn(&K) -> bool + 'a,
    ) -> Self {
        let mut queries = keys.iter().cycle();
        let mut times = Vec::with_capacity(chunks);
        Self::new(name, move || {
            times.clear();
            for _ in 0..chunks {
                let chunk: [K; CHUNK] = std::array::from_fn(|_| *queries.next().expect("endless"));
                let chunk = black_box(chunk);
                let start = Instant::now();
                let done = chunk.iter().filter(|key| act(black_box(key))).count();
                times.push(per_call(start.elapsed(), CHUNK));
                assert_eq!(done, CHUNK, "something else was done");
            }
            median(&mut times)
        })
    }

    /// Does the same so many times in a chunk.
    pub fn of_calls<R>(
        name: impl Into<String>,
        chunks: usize,
        calls: usize,
        mut act: impl FnMut() -> R + 'a,
    ) -> Self {
        let mut times = Vec::with_capacity(chunks);
        Self::new(name, move || {
            times.clear();
            for _ in 0..chunks {
                let start = Instant::now();
                for _ in 0..calls {
                    black_box(act());
                }
                times.push(per_call(start.elapsed(), calls));
            }
            median(&mut times)
        })
    }
}

impl<'a> Contender<'a> {
    /// Does something that may take nanoseconds or a second: one call by itself
    /// decides how many make a chunk, and how many chunks a turn.
    pub fn of_any_cost<R>(name: impl Into<String>, mut act: impl FnMut() -> R + 'a) -> Self {
        const CHUNK_NANOS: f64 = 10_000.0;
        const TURN_NANOS: f64 = 1_000_000.0;
        black_box(act());
        let start = Instant::now();
        black_box(act());
        let once = per_call(start.elapsed(), 1);
        let calls = (CHUNK_NANOS / once).clamp(1.0, 64.0);
        let chunks = (TURN_NANOS / (once * calls)).clamp(3.0, 32.0);
        Self::of_calls(name, chunks as usize, calls as usize, act)
    }
}

pub fn per_call(time: Duration, calls: usize) -> f64 {
    time.as_secs_f64() * 1e9 / calls as f64
}

/// Lets each have its turn, round after round; the first of them is ours.
pub fn take_turns(rounds: usize, contenders: &mut [Contender<'_>]) -> Vec<Outcome> {
    const WARM_UP: usize = 2;
    for round in 0..rounds + WARM_UP {
        for contender in &mut *contenders {
            let nanos = (contender.turn)();
            if round >= WARM_UP {
                contender.turns.push(nanos);
            }
        }
    }
    let ours = contenders[0].turns.clone();
    let outcome = |contender: &mut Contender<'_>| {
        let pairs = ours.iter().zip(&contender.turns);
        let mut ratios: Vec<f64> = pairs.map(|(ours, theirs)| ours / theirs).collect();
        Outcome {
            name: contender.name.clone(),
            nanos: median(&mut contender.turns),
            ratio: median(&mut ratios),
        }
    };
    contenders.iter_mut().map(outcome).collect()
}

/// Prints what came out, and keeps it.
pub fn report(group: &str, relays: usize, outcomes: &[Outcome]) {
    println!("\n{group}, {relays} relays");
    println!("  {:<40} {:>12} {:>14}", "", "ns per call", "ours / theirs");
    for outcome in outcomes {
        let Outcome { name, nanos, ratio } = outcome;
        println!("  {name:<40} {nanos:>12.1} {ratio:>14.4}");
        results::keep(group, relays, name, *nanos, *ratio);
    }
}

pub fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The mean of each contender's figures over several instances.
pub fn mean_of(instances: &[Vec<Outcome>]) -> Vec<Outcome> {
    let mean = |place: usize, figure: fn(&Outcome) -> f64| {
        let figures = instances.iter().map(|outcomes| figure(&outcomes[place]));
        figures.sum::<f64>() / instances.len() as f64
    };
    let names = instances[0].iter().map(|outcome| outcome.name.clone());
    (0..)
        .zip(names)
        .map(|(place, name)| Outcome {
            name,
            nanos: mean(place, |outcome| outcome.nanos),
            ratio: mean(place, |outcome| outcome.ratio),
        })
        .collect()
}
