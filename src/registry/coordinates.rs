//! Where this node and its relays are.
//!
//! The [`CoordinateMap`] is guarded by a lock that housekeeping and the telling of views
//! take, and nothing on the hot path does: what is measured there is left in a
//! [`MeasurementBuffer`] for the next pass. Finds see positions in the snapshot, as of
//! the last merge. All this begins with the first to ask for a coordinate or to
//! tell one; a registry that nobody does so with keeps no positions.

use crate::coordinates::{Coordinate, CoordinateMap};
use crate::limits::MAX_RTT;
use crate::registry::core::Core;
use crate::relay::NodeId;
use crate::select::PeerView;
use crate::sync::epoch;
use crate::sync::{AtomicBool, AtomicU64, Mutex, Ordering};
use crate::table::record::Handle;

/// The map, and what is on its way there.
#[derive(Debug, Default)]
pub(crate) struct Coordinates {
    map: Mutex<CoordinateMap>,
    enabled: AtomicBool,
    probes: MeasurementBuffer,
}

/// Measurements since the last pass; of those that share a place, the latest.
///
/// ```text
///  63      38 37       16 15      12 11        0
/// +----------+-----------+----------+-----------+
/// |generation|index/1024 | exponent | mantissa  |
/// +----------+-----------+----------+-----------+
/// ```
///
/// The rest of the index is the number of the place. A round trip has the precision of
/// its mantissa, a 2048th, which is more than a coordinate has. So all indices and
/// generations fit. Zero is *no measurement*.
#[derive(Debug)]
struct MeasurementBuffer(Box<[AtomicU64]>);

/// One of them, packed as the box is.
#[derive(Clone, Copy)]
struct Probe {
    relay: Handle,
    micros: u32,
}

const PROBES: u32 = if cfg!(relay_loom) { 1 } else { 1024 };
const MANTISSA_BITS: u32 = 12;
const EXPONENT_BITS: u32 = 4;
const MICROS_BITS: u32 = MANTISSA_BITS + EXPONENT_BITS;
const GENERATION_SHIFT: u32 = u64::BITS - Handle::GENERATION_BITS;
const ROUND_BITS: u32 = GENERATION_SHIFT - MICROS_BITS;

// In models there are few records and one place.
#[cfg(not(relay_loom))]
const _: () = assert!((u32::MAX / PROBES) >> ROUND_BITS == 0);
const _: () = assert!(MAX_RTT.as_micros() < 1 << (MANTISSA_BITS + (1 << EXPONENT_BITS) - 1));

impl Probe {
    #[cfg_attr(relay_loom, allow(clippy::modulo_one))]
    fn place(self) -> usize {
        (self.relay.index % PROBES) as usize
    }

    fn bits(self) -> u64 {
        let exponent = (u32::BITS - self.micros.leading_zeros()).saturating_sub(MANTISSA_BITS);
        let micros = exponent << MANTISSA_BITS | self.micros >> exponent;
        let round = u64::from(self.relay.index / PROBES) << MICROS_BITS;
        u64::from(self.relay.generation) << GENERATION_SHIFT | round | u64::from(micros)
    }

    /// What is in a place, if anything.
    fn from_bits(place: usize, bits: u64) -> Option<Self> {
        let mantissa = bits as u32 & ((1 << MANTISSA_BITS) - 1);
        let exponent = bits as u32 >> MANTISSA_BITS & ((1 << EXPONENT_BITS) - 1);
        let round = (bits >> MICROS_BITS) as u32 & ((1 << ROUND_BITS) - 1);
        (bits != 0).then(|| Self {
            relay: Handle {
                index: round * PROBES + place as u32,
                generation: (bits >> GENERATION_SHIFT) as u32,
            },
            micros: mantissa << exponent,
        })
    }
}

impl Default for MeasurementBuffer {
    fn default() -> Self {
        Self((0..PROBES).map(|_| AtomicU64::default()).collect())
    }
}

impl MeasurementBuffer {
    /// Leaves a round trip above zero, of at most [`MAX_RTT`].
    fn put(&self, probe: Probe) {
        // Relaxed: a measurement carries nothing but itself.
        self.0[probe.place()].store(probe.bits(), Ordering::Relaxed);
    }

    /// Takes all out.
    fn drain(&self) -> impl Iterator<Item = Probe> {
        let places = self.0.iter().enumerate();
        let left = places.filter(|(_, place)| place.load(Ordering::Relaxed) != 0);
        left.filter_map(|(at, place)| Probe::from_bits(at, place.swap(0, Ordering::Relaxed)))
    }
}

impl Coordinates {
    /// Notes what this node measured.
    #[inline]
    pub(super) fn buffer_rtt(&self, relay: Handle, micros: u32) {
        if self.is_enabled() {
            self.probes.put(Probe { relay, micros });
        }
    }

    /// The map, if anybody asked for it so far.
    pub(super) fn if_enabled(&self) -> Option<&Mutex<CoordinateMap>> {
        self.is_enabled().then_some(&self.map)
    }

    fn is_enabled(&self) -> bool {
        // Relaxed: those who see it late miss a measurement.
        self.enabled.load(Ordering::Relaxed)
    }

    fn enable(&self) {
        if !self.is_enabled() {
            self.enabled.store(true, Ordering::Relaxed);
        }
    }
}

impl Core {
    pub(super) fn coordinate(&self) -> Coordinate {
        self.coordinates.enable();
        self.coordinates.map.lock().own()
    }

