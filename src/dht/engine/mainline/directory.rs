//! A shard of the directory: up to 28 relays in one mutable item of 1,000 bytes.
//!
//! All relays of a network write it under one key that all of them know, so it
//! says where to look and proves nothing. Of each relay it has the public key,
//! when it last joined, and whether it left since:
//!
//! ```text
//! 02 | key (32 bytes) | left (1 bit), seconds (23 bits, big-endian) | key | ..
//! ```
//!
//! Storage nodes may hold different versions, and writers that saw different
//! ones write at once. So versions are merged, never chosen between: the latest
//! word on each relay counts, and a relay that left stays as a mark until
//! nothing older can be about. Seconds are those of the Unix epoch modulo 2^23,
//! 97 days; whatever is older than a few refreshes is over.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::dht::engine::DhtError;
use crate::dht::record::MAX_SKEW;

/// The most relays of a shard.
pub(super) const MAX_MEMBERS: usize = 28;

const VERSION: u8 = 2;
const KEY: usize = 32;
const STAMP: usize = 3;
const LEFT: u32 = 1 << 23;
const SECONDS: u32 = LEFT - 1;

/// A moment, in seconds modulo 2^23.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(u32);

impl Stamp {
    /// The stamp of a time since the Unix epoch.
    pub(super) fn of(time: Duration) -> Self {
        Self((time.as_secs() % u64::from(LEFT)) as u32)
    }

    fn after(self) -> Self {
        Self((self.0 + 1) & SECONDS)
    }

    /// How long before `now` this is; nothing if it is a little after it.
    fn age(self, now: Self) -> Duration {
        let ahead = u64::from(self.0.wrapping_sub(now.0) & SECONDS);
        if ahead <= MAX_SKEW.as_secs() {
            return Duration::ZERO;
        }
        Duration::from_secs(u64::from(now.0.wrapping_sub(self.0) & SECONDS))
    }

    /// Whether this is later than `other`, going the shorter way round.
    fn is_later(self, other: Self) -> bool {
        let ahead = self.0.wrapping_sub(other.0) & SECONDS;
        ahead != 0 && ahead <= SECONDS / 2
    }
}

/// The latest word on one relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MemberState {
    stamp: Stamp,
    left: bool,
}

impl MemberState {
    fn overrules(self, held: Self) -> bool {
        let leaves_at_once = self.stamp == held.stamp && self.left && !held.left;
        leaves_at_once || self.stamp.is_later(held.stamp)
    }
}

/// What is known of a shard at one moment.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    now: Stamp,
    /// How long a word on a relay counts.
    lifetime: Duration,
    entries: BTreeMap<[u8; KEY], MemberState>,
}

impl Directory {
    pub(super) fn new(now: Stamp, lifetime: Duration) -> Self {
        Self {
            now,
            lifetime,
            entries: BTreeMap::new(),
        }
    }

    /// Takes in a version, which anybody may have written; `listed` hears of
    /// each relay that it makes known as a member.
    pub(super) fn merge(&mut self, version: &[u8], mut listed: impl FnMut([u8; KEY])) {
        let Some((&VERSION, entries)) = version.split_first() else {
            return;
        };
        for entry in entries.chunks_exact(KEY + STAMP).take(MAX_MEMBERS) {
            let (key, entry) = read(entry);
            let held = self.entries.get(&key).copied();
            if entry.stamp.age(self.now) >= self.lifetime
                || held.is_some_and(|held| !entry.overrules(held))
            {
                continue;
            }
            self.entries.insert(key, entry);
            if !entry.left && held.is_none_or(|held| held.left) {
                listed(key);
            }
        }
    }

    /// Takes in this version only.
    pub(super) fn replace(&mut self, version: &[u8]) {
        self.entries.clear();
        self.merge(version, |_| ());
    }

    /// Enters `key`, or marks that it left, as the latest word on it.
    pub(super) fn set(&mut self, key: [u8; KEY], left: bool) -> Result<(), DhtError> {
        let stamp = match self.entries.get(&key) {
            Some(held) if !self.now.is_later(held.stamp) => held.stamp.after(),
            _ => self.now,
        };
        self.entries.insert(key, MemberState { stamp, left });
        while self.entries.len() > MAX_MEMBERS {
            let longest_gone = self
                .entries
                .iter()
                .filter(|(other, entry)| entry.left && **other != key)
                .max_by_key(|(_, entry)| entry.stamp.age(self.now))
                .map(|(other, _)| *other);
            let Some(longest_gone) = longest_gone else {
                self.entries.remove(&key);
                return Err(DhtError::Full { max: MAX_MEMBERS });
            };
            self.entries.remove(&longest_gone);
        }
        Ok(())
    }

    /// Whether `key` is known to have left.
    pub(super) fn has_left(&self, key: &[u8; KEY]) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.left)
    }

    /// Whether `key` is a member and will be for at least three quarters of the
    /// time, so that it need not join again.
    pub(super) fn is_fresh(&self, key: &[u8; KEY]) -> bool {
        let entry = self.entries.get(key).filter(|entry| !entry.left);
        entry.is_some_and(|entry| entry.stamp.age(self.now) < self.lifetime / 4)
    }

    /// Whether the word of `other` on `key` is known here too.
    pub(super) fn agrees(&self, other: &Self, key: &[u8; KEY]) -> bool {
        self.entries.get(key) == other.entries.get(key)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        for (key, entry) in &self.entries {
            let stamp = entry.stamp.0 | if entry.left { LEFT } else { 0 };
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(&stamp.to_be_bytes()[1..]);
        }
        bytes
    }
}

