//! A hash map of a fixed size from words to words: any number of readers, and one writer at a
//! time.
//!
//! Each bucket is a chain of entries, by links. A link has the index of an entry and the
//! *generation* of its content. An entry that a link leads to is not changed, but for its own
//! link to the next one:
//!
//! - To add or replace, the writer fills an entry that is free, and then sets the link that
//!   leads there.
//! - To remove, it sets the link past the entry. The entry and its link stay as they are, so a
//!   reader that is there goes on to the rest of the chain.
//! - Before it fills an entry again, it raises the generation of that entry.
//!
//! A reader compares the generation of the entry with that of the link after it has read the
//! content. If they differ, the entry was filled anew meanwhile, and the reader begins again at
//! the bucket. So reads are lock-free: each repetition means that a writer has removed an entry
//! and used it again, which is [as late as possible](super::ages). Nothing is freed, so no
//! stalled reader holds up memory.
//!
//! A generation has 39 bits. A reader would have to stall while one entry is filled exactly
//! 2^39 times, or a multiple, to take the content of one for that of another.

use crate::footprint::Footprint;
use crate::sync::{AtomicU64, Ordering, ZeroedSlice, fence};

const INDEX_BITS: u32 = 25;
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;
const GENERATION_MASK: u64 = u64::MAX >> INDEX_BITS;

/// The words of an entry before its key.
const GENERATION: usize = 0;
const NEXT: usize = 1;
const HASH: usize = 2;
const HEADER: usize = 3;

/// See the module's description.
pub(super) struct WordMap<const KEY: usize, const VALUE: usize> {
    /// The link to the first entry of each bucket.
    buckets: ZeroedSlice<AtomicU64>,
    entries: ZeroedSlice<AtomicU64>,
}

/// The content of an entry; zero as a word if there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link {
    index: u32,
    generation: u64,
}

impl Link {
    fn of(word: u64) -> Option<Self> {
        let index = (word & INDEX_MASK).checked_sub(1)?;
        Some(Self {
            index: index as u32,
            generation: word >> INDEX_BITS,
        })
    }

    fn word(self) -> u64 {
        self.generation << INDEX_BITS | (u64::from(self.index) + 1)
    }
}

/// Where a key is, or would be added. It is valid until the next change.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// The link that leads there.
    link: &'a AtomicU64,
    /// The entry of the key, if it is in the map.
    pub(super) index: Option<u32>,
}

impl<const KEY: usize, const VALUE: usize> WordMap<KEY, VALUE> {
    const ENTRY: usize = HEADER + KEY + VALUE;

    /// For about so many keys in so many entries. `None` if there is not enough memory.
    pub(super) fn new(keys: usize, entries: usize) -> Option<Self> {
        debug_assert!((entries as u64) < INDEX_MASK);
        Some(Self {
            buckets: ZeroedSlice::new(keys.next_power_of_two())?,
            entries: ZeroedSlice::new(entries.checked_mul(Self::ENTRY)?)?,
        })
    }

    /// The first words of the value of a key.
    pub(super) fn get<const WORDS: usize>(
        &self,
        hash: u64,
        key: &[u64; KEY],
    ) -> Option<[u64; WORDS]> {
        loop {
            if let Ok(found) = self.try_get(hash, key) {
                return found;
            }
        }
    }

    /// `Err` if an entry was filled anew while it was read.
    fn try_get<const WORDS: usize>(
        &self,
        hash: u64,
        key: &[u64; KEY],
    ) -> Result<Option<[u64; WORDS]>, ()> {
        // Acquire: the entry is as it was when the link was set, or later.
        let mut link = self.bucket(hash).load(Ordering::Acquire);
        while let Some(Link { index, generation }) = Link::of(link) {
            let entry = self.entry(index);
            let value = has_key(entry, hash, key).then(|| first_words(&entry[HEADER + KEY..]));
            // Relaxed: the fence makes it acquire, as above, of the next entry.
            link = entry[NEXT].load(Ordering::Relaxed);
            // If any word above is from a later filling, then the generation below is, too: this
            // fence meets the one of `fill`.
            fence(Ordering::Acquire);
            // Acquire: if it differs, the next attempt sees the link that was set past the entry
            // before that was filled anew.
            if entry[GENERATION].load(Ordering::Acquire) != generation {
                return Err(());
            }
            if value.is_some() {
                return Ok(value);
            }
        }
        Ok(None)
    }

