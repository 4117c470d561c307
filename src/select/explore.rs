//! Branch and bound over the trees of a snapshot.

use crate::simd::{Four, Lanes};
use crate::snapshot::{FANOUT, Leaves, pick};
use crate::sync::random_bits;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// What is looked for, and where.
pub(crate) trait Guide {
    type Key: Key;

    /// Whether of those that are equal each is as likely as any other to be the
    /// first, or they come in the order of their places.
    const IS_FAIR: bool;

    /// A lower bound of the keys below each word of a node.
    fn keys(&mut self, part: &Leaves, level: usize, node: usize) -> Keys<Self::Key>;

    /// Only lower keys are of interest.
    fn limit(&self) -> Self::Key;

    /// Looks at the relay at a place.
    fn land(&mut self, part: &Leaves, place: usize);
}

/// What is bounded: the lower, the better.
pub(crate) trait Key: Copy + PartialOrd {
    /// At or beyond every limit.
    const NEVER: Self;

    /// The least key of a node, and a bit for each child that has it.
    fn least(keys: &Keys<Self>) -> (Self, u32);

    /// A bit for each child whose key is below a limit.
    fn below(keys: &Keys<Self>, limit: Self) -> u32;
}

/// A key for each child of a node.
pub(crate) type Keys<K> = [K; FANOUT];

/// A score.
impl Key for f32 {
    const NEVER: Self = Self::INFINITY;

    #[inline(always)]
    fn least(keys: &Keys<Self>) -> (Self, u32) {
        if FANOUT % 4 != 0 {
            return least_one_by_one(keys);
        }
        let fours = || (0..FANOUT).step_by(4).map(|at| (at, Four::of(keys, at)));
        let least = fours().fold(Four::splat(Self::INFINITY), |least, (_, four)| {
            least.min(four)
        });
        let mut candidates = [0.0; 4];
        least.put(&mut candidates, 0);
        let least = candidates.into_iter().fold(f32::INFINITY, f32::min);
        let same = Four::splat(least);
        let equal = fours().fold(0, |mask, (at, four)| mask | four.equal(same) << at);
        (least, equal)
    }

    #[inline(always)]
    fn below(keys: &Keys<Self>, limit: Self) -> u32 {
        if FANOUT % 4 != 0 {
            return mask_of(keys, |key| key < limit);
        }
        let limit = Four::splat(limit);
        let fours = (0..FANOUT).step_by(4);
        fours.fold(0, |mask, at| mask | Four::of(keys, at).below(limit) << at)
    }
}

/// A tick.
impl Key for u64 {
    const NEVER: Self = Self::MAX;

    fn least(keys: &Keys<Self>) -> (Self, u32) {
        least_one_by_one(keys)
    }

    fn below(keys: &Keys<Self>, limit: Self) -> u32 {
        mask_of(keys, |key| key < limit)
    }
}

/// A bit for each key of which that is so.
fn mask_of<K: Key>(keys: &Keys<K>, is_so: impl Fn(K) -> bool) -> u32 {
    let bits = keys.iter().map(|&key| u32::from(is_so(key)));
    bits.rev().fold(0, |mask, bit| mask << 1 | bit)
}

fn least_one_by_one<K: Key>(keys: &Keys<K>) -> (K, u32) {
    let lesser = |one, other| if other < one { other } else { one };
    let least = keys.iter().copied().fold(K::NEVER, lesser);
    (least, mask_of(keys, |key| key == least))
}

/// Goes through the relays of a part, the best first within each node, as long as
/// they could be better than what was found.
pub(crate) fn explore<G: Guide>(guide: &mut G, part: &Leaves) {
    visit(guide, part, part.summaries.top(), 0);
}

fn visit<G: Guide>(guide: &mut G, part: &Leaves, level: usize, node: usize) {
    let mut keys = guide.keys(part, level, node);
    loop {
        let left = match G::Key::below(&keys, guide.limit()) {
            0 => return,
            one if one.is_power_of_two() => one,
            _ => G::Key::least(&keys).1,
        };
        let child = one_of::<G>(left);
        keys[child] = G::Key::NEVER;
        let below = node * FANOUT + child;
        match level {
            0 => guide.land(part, below),
            _ => visit(guide, part, level - 1, below),
        }
    }
}

/// One of several children that are equally good.
#[inline(always)]
fn one_of<G: Guide>(equal: u32) -> usize {
    let child = match G::IS_FAIR && !equal.is_power_of_two() {
        true => pick(equal, random_bits()),
        false => equal.trailing_zeros(),
    };
    child as usize
}

/// Goes through the relays of several parts in the order of their keys, as long as
/// they could be among what was found.
pub(crate) fn explore_in_order<'a, G: Guide>(
    guide: &mut G,
    parts: impl Iterator<Item = &'a Leaves>,
) {
    let roots = parts.map(|part| Open::new(guide, part, part.summaries.top(), 0));
    let mut open: BinaryHeap<_> = roots.collect();
    while let Some(mut nearest) = open.pop() {
        if nearest.least.0 >= guide.limit() {
            return;
        }
        let Open { part, level, .. } = nearest;
        let below = nearest.take_least::<G>();
        if nearest.least.0 < guide.limit() {
            open.push(nearest);
        }
        match level {
            0 => guide.land(part, below),
            _ => open.push(Open::new(guide, part, level - 1, below)),
        }
    }
}

/// A node of which some children were not visited yet.
struct Open<'a, K> {
    part: &'a Leaves,
    level: usize,
    node: usize,
    keys: Keys<K>,
    /// The least of them, and a bit for each child that has it.
    least: (K, u32),
}

impl<'a, K: Key> Open<'a, K> {
    #[inline(always)]
    fn new<G: Guide<Key = K>>(guide: &mut G, part: &'a Leaves, level: usize, node: usize) -> Self {
        let keys = guide.keys(part, level, node);
        Self {
            part,
            level,
            node,
            least: K::least(&keys),
            keys,
        }
    }

    /// A child with the least key, which it does not have any more.
    #[inline(always)]
    fn take_least<G: Guide>(&mut self) -> usize {
        let child = one_of::<G>(self.least.1);
        self.keys[child] = K::NEVER;
        self.least = K::least(&self.keys);
        self.node * FANOUT + child
    }
}

/// The one with the least key is the greatest; of two that are equal the lower one, as
/// it leads to a relay sooner.
impl<K: Key> Ord for Open<'_, K> {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = other.least.0.partial_cmp(&self.least.0);
        let order = order.unwrap_or(Ordering::Equal);
        order.then(other.level.cmp(&self.level))
    }
}

impl<K: Key> PartialOrd for Open<'_, K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Key> PartialEq for Open<'_, K> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<K: Key> Eq for Open<'_, K> {}
