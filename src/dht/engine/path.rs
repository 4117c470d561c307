//! [`ShardPath`]: which shard of a directory whose shards divide.

use std::fmt;

use sha2::{Digest, Sha256};

use super::Limits;
use crate::relay::NodeId;

/// A shard of the directory: one of the first [`Limits::shards`], or what it divided into.
///
/// The shards of a directory that [divides](Limits::max_depth) are binary tries over the hashes
/// of node ids: a shard that is full has two children, and a relay belongs to the child that the
/// next bit of its hash names. The path of a shard is the number of its root and the bits on the
/// way to it. It is shown as `3` for a root, and as `3/011` for a shard three levels below it.
///
/// ```
/// use relay_registry::NodeId;
/// use relay_registry::dht::{Limits, ShardPath};
/// use std::time::Duration;
///
/// let limits = Limits::new(900, 4, Duration::from_secs(3_600), 8).dividing(16);
/// let relay = NodeId::from([7; 32]);
/// let path = ShardPath::of(&relay, &limits, 2).expect("there is a directory");
/// assert_eq!(path.depth(), 2);
/// assert_eq!(path.parent().and_then(|parent| parent.parent()), limits.shard_of(&relay).map(ShardPath::root));
/// assert!([path.child(false), path.child(true)].contains(&ShardPath::of(&relay, &limits, 3)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardPath {
    shard: u16,
    depth: u8,
    /// The bits on the way from the root, the last one lowest.
    bits: u32,
}

impl ShardPath {
    /// The root with this number.
    #[must_use]
    pub const fn root(shard: u16) -> Self {
        Self {
            shard,
            depth: 0,
            bits: 0,
        }
    }

    /// The shard of `node` at this depth, on every node with the same number of shards. `None`
    /// if there is no directory, or it is not so deep.
    #[must_use]
    pub fn of(node: &NodeId, limits: &Limits, depth: u8) -> Option<Self> {
        let digest = Sha256::digest(node.as_bytes());
        let shard = u16::from_be_bytes([digest[0], digest[1]]).checked_rem(limits.shards)?;
        let hash = u32::from_be_bytes([digest[2], digest[3], digest[4], digest[5]]);
        (depth <= limits.max_depth).then(|| Self::below(shard, hash, depth))
    }

    /// The shard at `depth` below a root, on the way that the highest bits of `hash` name.
    pub(in crate::dht) fn below(shard: u16, hash: u32, depth: u8) -> Self {
        let bits = hash.checked_shr(32 - u32::from(depth)).unwrap_or(0);
        Self { shard, depth, bits }
    }

    /// The number of its root.
    #[must_use]
    pub const fn shard(&self) -> u16 {
        self.shard
    }

    /// How many times a root was divided to get it: 0 for a root.
    #[must_use]
    pub const fn depth(&self) -> u8 {
        self.depth
    }

    /// A hash whose highest bits lead here, and whose others are those of `random`.
    pub(in crate::dht) fn hash_below(&self, random: u32) -> u32 {
        let rest = u32::MAX.checked_shr(self.depth.into()).unwrap_or(0);
        let bits = self.bits.checked_shl(32 - u32::from(self.depth));
        bits.unwrap_or(0) | (random & rest)
    }

    /// Its number, if it is a root.
    #[must_use]
    pub fn as_root(&self) -> Option<u16> {
        (self.depth == 0).then_some(self.shard)
    }

    /// The shard that divided into this one and another. `None` for a root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.ancestor(1)
    }

    /// The shard so many levels above. `None` if that is above the root.
    pub(in crate::dht) fn ancestor(&self, levels: u8) -> Option<Self> {
        let depth = self.depth.checked_sub(levels)?;
        let bits = self.bits.checked_shr(u32::from(levels)).unwrap_or(0);
        Some(Self {
            depth,
            bits,
            ..*self
        })
    }

    /// The child for relays with this next bit. `None` below [`Limits::MAX_DEPTH`].
    #[must_use]
    pub fn child(&self, bit: bool) -> Option<Self> {
        (self.depth < Limits::MAX_DEPTH).then(|| Self {
            depth: self.depth + 1,
            bits: self.bits << 1 | u32::from(bit),
            ..*self
        })
    }

    /// Whether a directory with these limits has it.
    #[must_use]
    pub fn is_within(&self, limits: &Limits) -> bool {
        self.shard < limits.shards && self.depth <= limits.max_depth
    }
}

