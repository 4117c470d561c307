//! What of a circuit outlives the process.

use super::{BANNED, Circuit, LEVEL_SHIFT, OUTAGE, State, UNTIL_MASK};
use crate::time::Tick;

/// The lowest of the bits that are saved: all above the sequence, which only leases know.
const SAVED_SHIFT: u32 = super::SEQUENCE_SHIFT + super::SEQUENCE_MASK.trailing_ones();

const _: () = assert!(OUTAGE == 1 << SAVED_SHIFT && SAVED_SHIFT < LEVEL_SHIFT);

impl Circuit {
    /// The most that the bits to save can be.
    pub(crate) const MAX_SAVED: u16 = (u64::MAX >> SAVED_SHIFT) as u16;

    /// The bits to save, from `outage` on; the tick is saved apart.
    pub(crate) fn saved_bits(self) -> u16 {
        (self.0 >> SAVED_SHIFT) as u16
    }

    /// The circuit of which these bits were saved, with its tick, in a process that starts at
    /// `now`.
    ///
    /// The caller that had the relay on trial is gone with the other process, so a trial may begin
    /// when the next one would have. An outage of the node's own network ended with that process,
    /// so relays that failed in it are on trial at once.
    pub(crate) fn restored(saved: u16, until: Tick, now: Tick) -> Self {
        let saved = u64::from(saved.min(Self::MAX_SAVED)) << SAVED_SHIFT;
        let circuit = Self(saved | until.0.min(UNTIL_MASK));
        let is_outage = circuit.0 & OUTAGE != 0 && circuit.0 & BANNED == 0;
        match circuit.state() {
            State::Open | State::HalfOpen | State::Trial if is_outage => {
                let over = circuit.moved(State::HalfOpen, circuit.level(), now);
                Self(over.0 & !OUTAGE)
            }
            State::Trial => {
                let open = circuit.moved(State::HalfOpen, circuit.level(), circuit.until());
                Self(open.0 | circuit.0 & BANNED)
            }
            State::Closed | State::Open | State::HalfOpen => circuit,
        }
    }
}
