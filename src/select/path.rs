//! The two legs of a path: from the requester to the relay, and from the relay to the target.
//!
//! A leg that this node measured, or a peer measured and published, is exact. If the peer
//! has a coordinate, and the position of the relay is known, the leg is estimated. Otherwise
//! it is assumed. What relays say of themselves is not used.

use crate::coordinates::{Coordinate, CoordinateBatch, Each, LandmarkEstimate};
use crate::select::peer_view::PeerView;
use crate::simd::{Lanes, splats};
use crate::sync::epoch::Guard;
use crate::table::snapshot::{Boxes, Snapshot};
use crate::table::{RecordRef, Table};

/// Lower bounds of the legs to the relays in several bounding boxes.
pub(crate) struct LeastLegs {
    pub(crate) legs: Each,
    /// Lower bounds of the distances: of the legs without the height of the relay.
    /// Negative infinity if the leg does not depend on the height.
    pub(crate) distances: Each,
}

impl LeastLegs {
    fn of(legs: Each) -> Self {
        Self {
            legs,
            distances: legs,
        }
    }

    /// The legs to relays below some children may be the assumed one.
    fn assume(&mut self, children: u64, assumed: f32) {
        for at in (0..CoordinateBatch::MANY).filter(|at| children >> at & 1 == 1) {
            self.legs[at] = self.legs[at].min(assumed);
            self.distances[at] = self.distances[at].min(assumed);
        }
    }
}

/// One leg in microseconds, by how it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leg {
    Measured(u32),
    Published(u32),
    Estimated(u32),
    Assumed(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Legs {
    pub(crate) requester: Leg,
    pub(crate) target: Leg,
}

/// The views of the peers at the ends of a path.
pub(crate) struct Views<'a> {
    /// `None` if this node is the requester.
    requester: Option<ResolvedView>,
    target: Option<ResolvedView>,
    snapshot: &'a Snapshot,
}

/// The view of a peer, with records in place of ids.
pub(crate) struct ResolvedView {
    published: [Published; PeerView::MAX_MEASURED],
    len: usize,
    position: Option<PeerPosition>,
    /// The longest published round trip.
    farthest_micros: u32,
}

/// A relay that the peer measured.
#[derive(Clone, Copy, Default)]
struct Published {
    index: u32,
    micros: u32,
}

/// The position of a peer.
enum PeerPosition {
    At(Coordinate),
    /// Estimated from the round trips that it published.
    Near(LandmarkEstimate),
}

impl PeerPosition {
    /// The point from which distances are measured.
    fn centre(&self) -> &Coordinate {
        match self {
            Self::At(coordinate) => coordinate,
            Self::Near(landmarks) => landmarks.centre(),
        }
    }
}

impl Leg {
    pub(crate) fn micros(self) -> u32 {
        let (Self::Measured(micros)
        | Self::Published(micros)
        | Self::Estimated(micros)
        | Self::Assumed(micros)) = self;
        micros
    }

    /// The leg, if it was measured.
    pub(crate) fn measured(self) -> Option<u32> {
        match self {
            Self::Measured(micros) | Self::Published(micros) => Some(micros),
            Self::Estimated(_) | Self::Assumed(_) => None,
        }
    }
}

impl Legs {
    /// The whole path.
    pub(crate) fn path_micros(self) -> u32 {
        self.requester.micros() + self.target.micros()
    }
}

impl<'a> Views<'a> {
    pub(crate) fn resolve(
        requester: Option<&PeerView>,
        target: Option<&PeerView>,
        table: &Table,
        snapshot: &'a Snapshot,
        guard: &Guard,
    ) -> Self {
        let resolve = |view: &PeerView| ResolvedView::resolve(view, table, snapshot, guard);
        Self {
            requester: requester.map(resolve),
            target: target.map(resolve),
            snapshot,
        }
    }

    /// The requester, unless it is this node.
    pub(crate) fn requester(&self) -> Option<&ResolvedView> {
        self.requester.as_ref()
    }

    pub(crate) fn target(&self) -> Option<&ResolvedView> {
        self.target.as_ref()
    }

    /// The leg of a peer to a relay, by its view.
    #[inline]
    pub(crate) fn leg(&self, view: &ResolvedView, record: &RecordRef<'_>) -> Option<Leg> {
        view.leg(record.index(), || {
            self.snapshot.position_of(record.handle())
        })
    }

    /// The estimated legs of the peers to the relays of a node.
    #[inline(always)]
    pub(crate) fn estimates<L: Lanes>(
        &self,
        relays: &CoordinateBatch,
        assumed_micros: u32,
    ) -> Each {
        let assumed = assumed_micros as f32;
        let mut legs = match &self.target {
            Some(target) => target.estimates::<L>(relays, assumed),
            None => [assumed; CoordinateBatch::MANY],
        };
        if let Some(requester) = &self.requester {
            add::<L>(&mut legs, &requester.estimates::<L>(relays, assumed));
        }
        legs
    }

