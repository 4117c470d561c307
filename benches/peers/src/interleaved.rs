//! Interleaved measurement: in each round, one sample of every contender.
//!
//! A sample is short, and is timed in chunks. Its value is the median of its chunks, so a short
//! disturbance of the machine changes none, and a long one changes all contenders alike. The ratio of two
//! contenders is the median of the ratios of all rounds.

use crate::results;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// How many calls a chunk has by default.
pub const CHUNK: usize = 128;

/// An operation that is measured.
pub struct Contender<'a> {
    name: String,
    /// Takes one sample, in nanoseconds per call.
    sample: Box<dyn FnMut() -> f64 + 'a>,
    samples: Vec<f64>,
}

/// The result of a contender over all rounds.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub name: String,
    /// Median nanoseconds per call.
    pub nanos: f64,
    /// The time of the first contender divided by that of this one.
    pub ratio: f64,
}

impl<'a> Contender<'a> {
    pub fn new(name: impl Into<String>, sample: impl FnMut() -> f64 + 'a) -> Self {
        Self {
            name: name.into(),
            sample: Box::new(sample),
            samples: Vec::new(),
        }
    }

    /// Takes one sample, in nanoseconds per call.
    pub fn sample(&mut self) -> f64 {
        (self.sample)()
    }

    /// The same, with a preparation before each sample.
    pub fn after(self, prepare: impl Fn() + 'a) -> Self {
        let mut sample = self.sample;
        Self::new(self.name, move || {
            prepare();
            sample()
        })
    }

    /// Calls `act` for one key after another; it returns whether it did what is measured. Keys are
    /// copied to one place before they are timed, because a caller has its id in cache, and our ids are
    /// larger than those of the peers.
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
                assert_eq!(done, CHUNK, "not what is measured");
            }
            median(&mut times)
        })
    }

    /// Calls `act` `calls` times in each chunk.
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
    /// Calls `act`, which may take nanoseconds or a second. The time of one call decides how many calls a
    /// chunk has, and how many chunks a sample.
    pub fn of_any_cost<R>(name: impl Into<String>, mut act: impl FnMut() -> R + 'a) -> Self {
        const CHUNK_NANOS: f64 = 10_000.0;
        const SAMPLE_NANOS: f64 = 1_000_000.0;
        black_box(act());
        let start = Instant::now();
        black_box(act());
        let once = per_call(start.elapsed(), 1);
        let calls = (CHUNK_NANOS / once).clamp(1.0, 64.0);
        let chunks = (SAMPLE_NANOS / (once * calls)).clamp(3.0, 32.0);
        Self::of_calls(name, chunks as usize, calls as usize, act)
    }
}

pub fn per_call(time: Duration, calls: usize) -> f64 {
    time.as_secs_f64() * 1e9 / calls as f64
}

/// Takes one sample of each contender in every round. The first contender is this crate.
pub fn measure_interleaved(rounds: usize, contenders: &mut [Contender<'_>]) -> Vec<Outcome> {
    const WARM_UP: usize = 2;
    for round in 0..rounds + WARM_UP {
        for contender in &mut *contenders {
            let nanos = (contender.sample)();
            if round >= WARM_UP {
                contender.samples.push(nanos);
            }
        }
    }
    let ours = contenders[0].samples.clone();
    let outcome = |contender: &mut Contender<'_>| Outcome {
        name: contender.name.clone(),
        ratio: median_ratio(&ours, &contender.samples),
        nanos: median(&mut contender.samples),
    };
    contenders.iter_mut().map(outcome).collect()
}

/// Prints the outcomes, and appends them to the results.
pub fn report(group: &str, relays: usize, outcomes: &[Outcome]) {
    println!("\n{group}, {relays} relays");
    println!("  {:<40} {:>12} {:>14}", "", "ns per call", "ours / theirs");
    for outcome in outcomes {
        let Outcome { name, nanos, ratio } = outcome;
        println!("  {name:<40} {nanos:>12.1} {ratio:>14.4}");
        results::keep(group, relays, name, *nanos, *ratio);
    }
}

/// The median of the ratios of all rounds.
pub fn median_ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    let pairs = ours.iter().zip(theirs);
    median(
        &mut pairs
            .map(|(ours, theirs)| ours / theirs)
            .collect::<Vec<_>>(),
    )
}

pub fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The means of each contender's figures over several instances.
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
