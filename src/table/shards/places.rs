//! The places of a table, which bound how many relays are admitted, and how they move between
//! shards.
//!
//! There are `max_relays` places. Each belongs to a record that is admitted, to a shard, or to
//! the *pool*. A shard that has none left gets some from the pool, and if that is empty, the pool
//! takes some from the shard that has most. So a registration writes a word of its shard, and
//! seldom one that all shards share.
//!
//! # How places move
//!
//! One *transfer* is under way at a time: a *grant*, from the pool to a shard, or a *recall*, from
//! a shard to the pool. The word of the pool names it, with the tag that the shard has then:
//!
//! 1. A compare-and-swap of the pool names the transfer. A grant takes its places from the pool.
//! 2. A compare-and-swap of the word of the shard adds the places, or takes them away, and sets
//!    the next tag. If a shard has too few for a recall by then, or too many for a grant, it stays
//!    as it is, and the tag after the next says so.
//! 3. A compare-and-swap of the pool ends the transfer. The places of a recall are added then, or
//!    those of a grant that the shard did not take.
//!
//! Any thread that finds a transfer under way does what is left of it ([`Shards::settle`]). It
//! knows by the tag whether step 2 is done. So no thread waits for another, and step 2 happens
//! once: a thread that was preempted before it finds another word.
//!
//! # Full
//!
//! A table is full at a moment if neither the pool nor any shard has a place, and no transfer is
//! under way. The words are read one after another. If two readings of all are equal, they were
//! so at all times between ([`Shards::no_places`]), since none of them has an old value again.
//!
//! ```text
//!  63                 41 40 39 38     33 32      29 28       18 17         0
//! +---------------------+-----+---------+----------+-----------+------------+
//! | places of the pool  |step |  shard  |  amount  |    tag    |   number   |
//! +---------------------+-----+---------+----------+-----------+------------+
//! ```
//!
//! The amount is a power of two, and so is written as its logarithm.
//!
//! # Why the pool never has an old value again
//!
//! Each change raises the number. For an old value there would have to be 2^17 transfers, or a
//! multiple, while a thread is preempted within one step of a transfer.

use crate::sync::{AtomicU64, Ordering, Padded};
use crate::table::shards::admission_word::{AdmissionState, Tag};
use crate::table::shards::{MAX_SHARDS, Shard, ShardId, Shards};

/// The places that no shard has, and the transfer that is under way.
#[derive(Debug)]
pub(super) struct Pool(Padded<AtomicU64>);

/// A reading of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PoolState(u64);

/// A transfer that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Transfer {
    is_recall: bool,
    shard: ShardId,
    amount: Amount,
    /// The tag of the shard before.
    tag: Tag,
}

/// How many places a transfer moves, as a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Amount {
    log2: u8,
}

impl Amount {
    const BITS: u32 = 4;

    /// The most that are no more than so many, at least one.
    fn up_to(places: u32) -> Self {
        let log2 = places.max(1).ilog2().min((1 << Self::BITS) - 1);
        Self { log2: log2 as u8 }
    }

    /// About half of what a shard has.
    fn half_of(word: AdmissionState) -> Self {
        Self::up_to(word.places().div_ceil(2))
    }

    fn of_bits(bits: u64) -> Self {
        Self {
            log2: bits as u8 & ((1 << Self::BITS) - 1),
        }
    }

    fn places(self) -> u32 {
        1 << self.log2
    }
}

/// A shard gets so many at a time, if there are.
const GRANT: u32 = if cfg!(relay_loom) { 1 } else { 256 };

/// From so many on, a shard gives some to the pool.
const TOO_MANY: u32 = AdmissionState::MOST_PLACES - GRANT;

const NUMBER_BITS: u32 = 18;
const NUMBER_MASK: u64 = (1 << NUMBER_BITS) - 1;
const TAG_SHIFT: u32 = NUMBER_BITS;
const AMOUNT_SHIFT: u32 = TAG_SHIFT + Tag::BITS;
const SHARD_SHIFT: u32 = AMOUNT_SHIFT + Amount::BITS;
const STEP_SHIFT: u32 = SHARD_SHIFT + ShardId::BITS;
const GRANTING: u64 = 1 << STEP_SHIFT;
const RECALLING: u64 = 2 << STEP_SHIFT;
const PLACES_SHIFT: u32 = STEP_SHIFT + 2;

