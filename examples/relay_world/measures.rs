//! The measures of how well relays were chosen.

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
        meaning: "round trip through the relay chosen, over that through the best one however loaded: median",
    },
    Measure {
        name: "stretch_p90",
        of: |outcome| outcome.requests.stretch(0.9),
        meaning: "the same, for all but the worst tenth",
    },
    Measure {
        name: "saturated_share",
        of: |outcome| outcome.meter.saturated_share(),
        meaning: "share of relay-time at 95 % of capacity or more",
    },
    Measure {
        name: "tries_mean",
        of: |outcome| outcome.requests.tries_mean(),
        meaning: "relays tried per request: 1 when the first took it",
    },
    Measure {
        name: "failed_share",
        of: |outcome| outcome.requests.failed_share(),
        meaning: "share of requests that found none although a relay would have taken them",
    },
];

impl Measure {
    pub fn figure(&self, value: f64) -> Figure {
        share(self.name, value, self.meaning)
    }
}
