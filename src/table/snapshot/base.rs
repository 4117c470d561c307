//! The relays that the last merge sorted: by position and by the round trip from this node
//! if positions are known, else by that round trip alone.
//!
//! Sibling nodes have the same number of relays below them, give or take one, and these are
//! evenly spread over the slots. So equal relays are equally likely to be chosen.
//!
//! If positions are known, the relays of a node are divided among its children at the median
//! of the axis on which they are spread widest. One of the axes is the round trip from this
//! node plus the height. (A ball tree of boxes: Omohundro, "Five balltree construction
//! algorithms", 1989.)

use crate::coordinates::Coordinate;
use crate::footprint::Footprint;
use crate::table::record::Handle;
use crate::table::snapshot::filters::FilterId;
use crate::table::snapshot::geometry::Geometry;
use crate::table::snapshot::leaves::{Leaves, Precision};
use crate::table::snapshot::score::Bins;
use crate::table::snapshot::tree::{FANOUT, span};

/// What a merge knows of a relay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MergedRelay {
    pub(crate) relay: Handle,
    /// The round trip from this node, measured or assumed.
    pub(crate) own_micros: u32,
    pub(crate) position: Option<Coordinate>,
}

/// See the module's description.
pub(crate) struct Base {
    pub(crate) leaves: Leaves,
    /// The slot of each record, by index.
    slot_by_index: Box<[u32]>,
    relays: usize,
}

/// A base of up to so many relays has fine bins: its trees are so small that frequent
/// changes cost little.
const FEW: usize = 64;

/// Stands for a record that is not in the base.
const NO_SLOT: u32 = u32::MAX;

impl Base {
    pub(super) fn footprint(&self) -> Footprint {
        Footprint::of::<Self>()
            + Footprint::of_items::<u32>(self.slot_by_index.len())
            + self.leaves.footprint()
    }

    /// Its trees count up to so many free units. With a forest for each of these filters.
    pub(crate) fn new(
        mut merged: Vec<MergedRelay>,
        most_free_units: u32,
        filters: impl Iterator<Item = FilterId>,
    ) -> Self {
        merged.sort_unstable_by_key(|it| (it.position.is_none(), it.own_micros, it.relay.index));
        let relays = merged.len();
        let indices = merged.iter().map(|it| it.relay.index as usize + 1).max();
        let mut slot_by_index = vec![NO_SLOT; indices.unwrap_or(0)];
        let mut last = 0;
        arrange(&mut merged, top_for(relays), 0, &mut |relay, slot| {
            slot_by_index[relay.index as usize] = slot as u32;
            last = slot;
        });

        let bins = if relays <= FEW {
            Bins::FINE
        } else {
            Bins::COARSE
        };
        let slot_of = |it: &MergedRelay| slot_by_index[it.relay.index as usize] as usize;
        let precision = Precision {
            bins,
            most_free_units,
        };
        let is_located = merged.iter().any(|it| it.position.is_some());
        let geometry = is_located.then(|| {
            let located = merged.iter().map(|it| (slot_of(it), it.position));
            Geometry::new(located, last, top_for(last + 1) + 1)
        });
        let leaves = Leaves::new(last + 1, precision, filters, geometry, 1);
        for it in &merged {
            leaves.put(slot_of(it), it.relay);
        }
        Self {
            leaves,
            slot_by_index: slot_by_index.into_boxed_slice(),
            relays,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.relays
    }

    /// The slot of a relay, if it is in the base.
    #[inline]
    pub(crate) fn slot_of(&self, relay: Handle) -> Option<usize> {
        let slot = *self.slot_by_index.get(relay.index as usize)?;
        // `NO_SLOT` is beyond all slots.
        (self.leaves.at(slot as usize) == Some(relay)).then_some(slot as usize)
    }

    /// All relays and their slots, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, Handle)> {
        let slots = 0..self.leaves.len();
        slots.filter_map(|slot| Some((slot, self.leaves.at(slot)?)))
    }
}

/// The level of the root of a tree over so many relays.
fn top_for(relays: usize) -> usize {
    (0..).find(|&level| span(level) >= relays).unwrap_or(0)
}

/// Orders relays below a node of the tree, evenly spread over its children, and passes each
/// with its slot to `visit`, in order.
fn arrange(
    relays: &mut [MergedRelay],
    level: usize,
    node: usize,
    visit: &mut impl FnMut(Handle, usize),
) {
    let children = match level {
        0 => relays.len(),
        // A power of two, so that the distances between them are equal.
        _ => relays.len().div_ceil(span(level - 1)).next_power_of_two(),
    };
    let below = |child: usize| node * FANOUT + child * FANOUT / children.max(1);
    if level == 0 {
        for (child, it) in relays.iter().enumerate() {
            visit(it.relay, below(child));
        }
        return;
    }
    divide(relays, children.max(1), 0, &mut |child, relays| {
        arrange(relays, level - 1, below(child), visit);
    });
}

/// Divides relays evenly among so many children of a node, the first of which has this
/// number.
fn divide(
    relays: &mut [MergedRelay],
    children: usize,
    first: usize,
    visit: &mut impl FnMut(usize, &mut [MergedRelay]),
) {
    if children == 1 {
        return visit(first, relays);
    }
    let half = children / 2;
    let middle = relays.len() * half / children;
    partition(relays, middle);
    let (one, other) = relays.split_at_mut(middle);
    divide(one, half, first, visit);
    divide(other, children - half, first + half, visit);
}

/// Orders relays such that those before the middle are close to each other. Relays with a
/// position come first; the others are in order already.
fn partition(relays: &mut [MergedRelay], middle: usize) {
    let located = relays.partition_point(|it| it.position.is_some());
    if middle == 0 || middle >= located {
        return;
    }
    let located = &mut relays[..located];
    let axis = widest_axis(located);
    located.select_nth_unstable_by(middle, |one, other| {
        along(one, axis).total_cmp(&along(other, axis))
    });
}