    /// If so many entries were ever in use. Keys are all over the buckets.
    pub(super) fn footprint(&self, used: usize) -> Footprint {
        Footprint::of_items::<AtomicU64>(self.buckets.len())
            + Footprint::of_some::<AtomicU64>(used * Self::ENTRY, self.entries.len())
    }

    /// Where a key is, for the writer.
    pub(super) fn locate(&self, hash: u64, key: &[u64; KEY]) -> Place<'_> {
        let mut link = self.bucket(hash);
        // Relaxed, here and in what the writer reads below: the lock orders all writers.
        while let Some(Link { index, .. }) = Link::of(link.load(Ordering::Relaxed)) {
            let entry = self.entry(index);
            if has_key(entry, hash, key) {
                let index = Some(index);
                return Place { link, index };
            }
            link = &entry[NEXT];
        }
        Place { link, index: None }
    }

    /// Adds a key in a free entry, or replaces the entry of the key by that one.
    pub(super) fn put(
        &self,
        place: Place<'_>,
        free: u32,
        hash: u64,
        key: &[u64; KEY],
        value: &[u64; VALUE],
    ) {
        let next = place.index.map_or(0, |index| self.next_of(index));
        let filled = self.fill(free, next, hash, key, value);
        // Release: with the link goes the content.
        place.link.store(filled.word(), Ordering::Release);
    }

    /// Removes the entry of a place.
    pub(super) fn remove(&self, place: Place<'_>, index: u32) {
        debug_assert_eq!(place.index, Some(index));
        // Release: with the link goes the content of the next entry.
        place.link.store(self.next_of(index), Ordering::Release);
    }

    /// The hash and the key of an entry in use, for the writer.
    pub(super) fn key(&self, index: u32) -> (u64, [u64; KEY]) {
        let entry = self.entry(index);
        let hash = entry[HASH].load(Ordering::Relaxed);
        (hash, first_words(&entry[HEADER..]))
    }

    /// The first words of the value of an entry in use, for the writer.
    pub(super) fn value<const WORDS: usize>(&self, index: u32) -> [u64; WORDS] {
        first_words(&self.entry(index)[HEADER + KEY..])
    }

    fn next_of(&self, index: u32) -> u64 {
        self.entry(index)[NEXT].load(Ordering::Relaxed)
    }

    /// Fills a free entry.
    fn fill(
        &self,
        index: u32,
        next: u64,
        hash: u64,
        key: &[u64; KEY],
        value: &[u64; VALUE],
    ) -> Link {
        let entry = self.entry(index);
        let generation = (entry[GENERATION].load(Ordering::Relaxed) + 1) & GENERATION_MASK;
        // Release: see `try_get`.
        entry[GENERATION].store(generation, Ordering::Release);
        // A reader that sees any word below sees the generation above: see `try_get`.
        fence(Ordering::Release);
        let content = [next, hash].into_iter().chain(*key).chain(*value);
        for (word, content) in entry[NEXT..].iter().zip(content) {
            word.store(content, Ordering::Relaxed);
        }
        Link { index, generation }
    }

    fn bucket(&self, hash: u64) -> &AtomicU64 {
        &self.buckets[hash as usize & (self.buckets.len() - 1)]
    }

    fn entry(&self, index: u32) -> &[AtomicU64] {
        &self.entries[index as usize * Self::ENTRY..][..Self::ENTRY]
    }
}

fn has_key<const KEY: usize>(entry: &[AtomicU64], hash: u64, key: &[u64; KEY]) -> bool {
    // Relaxed: the generation decides whether these words belong together.
    let mut words = entry[HASH..]
        .iter()
        .map(|word| word.load(Ordering::Relaxed));
    words.next() == Some(hash) && key.iter().all(|&word| words.next() == Some(word))
}

fn first_words<const WORDS: usize>(words: &[AtomicU64]) -> [u64; WORDS] {
    // Relaxed: as in `has_key`.
    std::array::from_fn(|at| words[at].load(Ordering::Relaxed))
}