/// Whether a version lists `key` as a member.
pub(super) fn lists(version: &[u8], key: &[u8; KEY]) -> bool {
    let Some((&VERSION, entries)) = version.split_first() else {
        return false;
    };
    let mut entries = entries
        .chunks_exact(KEY + STAMP)
        .take(MAX_MEMBERS)
        .map(read);
    entries.any(|(other, entry)| other == *key && !entry.left)
}

/// Reads one entry, which has the length of one.
fn read(entry: &[u8]) -> ([u8; KEY], MemberState) {
    let key = std::array::from_fn(|at| entry[at]);
    let stamp = u32::from_be_bytes([0, entry[KEY], entry[KEY + 1], entry[KEY + 2]]);
    let entry = MemberState {
        stamp: Stamp(stamp & SECONDS),
        left: stamp & LEFT != 0,
    };
    (key, entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(7_200);

    fn at(seconds: u64) -> Directory {
        Directory::new(Stamp::of(Duration::from_secs(seconds)), LIFETIME)
    }

    /// What one writer leaves who enters and takes out these at that time.
    fn version(seconds: u64, words: &[(u8, bool)]) -> Vec<u8> {
        let mut directory = at(seconds);
        for &(key, left) in words {
            directory.set([key; KEY], left).expect("there is room");
        }
        directory.encode()
    }

    fn members(seconds: u64, versions: &[&[u8]]) -> Vec<u8> {
        let mut directory = at(seconds);
        for version in versions {
            directory.merge(version, |_| ());
        }
        let live = |(key, entry): (&[u8; KEY], &MemberState)| (!entry.left).then_some(key[0]);
        directory.entries.iter().filter_map(live).collect()
    }

    #[test]
    fn versions_merge_in_any_order_and_the_latest_word_counts() {
        let joined = version(1_000, &[(1, false), (2, false)]);
        let left = version(1_001, &[(1, true), (3, false)]);
        assert_eq!(members(1_002, &[&joined, &left]), [2, 3]);
        assert_eq!(members(1_002, &[&left, &joined]), [2, 3]);
    }

    #[test]
    fn to_leave_within_the_second_of_joining_counts() {
        let both = version(1_000, &[(1, false), (1, true)]);
        assert_eq!(members(1_000, &[&both]), []);
        let again = version(1_000, &[(1, false), (1, true), (1, false)]);
        assert_eq!(members(1_000, &[&both, &again]), [1]);
        let a_join = version(1_000, &[(1, false)]);
        let a_leave = version(1_000, &[(1, true)]);
        assert_eq!(members(1_000, &[&a_leave, &a_join]), []);
        assert_eq!(members(1_000, &[&a_join, &a_leave]), []);
    }

    #[test]
    fn a_relay_that_does_not_rejoin_is_forgotten_also_where_the_seconds_wrap() {
        for start in [1_000, u64::from(LEFT) - 10, 1_800_000_000] {
            let joined = version(start, &[(1, false)]);
            assert_eq!(members(start + 7_199, &[&joined]), [1], "{start}");
            assert_eq!(members(start + 7_200, &[&joined]), [], "{start}");
            assert_eq!(members(start - 300, &[&joined]), [1], "a clock may lag");
            assert_eq!(members(start - 301, &[&joined]), [], "but not by much");
        }
    }

    #[test]
    fn who_joined_lately_need_not_join_again() {
        let joined = version(1_000, &[(1, false), (2, true)]);
        for (later, is_fresh) in [(0, true), (1_799, true), (1_800, false)] {
            let mut directory = at(1_000 + later);
            directory.merge(&joined, |_| ());
            assert_eq!(directory.is_fresh(&[1; KEY]), is_fresh, "{later}");
            assert!(!directory.is_fresh(&[2; KEY]) && !directory.is_fresh(&[3; KEY]));
        }
    }

    #[test]
    fn a_full_shard_forgets_those_who_left_and_then_refuses() {
        let mut directory = at(1_000);
        directory.set([200; KEY], true).expect("there is room");
        for key in 0..MAX_MEMBERS as u8 {
            directory.set([key; KEY], false).expect("there is room");
        }
        assert_eq!(
            directory.set([99; KEY], false),
            Err(DhtError::Full { max: MAX_MEMBERS })
        );
        let bytes = directory.encode();
        assert!(bytes.len() <= 1_000, "{} bytes", bytes.len());
        let everyone: Vec<u8> = (0..MAX_MEMBERS as u8).collect();
        assert_eq!(members(1_000, &[&bytes]), everyone);
        directory.set([3; KEY], false).expect("it is in already");
    }

    #[test]
    fn what_is_no_version_says_nothing() {
        let good = version(1_000, &[(1, false)]);
        for bad in [&[][..], &[VERSION], &[1, 2, 3], &good[1..], &good[..35]] {
            assert_eq!(members(1_000, &[bad]), [], "{bad:?}");
        }
        assert_eq!(members(1_000, &[&vec![VERSION; 100_000]]).len(), 0);
    }

    #[test]
    fn a_member_is_listed_once_and_none_that_is_known_to_have_left() {
        let joined = version(1_000, &[(1, false), (2, false)]);
        let left = version(1_001, &[(1, true)]);
        let mut directory = at(1_002);
        let mut listed = Vec::new();
        for version in [&left, &joined, &joined] {
            directory.merge(version, |key| listed.push(key[0]));
        }
        assert_eq!(listed, [2]);
    }
}