/// One shard has all of so many, and the pool none.
pub(super) const MOST_IN_ONE: u32 = AdmissionState::MOST_PLACES / 2;

/// The most places that there can be.
pub(in crate::table) const MAX_PLACES: usize = (1 << (u64::BITS - PLACES_SHIFT)) - 1;

impl PoolState {
    fn places(self) -> u32 {
        (self.0 >> PLACES_SHIFT) as u32
    }

    fn transfer(self) -> Option<Transfer> {
        let step = self.0 & (GRANTING | RECALLING);
        (step != 0).then_some(Transfer {
            is_recall: step == RECALLING,
            shard: ShardId::of_bits(self.0 >> SHARD_SHIFT),
            amount: Amount::of_bits(self.0 >> AMOUNT_SHIFT),
            tag: Tag::of_bits(self.0 >> TAG_SHIFT),
        })
    }

    /// With these places, and the next number.
    fn followed_by(self, places: u32, transfer: Option<Transfer>) -> Self {
        let number = (self.0 + 1) & NUMBER_MASK;
        let transfer = transfer.map_or(0, |transfer| {
            let step = if transfer.is_recall {
                RECALLING
            } else {
                GRANTING
            };
            step | transfer.shard.bits() << SHARD_SHIFT
                | u64::from(transfer.amount.log2) << AMOUNT_SHIFT
                | transfer.tag.bits() << TAG_SHIFT
        });
        Self(u64::from(places) << PLACES_SHIFT | transfer | number)
    }
}

impl Pool {
    pub(super) fn new(places: u32) -> Self {
        debug_assert!(places as usize <= MAX_PLACES);
        Self(Padded(AtomicU64::new(u64::from(places) << PLACES_SHIFT)))
    }

    fn read(&self) -> PoolState {
        // Acquire: the word of the shard is read as of the transfer, or later.
        PoolState(self.0.load(Ordering::Acquire))
    }

    /// Fails if the word has changed since `seen`.
    fn change(&self, seen: PoolState, next: PoolState) {
        // Release: a thread that sees the transfer sees the tag that it names; and one that sees its
        // end, what it did. Acquire: sees the transfers before. Relaxed: on failure the word is
        // loaded again.
        let _ = self
            .0
            .compare_exchange(seen.0, next.0, Ordering::AcqRel, Ordering::Relaxed);
    }
}

/// All words that say how many places there are, as they were read one after another.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::table) struct Reading {
    pool: PoolState,
    shards: [AdmissionState; MAX_SHARDS],
}

impl Shards {
    /// Sees to it that a shard has a place, if there is any; false if there seemed to be none.
    pub(in crate::table) fn supply(&self, to: ShardId) -> bool {
        loop {
            let pool = self.settle();
            let own = self.get(to).admission.read();
            if own.places() > 0 {
                return true;
            }
            if pool.places() > 0 {
                self.grant(pool, to, own);
                continue;
            }
            let others = self.iter().map(|(shard, it)| (shard, it.admission.read()));
            match others.max_by_key(|(_, word)| word.places()) {
                Some((from, word)) if word.places() > 0 => {
                    self.recall(pool, from, word, Amount::half_of(word));
                }
                _ => return false,
            }
        }
    }

    /// Whether a shard has so many places that it should give some to the pool.
    #[inline]
    pub(in crate::table) fn has_too_many(&self, seen: AdmissionState) -> bool {
        seen.places() >= TOO_MANY
    }

    /// Gives places of the shard of an index to the pool, if it has too many.
    #[cold]
    pub(in crate::table) fn relieve(&self, index: u32) {
        let from = self.layout().of_index(index);
        loop {
            let pool = self.settle();
            let word = self.get(from).admission.read();
            if !self.has_too_many(word) {
                return;
            }
            self.recall(pool, from, word, Amount::half_of(word));
        }
    }

