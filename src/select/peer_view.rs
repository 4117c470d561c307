//! [`PeerView`]: what a peer knows of its own distance to relays.

use crate::coordinates::Coordinate;
use crate::errors::PeerViewError;
use crate::relay::NodeId;
use crate::rtt::sane_micros;
use std::time::Duration;

/// What a peer knows of its own distance to relays: the round trips that it
/// measured to the few nearest to it, and its network coordinate.
///
/// Peers measure this and tell it to the node that brokers for them; given in
/// [`FindOptions`](crate::FindOptions), it lets the registry judge the whole
/// path rather than this node's leg of it. A peer that lies gets a worse relay,
/// and no other peer does. To remember views, and to decide whom to believe, is
/// the embedder's business.
///
/// ```
/// use relay_registry::{FindOptions, NodeId, PeerView};
/// use std::time::Duration;
///
/// let near = NodeId::from([1; 32]);
/// let view = PeerView::new().measured(near, Duration::from_millis(7))?;
/// let options = FindOptions::new().target_view(view);
/// # let _ = options;
/// # Ok::<(), relay_registry::PeerViewError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[must_use]
pub struct PeerView {
    measured: [Option<(NodeId, u32)>; PeerView::MAX_MEASURED],
    pub(crate) coordinate: Option<Coordinate>,
}

impl PeerView {
    /// How many measured relays a view holds at most.
    pub const MAX_MEASURED: usize = 3;

    /// A view that says nothing.
    pub const fn new() -> Self {
        Self {
            measured: [None; Self::MAX_MEASURED],
            coordinate: None,
        }
    }

    /// With the round trip to a relay as the peer measured it, to the
    /// microsecond; given again, the later counts.
    ///
    /// Give the relays that are nearest to the peer. Those not registered here
    /// are ignored.
    ///
    /// # Errors
    ///
    /// [`PeerViewError`] if the round trip is above
    /// [`MAX_RTT`](crate::MAX_RTT), or the view is full.
    pub fn measured(mut self, relay: NodeId, rtt: Duration) -> Result<Self, PeerViewError> {
        let micros = sane_micros(rtt).ok_or(PeerViewError::InvalidRtt { rtt })?;
        let mut places = self.measured.iter_mut();
        let place = places.find(|place| place.is_none_or(|(known, _)| known == relay));
        *place.ok_or(PeerViewError::Full)? = Some((relay, micros));
        Ok(self)
    }

    /// With the peer's network coordinate.
    pub const fn coordinate(mut self, coordinate: Coordinate) -> Self {
        self.coordinate = Some(coordinate);
        self
    }

    /// The relays that the peer measured.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&NodeId, u32)> {
        self.measured
            .iter()
            .flatten()
            .map(|(relay, micros)| (relay, *micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    fn relay(n: u8) -> NodeId {
        NodeId::from([n; 32])
    }

    #[test]
    fn a_view_holds_three_relays_and_the_last_word_on_each() {
        let mut view = PeerView::new();
        for n in 1..=3 {
            view = view.measured(relay(n), MILLI * n.into()).unwrap();
        }
        assert_eq!(view.measured(relay(4), MILLI), Err(PeerViewError::Full));
        let again = view.measured(relay(2), MILLI * 9).unwrap();
        let pairs: Vec<_> = again.pairs().map(|(id, micros)| (*id, micros)).collect();
        assert_eq!(
            pairs,
            [(relay(1), 1_000), (relay(2), 9_000), (relay(3), 3_000)]
        );
    }

    #[test]
    fn a_round_trip_that_cannot_be_is_refused() {
        let rtt = crate::MAX_RTT + MILLI;
        let refused = PeerView::new().measured(relay(1), rtt);
        assert_eq!(refused, Err(PeerViewError::InvalidRtt { rtt }));
    }
}
