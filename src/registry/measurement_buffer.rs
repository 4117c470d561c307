//! Round trips on their way from the hot path to the coordinate map.

use crate::footprint::Footprint;
use crate::limits::MAX_RTT;
use crate::sync::{AtomicU64, Ordering};
use crate::table::record::Handle;

/// Measurements since the last pass; of those that share a slot, the latest.
///
/// ```text
///  63      38 37       16 15      12 11        0
/// +----------+-----------+----------+-----------+
/// |generation|index/1024 | exponent | mantissa  |
/// +----------+-----------+----------+-----------+
/// ```
///
/// The rest of the index is the number of the slot. A round trip has the precision of
/// its mantissa, a 2048th, which is more than a coordinate has. So all indices and
/// generations fit. Zero is *no measurement*.
#[derive(Debug)]
pub(super) struct MeasurementBuffer(Box<[AtomicU64]>);

/// A round trip to a relay.
#[derive(Clone, Copy)]
pub(super) struct BufferedRtt {
    pub(super) relay: Handle,
    pub(super) micros: u32,
}

const SLOTS: u32 = if cfg!(relay_loom) { 1 } else { 1024 };
const MANTISSA_BITS: u32 = 12;
const EXPONENT_BITS: u32 = 4;
const MICROS_BITS: u32 = MANTISSA_BITS + EXPONENT_BITS;
const GENERATION_SHIFT: u32 = u64::BITS - Handle::GENERATION_BITS;
const ROUND_BITS: u32 = GENERATION_SHIFT - MICROS_BITS;

// In models there are few records and one slot.
#[cfg(not(relay_loom))]
const _: () = assert!((u32::MAX / SLOTS) >> ROUND_BITS == 0);
const _: () = assert!(MAX_RTT.as_micros() < 1 << (MANTISSA_BITS + (1 << EXPONENT_BITS) - 1));

impl BufferedRtt {
    #[cfg_attr(relay_loom, allow(clippy::modulo_one))]
    fn slot(self) -> usize {
        (self.relay.index % SLOTS) as usize
    }

    fn bits(self) -> u64 {
        let exponent = (u32::BITS - self.micros.leading_zeros()).saturating_sub(MANTISSA_BITS);
        let micros = exponent << MANTISSA_BITS | self.micros >> exponent;
        let round = u64::from(self.relay.index / SLOTS) << MICROS_BITS;
        u64::from(self.relay.generation) << GENERATION_SHIFT | round | u64::from(micros)
    }

    /// What is in a slot, if anything.
    fn from_bits(slot: usize, bits: u64) -> Option<Self> {
        let mantissa = bits as u32 & ((1 << MANTISSA_BITS) - 1);
        let exponent = bits as u32 >> MANTISSA_BITS & ((1 << EXPONENT_BITS) - 1);
        let round = (bits >> MICROS_BITS) as u32 & ((1 << ROUND_BITS) - 1);
        (bits != 0).then(|| Self {
            relay: Handle {
                index: round * SLOTS + slot as u32,
                generation: (bits >> GENERATION_SHIFT) as u32,
            },
            micros: mantissa << exponent,
        })
    }
}

impl Default for MeasurementBuffer {
    fn default() -> Self {
        Self((0..SLOTS).map(|_| AtomicU64::default()).collect())
    }
}

impl MeasurementBuffer {
    pub(super) fn footprint(&self) -> Footprint {
        Footprint::of_items::<AtomicU64>(self.0.len())
    }

    /// Stores a round trip above zero, of at most [`MAX_RTT`].
    pub(super) fn put(&self, measurement: BufferedRtt) {
        // Relaxed: a measurement carries nothing but itself.
        self.0[measurement.slot()].store(measurement.bits(), Ordering::Relaxed);
    }

    /// Takes all out.
    pub(super) fn drain(&self) -> impl Iterator<Item = BufferedRtt> {
        // Relaxed, as in `put`. The load comes first so that empty slots are not written.
        let slots = self.0.iter().enumerate();
        let left = slots.filter(|(_, slot)| slot.load(Ordering::Relaxed) != 0);
        left.filter_map(|(at, slot)| BufferedRtt::from_bits(at, slot.swap(0, Ordering::Relaxed)))
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX_MICROS: u32 = MAX_RTT.as_micros() as u32;
    const MAX_GENERATION: u32 = (1 << Handle::GENERATION_BITS) - 1;

    proptest! {
        #[test]
        fn a_measurement_is_drained_as_it_was_put(
            index: u32,
            generation in 0..=MAX_GENERATION,
            micros in 1..=MAX_MICROS,
        ) {
            let (buffer, relay) = (MeasurementBuffer::default(), Handle { index, generation });
            buffer.put(BufferedRtt { relay, micros });
            let taken: Vec<BufferedRtt> = buffer.drain().collect();
            prop_assert_eq!(taken.len(), 1);
            prop_assert_eq!(taken[0].relay, relay);
            let error = micros - taken[0].micros;
            prop_assert!(u64::from(error) * 2_048 <= u64::from(micros), "{}", error);
            prop_assert_eq!(buffer.drain().count(), 0);
        }
    }

    #[test]
    fn the_ends_of_the_range_fit() {
        for (index, generation) in [(0, 0), (u32::MAX, MAX_GENERATION)] {
            for micros in [1, 4_095, 4_096, MAX_MICROS] {
                let buffer = MeasurementBuffer::default();
                let relay = Handle { index, generation };
                buffer.put(BufferedRtt { relay, micros });
                let taken = buffer.drain().next().expect("it was put in");
                assert_eq!(taken.relay, relay);
                assert!(micros - taken.micros <= micros / 2_048);
            }
        }
    }
}
