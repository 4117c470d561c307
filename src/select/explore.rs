//! Branch and bound over the trees of a snapshot.

use crate::snapshot::{LEAVES, Leaves, count_bits, select_bit, width};
use crate::sync::random_bits;

/// What is looked for, and where.
pub(crate) trait Guide {
    /// What is bounded: the lower, the better.
    type Key: Copy + PartialOrd;

    /// Beyond every limit.
    const NEVER: Self::Key;

    /// Whether of those that are equal each is as likely as any other to be the
    /// first, or they come in the order of their places.
    const IS_FAIR: bool;

    /// A lower bound of the keys below each word of a node; how many words it has.
    fn keys(&mut self, part: &Leaves, level: usize, node: usize, keys: &mut [Self::Key; LEAVES]);

    /// Keys from here on are not of interest any more.
    fn limit(&self) -> Self::Key;

    /// Looks at the relay at a place, of the node whose keys were asked for last.
    fn land(&mut self, part: &Leaves, place: usize);
}

/// Goes through the relays of a part, the best first within each node, as long as
/// they could be better than what was found.
///
/// Each of several that are equal is as likely as any other to be the first.
pub(crate) fn explore<G: Guide>(guide: &mut G, part: &Leaves) {
    visit(guide, part, part.summaries.top(), 0);
}

fn visit<G: Guide>(guide: &mut G, part: &Leaves, level: usize, node: usize) {
    let mut keys = [G::NEVER; LEAVES];
    guide.keys(part, level, node, &mut keys);
    let width = width(level);
    while let Some((least, equal)) = least(&keys[..width], guide.limit()) {
        let branch = match G::IS_FAIR {
            true => pick(equal, random_bits()),
            false => equal.trailing_zeros(),
        } as usize;
        debug_assert!(keys[branch] == least);
        keys[branch] = G::NEVER;
        let below = node * width + branch;
        match level {
            0 => guide.land(part, below),
            _ => visit(guide, part, level - 1, below),
        }
    }
}

/// The least key below a limit, and a bit for each that is equal.
fn least<K: Copy + PartialOrd>(keys: &[K], limit: K) -> Option<(K, u64)> {
    let mut found = (limit, 0);
    for (at, &key) in keys.iter().enumerate() {
        if key < found.0 {
            found = (key, 1 << at);
        } else if key == found.0 && found.1 != 0 {
            found.1 |= 1 << at;
        }
    }
    (found.1 != 0).then_some(found)
}

/// One of the bits that are set, by the lowest twelve of some random bits.
#[inline(always)]
pub(crate) fn pick(mask: u64, random: u64) -> u32 {
    if mask & (mask - 1) == 0 {
        return mask.trailing_zeros();
    }
    let k = (random & 0xfff) * u64::from(count_bits(mask)) >> 12;
    select_bit(mask, k as u32)
}
