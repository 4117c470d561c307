//! Where the nodes are on the map, and what they are called.

use super::scaling::{self, Place};
use crate::cities;
use crate::world::World;

/// How many nodes are placed by their round trips at most: all relays and embedding nodes before others.
const MOST_SCALED: usize = 600;

pub struct Places {
    /// For each node, its place, if it is on the map.
    pub of: Vec<Option<Place>>,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Longitude and latitude in degrees.
    Globe,
    /// Scaled so that distances are round trips in ms, wrong by this share in the median.
    RoundTrips { error: f64 },
}

impl Places {
    pub fn new(world: &World, is_built_in: bool) -> Self {
        if is_built_in {
            Self::on_the_globe(world)
        } else {
            Self::by_round_trips(world)
        }
    }

    fn on_the_globe(world: &World) -> Self {
        let place = |node| {
            let site = cities::site(node);
            Some((site.longitude, site.latitude))
        };
        Self {
            of: (0..world.nodes()).map(place).collect(),
            kind: Kind::Globe,
        }
    }

    fn by_round_trips(world: &World) -> Self {
        let relays = world.relays.iter().map(|relay| relay.node);
        let others = (0..world.nodes())
            .filter(|&node| world.relay_at(node).is_none() && world.home_at(node).is_none());
        let all = world.homes.iter().copied().chain(relays).chain(others);
        let placed: Vec<usize> = all.take(MOST_SCALED).collect();
        let scaled = scaling::scale(placed.len(), |a, b| world.rtt_ms(placed[a], placed[b]));
        let mut of = vec![None; world.nodes()];
        for (&node, &place) in placed.iter().zip(&scaled.places) {
            of[node] = Some(place);
        }
        Self {
            of,
            kind: Kind::RoundTrips {
                error: scaled.error,
            },
        }
    }
}

/// What a node is called: a site of a city, or its number in the matrix, counted from 1 as its lines are.
pub fn name(node: usize, is_built_in: bool) -> String {
    if is_built_in {
        let site = cities::site(node);
        format!("{} {}", site.city, site.number)
    } else {
        format!("node {}", node + 1)
    }
}

/// What the numbers of sites mean.
pub fn sites() -> String {
    let kinds = cities::LAST_MILES.iter().zip(1..);
    let kinds = kinds.map(|((kind, ms), number)| format!("{number} {kind} ({ms} ms)"));
    kinds.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_has_a_name_of_its_own() {
        assert_eq!(name(0, true), "London 1");
        assert_eq!(name(359, true), "Santiago 6");
        assert_eq!(name(359, false), "node 360");
        assert!(sites().starts_with("1 data centre (0.5 ms), 2 campus"));
    }
}
