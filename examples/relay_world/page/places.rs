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

/// What a node is called: its city, or its number in the matrix, counted from 1 as its lines are.
pub fn name(node: usize, is_built_in: bool) -> String {
    if is_built_in {
        cities::site(node).city.to_owned()
    } else {
        format!("node {}", node + 1)
    }
}

/// The same, with the kind of site.
pub fn full_name(node: usize, is_built_in: bool) -> String {
    if is_built_in {
        format!("{} ({})", name(node, true), cities::site(node).kind)
    } else {
        name(node, false)
    }
}
