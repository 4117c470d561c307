//! Regrets, their percentiles, and the limits of these.

use std::fmt;

/// The most that the median, the 99th percentile and the worst may be.
#[derive(Clone, Copy, Debug)]
pub struct Bar {
    pub p50: f64,
    pub p99: f64,
    pub worst: f64,
}

/// For single answers and lists.
pub const SINGLE: Bar = Bar {
    p50: 1.01,
    p99: 1.04,
    worst: 1.07,
};

/// For pairs, by the estimates that the registry has.
pub const PAIR: Bar = Bar {
    p50: 1.02,
    p99: 1.05,
    worst: 1.10,
};

/// The registry computes scores in single precision.
pub const ROUNDING: f64 = 1e-5;

/// The regrets of several calls.
#[derive(Clone, Debug, Default)]
pub struct Regrets(Vec<f64>);

/// The percentiles of regrets.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    pub calls: usize,
    pub p50: f64,
    pub p99: f64,
    pub worst: f64,
}

impl Regrets {
    pub fn push(&mut self, regret: f64) {
        self.0.push(regret);
    }

    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub fn figures(&self) -> Figures {
        assert!(!self.0.is_empty(), "no call was made");
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |percent: usize| sorted[(sorted.len() - 1) * percent / 100];
        Figures {
            calls: sorted.len(),
            p50: at(50),
            p99: at(99),
            worst: at(100),
        }
    }
}

impl Figures {
    pub fn meets(&self, bar: &Bar) -> bool {
        let is_within = |figure: f64, most: f64| figure <= most * (1.0 + ROUNDING);
        is_within(self.p50, bar.p50)
            && is_within(self.p99, bar.p99)
            && is_within(self.worst, bar.worst)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            calls,
            p50,
            p99,
            worst,
        } = self;
        write!(f, "{p50:.4} / {p99:.4} / {worst:.4} of {calls} calls")
    }
}

/// The figures of one test. They are checked together at its end, so one failure does not hide others.
pub struct Report {
    bar: Bar,
    missed: Vec<String>,
}

impl Report {
    pub fn new(bar: Bar) -> Self {
        Self {
            bar,
            missed: Vec::new(),
        }
    }

    pub fn add(&mut self, what: &str, relays: usize, regrets: &Regrets) {
        let figures = regrets.figures();
        let row = format!("{what}, {relays} relays: {figures}");
        println!("{row}");
        if !figures.meets(&self.bar) {
            self.missed.push(row);
        }
    }

    #[track_caller]
    pub fn assert_met(self) {
        let Self { bar, missed } = self;
        assert!(missed.is_empty(), "above {bar:?}:\n{}", missed.join("\n"));
    }
}
