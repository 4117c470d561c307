//! Branch and bound over the trees of a snapshot.

use crate::snapshot::{FANOUT, Leaves, pick};
use crate::sync::random_bits;
use std::cmp::Ordering;

/// What is looked for, and where.
pub(crate) trait Guide {
    /// What is bounded: the lower, the better.
    type Key: Copy + PartialOrd;

    /// Beyond every limit.
    const NEVER: Self::Key;

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

/// A key for each child of a node.
pub(crate) type Keys<K> = [K; FANOUT];

/// Goes through the relays of a part, the best first within each node, as long as
/// they could be better than what was found.
pub(crate) fn explore<G: Guide>(guide: &mut G, part: &Leaves) {
    visit(guide, part, part.summaries.top(), 0);
}

fn visit<G: Guide>(guide: &mut G, part: &Leaves, level: usize, node: usize) {
    let mut keys = guide.keys(part, level, node);
    loop {
        let (least, equal) = least(&keys);
        if least >= guide.limit() {
            return;
        }
        let child = match G::IS_FAIR {
            true => pick(equal, random_bits()),
            false => equal.trailing_zeros(),
        } as usize;
        keys[child] = G::NEVER;
        let below = node * FANOUT + child;
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
    let mut open: Vec<Open<'a, G::Key>> = parts
        .map(|part| Open::new(guide, part, part.summaries.top(), 0))
        .collect();
    while let Some(at) = nearest(&open, guide.limit()) {
        let Open { part, level, .. } = open[at];
        let below = open[at].take_least(G::NEVER);
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
    /// The least of the keys, and a bit for each child that has it.
    least: (K, u32),
}

/// The node with the least key below a limit; the lowest of several, as it leads to
/// a relay soonest.
fn nearest<K: Copy + PartialOrd>(open: &[Open<'_, K>], limit: K) -> Option<usize> {
    let within = open
        .iter()
        .enumerate()
        .filter(|(_, node)| node.least.0 < limit);
    let by_key = |(_, one): &(usize, &Open<'_, K>), (_, other): &(usize, &Open<'_, K>)| {
        let order = one.least.0.partial_cmp(&other.least.0);
        order
            .unwrap_or(Ordering::Equal)
            .then(one.level.cmp(&other.level))
    };
    within.min_by(by_key).map(|(at, _)| at)
}

impl<'a, K: Copy + PartialOrd> Open<'a, K> {
    fn new<G: Guide<Key = K>>(guide: &mut G, part: &'a Leaves, level: usize, node: usize) -> Self {
        let keys = guide.keys(part, level, node);
        Self {
            part,
            level,
            node,
            keys,
            least: least(&keys),
        }
    }

    /// Which child has the least key, and does not have it any more.
    fn take_least(&mut self, never: K) -> usize {
        let child = pick(self.least.1, random_bits()) as usize;
        self.keys[child] = never;
        self.least = least(&self.keys);
        self.node * FANOUT + child
    }
}

/// The least key, and a bit for each child that has it.
#[inline(always)]
fn least<K: Copy + PartialOrd>(keys: &Keys<K>) -> (K, u32) {
    let lesser = |one: K, other: K| if other < one { other } else { one };
    let least = keys.iter().copied().fold(keys[0], lesser);
    let equal = keys.iter().map(|key| u32::from(*key == least));
    (least, equal.rev().fold(0, |mask, bit| mask << 1 | bit))
}
