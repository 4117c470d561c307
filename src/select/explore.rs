//! Branch and bound over the trees of a snapshot.

use crate::snapshot::{FANOUT, Leaves};
use crate::sync::random_bits;

/// What is looked for, and where.
pub(crate) trait Guide {
    type Key: Key;

    /// Whether of those that are equal each is as likely as any other to be the
    /// first, or they come in the order of their places.
    const IS_FAIR: bool;

    /// A lower bound of the keys below each word of a node.
    fn keys(&mut self, part: &Leaves, level: usize, node: usize) -> Keys<Self::Key>;

    /// Keys from here on are not of interest any more.
    fn limit(&self) -> Self::Key;

    /// Looks at the relay at a place.
    fn land(&mut self, part: &Leaves, place: usize);
}

/// What is bounded: the lower, the better. The lowest bits of a key are not a part of
/// the figure, so that they can name the child that has it.
pub(crate) trait Key: Copy + Ord {
    /// Beyond every limit.
    const NEVER: Self;

    fn with_lowest(self, bits: u32) -> Self;

    fn lowest(self) -> u32;
}

/// A key for each child of a node.
pub(crate) type Keys<K> = [K; FANOUT];

const LOWEST: u32 = FANOUT as u32 - 1;

/// The key of a score: its bits, which are in its order, for it is not negative.
impl Key for u32 {
    const NEVER: Self = Self::MAX;

    #[inline(always)]
    fn with_lowest(self, bits: u32) -> Self {
        self & !LOWEST | bits
    }

    #[inline(always)]
    fn lowest(self) -> u32 {
        self & LOWEST
    }
}

/// The key of a tick.
impl Key for u64 {
    const NEVER: Self = Self::MAX;

    fn with_lowest(self, bits: u32) -> Self {
        self & !Self::from(LOWEST) | Self::from(bits)
    }

    fn lowest(self) -> u32 {
        self as u32 & LOWEST
    }
}

/// Goes through the relays of a part, the best first within each node, as long as
/// they could be better than what was found.
pub(crate) fn explore<G: Guide>(guide: &mut G, part: &Leaves) {
    visit(guide, part, part.summaries.top(), 0);
}

fn visit<G: Guide>(guide: &mut G, part: &Leaves, level: usize, node: usize) {
    let mut open = Open::new(guide, part, level, node);
    while open.least < guide.limit() {
        let below = open.take_least();
        match level {
            0 => guide.land(part, below),
            _ => visit(guide, part, level - 1, below),
        }
    }
}

/// Goes through the relays of several parts in the order of their keys, as long as
/// they could be among what was found.
pub(crate) fn explore_in_order<'a, G: Guide>(
    guide: &mut G,
    parts: impl Iterator<Item = &'a Leaves>,
) {
    let roots = parts.map(|part| Open::new(guide, part, part.summaries.top(), 0));
    let mut open: Vec<_> = roots.collect();
    while let Some(nearest) = open.iter_mut().min_by_key(|node| (node.least, node.level)) {
        if nearest.least >= guide.limit() {
            return;
        }
        let Open { part, level, .. } = *nearest;
        let below = nearest.take_least();
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
    /// The lowest bits of each name the child, counted from `first` on.
    keys: Keys<K>,
    first: u32,
    least: K,
}

impl<'a, K: Key> Open<'a, K> {
    #[inline(always)]
    fn new<G: Guide<Key = K>>(guide: &mut G, part: &'a Leaves, level: usize, node: usize) -> Self {
        let first = match G::IS_FAIR {
            true => random_bits() as u32 & LOWEST,
            false => 0,
        };
        let mut keys = guide.keys(part, level, node);
        for (child, key) in keys.iter_mut().enumerate() {
            *key = key.with_lowest((child as u32).wrapping_sub(first) & LOWEST);
        }
        Self {
            part,
            level,
            node,
            first,
            least: least(&keys),
            keys,
        }
    }

    /// The child with the least key, which it does not have any more.
    #[inline(always)]
    fn take_least(&mut self) -> usize {
        let child = (self.least.lowest() + self.first & LOWEST) as usize;
        self.keys[child] = K::NEVER;
        self.least = least(&self.keys);
        self.node * FANOUT + child
    }
}

#[inline(always)]
fn least<K: Key>(keys: &Keys<K>) -> K {
    keys.iter().copied().fold(K::NEVER, K::min)
}
