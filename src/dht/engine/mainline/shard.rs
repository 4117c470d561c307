//! A shard of the directory: up to 28 relays in one mutable item of at most 1,000
//! bytes.
//!
//! All relays of a network write it under one shared key, so it proves nothing
//! about the relays that it lists. An entry has the public key of a relay, when the
//! relay last joined or left, and which of the two it did:
//!
//! ```text
//! 02 | key (32 bytes) | left (1 bit), seconds (23 bits, big-endian) | key | .. | mark
//! ```
//!
//! A shard that has divided ends with a mark of three bytes: a bit that is set, and when it
//! divided, or when a relay below it renewed the mark. Of two marks the later one is kept.
//!
//! Storage nodes may store different versions of a shard, and relays that read
//! different versions may write at the same time. So versions are merged: of two
//! entries of one relay, the later one is kept. The entry of a relay that left is
//! kept until every older entry has expired. Seconds are those since the Unix epoch
//! modulo 2^23 (97 days); an entry expires after two refresh intervals.

use std::collections::BTreeMap;
use std::time::Duration;

use mainline::MutableItem;

use crate::dht::engine::DhtError;
use crate::dht::record::MAX_SKEW;

/// The maximum number of entries of a shard.
pub(super) const MAX_MEMBERS: usize = 28;

const VERSION: u8 = 2;
const KEY_LEN: usize = 32;
const TIME_LEN: usize = 3;
const LEFT_BIT: u32 = 1 << 23;
const SECONDS_MASK: u32 = LEFT_BIT - 1;

/// A time since the Unix epoch, in seconds modulo 2^23.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timestamp(u32);

impl Timestamp {
    /// The timestamp of a time since the Unix epoch.
    pub(super) fn from_unix(time: Duration) -> Self {
        Self((time.as_secs() % u64::from(LEFT_BIT)) as u32)
    }

    /// The timestamp one second later.
    fn next(self) -> Self {
        Self((self.0 + 1) & SECONDS_MASK)
    }

    /// How long before `now` this is; zero if it is ahead by at most [`MAX_SKEW`].
    fn age(self, now: Self) -> Duration {
        let ahead = u64::from(self.0.wrapping_sub(now.0) & SECONDS_MASK);
        if ahead <= MAX_SKEW.as_secs() {
            return Duration::ZERO;
        }
        Duration::from_secs(u64::from(now.0.wrapping_sub(self.0) & SECONDS_MASK))
    }

    /// Whether this is later than `other`, by less than half of the modulus.
    fn is_later(self, other: Self) -> bool {
        let ahead = self.0.wrapping_sub(other.0) & SECONDS_MASK;
        ahead != 0 && ahead <= SECONDS_MASK / 2
    }
}

/// The latest known state of one relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MemberState {
    changed_at: Timestamp,
    left: bool,
}

impl MemberState {
    /// Whether this state is later. Of a join and a leave in the same second, the
    /// leave is.
    fn is_later(self, other: Self) -> bool {
        let leaves_in_same_second = self.changed_at == other.changed_at && self.left && !other.left;
        leaves_in_same_second || self.changed_at.is_later(other.changed_at)
    }
}

/// The merged entries of one or more versions of a shard.
#[derive(Clone, Debug)]
pub(super) struct Shard {
    now: Timestamp,
    /// How long an entry is valid.
    lifetime: Duration,
    entries: BTreeMap<[u8; KEY_LEN], MemberState>,
    divided_at: Option<Timestamp>,
}

impl Shard {
    pub(super) fn new(now: Timestamp, lifetime: Duration) -> Self {
        Self {
            now,
            lifetime,
            entries: BTreeMap::new(),
            divided_at: None,
        }
    }

    /// Merges an untrusted version. Calls `on_join` for each relay that was not a
    /// member before.
    pub(super) fn merge(&mut self, version: &[u8], mut on_join: impl FnMut([u8; KEY_LEN])) {
        if let Some(mark) = decode_mark(version) {
            self.merge_mark(mark);
        }
        for (key, state) in decode(version) {
            let known = self.entries.get(&key).copied();
            if state.changed_at.age(self.now) >= self.lifetime
                || known.is_some_and(|known| !state.is_later(known))
            {
                continue;
            }
            self.entries.insert(key, state);
            if !state.left && known.is_none_or(|known| known.left) {
                on_join(key);
            }
        }
    }

    fn merge_mark(&mut self, mark: Timestamp) {
        let is_earlier = self.divided_at.is_some_and(|known| !mark.is_later(known));
        if mark.age(self.now) < self.lifetime && !is_earlier {
            self.divided_at = Some(mark);
        }
    }

