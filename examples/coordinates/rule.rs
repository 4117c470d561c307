//! Estimates of the leg from a relay to the target.

use std::time::Duration;

use relay_registry::Coordinate;

/// What a target publishes.
pub struct View {
    pub coordinate: Coordinate,
    /// The relays nearest to it and the round trips to them, nearest first.
    pub nearest: Vec<(usize, Duration)>,
}

/// How the leg is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Not at all: the relay nearest to the requester is chosen.
    OneSided,
    /// The distance between the coordinates.
    Coordinates,
    /// Nearest relays exactly, the others by coordinates.
    Published,
    /// Nearest relays exactly, the others by right angles at those.
    RightAngles,
    /// Nearest relays exactly, the others as detours by the nearest one.
    Detour,
    /// Nearest relays exactly, the others midway between the bounds of the
    /// triangles.
    Midway,
}

pub const RULES: [Rule; 6] = [
    Rule::OneSided,
    Rule::Coordinates,
    Rule::Published,
    Rule::RightAngles,
    Rule::Detour,
    Rule::Midway,
];

impl Rule {
    /// The estimated leg from `relay` to the target, where relays are at `places`.
    pub fn estimate(self, relay: usize, view: &View, places: &[Coordinate]) -> Duration {
        let published = view.nearest.iter().find(|(near, _)| *near == relay);
        match (self, published) {
            (Self::OneSided, _) => Duration::ZERO,
            (Self::Coordinates, _) => view.coordinate.rtt_to(&places[relay]),
            (_, Some((_, rtt))) => *rtt,
            (Self::Published, _) => view.coordinate.rtt_to(&places[relay]).max(view.third()),
            (Self::RightAngles, _) => {
                let near = view.nearest.iter().map(|&(near, rtt)| (places[near], rtt));
                let near: Vec<_> = near.collect();
                places[relay].rtt_by(&near).unwrap_or(Duration::ZERO)
            }
            (Self::Detour, _) => {
                let (near, rtt) = view.nearest[0];
                rtt + places[relay].rtt_to(&places[near])
            }
            (Self::Midway, _) => view.midway(relay, places),
        }
    }
}

impl View {
    /// No other relay is nearer than the last that was published.
    fn third(&self) -> Duration {
        self.nearest.last().map_or(Duration::ZERO, |&(_, rtt)| rtt)
    }

    fn midway(&self, relay: usize, places: &[Coordinate]) -> Duration {
        let sides = || {
            let to_relay = |near: usize| places[relay].rtt_to(&places[near]);
            self.nearest
                .iter()
                .map(move |&(near, rtt)| (to_relay(near), rtt))
        };
        let most = sides().map(|(d, b)| d + b).min();
        let least = sides().map(|(d, b)| d.abs_diff(b)).max();
        let midway = (most.unwrap_or_default() + least.unwrap_or_default()) / 2;
        midway.max(self.third())
    }
}
