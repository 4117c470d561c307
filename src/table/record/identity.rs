//! Whose record it is, and in which of its lives: the identity, and the life word.

use super::{Extra, Lifecycle, Record};
use crate::relay::NodeId;
use crate::sync::{AtomicU64, Ordering, fence};

/// Bytes that one thread writes while others may read them, as words.
///
/// A reader that is not held off by anything may see some words of one life and
/// some of the next; it has to find that out by other means, and must not
/// believe what it read until then.
#[derive(Debug)]
#[repr(transparent)]
pub(super) struct AtomicWords<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for AtomicWords<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::default()))
    }
}

impl<const N: usize> AtomicWords<N> {
    #[inline]
    pub(super) fn read(&self) -> [u64; N] {
        // Relaxed, here and below: ordered by what publishes the whole.
        std::array::from_fn(|word| self.0[word].load(Ordering::Relaxed))
    }

    pub(super) fn write(&self, words: [u64; N]) {
        for (place, word) in self.0.iter().zip(words) {
            place.store(word, Ordering::Relaxed);
        }
    }

    /// Whether they are these.
    #[inline(always)]
    pub(super) fn are(&self, words: [u64; N]) -> bool {
        let places = self.0.iter().zip(words);
        places.fold(true, |all, (place, word)| {
            all && place.load(Ordering::Relaxed) == word
        })
    }
}

/// Names one life of a record, for keeping where no thread is pinned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Handle {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl Handle {
    /// The bits of a generation.
    pub(crate) const GENERATION_BITS: u32 = u32::BITS - LEN_BITS;
}

/// The part of the life word that holds the length of the identity.
const LEN_BITS: u32 = 6;
pub(super) const LEN_MASK: u32 = (1 << LEN_BITS) - 1;

const _: () = assert!(NodeId::MAX_LEN as u32 <= LEN_MASK);

impl Extra {
    /// Whether a long id goes on as `id` does.
    #[cold]
    #[inline(never)]
    fn has_tail_of(&self, id: &NodeId) -> bool {
        self.identity_tail.are(id.tail())
    }
}

impl Record {
    /// Whether this is the record of `id`; for a thread that holds off its next life.
    #[inline]
    pub(in crate::table) fn matches<'a>(
        &self,
        extra: impl FnOnce() -> &'a Extra,
        id: &NodeId,
    ) -> bool {
        self.is_named(extra, id, self.identity_len())
    }

    #[inline(always)]
    fn is_named<'a>(&self, extra: impl FnOnce() -> &'a Extra, id: &NodeId, len: u8) -> bool {
        len == id.len_u8()
            && self.identity_head.are(id.head())
            && (id.len_u8() <= 32 || extra().has_tail_of(id))
    }

    /// The lifecycle word, if the record is that of `id` and `accept` takes it,
    /// as it must take no record that is not live; for any thread, pinned or not.
    ///
    /// The generation is the same before and after, so what was read in between
    /// is of one life: nothing of an earlier one, which had departed before its
    /// generation ended, and nothing of a later one, which began after that.
    #[inline(always)]
    pub(in crate::table) fn lifecycle_if_named<'a>(
        &self,
        extra: impl FnOnce() -> &'a Extra,
        id: &NodeId,
        accept: impl FnOnce(Lifecycle) -> bool,
    ) -> Option<Lifecycle> {
        // Acquire: the life before has departed.
        let life = self.generation_and_len.load(Ordering::Acquire);
        let word = self.lifecycle();
        if !(accept(word) && self.is_named(extra, id, len_in(life))) {
            return None;
        }
        // Acquire: had we read anything of the next life, we would see now that
        // this one has ended.
        fence(Ordering::Acquire);
        (self.generation_and_len.load(Ordering::Relaxed) == life).then_some(word)
    }

    /// The id of the relay; for a thread that holds off its next life.
    #[inline]
    pub(in crate::table) fn identity<'a>(&self, extra: impl FnOnce() -> &'a Extra) -> NodeId {
        let len = self.identity_len();
        let tail = match len {
            ..=32 => [0; 4],
            _ => extra().identity_tail.read(),
        };
        NodeId::from_parts(self.identity_head.read(), tail, len)
    }

    #[inline]
    fn identity_len(&self) -> u8 {
        // Relaxed: published with the identity.
        len_in(self.generation_and_len.load(Ordering::Relaxed))
    }

    /// Whether the record is in this life, so that whatever was read of it since it
    /// was in an earlier one was of this life, too.
    #[inline]
    pub(in crate::table) fn has_generation(&self, handle: Handle) -> bool {
        // Acquire: had we read anything of the next life, we would see that this one
        // has ended.
        fence(Ordering::Acquire);
        self.generation_and_len.load(Ordering::Relaxed) >> LEN_BITS == handle.generation
    }

    /// What is drawn of a key for this relay: the same for each life of an id.
    pub(in crate::table) fn jitter(&self, key: u64) -> u8 {
        let [one, other, ..] = self.identity_head.read();
        let mixed = (one ^ other.rotate_left(32) ^ key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 56) as u8
    }

    /// The number of the present life.
    #[inline]
    pub(in crate::table) fn generation(&self) -> u32 {
        // Acquire: a matching generation comes with the identity of that life.
        self.generation_and_len.load(Ordering::Acquire) >> LEN_BITS
    }

    /// The handle of the present generation; `index` is where the record lies.
    #[inline]
    pub(in crate::table) fn handle(&self, index: u32) -> Handle {
        Handle {
            index,
            generation: self.generation(),
        }
    }

    /// Makes every handle stale; only for the thread that closes the record.
    pub(in crate::table) fn end_generation(&self) {
        // Release: the next life's identity is written after this, and a
        // reader that still sees the old number is pinned since before.
        self.generation_and_len
            .fetch_add(1 << LEN_BITS, Ordering::Release);
    }
}

/// The length of the identity in a life word.
#[inline]
fn len_in(life: u32) -> u8 {
    (life & LEN_MASK) as u8
}
