//! [`Slot`]: one reservation.

use std::time::Instant;

use libp2p::PeerId;
use libp2p::core::transport::ListenerId;
use relay_registry::{Lease, NodeId};

/// One reservation, from the attempt to its end.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) node: NodeId,
    pub(super) relay: PeerId,
    pub(super) domain: Option<String>,
    pub(super) listener: ListenerId,
    pub(super) phase: Phase,
    /// The last answer to a ping, or the acceptance. `None` if no answers are expected.
    pub(super) answered: Option<Instant>,
    /// When it was accepted.
    pub(super) held_since: Option<Instant>,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// Asked for. The lease tells the registry which attempt succeeded or failed.
    Pending { since: Instant, lease: Box<Lease> },
    /// Accepted. The relay client of libp2p renews it.
    Held,
    /// It took too long, and does not count any more. libp2p 0.57 panics if a listener is
    /// removed before the relay has answered, so it stays until the relay does.
    Abandoned,
    /// Its removal was asked for.
    Closing,
}

impl Slot {
    pub(super) fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Pending { .. } | Phase::Held)
    }

    pub(super) fn is_pending(&self) -> bool {
        matches!(self.phase, Phase::Pending { .. })
    }

    pub(super) fn is_abandoned(&self) -> bool {
        matches!(self.phase, Phase::Abandoned)
    }

    pub(super) fn is_held(&self) -> bool {
        matches!(self.phase, Phase::Held)
    }
}
