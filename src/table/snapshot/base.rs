//! The relays that the last merge sorted: by place, and by own leg, where their
//! positions are known; by own leg else.
//!
//! Each node of the trees has as many relays below it as its siblings have, give or
//! take one, and they lie evenly spread in it, so that of equal relays one is as likely
//! to be chosen as another. Where
//! positions are known, a node's relays are split among its children at the middle
//! of the axis on which they lie farthest apart, the round trip from here and the
//! height being one of the axes (a ball tree of boxes: Omohundro, "Five balltree construction
//! algorithms", 1989).

use crate::coordinates::Coordinate;
use crate::table::record::Handle;
use crate::table::snapshot::bins::Bins;
use crate::table::snapshot::geometry::Geometry;
use crate::table::snapshot::leaves::Leaves;
use crate::table::snapshot::tree::{FANOUT, span};

/// A relay as of a merge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MergedRelay {
    pub(crate) relay: Handle,
    /// The round trip from this node, or what is assumed.
    pub(crate) own_micros: u32,
    pub(crate) position: Option<Coordinate>,
}

/// See the module's description.
pub(crate) struct Base {
    pub(crate) leaves: Leaves,
    /// The place of each record, by index.
    by_record: Box<[u32]>,
    relays: usize,
}

/// Of so many relays, scores are told apart finely: their trees are so small that
/// it costs little to change them often.
const FEW: usize = 64;

/// Stands for a record that is not here.
const NO_PLACE: u32 = u32::MAX;

impl Base {
    pub(crate) fn new(mut merged: Vec<MergedRelay>) -> Self {
        merged.sort_unstable_by_key(|it| (it.position.is_none(), it.own_micros, it.relay.index));
        let relays = merged.len();
        let reach = merged.iter().map(|it| it.relay.index as usize + 1).max();
        let mut by_record = vec![NO_PLACE; reach.unwrap_or(0)];
        let mut last = 0;
        arrange(&mut merged, top_for(relays), 0, &mut |relay, place| {
            by_record[relay.index as usize] = place as u32;
            last = place;
        });

        let bins = if relays <= FEW {
            Bins::FINE
        } else {
            Bins::COARSE
        };
        let mut leaves = Leaves::new(last + 1, bins);
        let place_of = |it: &MergedRelay| by_record[it.relay.index as usize] as usize;
        for it in &merged {
            leaves.put(place_of(it), it.relay);
        }
        if merged.iter().any(|it| it.position.is_some()) {
            let located = merged.iter().map(|it| (place_of(it), it.position));
            let levels = leaves.summaries.top() + 1;
            leaves.locate(Geometry::new(located, last, levels));
        }
        Self {
            leaves,
            by_record: by_record.into_boxed_slice(),
            relays,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.relays
    }

    /// The place of a relay, if it is here.
    #[inline]
    pub(crate) fn place_of(&self, relay: Handle) -> Option<usize> {
        let place = *self.by_record.get(relay.index as usize)?;
        // Nowhere is beyond all places.
        (self.leaves.at(place as usize) == Some(relay)).then_some(place as usize)
    }

    /// All relays, in order, and their places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, Handle)> {
        let places = 0..self.leaves.places();
        places.filter_map(|place| Some((place, self.leaves.at(place)?)))
    }
}

/// The level of the root of a tree over so many relays.
fn top_for(relays: usize) -> usize {
    (0..).find(|&level| span(level) >= relays).unwrap_or(0)
}

/// Orders relays below a node of the tree, and tells their places, in order: evenly
/// spread over its children.
fn arrange(
    relays: &mut [MergedRelay],
    level: usize,
    node: usize,
    tell: &mut impl FnMut(Handle, usize),
) {
    let children = match level {
        0 => relays.len(),
        // A power of two, so that they are equally far from each other.
        _ => relays.len().div_ceil(span(level - 1)).next_power_of_two(),
    };
    let place = |child: usize| node * FANOUT + child * FANOUT / children.max(1);
    if level == 0 {
        for (slot, it) in relays.iter().enumerate() {
            tell(it.relay, place(slot));
        }
        return;
    }
    divide(relays, children.max(1), 0, &mut |child, relays| {
        arrange(relays, level - 1, place(child), tell);
    });
}