    fn grant(&self, pool: PoolState, to: ShardId, word: AdmissionState) {
        let amount = Amount::up_to(pool.places().min(GRANT));
        let transfer = Transfer {
            is_recall: false,
            shard: to,
            amount,
            tag: word.tag(),
        };
        let left = pool.places() - amount.places();
        self.pool
            .change(pool, pool.followed_by(left, Some(transfer)));
    }

    fn recall(&self, pool: PoolState, from: ShardId, word: AdmissionState, amount: Amount) {
        let transfer = Transfer {
            is_recall: true,
            shard: from,
            amount,
            tag: word.tag(),
        };
        self.pool
            .change(pool, pool.followed_by(pool.places(), Some(transfer)));
    }

    /// Reads the pool, after finishing the transfer that is under way.
    fn settle(&self) -> PoolState {
        loop {
            let pool = self.pool.read();
            let Some(transfer) = pool.transfer() else {
                return pool;
            };
            self.finish(pool, transfer);
        }
    }

    /// One of the steps that are left of a transfer.
    fn finish(&self, pool: PoolState, transfer: Transfer) {
        let Transfer {
            is_recall,
            shard,
            amount,
            tag,
        } = transfer;
        let amount = amount.places();
        let Shard { admission, .. } = self.get(shard);
        let word = admission.read();
        // The tag counts only if the transfer was under way when the word was loaded. That load
        // is acquire, so the one here is not before it.
        if self.pool.read() != pool {
            return;
        }
        if word.tag() == tag {
            let places = match is_recall {
                false => {
                    Some(word.places() + amount).filter(|&sum| sum <= AdmissionState::MOST_PLACES)
                }
                true => word.places().checked_sub(amount),
            };
            match places {
                Some(places) => admission.set_places(word, places, tag.after(1)),
                None => admission.set_places(word, word.places(), tag.after(2)),
            }
            return;
        }
        let is_moved = word.tag() == tag.after(1);
        let gained = if is_moved == is_recall { amount } else { 0 };
        let after = pool.places() + gained;
        self.pool.change(pool, pool.followed_by(after, None));
    }

    /// All words, if there seems to be no place; none is there if a later reading is equal.
    pub(in crate::table) fn no_places(&self) -> Option<Reading> {
        let reading = self.read_all();
        let places = |word: &AdmissionState| word.places();
        let are_any = reading.pool.places() > 0 || reading.shards.iter().any(|it| places(it) > 0);
        (!are_any).then_some(reading)
    }

    fn read_all(&self) -> Reading {
        let pool = self.settle();
        let mut shards = [AdmissionState::default(); MAX_SHARDS];
        for (shard, word) in self.iter().zip(&mut shards) {
            *word = shard.1.admission.read();
        }
        Reading { pool, shards }
    }

    /// How many places belong to no record, if `is_so` returns true while none comes or goes.
    pub(in crate::table) fn free_places_while(&self, is_so: impl Fn() -> bool) -> Option<usize> {
        let mut reading = self.read_all();
        while is_so() {
            let again = self.read_all();
            if again == reading {
                return Some(again.places());
            }
            reading = again;
        }
        None
    }

    /// About how many places belong to no record.
    pub(in crate::table) fn about_free_places(&self) -> usize {
        self.read_all().places()
    }
}

