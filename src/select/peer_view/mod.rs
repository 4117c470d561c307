//! [`PeerView`]: what a peer knows of its own round trips to relays.

mod decode_error;
mod wire;

pub use decode_error::PeerViewDecodeError;

use crate::coordinates::Coordinate;
use crate::errors::PeerViewError;
use crate::relay::NodeId;
use crate::rtt::sane_micros;
use std::time::Duration;

/// What a peer knows of its own round trips to relays: those that it measured to the nearest
/// few, and its network coordinate.
///
/// Peers measure this, and tell it to the node that finds relays for them. In
/// [`FindOptions`](crate::FindOptions) it lets the registry rank relays by the whole path, and
/// not by this node's leg alone. A peer that lies gets a worse relay; other peers do not. The
/// registry [remembers](crate::Registry::update_peer) the views that the embedder gives it; the
/// embedder decides which peers it trusts. A view travels as [bytes](Self::to_bytes).
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
    /// The most measured relays of a view.
    pub const MAX_MEASURED: usize = 3;

    /// An empty view.
    pub const fn new() -> Self {
        Self {
            measured: [None; Self::MAX_MEASURED],
            coordinate: None,
        }
    }

    /// Adds the round trip to a relay as the peer measured it, in whole microseconds. A later
    /// one for the same relay replaces it.
    ///
    /// Add the relays that are nearest to the peer. Relays that are not registered are
    /// ignored.
    ///
    /// # Errors
    ///
    /// [`PeerViewError`] if the round trip is above
    /// [`MAX_RTT`](crate::MAX_RTT), or the view is full.
    pub fn measured(mut self, relay: NodeId, rtt: Duration) -> Result<Self, PeerViewError> {
        let micros = sane_micros(rtt).ok_or(PeerViewError::InvalidRtt { rtt })?;
        let mut entries = self.measured.iter_mut();
        let entry = entries.find(|entry| entry.is_none_or(|(known, _)| known == relay));
        *entry.ok_or(PeerViewError::Full)? = Some((relay, micros));
        Ok(self)
    }

    /// Sets the network coordinate of the peer.
    pub const fn coordinate(mut self, coordinate: Coordinate) -> Self {
        self.coordinate = Some(coordinate);
        self
    }

    /// The relays that the peer measured, in the order in which they were added, and their round
    /// trips.
    ///
    /// ```
    /// use relay_registry::{NodeId, PeerView};
    /// use std::time::Duration;
    ///
    /// let [near, far] = [1, 2].map(|n| NodeId::from([n; 32]));
    /// let ms = Duration::from_millis;
    /// let view = PeerView::new().measured(near, ms(7))?.measured(far, ms(70))?;
    /// assert!(view.round_trips().eq([(near, ms(7)), (far, ms(70))]));
    /// # Ok::<(), relay_registry::PeerViewError>(())
    /// ```
    pub fn round_trips(&self) -> impl Iterator<Item = (NodeId, Duration)> {
        self.pairs()
            .map(|(relay, micros)| (*relay, Duration::from_micros(micros.into())))
    }

    /// The network coordinate of the peer, if the view has one.
    ///
    /// ```
    /// use relay_registry::{PeerView, Vivaldi};
    ///
    /// let coordinate = Vivaldi::new().coordinate();
    /// assert_eq!(PeerView::new().coordinate(coordinate).position(), Some(coordinate));
    /// assert_eq!(PeerView::new().position(), None);
    /// ```
    #[must_use]
    pub const fn position(&self) -> Option<Coordinate> {
        self.coordinate
    }

    /// Whether the view says nothing: no round trip, and no coordinate.
    ///
    /// ```
    /// use relay_registry::{PeerView, Vivaldi};
    ///
    /// assert!(PeerView::new().is_empty());
    /// assert!(!PeerView::new().coordinate(Vivaldi::new().coordinate()).is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs().next().is_none() && self.coordinate.is_none()
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
    fn a_view_holds_three_relays_and_the_last_round_trip_of_each() {
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
    fn a_round_trip_above_the_maximum_is_an_error() {
        let rtt = crate::limits::MAX_RTT + MILLI;
        let added = PeerView::new().measured(relay(1), rtt);
        assert_eq!(added, Err(PeerViewError::InvalidRtt { rtt }));
    }
}
