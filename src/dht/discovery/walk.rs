//! [`Walk`]: the search for one leaf of a directory whose shards divide.

use fastrand::Rng;

use crate::dht::engine::ShardPath;

/// A walk along the way from a root to a random leaf.
#[derive(Debug)]
pub(super) struct Walk {
    shard: u16,
    /// Its highest bits are the way.
    hash: u32,
    depth: u8,
    max_depth: u8,
    /// The shards above this depth have divided.
    lowest: u8,
    /// The shard at this depth is empty.
    empty: Option<u8>,
}

/// How a walk goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walked {
    /// To another shard.
    On,
    /// There is no leaf on the way.
    Ended,
}

impl Walk {
    /// A walk to a random leaf below `path`, which begins at `depth`, or at `path` if that is
    /// deeper.
    pub(super) fn towards(path: ShardPath, depth: u8, max_depth: u8, random: &mut Rng) -> Self {
        let lowest = path.depth();
        Self {
            shard: path.shard(),
            hash: path.hash_below(random.u32(..)),
            depth: depth.clamp(lowest, max_depth.max(lowest)),
            max_depth,
            lowest,
            empty: None,
        }
    }

    /// The shard that it reads next.
    pub(super) fn path(&self) -> ShardPath {
        ShardPath::below(self.shard, self.hash, self.depth)
    }

    /// Goes down, unless the child on the way is empty.
    pub(super) fn found_divided(&mut self) -> Walked {
        let child = self.depth + 1;
        self.lowest = child;
        if child > self.max_depth || self.empty == Some(child) {
            return Walked::Ended;
        }
        self.depth = child;
        Walked::On
    }

    /// Goes up, unless the parent has divided.
    pub(super) fn found_empty(&mut self) -> Walked {
        if self.depth <= self.lowest {
            return Walked::Ended;
        }
        self.empty = Some(self.depth);
        self.depth -= 1;
        Walked::On
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(depth: u8) -> Walk {
        Walk::towards(ShardPath::root(3), depth, 4, &mut Rng::with_seed(1))
    }

    #[test]
    fn a_walk_goes_down_from_divided_shards_to_the_greatest_depth() {
        let mut walk = walk(0);
        for depth in 0..4 {
            assert_eq!(walk.path().depth(), depth);
            assert_eq!(walk.found_divided(), Walked::On);
        }
        assert_eq!(walk.path().ancestor(4), Some(ShardPath::root(3)));
        assert_eq!(walk.found_divided(), Walked::Ended);
    }

    #[test]
    fn a_walk_goes_up_from_empty_shards_to_the_root() {
        let mut walk = walk(9);
        for depth in (1..=4).rev() {
            assert_eq!(walk.path().depth(), depth);
            assert_eq!(walk.found_empty(), Walked::On);
        }
        assert_eq!(walk.path(), ShardPath::root(3));
        assert_eq!(walk.found_empty(), Walked::Ended);
    }

    #[test]
    fn a_walk_between_a_divided_shard_and_an_empty_child_ends() {
        let mut down = walk(2);
        assert_eq!(down.found_divided(), Walked::On);
        assert_eq!(down.found_empty(), Walked::Ended);
        let mut up = walk(3);
        assert_eq!(up.found_empty(), Walked::On);
        assert_eq!(up.found_divided(), Walked::Ended);
    }
}
