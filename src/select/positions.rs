//! Where relays are, as of the last merge: network coordinates by record.

use crate::rtt::Coordinate;
use crate::table::Handle;

/// Coordinates of relays; empty as long as nobody told any.
#[derive(Debug, Default)]
pub(crate) struct Positions(Box<[Option<Position>]>);

#[derive(Clone, Copy, Debug)]
struct Position {
    generation: u32,
    coordinate: Coordinate,
}

impl Positions {
    pub(crate) fn new(known: impl Iterator<Item = (Handle, Coordinate)>) -> Self {
        let mut positions = Vec::new();
        for (relay, coordinate) in known {
            let place = relay.index as usize;
            if place >= positions.len() {
                positions.resize(place + 1, None);
            }
            positions[place] = Some(Position {
                generation: relay.generation,
                coordinate,
            });
        }
        Self(positions.into_boxed_slice())
    }

    #[inline]
    pub(crate) fn of(&self, relay: Handle) -> Option<&Coordinate> {
        let position = self.0.get(relay.index as usize)?.as_ref()?;
        (position.generation == relay.generation).then_some(&position.coordinate)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
