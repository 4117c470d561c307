//! Branch and bound over the trees of a snapshot.

use crate::simd::{Four, Lanes};
use crate::sync::random_bits;
use crate::table::snapshot::{FANOUT, Leaves, pick};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// What is looked for, and where.
pub(crate) trait Objective {
    type Key: Key;

    /// Whether of those that are equal each is as likely as any other to be the
    /// first, or they come in the order of their places.
    const IS_FAIR: bool;

    /// A lower bound of the keys below each word of a node.
    fn keys(&mut self, part: &Leaves, level: usize, node: usize) -> Keys<Self::Key>;

    /// Only lower keys are of interest.
    fn limit(&self) -> Self::Key;

    /// Looks at the relay at a place.
    fn visit_leaf(&mut self, part: &Leaves, place: usize);
}

/// What is bounded: the lower, the better.
pub(crate) trait Key: Copy + PartialOrd {
    /// At or beyond every limit.
    const NEVER: Self;

    /// The least key of a node, and a bit for each child that has it, or for the first.
    fn least(keys: &Keys<Self>) -> (Self, u32);
}

/// A key for each child of a node.
pub(crate) type Keys<K> = [K; FANOUT];

/// A score.
impl Key for f32 {
    const NEVER: Self = Self::INFINITY;

    #[inline(always)]
    fn least(keys: &Keys<Self>) -> (Self, u32) {
        if FANOUT % Four::MANY != 0 {
            return least_one_by_one(keys);
        }
        let fours = || {
            (0..FANOUT)
                .step_by(Four::MANY)
                .map(|at| (at, Four::of(keys, at)))
        };
        let least = fours().fold(Four::splat(Self::INFINITY), |least, (_, four)| {
            least.min(four)
        });
        let mut candidates = [0.0; Four::MANY];
        least.put(&mut candidates, 0);
        let least = candidates.into_iter().fold(Self::INFINITY, Self::min);
        let same = Four::splat(least);
        let equal = fours().fold(0, |mask, (at, four)| mask | four.equal(same) << at);
        (least, equal)
    }
}

/// A tick.
impl Key for u64 {
    const NEVER: Self = Self::MAX;

    /// Of equal ones the first: ticks are for a search in the order of places.
    #[inline(always)]
    fn least(keys: &Keys<Self>) -> (Self, u32) {
        let (mut least, mut first) = (keys[0], 0);
        for (at, &key) in (0..).zip(keys).skip(1) {
            (least, first) = if key < least {
                (key, at)
            } else {
                (least, first)
            };
        }
        (least, 1 << first)
    }
}

fn least_one_by_one(keys: &Keys<f32>) -> (f32, u32) {
    let least = keys.iter().copied().fold(f32::INFINITY, f32::min);
    let bits = keys.iter().map(|&key| u32::from(key == least));
    (least, bits.rev().fold(0, |mask, bit| mask << 1 | bit))
}

/// Goes through the relays of a part, the best first within each node, as long as
/// they could be better than what was found.
pub(crate) fn explore<G: Objective>(guide: &mut G, part: &Leaves) {
    visit(guide, part, part.summaries.top(), 0);
}

fn visit<G: Objective>(guide: &mut G, part: &Leaves, level: usize, node: usize) {
    let mut open = Open::new(guide, part, level, node);
    while open.least.0 < guide.limit() {
        let below = open.take_one::<G>();
        match level {
            0 => guide.visit_leaf(part, below),
            _ => visit(guide, part, level - 1, below),
        }
        open.find_least();
    }
}

/// Goes through the relays of several parts in the order of their keys, as long as
/// they could be among what was found.
pub(crate) fn explore_in_order<'a, G: Objective>(
    guide: &mut G,
    parts: impl Iterator<Item = &'a Leaves>,
) {
    let mut nodes = Vec::with_capacity(NODES);
    nodes.extend(parts.map(|part| Open::new(guide, part, part.summaries.top(), 0)));
    let mut queue = BinaryHeap::with_capacity(NODES);
    queue.extend((0..).zip(&nodes).map(|(at, open)| Queued::new(at, open)));
    loop {
        let Some(mut nearest) = queue.peek_mut() else {
            return;
        };
        if nearest.least >= guide.limit() {
            return;
        }
        let open = &mut nodes[nearest.at as usize];
        let (part, level) = (open.part, open.level);
        let below = open.take_one::<G>();
        open.find_least();
        if open.least.0 != nearest.least {
            // It takes another place in the queue.
            nearest.least = open.least.0;
        }
        drop(nearest);
        match level {
            0 => guide.visit_leaf(part, below),
            _ => {
                let open = Open::new(guide, part, level - 1, below);
                queue.push(Queued::new(nodes.len() as u32, &open));
                nodes.push(open);
            }
        }
    }
}

/// Room for so many nodes is set aside for a search in order; most have fewer.
const NODES: usize = 8;

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
    fn new<G: Objective<Key = K>>(
        guide: &mut G,
        part: &'a Leaves,
        level: usize,
        node: usize,
    ) -> Self {
        let keys = guide.keys(part, level, node);
        Self {
            part,
            level,
            node,
            least: K::least(&keys),
            keys,
        }
    }

    /// A child with the least key, which it does not have any more. Before the next one
    /// the least key has to be [found](Self::find_least) again.
    #[inline(always)]
    fn take_one<G: Objective>(&mut self) -> usize {
        let equal = self.least.1;
        let child = match G::IS_FAIR && !equal.is_power_of_two() {
            true => pick(equal, random_bits()),
            false => equal.trailing_zeros(),
        };
        self.least.1 &= !(1 << child);
        self.keys[child as usize] = K::NEVER;
        self.node * FANOUT + child as usize
    }

    #[inline(always)]
    fn find_least(&mut self) {
        if self.least.1 == 0 {
            self.least = K::least(&self.keys);
        }
    }
}

/// A node in the queue of a search in order.
struct Queued<K> {
    least: K,
    level: u32,
    /// Where it is among the nodes of the search.
    at: u32,
}

impl<K: Key> Queued<K> {
    #[inline(always)]
    fn new(at: u32, open: &Open<'_, K>) -> Self {
        Self {
            least: open.least.0,
            level: open.level as u32,
            at,
        }
    }
}

/// The one with the least key is the greatest; of two that are equal the lower one, as
/// it leads to a relay sooner.
impl<K: Key> Ord for Queued<K> {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let order = other.least.partial_cmp(&self.least);
        let order = order.unwrap_or(Ordering::Equal);
        order.then(other.level.cmp(&self.level))
    }
}

impl<K: Key> PartialOrd for Queued<K> {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Key> PartialEq for Queued<K> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<K: Key> Eq for Queued<K> {}
