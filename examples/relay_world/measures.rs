//! How well relays were chosen.

use crate::figures::{Figure, share};
use crate::simulation::Outcome;

pub struct Measure {
    pub name: &'static str,
    pub of: fn(&Outcome) -> f64,
    pub meaning: &'static str,
}

pub const MEASURES: [Measure; 5] = [
    Measure {
        name: "stretch_p50",
        of: |outcome| outcome.requests.stretch(0.5),
        meaning: "round trip through the chosen relay, divided by that through the nearest, whatever its load: median",
    },
    Measure {
        name: "stretch_p90",
        of: |outcome| outcome.requests.stretch(0.9),
        meaning: "the same, 90th percentile",
    },
    Measure {
        name: "saturated_share",
        of: |outcome| outcome.meter.saturated_share(),
        meaning: "share of relay time at 95 % of capacity or more",
    },
    Measure {
        name: "tries_mean",
        of: |outcome| outcome.requests.tries_mean(),
        meaning: "relays tried per request; 1 if the first accepts",
    },
    Measure {
        name: "failed_share",
        of: |outcome| outcome.requests.failed_share(),
        meaning: "share of requests that found no relay although one had room",
    },
];

/// The measures of one simulation.
pub type Measured = [f64; MEASURES.len()];

/// The measure of this name.
pub fn value(measured: &Measured, name: &str) -> f64 {
    let named = MEASURES.iter().zip(measured);
    let mut named = named.filter(|(measure, _)| measure.name == name);
    named.next().map_or(f64::NAN, |(_, &value)| value)
}

impl Measure {
    pub fn figure(&self, value: f64) -> Figure {
        share(self.name, value, self.meaning)
    }
}