impl Reading {
    fn places(&self) -> usize {
        let shards: u32 = self.shards.iter().map(|word| word.places()).sum();
        (shards + self.pool.places()) as usize
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    const ONE: ShardId = ShardId(0);
    const OTHER: ShardId = ShardId(1);
    const MOST: u32 = AdmissionState::MOST_PLACES;

    fn word(shards: &Shards, shard: ShardId) -> AdmissionState {
        shards.get(shard).admission.read()
    }

    /// The places of both shards and of the pool.
    fn places(shards: &Shards) -> [u32; 3] {
        let pool = shards.settle().places();
        [ONE, OTHER]
            .map(|shard| word(shards, shard).places())
            .into_iter()
            .chain([pool])
            .collect::<Vec<_>>()
            .try_into()
            .expect("three")
    }

    #[test]
    fn the_pool_is_granted_in_parts() {
        let shards = Shards::with_places([0, 0], GRANT + 1);
        assert!(shards.supply(ONE));
        assert_eq!(places(&shards), [GRANT, 0, 1]);
        assert!(shards.supply(ONE), "it has some");
        assert_eq!(places(&shards), [GRANT, 0, 1]);
        assert!(shards.supply(OTHER));
        assert_eq!(places(&shards), [GRANT, 1, 0]);
    }

    #[test]
    fn about_half_of_the_places_of_another_shard_are_recalled() {
        let shards = Shards::with_places([5, 0], 0);
        assert!(shards.supply(OTHER));
        assert_eq!(places(&shards), [3, 2, 0], "a power of two");
        assert!(shards.no_places().is_none());
        assert_eq!(shards.free_places_while(|| true), Some(5));
        assert_eq!(shards.free_places_while(|| false), None);
    }

    #[test]
    fn nothing_is_supplied_where_nothing_is() {
        let shards = Shards::with_places([0, 0], 0);
        assert!(!shards.supply(ONE));
        assert!(
            shards
                .no_places()
                .is_some_and(|it| shards.no_places() == Some(it))
        );
        assert_eq!(shards.about_free_places(), 0);
    }

    #[test]
    fn a_shard_with_too_many_places_gives_some_of_them() {
        let shards = Shards::with_places([TOO_MANY, TOO_MANY - 1], 3);
        let index = shards.layout().index(ONE, 0);
        assert!(shards.has_too_many(word(&shards, ONE)));
        shards.relieve(index);
        let moved = 1_024;
        assert_eq!(places(&shards), [TOO_MANY - moved, TOO_MANY - 1, 3 + moved]);
        shards.relieve(shards.layout().index(OTHER, 0));
        assert_eq!(places(&shards)[1], TOO_MANY - 1, "it has not too many");
    }

    /// By the time that the word of the shard is changed, the shard has too few, or too many.
    #[test]
    fn a_transfer_that_does_not_fit_changes_nothing() {
        let shards = Shards::with_places([MOST, 1], 7);
        let (full, tag) = (word(&shards, ONE), word(&shards, ONE).tag());
        shards.grant(shards.pool.read(), ONE, full);
        assert_eq!(places(&shards), [MOST, 1, 7]);
        assert_eq!(word(&shards, ONE).tag(), tag.after(2));
        let (few, tag) = (word(&shards, OTHER), word(&shards, OTHER).tag());
        shards.recall(shards.pool.read(), OTHER, few, Amount::up_to(2));
        assert_eq!(places(&shards), [MOST, 1, 7]);
        assert_eq!(word(&shards, OTHER).tag(), tag.after(2));
    }

    #[test]
    fn no_transfer_begins_on_an_old_reading_of_the_pool() {
        let shards = Shards::with_places([0, 4], 1);
        let (old, own) = (shards.pool.read(), word(&shards, ONE));
        assert!(shards.supply(ONE));
        shards.grant(old, ONE, own);
        shards.recall(old, OTHER, word(&shards, OTHER), Amount::up_to(4));
        assert_eq!(shards.pool.read().transfer(), None);
        assert_eq!(places(&shards), [1, 4, 0]);
    }

    #[test]
    fn the_parts_of_a_transfer_do_not_touch() {
        let tag = Tag::of_bits(u64::MAX);
        for transfer in [
            Transfer {
                is_recall: true,
                shard: ShardId::of_bits(u64::MAX),
                amount: Amount::of_bits(u64::MAX),
                tag: tag.after(1),
            },
            Transfer {
                is_recall: false,
                shard: ONE,
                amount: Amount::up_to(1),
                tag,
            },
        ] {
            let most = MAX_PLACES as u32;
            let word = PoolState(0).followed_by(most, Some(transfer));
            assert_eq!(word.transfer(), Some(transfer));
            assert_eq!(word.places(), most);
            let ended = word.followed_by(0, None);
            assert_eq!((ended.places(), ended.transfer()), (0, None));
            assert_ne!(ended, PoolState(0).followed_by(0, None), "another number");
        }
    }
}
