//! Which relay the record is of, and in which generation.

use super::{Extra, Lifecycle, Record};
use crate::relay::NodeId;
use crate::sync::{AtomicU64, Ordering, fence};

/// Bytes that one thread writes while others may read them, as words.
///
/// An unpinned reader may see a torn id, with words of two tenures, and must re-check the
/// generation.
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
        // Relaxed, here and below: the bucket entry, or the handle, publishes the words.
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

/// Names one generation of a record. It may be kept by threads that are not pinned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Handle {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl Handle {
    /// The bits of a generation.
    pub(crate) const GENERATION_BITS: u32 = u32::BITS - LEN_BITS;
}

/// The lower bits of `generation_and_len`: the length of the identity, less one.
///
/// So all lengths of an id fit, for no id is empty. A record that was never used reads as if
/// it had an id of one byte, zero. That is harmless, as the id is that a vacant record keeps
/// from its last tenure: no bucket names a vacant record, and a thread that is not pinned
/// accepts no lifecycle word but one that is live.
const LEN_BITS: u32 = 6;
const LEN_MASK: u32 = (1 << LEN_BITS) - 1;

const _: () = assert!(NodeId::MAX_LEN as u32 - 1 <= LEN_MASK);

impl Extra {
    /// Whether a long id goes on as `id` does.
    #[cold]
    #[inline(never)]
    fn has_tail_of(&self, id: &NodeId) -> bool {
        self.identity_tail.are(id.tail())
    }
}

impl Record {
    /// Whether this is the record of `id`; for a pinned thread that delays the next tenure.
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
    /// The generation is the same before and after, so what was read in between is of one
    /// generation: nothing of an earlier one, whose relay had departed before the
    /// generation was raised, and nothing of a later one, which began after that.
    #[inline(always)]
    pub(in crate::table) fn lifecycle_if_named<'a>(
        &self,
        extra: impl FnOnce() -> &'a Extra,
        id: &NodeId,
        accept: impl FnOnce(Lifecycle) -> bool,
    ) -> Option<Lifecycle> {
        // Acquire: the departure before this generation is seen.
        let before = self.generation_and_len.load(Ordering::Acquire);
        let word = self.lifecycle();
        if !(accept(word) && self.is_named(extra, id, len_in(before))) {
            return None;
        }
        // Acquire: if anything of the next tenure was read above, the load below sees the
        // raised generation.
        fence(Ordering::Acquire);
        (self.generation_and_len.load(Ordering::Relaxed) == before).then_some(word)
    }

    /// The id of the relay; for a pinned thread that delays the next tenure.
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

    /// Whether the record still has the generation of `handle`. Then what was read of it
    /// since a thread had that handle is of this generation.
    #[inline]
    pub(in crate::table) fn has_generation(&self, handle: Handle) -> bool {
        // Acquire: if anything of a later generation was read before, the load below sees
        // the raised generation.
        fence(Ordering::Acquire);
        self.generation_and_len.load(Ordering::Relaxed) >> LEN_BITS == handle.generation
    }

    /// A byte that follows from a key and the id of the relay.
    pub(in crate::table) fn jitter(&self, key: u64) -> u8 {
        let [one, other, ..] = self.identity_head.read();
        let mixed = (one ^ other.rotate_left(32) ^ key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 56) as u8
    }

    /// The present generation.
    #[inline]
    pub(in crate::table) fn generation(&self) -> u32 {
        // Acquire: sees the identity, which was written before a handle of this generation
        // was published. With the pin of `RecordRef::resolve`, that identity lasts: see
        // `end_generation`.
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
        // Release: a thread that sees the raised generation sees the departure. A pinned
        // thread that still sees the old one was pinned before the record is retired: the
        // pin has a SeqCst fence, and the grace period of the record begins later. So the
        // next identity is written after it unpins.
        // Relaxed: no other thread changes it.
        let word = self.generation_and_len.load(Ordering::Relaxed);
        self.generation_and_len
            .store(word.wrapping_add(1 << LEN_BITS), Ordering::Release);
    }
}

/// The length of the identity.
#[inline]
fn len_in(generation_and_len: u32) -> u8 {
    (generation_and_len & LEN_MASK) as u8 + 1
}

/// The word with another length, 1 to [`NodeId::MAX_LEN`].
pub(super) fn with_len(generation_and_len: u32, len: u8) -> u32 {
    generation_and_len & !LEN_MASK | u32::from(len - 1)
}