    /// Lower bounds of the estimated legs of the peers to the relays in several boxes.
    #[inline(always)]
    pub(crate) fn least_legs<L: Lanes>(&self, boxes: &Boxes, assumed_micros: u32) -> LeastLegs {
        let assumed = assumed_micros as f32;
        let mut least = match &self.target {
            Some(target) => target.least_legs::<L>(boxes, assumed),
            None => LeastLegs::of([assumed; CoordinateBatch::MANY]),
        };
        if let Some(requester) = &self.requester {
            add::<L>(
                &mut least.legs,
                &requester.least_legs::<L>(boxes, assumed).legs,
            );
        }
        if boxes.unlocated != 0 {
            least.assume(boxes.unlocated, self.assumed(assumed_micros));
        }
        least
    }

    /// The legs of the peers to a relay whose position is not known.
    pub(crate) fn assumed(&self, assumed_micros: u32) -> f32 {
        let legs = if self.requester.is_some() { 2.0 } else { 1.0 };
        legs * assumed_micros as f32
    }

    /// Whether either peer measured the relay with this index.
    #[inline]
    pub(crate) fn measured(&self, index: u32) -> bool {
        self.published().any(|published| published == index)
    }

    /// The relays that either peer measured.
    pub(crate) fn published(&self) -> impl Iterator<Item = u32> {
        let views = self.requester.iter().chain(&self.target);
        views.flat_map(|view| view.published().iter().map(|pair| pair.index))
    }
}

/// Adds other legs to each.
#[inline(always)]
fn add<L: Lanes>(legs: &mut Each, others: &Each) {
    for at in (0..CoordinateBatch::MANY).step_by(L::MANY) {
        (L::of(legs, at) + L::of(others, at)).put(legs, at);
    }
}

impl ResolvedView {
    fn resolve(view: &PeerView, table: &Table, snapshot: &Snapshot, guard: &Guard) -> Self {
        let mut resolved = Self {
            published: Default::default(),
            len: 0,
            position: view.coordinate.map(PeerPosition::At),
            farthest_micros: 0,
        };
        let mut landmarks = [None; PeerView::MAX_MEASURED];
        for (relay, micros) in view.pairs() {
            if let Some(record) = table.find(relay, guard) {
                let index = record.index();
                if view.coordinate.is_none() {
                    let position = snapshot.position_of(record.handle());
                    landmarks[resolved.len] = position.map(|position| (position, micros));
                }
                resolved.published[resolved.len] = Published { index, micros };
                resolved.len += 1;
                resolved.farthest_micros = resolved.farthest_micros.max(micros);
            }
        }
        if resolved.position.is_none() {
            let landmarks = landmarks.iter().flatten();
            let landmarks = landmarks.map(|(position, micros)| (position, *micros));
            resolved.position = LandmarkEstimate::new(landmarks).map(PeerPosition::Near);
        }
        resolved
    }

    #[inline]
    fn leg(&self, index: u32, position: impl FnOnce() -> Option<Coordinate>) -> Option<Leg> {
        if let Some(pair) = self.published().iter().find(|pair| pair.index == index) {
            return Some(Leg::Published(pair.micros));
        }
        self.estimate(&position()?).map(Leg::Estimated)
    }

    #[inline]
    fn estimate(&self, position: &Coordinate) -> Option<u32> {
        Some(match self.position.as_ref()? {
            PeerPosition::At(coordinate) => {
                coordinate.micros_to(position).max(self.farthest_micros)
            }
            PeerPosition::Near(landmarks) => landmarks.micros_to(position),
        })
    }

    /// The legs to many relays; the assumed one if either position is not known.
    #[inline(always)]
    fn estimates<L: Lanes>(&self, relays: &CoordinateBatch, assumed: f32) -> Each {
        match &self.position {
            Some(PeerPosition::At(coordinate)) => {
                coordinate.micros_to_all::<L>(relays, self.farthest_micros, assumed)
            }
            Some(PeerPosition::Near(landmarks)) => landmarks.micros_to_all::<L>(relays, assumed),
            None => [assumed; CoordinateBatch::MANY],
        }
    }

    /// Lower bounds of the legs to the relays in several boxes.
    #[inline(always)]
    fn least_legs<L: Lanes>(&self, boxes: &Boxes, assumed: f32) -> LeastLegs {
        let Some(position) = &self.position else {
            // The assumed leg does not depend on the height of a relay.
            return LeastLegs {
                legs: [assumed; CoordinateBatch::MANY],
                distances: [f32::NEG_INFINITY; CoordinateBatch::MANY],
            };
        };
        let mut least = LeastLegs::of([assumed; CoordinateBatch::MANY]);
        let from = splats(&position.centre().position());
        let farthest = L::splat(self.farthest_micros as f32);
        for at in (0..CoordinateBatch::MANY).step_by(L::MANY) {
            let (square, heights): (L, L) = (boxes.squares(&from, at), boxes.heights_from(at));
            let (leg, distance) = match position {
                PeerPosition::At(coordinate) => {
                    let adjustment = boxes.least_adjustment;
                    let (leg, distance) = coordinate.least_within(square, heights, adjustment);
                    (leg.max(farthest), distance)
                }
                PeerPosition::Near(landmarks) => landmarks.estimates(square, heights),
            };
            leg.put(&mut least.legs, at);
            distance.put(&mut least.distances, at);
        }
        least
    }

    /// The records of the relays that the peer measured.
    pub(crate) fn published_indices(&self) -> impl Iterator<Item = u32> {
        self.published().iter().map(|pair| pair.index)
    }

    #[inline]
    fn published(&self) -> &[Published] {
        &self.published[..self.len]
    }
}