const AXES: usize = Coordinate::DIMENSIONS + 1;

/// The coordinate of a relay on an axis. The last axis is what all paths through the relay
/// have in common: the round trip from this node, and the height.
fn along(it: &MergedRelay, axis: usize) -> f32 {
    match &it.position {
        Some(at) if axis < Coordinate::DIMENSIONS => at.position()[axis],
        Some(at) => it.own_micros as f32 + at.height(),
        None => it.own_micros as f32,
    }
}

fn widest_axis(relays: &[MergedRelay]) -> usize {
    let (mut low, mut high) = ([f32::INFINITY; AXES], [f32::NEG_INFINITY; AXES]);
    for relay in relays {
        for axis in 0..AXES {
            let at = along(relay, axis);
            low[axis] = low[axis].min(at);
            high[axis] = high[axis].max(at);
        }
    }
    let width = |axis: &usize| high[*axis] - low[*axis];
    (0..AXES)
        .max_by(|one, other| width(one).total_cmp(&width(other)))
        .unwrap_or(0)
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::simd::{One, splats};

    fn merged(count: usize, is_located: impl Fn(usize) -> bool) -> Vec<MergedRelay> {
        let mut rng = fastrand::Rng::with_seed(count as u64);
        (0..count)
            .map(|index| {
                let mut position = [0.0; Coordinate::DIMENSIONS];
                position[..2].fill_with(|| rng.f32() * 1e5);
                let position = Coordinate::new(position, 10.0, 0.0, 0.1).unwrap();
                MergedRelay {
                    relay: Handle {
                        index: index as u32,
                        generation: 3,
                    },
                    own_micros: rng.u32(1..100_000),
                    position: is_located(index).then_some(position),
                }
            })
            .collect()
    }

    const SIZES: [usize; 9] = [0, 1, 2, 64, 65, 1_000, 1_025, 16_385, 20_000];

    #[test]
    fn every_relay_has_a_slot_of_its_own() {
        for relays in SIZES {
            for located in [0, 1, 2] {
                let merged = merged(relays, |index| index % 2 < located);
                let base = Base::new(merged.clone(), 1, std::iter::empty());
                assert_eq!((base.len(), base.iter().count()), (relays, relays));
                for it in &merged {
                    let slot = base.slot_of(it.relay).expect("a slot");
                    assert_eq!(base.leaves.at(slot), Some(it.relay));
                    let geometry = base.leaves.geometry.as_ref();
                    let at = geometry.and_then(|geometry| geometry.position(slot));
                    let expected = it.position.map(|at| at.position());
                    assert_eq!(at.map(|at| at.position()), expected);
                    let earlier = Handle {
                        generation: 2,
                        ..it.relay
                    };
                    assert_eq!(base.slot_of(earlier), None);
                }
            }
        }
    }

    #[test]
    fn relays_without_a_position_are_in_order_of_the_round_trip() {
        let merged = merged(1_000, |_| false);
        let base = Base::new(merged.clone(), 1, std::iter::empty());
        let own = |(_, relay): (usize, Handle)| merged[relay.index as usize].own_micros;
        assert!(base.iter().map(own).is_sorted());
    }

    /// By a descent that takes each child of a node with the same probability.
    #[test]
    fn a_relay_is_as_likely_to_be_chosen_as_another() {
        for relays in [2, 65, 129, 1_000, 1_025, 16_385] {
            let base = Base::new(merged(relays, |_| false), 1, std::iter::empty());
            let occupied: Vec<usize> = base.iter().map(|(slot, _)| slot).collect();
            let mut chances = vec![1.0; occupied.len()];
            for level in 0..=base.leaves.top() {
                let node = |slot: usize| slot / span(level);
                let mut children: Vec<usize> = occupied
                    .iter()
                    .map(|slot| slot / FANOUT.pow(level as u32))
                    .collect();
                children.dedup();
                let mut of_node = std::collections::HashMap::new();
                for child in children {
                    *of_node.entry(child / FANOUT).or_insert(0) += 1;
                }
                for (slot, chance) in occupied.iter().zip(&mut chances) {
                    *chance /= f64::from(of_node[&node(*slot)]);
                }
            }
            let fair = 1.0 / relays as f64;
            assert!(
                chances
                    .iter()
                    .all(|chance| (fair / 2.0..fair * 2.0).contains(chance))
            );
        }
    }

    #[test]
    fn a_bounding_box_has_all_relays_below_it() {
        let base = Base::new(merged(5_000, |index| index % 10 > 0), 1, std::iter::empty());
        let geometry = base.leaves.geometry.as_ref().unwrap();
        let from = [3e4; Coordinate::DIMENSIONS];
        for (slot, _) in base.iter() {
            let mut child = slot / FANOUT;
            for level in 1..=base.leaves.top() {
                let boxes = geometry.boxes(level, child / FANOUT).expect("boxes");
                let branch = child % FANOUT;
                match geometry.position(slot) {
                    Some(at) => {
                        let square = (0..Coordinate::DIMENSIONS)
                            .map(|axis| (at.position()[axis] - from[axis]).powi(2));
                        let square = square.sum::<f32>() * 1.000_01;
                        let least: One = boxes.squares(&splats(&from), branch);
                        assert!(least.number() <= square);
                        let least: One = boxes.heights_from(branch);
                        assert!(least.number() <= at.height());
                    }
                    None => assert!(boxes.unlocated >> branch & 1 == 1),
                }
                child /= FANOUT;
            }
        }
    }
}
