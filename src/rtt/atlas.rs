//! Where the relays of one registry are, and where the registry itself is.

use super::{Coordinate, Landmark, Vivaldi};
use crate::errors::ObserveError;
use crate::table::Handle;

/// The positions of one registry's relays, and the coordinate of the node it is
/// on, all in one frame.
///
/// Relays and those who measure them form a bipartite net of springs: a node
/// finds itself by the relays' positions, the relays are found by the nodes'.
/// From nothing, all at the origin, both unfold together; none of it is a
/// relay's own claim.
///
/// A position lives as long as one life of its relay's record: the first sample
/// under another generation starts it afresh. There is one for each record index
/// up to the highest that was measured, 64 bytes each.
#[derive(Debug, Default)]
pub(crate) struct Atlas {
    own: Vivaldi,
    relays: Vec<Charted>,
}

/// A landmark, and the life of the record that it belongs to.
#[derive(Clone, Copy, Debug, Default)]
struct Charted {
    generation: u32,
    landmark: Landmark,
}

const _: () = assert!(size_of::<Charted>() <= 64);

impl Atlas {
    /// Where this node is, as far as it knows.
    pub(crate) fn own(&self) -> Coordinate {
        self.own.coordinate()
    }

    /// This node measured a sane round trip to the relay: both move, the node
    /// only if the sample is no outlier among its own.
    pub(crate) fn measured(&mut self, relay: Handle, micros: u32) -> Result<(), ObserveError> {
        let own = self.own.coordinate();
        let landmark = chart(&mut self.relays, relay);
        let at = landmark
            .provisional()
            .copied()
            .unwrap_or(Coordinate::ORIGIN);
        landmark.measure(&own, micros);
        self.own.take_in(&at, micros)
    }

    /// A peer at `peer` says that it measured a sane round trip to the relay,
    /// which moves if that is no outlier.
    pub(crate) fn learn(
        &mut self,
        relay: Handle,
        peer: &Coordinate,
        micros: u32,
    ) -> Result<(), ObserveError> {
        chart(&mut self.relays, relay).hear(peer, micros)
    }

    /// Where the relay is, once that is known well enough to choose by.
    #[inline]
    pub(crate) fn position(&self, relay: Handle) -> Option<&Coordinate> {
        self.landmark(relay)?.settled()
    }

    /// Where the relay is to the best of what is known, for nodes to find
    /// themselves by; the error tells them how much to make of it.
    pub(crate) fn provisional(&self, relay: Handle) -> Option<&Coordinate> {
        self.landmark(relay)?.provisional()
    }

    fn landmark(&self, relay: Handle) -> Option<&Landmark> {
        let charted = self.relays.get(relay.index as usize)?;
        (charted.generation == relay.generation).then_some(&charted.landmark)
    }
}

/// The landmark of the relay: a new one, if the last belonged to another life.
fn chart(relays: &mut Vec<Charted>, relay: Handle) -> &mut Landmark {
    let index = relay.index as usize;
    if index >= relays.len() {
        relays.resize(index + 1, Charted::default());
    }
    let charted = &mut relays[index];
    if charted.generation != relay.generation {
        *charted = Charted {
            generation: relay.generation,
            landmark: Landmark::new(),
        };
    }
    &mut charted.landmark
}
