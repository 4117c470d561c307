//! The guide where something is known of the pair: bounds on the paths through all
//! relays of a node, from where they are and how loaded.

use crate::select::explore::{Guide, Keys};
use crate::select::legs::Views;
use crate::select::search::{Look, Sink};
use crate::snapshot::{Bins, Boxes, FANOUT, Leaves, Said, Words};

/// See the module's description.
pub(crate) struct Pair<'l, 'g, S> {
    look: &'l Look<'g>,
    views: &'l Views<'g>,
    pub(crate) sink: S,
    /// What is estimated of the peers' legs to the relays of one node of leaves.
    legs: [f32; FANOUT],
    /// Which node that is, the last whose keys were asked for.
    node: Option<(*const Leaves, usize)>,
}

impl<'l, 'g, S: Sink<'g>> Pair<'l, 'g, S> {
    pub(crate) fn new(look: &'l Look<'g>, views: &'l Views<'g>, sink: S) -> Self {
        Self {
            look,
            views,
            sink,
            legs: [0.0; FANOUT],
            node: None,
        }
    }

    /// The relays that either peer measured, exactly.
    pub(crate) fn look_at_published(&mut self) {
        let mut seen = [u32::MAX; 2 * crate::PeerView::MAX_MEASURED];
        for (number, index) in self.views.published().enumerate() {
            if !seen.contains(&index) {
                seen[number] = index;
                let record = self.look.table.revisit(index, self.look.guard);
                let path_micros = self.look.criteria.path_micros(&record);
                self.look.weigh(&record, path_micros, &mut self.sink);
            }
        }
    }

    /// Whether other relays than those may do.
    pub(crate) fn may_find_more(&self) -> bool {
        let options = self.look.criteria.options;
        self.views.requester().is_none()
            || options.max_latency.is_none()
            || options.allow_unmeasured
    }

    /// The legs of the peers to a relay of which no position is known.
    fn assumed_legs(&self) -> f32 {
        let assumed = self.look.criteria.assumed_rtt_micros as f32;
        match self.views.requester() {
            None => assumed,
            Some(_) => 2.0 * assumed,
        }
    }

    fn of_leaves(&mut self, part: &Leaves, node: usize) -> Keys<u32> {
        let places = part.geometry.as_ref();
        let places = places.and_then(|geometry| geometry.places(node));
        self.legs = match places {
            Some(places) => {
                let assumed_micros = self.look.criteria.assumed_rtt_micros;
                self.views.estimates(places, assumed_micros)
            }
            None => [self.assumed_legs(); FANOUT],
        };
        self.node = Some((part, node));
        self.bounds(part, part.summaries.words(0, node), &self.legs)
    }

    fn of_branches(&mut self, part: &Leaves, level: usize, node: usize) -> Keys<u32> {
        let geometry = part.geometry.as_ref();
        let legs = match geometry.and_then(|geometry| geometry.boxes(level, node)) {
            Some(boxes) => self.least_legs(boxes),
            None => [self.assumed_legs(); FANOUT],
        };
        self.bounds(part, part.summaries.words(level, node), &legs)
    }

    /// What the legs of the peers are no shorter than, to the relays in some boxes.
    #[inline]
    fn least_legs(&self, boxes: &Boxes) -> Keys<f32> {
        let assumed_micros = self.look.criteria.assumed_rtt_micros;
        let mut legs = self.views.least_estimates(boxes, assumed_micros);
        if boxes.unlocated != 0 {
            let assumed = self.assumed_legs();
            for (at, leg) in legs.iter_mut().enumerate() {
                if boxes.unlocated >> at & 1 == 1 && assumed < *leg {
                    *leg = assumed;
                }
            }
        }
        legs
    }

    /// What scores are no lower than, where the legs of the peers are these or more.
    ///
    /// Written without a branch for each child, so that it is done for several at once.
    #[inline(always)]
    fn bounds(&self, part: &Leaves, words: Words, legs: &Keys<f32>) -> Keys<u32> {
        let assumed = self.look.criteria.assumed_rtt_micros as f32;
        let (bins, reach) = (part.bins, self.look.reach);
        let is_own_leg = self.views.requester().is_none();
        std::array::from_fn(|at| {
            let (said, legs) = (Said(words[at]), legs[at]);
            let penalty = bins.least(said.slack());
            let score = match is_own_leg {
                true => with_own_leg(said, bins, penalty, legs, assumed),
                false => legs * penalty,
            };
            match said.merit() > 0 && reach.admits(said) {
                true => score.to_bits(),
                false => u32::MAX,
            }
        })
    }
}

/// What the score is no lower than of any relay of which this is said, where the other
/// leg is `legs` or more.
#[inline(always)]
fn with_own_leg(said: Said, bins: Bins, penalty: f32, legs: f32, assumed: f32) -> f32 {
    let own = own_leg(said, assumed);
    // No relay has a lower score than this, with the other leg assumed.
    let score = bins.least(said.merit());
    let longer = score + (legs - assumed) * penalty;
    let shorter = score * ((own + legs) / (own + assumed));
    let by_score = if legs >= assumed { longer } else { shorter };
    let by_parts = (own + legs) * penalty;
    if by_score > by_parts {
        by_score
    } else {
        by_parts
    }
}

/// The least round trip from here.
#[inline(always)]
fn own_leg(said: Said, assumed: f32) -> f32 {
    let near = Bins::FINE.least(said.near());
    let measured = if said.near() > 0 { near } else { f32::INFINITY };
    let unmeasured = if said.has_unmeasured() {
        assumed
    } else {
        f32::INFINITY
    };
    if measured < unmeasured {
        measured
    } else {
        unmeasured
    }
}

impl<'g, S: Sink<'g>> Guide for Pair<'_, 'g, S> {
    type Key = u32;

    const IS_FAIR: bool = true;

    fn keys(&mut self, part: &Leaves, level: usize, node: usize) -> Keys<u32> {
        match level {
            0 => self.of_leaves(part, node),
            _ => self.of_branches(part, level, node),
        }
    }

    fn limit(&self) -> u32 {
        self.sink.limit().to_bits()
    }

    fn land(&mut self, part: &Leaves, place: usize) {
        let Some(record) = self.look.resolve(part, place) else {
            return;
        };
        if self.views.measured(record.index()) {
            return;
        }
        let criteria = &self.look.criteria;
        let path_micros = match self.views.requester() {
            _ if self.node != Some((part, place / FANOUT)) => criteria.path_micros(&record),
            None => criteria.own_micros(&record) + self.legs[place % FANOUT] as u32,
            Some(_) => self.legs[place % FANOUT] as u32,
        };
        self.look.weigh(&record, path_micros, &mut self.sink);
    }
}