    /// Marks the shard as divided now.
    pub(super) fn divide(&mut self) {
        self.merge_mark(self.now);
    }

    pub(super) fn is_divided(&self) -> bool {
        self.divided_at.is_some()
    }

    /// Whether the shard has divided, and the mark was renewed within `age`.
    fn is_divided_within(&self, age: Duration) -> bool {
        let mark = self.divided_at.map(|mark| mark.age(self.now));
        mark.is_some_and(|mark| mark < age)
    }

    fn members(&self) -> usize {
        self.entries.values().filter(|state| !state.left).count()
    }

    /// Replaces all that is known by `version`.
    pub(super) fn replace(&mut self, version: &[u8]) {
        self.entries.clear();
        self.divided_at = None;
        self.merge(version, |_| ());
    }

    /// Adds `key`, or marks it as `left`, later than its current entry. If the shard
    /// is full, then the oldest entry of another relay that left is dropped.
    pub(super) fn set(&mut self, key: [u8; KEY_LEN], left: bool) -> Result<(), DhtError> {
        let changed_at = match self.entries.get(&key) {
            Some(known) if !self.now.is_later(known.changed_at) => known.changed_at.next(),
            _ => self.now,
        };
        let before = self.entries.insert(key, MemberState { changed_at, left });
        while self.entries.len() > MAX_MEMBERS {
            let oldest = self
                .entries
                .iter()
                .filter(|(other, state)| state.left && **other != key)
                .max_by_key(|(_, state)| state.changed_at.age(self.now))
                .map(|(other, _)| *other);
            let Some(oldest) = oldest else {
                self.entries.remove(&key);
                self.entries.extend(before.map(|before| (key, before)));
                return Err(DhtError::Full { max: MAX_MEMBERS });
            };
            self.entries.remove(&oldest);
        }
        Ok(())
    }

    /// Whether the latest entry of `key` is that it left.
    pub(super) fn has_left(&self, key: &[u8; KEY_LEN]) -> bool {
        self.entries.get(key).is_some_and(|state| state.left)
    }

    /// Whether `key` is a member, and has used less than a quarter of its lifetime, so
    /// that it need not join again.
    pub(super) fn is_fresh(&self, key: &[u8; KEY_LEN]) -> bool {
        let member = self.entries.get(key).filter(|state| !state.left);
        member.is_some_and(|state| state.changed_at.age(self.now) < self.lifetime / 4)
    }

    /// Whether `key` has the same entry here and in `other`.
    fn has_same_entry(&self, other: &Self, key: &[u8; KEY_LEN]) -> bool {
        self.entries.get(key) == other.entries.get(key)
    }

    /// The version to write. Together, the versions of several storage nodes may have more entries
    /// than fit: then it has those that changed last. Storage nodes ignore a longer item.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(_, state)| state.changed_at.age(self.now));
        entries.truncate(MAX_MEMBERS);
        entries.sort_by_key(|(key, _)| **key);
        let mut bytes = vec![VERSION];
        for (key, state) in entries {
            let time = state.changed_at.0 | if state.left { LEFT_BIT } else { 0 };
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(&time.to_be_bytes()[1..]);
        }
        if let Some(Timestamp(mark)) = self.divided_at {
            bytes.extend_from_slice(&(mark | LEFT_BIT).to_be_bytes()[1..]);
        }
        bytes
    }
}

/// A change of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShardUpdate {
    Join,
    Leave,
    Divide,
}

/// The next step of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing is left to do. After a join, the shard has so many members.
    Done { members: usize },
    /// The relay cannot join: the shard is full, or has divided.
    Full,
    /// Write what was merged, over all versions if `forced`, also over newer ones.
    Write { forced: bool },
    /// Write what was merged, which has the mark. Then the shard is full.
    Divide,
}

/// What one read of a shard found: storage nodes may store different versions.
pub(super) struct ShardRead {
    /// All versions, merged.
    pub(super) merged: Shard,
    /// The version with the highest sequence.
    pub(super) newest: Shard,
    pub(super) newest_sequence: Option<i64>,
    pub(super) versions: u32,
    /// Whether some version lists this relay as a member.
    pub(super) is_listed: bool,
    /// The number of nodes that answered.
    pub(super) answered: u32,
}

impl ShardRead {
    pub(super) fn new(empty: Shard) -> Self {
        Self {
            merged: empty.clone(),
            newest: empty,
            newest_sequence: None,
            versions: 0,
            is_listed: false,
            answered: 0,
        }
    }