/// Divides relays evenly among so many branches, the first of which has this number.
fn divide(
    relays: &mut [MergedRelay],
    branches: usize,
    first: usize,
    then: &mut impl FnMut(usize, &mut [MergedRelay]),
) {
    if branches == 1 {
        return then(first, relays);
    }
    let half = branches / 2;
    let middle = relays.len() * half / branches;
    separate(relays, middle);
    let (one, other) = relays.split_at_mut(middle);
    divide(one, half, first, then);
    divide(other, branches - half, first + half, then);
}

/// Orders relays such that those before the middle lie together. Those that are
/// located come first; the others are in order already.
fn separate(relays: &mut [MergedRelay], middle: usize) {
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

/// Where a located relay is on an axis; the last is what every path through it has,
/// the round trip from here and the height.
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
    fn every_relay_has_a_place_of_its_own() {
        for relays in SIZES {
            for located in [0, 1, 2] {
                let merged = merged(relays, |index| index % 2 < located);
                let base = Base::new(merged.clone());
                assert_eq!((base.len(), base.iter().count()), (relays, relays));
                for it in &merged {
                    let place = base.place_of(it.relay).expect("a place");
                    assert_eq!(base.leaves.at(place), Some(it.relay));
                    let located = base.leaves.located.as_ref();
                    let geometry = located.map(|located| &located.geometry);
                    let at = geometry.and_then(|geometry| geometry.position(place));
                    let expected = it.position.map(|at| at.position());
                    assert_eq!(at.map(|at| at.position()), expected);
                    let earlier = Handle {
                        generation: 2,
                        ..it.relay
                    };
                    assert_eq!(base.place_of(earlier), None);
                }
            }
        }
    }

    #[test]
    fn relays_that_are_not_located_are_in_order_of_the_round_trip() {
        let merged = merged(1_000, |_| false);
        let base = Base::new(merged.clone());
        let own = |(_, relay): (usize, Handle)| merged[relay.index as usize].own_micros;
        assert!(base.iter().map(own).is_sorted());
    }

    /// By a descent that takes each child of a node alike.
    #[test]
    fn a_relay_is_as_likely_to_be_chosen_as_another() {
        for relays in [2, 65, 129, 1_000, 1_025, 16_385] {
            let base = Base::new(merged(relays, |_| false));
            let occupied: Vec<usize> = base.iter().map(|(place, _)| place).collect();
            let mut chances = vec![1.0; occupied.len()];
            for level in 0..=base.leaves.summaries.top() {
                let node = |place: usize| place / span(level);
                let mut children: Vec<usize> = occupied
                    .iter()
                    .map(|place| place / FANOUT.pow(level as u32))
                    .collect();
                children.dedup();
                let mut of_node = std::collections::HashMap::new();
                for child in children {
                    *of_node.entry(child / FANOUT).or_insert(0) += 1;
                }
                for (place, chance) in occupied.iter().zip(&mut chances) {
                    *chance /= f64::from(of_node[&node(*place)]);
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
    fn a_box_is_around_all_below_it() {
        let base = Base::new(merged(5_000, |index| index % 10 > 0));
        let geometry = &base.leaves.located.as_ref().unwrap().geometry;
        let from = [3e4; Coordinate::DIMENSIONS];
        for (place, _) in base.iter() {
            let mut child = place / FANOUT;
            for level in 1..=base.leaves.summaries.top() {
                let boxes = geometry.boxes(level, child / FANOUT).expect("boxes");
                let branch = child % FANOUT;
                match geometry.position(place) {
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
