//! Where this node and its relays are.
//!
//! The [`Atlas`] is guarded by a lock that housekeeping and the telling of views
//! take, and nothing on the hot path does: what is measured there is left in a
//! [`ProbeBox`] for the next pass. Finds see positions in the snapshot, as of
//! the last merge. All this begins with the first to ask for a coordinate or to
//! tell one; a registry that nobody does so with keeps no positions.

use crate::record::Handle;
use crate::registry::core::Core;
use crate::relay::NodeId;
use crate::rtt::{Atlas, Coordinate};
use crate::select::PeerView;
use crate::sync::epoch::{self, Guard};
use crate::sync::{AtomicBool, AtomicU64, Mutex, Ordering};

/// The atlas, and what is on its way there.
#[derive(Debug, Default)]
pub(crate) struct Geography {
    atlas: Mutex<Atlas>,
    in_use: AtomicBool,
    probes: ProbeBox,
}

/// Measurements since the last pass; of those that share a place, the latest.
///
/// ```text
///  63      48 47      24 23         0
/// +----------+----------+------------+
/// |generation|  index   |    RTT     |
/// +----------+----------+------------+
/// ```
#[derive(Debug)]
struct ProbeBox(Box<[AtomicU64]>);

const PROBES: usize = if cfg!(relay_loom) { 1 } else { 1024 };
const MICROS_BITS: u32 = 24;
const INDEX_BITS: u32 = 24;
const GENERATION_SHIFT: u32 = MICROS_BITS + INDEX_BITS;

impl Default for ProbeBox {
    fn default() -> Self {
        Self((0..PROBES).map(|_| AtomicU64::default()).collect())
    }
}

impl ProbeBox {
    /// Leaves a round trip above zero.
    fn put(&self, relay: Handle, micros: u32) {
        let generation = u64::from(relay.generation as u16) << GENERATION_SHIFT;
        let index = u64::from(relay.index) << MICROS_BITS;
        let place = relay.index as usize % self.0.len();
        // Relaxed: a measurement carries nothing but itself.
        self.0[place].store(generation | index | u64::from(micros), Ordering::Relaxed);
    }

    /// Takes all out: the index, the lower bits of the generation, the figure.
    fn drain(&self) -> impl Iterator<Item = (u32, u16, u32)> {
        let is_left = |place: &&AtomicU64| place.load(Ordering::Relaxed) != 0;
        let left = self.0.iter().filter(is_left);
        left.map(|place| {
            let probe = place.swap(0, Ordering::Relaxed);
            let index = probe >> MICROS_BITS & ((1 << INDEX_BITS) - 1);
            let micros = probe & ((1 << MICROS_BITS) - 1);
            (
                index as u32,
                (probe >> GENERATION_SHIFT) as u16,
                micros as u32,
            )
        })
    }
}

impl Geography {
    /// Notes what this node measured.
    #[inline]
    pub(super) fn probed(&self, relay: Handle, micros: u32) {
        if self.is_in_use() {
            self.probes.put(relay, micros);
        }
    }

    /// The atlas, if anybody asked for it so far.
    pub(super) fn in_use(&self) -> Option<&Mutex<Atlas>> {
        self.is_in_use().then_some(&self.atlas)
    }

    fn is_in_use(&self) -> bool {
        // Relaxed: those who see it late miss a measurement.
        self.in_use.load(Ordering::Relaxed)
    }

    fn take_into_use(&self) {
        if !self.is_in_use() {
            self.in_use.store(true, Ordering::Relaxed);
        }
    }
}

impl Core {
    pub(super) fn coordinate(&self) -> Coordinate {
        self.geography.take_into_use();
        self.geography.atlas.lock().own()
    }

    pub(super) fn relay_coordinate(&self, relay: &NodeId) -> Option<Coordinate> {
        self.geography.take_into_use();
        let now = self.present();
        let guard = epoch::pin();
        self.find_live(relay, now, &guard)?;
        let atlas = self.geography.atlas.lock();
        atlas.provisional(relay).copied()
    }

    pub(super) fn learn(&self, peer: &NodeId, view: &PeerView) -> usize {
        self.geography.take_into_use();
        let Some(coordinate) = &view.coordinate else {
            return 0;
        };
        let now = self.present();
        let guard = epoch::pin();
        let mut atlas = self.geography.atlas.lock();
        let others = view.pairs().filter(|(relay, _)| *relay != peer);
        let held = others.filter(|(relay, _)| self.find_live(relay, now, &guard).is_some());
        let taken_in = held
            .filter(|(relay, micros)| atlas.learn(relay, coordinate, *micros).is_ok())
            .count();
        self.limit(&mut atlas, &guard);
        if taken_in > 0 {
            self.publication().note_reordering();
        }
        taken_in
    }

    /// Takes in what this node measured since the last pass.
    pub(super) fn survey(&self) {
        if !self.geography.is_in_use() {
            return;
        }
        let guard = epoch::pin();
        let mut atlas = self.geography.atlas.lock();
        for (index, generation, micros) in self.geography.probes.drain() {
            let Some(record) = self.table.occupant(index, &guard) else {
                continue;
            };
            let relay = record.handle();
            if relay.generation as u16 == generation {
                // An outlier is left out, and that is that.
                let _ = atlas.measured(&record.identity(), micros);
                self.publication().note_reordering();
            }
        }
        self.limit(&mut atlas, &guard);
    }

    fn limit(&self, atlas: &mut Atlas, guard: &Guard) {
        let most = 2 * self.table.max_relays() + 1024;
        atlas.limit(most, |relay| self.table.find(relay, guard).is_some());
    }
}