    /// Adds one version. `key` is this relay.
    pub(super) fn add(&mut self, item: &MutableItem, key: &[u8; KEY_LEN]) {
        self.versions += 1;
        self.is_listed |= decode(item.value()).any(|(other, state)| other == *key && !state.left);
        self.merged.merge(item.value(), |_| ());
        if Some(item.seq()) > self.newest_sequence {
            self.newest_sequence = Some(item.seq());
            self.newest.replace(item.value());
        }
    }

    /// What to do for a change of the relay with this key, which `written` has if it was written
    /// before. Applies the change to the merged versions, which are to be written then.
    pub(super) fn next_step(
        &mut self,
        update: ShardUpdate,
        key: &[u8; KEY_LEN],
        written: Option<&Shard>,
        is_last: bool,
        may_divide: bool,
    ) -> Step {
        match update {
            ShardUpdate::Join => self.next_join(key, written, is_last, may_divide),
            ShardUpdate::Leave => self.next_leave(key, is_last),
            ShardUpdate::Divide if self.is_freshly_divided() => Step::Done { members: 0 },
            ShardUpdate::Divide => {
                self.merged.divide();
                Step::Write { forced: false }
            }
        }
    }

    /// Whether the mark of the newest version has used less than a quarter of its lifetime.
    fn is_freshly_divided(&self) -> bool {
        self.newest.is_divided_within(self.newest.lifetime / 4)
    }

    fn next_join(
        &mut self,
        key: &[u8; KEY_LEN],
        written: Option<&Shard>,
        is_last: bool,
        may_divide: bool,
    ) -> Step {
        // Those below no longer renew an older mark.
        if may_divide && self.merged.is_divided_within(self.merged.lifetime / 2) {
            return Step::Full;
        }
        let is_joined = match written {
            Some(written) => self.confirms(written, key, is_last),
            None => self.newest.is_fresh(key),
        };
        if is_joined {
            let members = self.merged.members();
            return Step::Done { members };
        }
        match self.merged.set(*key, false) {
            Ok(()) => Step::Write { forced: false },
            Err(_) if may_divide => {
                self.merged.divide();
                Step::Divide
            }
            Err(_) => Step::Full,
        }
    }

    /// The last attempt accepts less: a malicious node may list the relay forever, or never.
    fn next_leave(&mut self, key: &[u8; KEY_LEN], is_last: bool) -> Step {
        let has_left = self.merged.has_left(key);
        if has_left && (!self.is_listed || is_last) {
            return Step::Done { members: 0 };
        }
        match self.merged.set(*key, true) {
            Ok(()) => Step::Write { forced: has_left },
            // It is full of other relays.
            Err(_) => Step::Done { members: 0 },
        }
    }

    /// Whether the entry of `key` in `written` is in the newest version, or, if
    /// `anywhere` is set, in any version.
    pub(super) fn confirms(&self, written: &Shard, key: &[u8; KEY_LEN], anywhere: bool) -> bool {
        let read = if anywhere { &self.merged } else { &self.newest };
        read.has_same_entry(written, key)
    }
}

/// The first [`MAX_MEMBERS`] entries of a version; none if it has another format.
fn decode(version: &[u8]) -> impl Iterator<Item = ([u8; KEY_LEN], MemberState)> {
    let entries = match version.split_first() {
        Some((&VERSION, entries)) => entries,
        _ => &[],
    };
    entries
        .chunks_exact(KEY_LEN + TIME_LEN)
        .take(MAX_MEMBERS)
        .map(decode_entry)
}

/// The mark of a version, in the bytes after its entries.
fn decode_mark(version: &[u8]) -> Option<Timestamp> {
    let (&VERSION, entries) = version.split_first()? else {
        return None;
    };
    let &[a, b, c] = entries.chunks_exact(KEY_LEN + TIME_LEN).remainder() else {
        return None;
    };
    let mark = u32::from_be_bytes([0, a, b, c]);
    (mark & LEFT_BIT != 0).then_some(Timestamp(mark & SECONDS_MASK))
}

/// Decodes one entry of `KEY_LEN + TIME_LEN` bytes.
fn decode_entry(entry: &[u8]) -> ([u8; KEY_LEN], MemberState) {
    let key = std::array::from_fn(|index| entry[index]);
    let time = u32::from_be_bytes([0, entry[KEY_LEN], entry[KEY_LEN + 1], entry[KEY_LEN + 2]]);
    let state = MemberState {
        changed_at: Timestamp(time & SECONDS_MASK),
        left: time & LEFT_BIT != 0,
    };
    (key, state)
}

#[cfg(test)]
mod tests;
