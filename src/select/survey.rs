//! Relays as of a merge, for estimates that take no look at their records.

use crate::rtt::{Coordinate, Each, Places};
use crate::select::legs::{Views, sums};
use crate::table::Handle;

/// A relay as of a merge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surveyed {
    pub(crate) relay: Handle,
    /// The round trip from this node.
    pub(crate) own_micros: u32,
    pub(crate) position: Option<Coordinate>,
}

/// Some relays as of a merge, for estimates of all of them at once.
#[derive(Debug)]
pub(crate) struct Survey {
    len: usize,
    /// The round trips from this node.
    own_micros: Each,
    pub(crate) places: Places,
}

impl Survey {
    /// The first relays of these.
    pub(crate) fn new(relays: &[Surveyed]) -> Self {
        let mut own_micros = [0.0; Places::MANY];
        for (own, relay) in own_micros.iter_mut().zip(relays) {
            *own = relay.own_micros as f32;
        }
        Self {
            len: relays.len().min(Places::MANY),
            own_micros,
            places: Places::new(relays.iter().map(|relay| relay.position)),
        }
    }

    /// The paths through the relays that there are, in microseconds, where the
    /// peers' legs to them are these.
    #[inline]
    pub(crate) fn paths(&self, views: &Views<'_>, legs: &Each) -> Each {
        let mut paths = match views.requester() {
            None => sums(&self.own_micros, legs),
            Some(_) => *legs,
        };
        paths[self.len..].fill(f32::INFINITY);
        paths
    }
}