/// For engines, which are not modelled.
#[cfg(not(relay_loom))]
impl ShardPath {
    /// The length of its encoding in bytes.
    pub(in crate::dht) const LEN: usize = 7;

    /// Whether a relay belongs to this shard.
    pub(in crate::dht) fn is_of(&self, node: &NodeId, limits: &Limits) -> bool {
        Self::of(node, limits, self.depth) == Some(*self)
    }

    /// The number of its root, its depth and its bits, big-endian.
    pub(in crate::dht) fn to_bytes(self) -> [u8; Self::LEN] {
        let ([a, b], [c, d, e, f]) = (self.shard.to_be_bytes(), self.bits.to_be_bytes());
        [a, b, self.depth, c, d, e, f]
    }

    /// `None` if it is too deep for any directory, or has more bits than its depth.
    pub(in crate::dht) fn from_bytes([a, b, depth, c, d, e, f]: [u8; Self::LEN]) -> Option<Self> {
        let (shard, bits) = (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f]));
        let is_valid = depth <= Limits::MAX_DEPTH && bits >> depth == 0;
        is_valid.then_some(Self { shard, depth, bits })
    }
}

impl fmt::Display for ShardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.depth {
            0 => write!(f, "{}", self.shard),
            depth => write!(
                f,
                "{}/{:0width$b}",
                self.shard,
                self.bits,
                width = depth.into()
            ),
        }
    }
}

/// As it is displayed.
impl fmt::Debug for ShardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn limits() -> Limits {
        Limits::new(900, 4, Duration::from_secs(3_600), 8).dividing(Limits::MAX_DEPTH)
    }

    #[test]
    fn a_relay_is_below_its_root_at_every_depth() {
        for seed in 0..=255 {
            let node = NodeId::from([seed; 32]);
            let mut path = ShardPath::root(limits().shard_of(&node).expect("a directory"));
            for depth in 0..=Limits::MAX_DEPTH {
                assert_eq!(ShardPath::of(&node, &limits(), depth), Some(path));
                let Some(next) = ShardPath::of(&node, &limits(), depth + 1) else {
                    assert_eq!(depth, Limits::MAX_DEPTH);
                    assert_eq!(path.child(true), None);
                    break;
                };
                assert_eq!(next.parent(), Some(path));
                assert!(path.child(false) == Some(next) || path.child(true) == Some(next));
                path = next;
            }
            assert_eq!(
                path.ancestor(Limits::MAX_DEPTH),
                Some(ShardPath::root(path.shard()))
            );
            assert_eq!(path.ancestor(Limits::MAX_DEPTH + 1), None);
        }
    }

    #[test]
    fn a_path_is_shown_by_its_root_and_bits() {
        let child = ShardPath::root(3)
            .child(false)
            .and_then(|path| path.child(true));
        assert_eq!(ShardPath::root(3).to_string(), "3");
        assert_eq!(child.map(|path| path.to_string()), Some("3/01".into()));
    }

    #[cfg(not(relay_loom))]
    #[test]
    fn the_encoding_of_a_path_has_no_bits_above_its_depth() {
        for depth in 0..=Limits::MAX_DEPTH {
            let path = ShardPath::below(7, 0xa5a5_a5a5, depth);
            assert_eq!(ShardPath::from_bytes(path.to_bytes()), Some(path));
        }
        assert_eq!(
            ShardPath::below(7, u32::MAX, 2).to_bytes(),
            [0, 7, 2, 0, 0, 0, 3]
        );
        assert_eq!(ShardPath::from_bytes([0, 7, 2, 0, 0, 0, 4]), None);
        assert_eq!(ShardPath::from_bytes([0, 7, 0, 0, 0, 0, 1]), None);
        assert_eq!(
            ShardPath::from_bytes([0, 7, Limits::MAX_DEPTH + 1, 0, 0, 0, 0]),
            None
        );
        assert_eq!(ShardPath::from_bytes([0xff; ShardPath::LEN]), None);
    }

    #[test]
    fn a_path_outside_the_limits_is_not_of_the_directory() {
        let shallow = limits().dividing(1);
        let child = ShardPath::root(7).child(true).expect("it is not too deep");
        assert!(child.is_within(&shallow));
        assert!(!child.child(true).expect("a child").is_within(&shallow));
        assert!(!ShardPath::root(8).is_within(&shallow));
        assert_eq!(ShardPath::of(&NodeId::from([1; 32]), &shallow, 2), None);
    }
}