    pub(super) fn relay_coordinate(&self, relay: &NodeId) -> Option<Coordinate> {
        self.coordinates.enable();
        if !self.is_live(relay, self.present()) {
            return None;
        }
        let map = self.coordinates.map.lock();
        map.provisional(relay).copied()
    }

    pub(super) fn update_peer(&self, peer: &NodeId, view: &PeerView) -> usize {
        self.coordinates.enable();
        let Some(coordinate) = &view.coordinate else {
            return 0;
        };
        let now = self.present();
        let mut map = self.coordinates.map.lock();
        let others = view.pairs().filter(|(relay, _)| *relay != peer);
        let held = others.filter(|(relay, _)| self.is_live(relay, now));
        let taken_in = held
            .filter(|(relay, micros)| map.reported(relay, coordinate, *micros).is_ok())
            .count();
        self.limit(&mut map);
        if taken_in > 0 {
            self.publication().note_reordering();
        }
        taken_in
    }

    /// Takes in what this node measured since the last pass.
    pub(super) fn apply_measurements(&self) {
        if !self.coordinates.is_enabled() {
            return;
        }
        let mut map = self.coordinates.map.lock();
        for Probe { relay, micros } in self.coordinates.probes.drain() {
            if let Some(relay) = self.identity_of(relay) {
                // An outlier is left out, and that is that.
                let _ = map.measured(&relay, micros);
                self.publication().note_reordering();
            }
        }
        self.limit(&mut map);
    }

    fn identity_of(&self, relay: Handle) -> Option<NodeId> {
        let guard = epoch::pin();
        let record = self.table.record_at(relay.index, &guard)?;
        (record.handle() == relay).then(|| record.identity())
    }

    /// Whether relays are held is asked without a pin: of a full map, of all.
    fn limit(&self, map: &mut CoordinateMap) {
        let most = 2 * self.table.max_relays() + 1024;
        // Those that are gone come back to where they were.
        map.limit(most, |relay| {
            let (hash, guard) = (self.table.hash(relay), epoch::pin());
            self.table.find_known(hash, relay, &guard).is_some()
        });
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::registry::{Maintenance, Registry};
    use proptest::prelude::*;
    use std::thread;
    use std::time::Duration;

    const MAX_MICROS: u32 = MAX_RTT.as_micros() as u32;
    const MAX_GENERATION: u32 = (1 << Handle::GENERATION_BITS) - 1;

    proptest! {
        #[test]
        fn a_probe_comes_out_of_the_box_as_it_was_put_in(
            index: u32,
            generation in 0..=MAX_GENERATION,
            micros in 1..=MAX_MICROS,
        ) {
            let (probes, relay) = (MeasurementBuffer::default(), Handle { index, generation });
            probes.put(Probe { relay, micros });
            let taken: Vec<Probe> = probes.drain().collect();
            prop_assert_eq!(taken.len(), 1);
            prop_assert_eq!(taken[0].relay, relay);
            let error = micros - taken[0].micros;
            prop_assert!(u64::from(error) * 2_048 <= u64::from(micros), "{}", error);
            prop_assert_eq!(probes.drain().count(), 0);
        }
    }

    /// A thread that waits for the lock of the atlas is not pinned.
    #[test]
    fn who_waits_for_the_atlas_does_not_hold_up_reclamation() {
        let (relay, peer) = (NodeId::from([1; 32]), NodeId::from([2; 32]));
        let registry = Registry::builder().maintenance(Maintenance::Manual);
        let registry = registry.build().expect("valid settings");
        let address = std::net::SocketAddr::from(([192, 0, 2, 1], 4433));
        registry.register(relay, address).expect("room");
        let view = PeerView::new().coordinate(registry.coordinate());
        let view = view.measured(relay, Duration::from_millis(9));
        let view = view.expect("a measurement");

        let core = registry.core();
        let map = core.coordinates.map.lock();
        thread::scope(|scope| {
            let calls = [
                scope.spawn(|| assert_eq!(registry.update_peer(&peer, &view), 1)),
                scope.spawn(|| {
                    // Known or not, as `learn` is first or last.
                    let _ = registry.relay_coordinate(&relay);
                }),
                scope.spawn(|| core.apply_measurements()),
            ];
            // In most runs they have come to the lock by the end of these.
            for _ in 0..200 {
                registry.register(peer, address).expect("room");
                assert!(registry.unregister(&peer));
                let mut tries = 0;
                while core.table.awaiting_reclamation() > 0 {
                    core.table.reclaim();
                    thread::yield_now();
                    tries += 1;
                    assert!(tries < 100_000, "nothing is reclaimed");
                }
            }
            assert!(calls.iter().all(|call| !call.is_finished()));
            drop(map);
        });
        assert!(registry.relay_coordinate(&relay).is_some());
    }

    #[test]
    fn the_ends_of_the_range_fit_in_the_box() {
        for (index, generation) in [(0, 0), (u32::MAX, MAX_GENERATION)] {
            for micros in [1, 4_095, 4_096, MAX_MICROS] {
                let probes = MeasurementBuffer::default();
                let relay = Handle { index, generation };
                probes.put(Probe { relay, micros });
                let taken = probes.drain().next().expect("it was put in");
                assert_eq!(taken.relay, relay);
                assert!(micros - taken.micros <= micros / 2_048);
            }
        }
    }
}
