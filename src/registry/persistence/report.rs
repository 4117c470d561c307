//! [`RestoreReport`]: what became of a save.

use crate::errors::RegisterError;
use crate::relay::NodeId;
use std::time::Duration;

/// What a registry took from the save that it was [restored](crate::RegistryBuilder::restore)
/// from.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RestoreReport {
    /// The time from the save to the start of this registry, by the
    /// [calendar](crate::RegistryBuilder::wall_clock). Zero if the calendar went back.
    pub elapsed: Duration,
    /// Relays that are live again.
    pub live: usize,
    /// Relays that are late, and may [return](crate::Registration::Returned).
    pub remembered: usize,
    /// Ids without a relay of which the operator's words are kept.
    pub settings: usize,
    /// Relays whose time and whose grace were over.
    pub expired: usize,
    /// Relays that a registration would be refused for, by the settings of this registry.
    pub refused: usize,
    /// One of those, and why.
    pub first_refused: Option<(NodeId, RegisterError)>,
    /// Relays, or words of the operator, for which there was no room.
    pub no_room: usize,
    /// Views of peers that are remembered again.
    pub peers: usize,
    /// Positions of relays.
    pub positions: usize,
    /// Records of other nodes' relays that are candidates again, to be probed.
    pub candidates: usize,
    /// Sequences of other nodes' records that protect against replays.
    pub sequences: usize,
}
