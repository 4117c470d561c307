//! Where this node and its relays are.
//!
//! The [`CoordinateMap`] is behind a lock that maintenance and the calls about positions
//! take. The hot path does not take it: what is measured there goes into a
//! [`MeasurementBuffer`], and the next pass applies it. Finds see positions in the snapshot,
//! as of the last merge. All this begins with the first call that asks for a coordinate or
//! gives one; until then a registry keeps no positions.

use crate::coordinates::{Coordinate, CoordinateMap};
use crate::footprint::Footprint;
use crate::registry::measurement_buffer::{BufferedRtt, MeasurementBuffer};
use crate::registry::relays::Relays;
use crate::relay::NodeId;
use crate::select::PeerView;
use crate::sync::epoch;
use crate::sync::{AtomicBool, Mutex, Ordering};
use crate::table::record::Handle;
use crate::time::Tick;

/// The map, and what is on its way there.
#[derive(Debug, Default)]
pub(crate) struct Coordinates {
    pub(super) map: Mutex<CoordinateMap>,
    enabled: AtomicBool,
    buffer: MeasurementBuffer,
}

impl Coordinates {
    /// Buffers a round trip that this node measured.
    #[inline]
    pub(super) fn buffer_rtt(&self, relay: Handle, micros: u32) {
        if self.is_enabled() {
            self.buffer.put(BufferedRtt { relay, micros });
        }
    }

    pub(super) fn footprint(&self) -> Footprint {
        let map = self.if_enabled().map(|map| map.lock().footprint());
        map.unwrap_or_default() + self.buffer.footprint()
    }

    /// The map, if any call has asked for it so far.
    pub(super) fn if_enabled(&self) -> Option<&Mutex<CoordinateMap>> {
        self.is_enabled().then_some(&self.map)
    }

    fn is_enabled(&self) -> bool {
        // Relaxed: a thread that sees it late drops a measurement.
        self.enabled.load(Ordering::Relaxed)
    }

    fn enable(&self) {
        if !self.is_enabled() {
            self.enabled.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn own(&self) -> Coordinate {
        self.enable();
        self.map.lock().own()
    }

    pub(super) fn of_relay(&self, relays: &Relays, relay: &NodeId) -> Option<Coordinate> {
        self.enable();
        if !relays.is_live(relay, relays.present()) {
            return None;
        }
        let map = self.map.lock();
        map.provisional(relay).copied()
    }

    pub(super) fn update_peer(
        &self,
        relays: &Relays,
        peer: &NodeId,
        view: &PeerView,
        now: Tick,
    ) -> usize {
        self.enable();
        let Some(coordinate) = &view.coordinate else {
            return 0;
        };
        let mut map = self.map.lock();
        let others = view.pairs().filter(|(relay, _)| *relay != peer);
        let held = others.filter(|(relay, _)| relays.is_live(relay, now));
        let applied = held
            .filter(|(relay, micros)| map.reported(relay, coordinate, *micros).is_ok())
            .count();
        limit(relays, &mut map);
        if applied > 0 {
            relays.publication().mark_unsorted();
        }
        applied
    }

    /// Applies what this node measured since the last pass to the map.
    pub(super) fn apply_measurements(&self, relays: &Relays) {
        if !self.is_enabled() {
            return;
        }
        let mut map = self.map.lock();
        for BufferedRtt { relay, micros } in self.buffer.drain() {
            if let Some(relay) = identity_of(relays, relay) {
                // An outlier is left out.
                let _ = map.measured(&relay, micros);
                relays.publication().mark_unsorted();
            }
        }
        limit(relays, &mut map);
    }
}

#[cfg(feature = "persistence")]
impl Coordinates {
    /// Changes the map of a registry that is just being built.
    pub(super) fn restore(&self, relays: &Relays, restore: impl FnOnce(&mut CoordinateMap)) {
        self.enable();
        let mut map = self.map.lock();
        restore(&mut map);
        limit(relays, &mut map);
        relays.publication().mark_unsorted();
    }
}

fn identity_of(relays: &Relays, relay: Handle) -> Option<NodeId> {
    let guard = epoch::pin();
    let record = relays.table.record_at(relay.index, &guard)?;
    (record.handle() == relay).then(|| record.identity())
}

/// Bounds the map. Each relay is looked up under a pin of its own: in a full map, all are.
fn limit(relays: &Relays, map: &mut CoordinateMap) {
    let most = 2 * relays.table.max_relays() + 1024;
    // Those that are gone keep their positions: most of them return.
    map.limit(most, |relay| {
        let (hash, guard) = (relays.table.hash(relay), epoch::pin());
        relays.table.find_known(hash, relay, &guard).is_some()
    });
}
