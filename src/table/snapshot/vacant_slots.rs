//! The vacant slots of a run.
//!
//! They are in stripes. A stripe has a stack, for the arrivals and departures of some shards, from
//! which any thread takes. One thread, whose number is that of the stripe, alone also has a short
//! list there, which it changes by plain loads and stores. So if relays come and go in turns on
//! one thread, the lines of a slot stay with one core, and no read-modify-write takes it. If one
//! thread has relays come and another one has them go, the stacks lead the slots back.
//!
//! A thread that ends leaves its list to the next thread with its number; see
//! [`thread_index`](crate::sync::thread_index).

use crate::footprint::Footprint;
use crate::sync::{AtomicU32, Ordering, Padded, ZeroedSlice};
use crate::table::shards::ShardId;
use crate::table::stack::{Chain, TaggedStack};

/// See the module's description.
pub(super) struct VacantSlots {
    /// A power of two.
    stripes: Box<[Padded<Stripe>]>,
    /// Of each slot, while it is vacant.
    links: ZeroedSlice<AtomicU32>,
    /// So many slots the list of a thread has at most.
    most_kept: u32,
}

#[derive(Default)]
struct Stripe {
    shared: TaggedStack,
    own: OwnSlots,
}

/// The slots of one thread, which alone uses this.
#[derive(Default)]
struct OwnSlots {
    /// The name of the first one: its number plus one, or zero.
    top: AtomicU32,
    len: AtomicU32,
    /// How many were taken so far.
    taken: AtomicU32,
}

impl VacantSlots {
    /// For so many slots, none of which is vacant yet.
    pub(super) fn new(slots: usize, stripes: usize, most_kept: u32) -> Self {
        Self {
            stripes: (0..stripes).map(|_| Padded::default()).collect(),
            links: ZeroedSlice::new_or_abort(slots),
            most_kept,
        }
    }

    pub(super) fn footprint(&self) -> Footprint {
        Footprint::of_items::<Padded<Stripe>>(self.stripes.len())
            + Footprint::of_items::<AtomicU32>(self.links.len())
    }

    pub(super) fn stripes(&self) -> usize {
        self.stripes.len()
    }

    /// Takes a slot that the thread with a number keeps, or one of a shard.
    #[inline]
    pub(super) fn take(&self, thread: usize, shard: ShardId) -> Option<u32> {
        let own = self.stripes.get(thread);
        own.and_then(|stripe| stripe.own.take(|slot| self.link(slot)))
            .or_else(|| self.shared(shard).pop(|slot| self.link(slot)))
    }

    /// Takes a slot of any stripe, except those that other threads keep.
    #[cold]
    pub(super) fn take_from_any(&self) -> Option<u32> {
        let mut stripes = self.stripes.iter();
        stripes.find_map(|stripe| stripe.shared.pop(|slot| self.link(slot)))
    }

    /// Adds a slot to those that the thread with a number keeps, or to those of a shard.
    #[inline]
    pub(super) fn add(&self, thread: usize, shard: ShardId, slot: u32) {
        let own = self.stripes.get(thread);
        if !own.is_some_and(|stripe| self.keep(stripe, slot)) {
            self.shared(shard)
                .push(Chain::of(slot), |slot| self.link(slot));
        }
    }

    /// The same for several, the first of which is taken first.
    pub(super) fn add_each(
        &self,
        thread: usize,
        shard: ShardId,
        slots: impl DoubleEndedIterator<Item = u32>,
    ) {
        match self.stripes.get(thread) {
            Some(_) => slots.rev().for_each(|slot| self.add(thread, shard, slot)),
            None => {
                if let Some(chain) = Chain::of_each(slots, |slot| self.link(slot)) {
                    self.shared(shard).push(chain, |slot| self.link(slot));
                }
            }
        }
    }

    /// How many slots were taken so far.
    pub(super) fn taken(&self) -> u64 {
        let of_stripe = |stripe: &Padded<Stripe>| {
            // Acquire: as for the pops of a stack.
            let own = stripe.own.taken.load(Ordering::Acquire);
            u64::from(own) + u64::from(stripe.shared.pops())
        };
        self.stripes.iter().map(of_stripe).sum()
    }

    /// Those of a shard.
    #[inline]
    fn shared(&self, shard: ShardId) -> &TaggedStack {
        &self.stripes[shard.at() & (self.stripes.len() - 1)].shared
    }

    #[inline]
    fn link(&self, slot: u32) -> &AtomicU32 {
        &self.links[slot as usize]
    }

    /// Adds a slot to the list of the calling thread; false if that is long enough.
    #[inline]
    fn keep(&self, Stripe { own, .. }: &Stripe, slot: u32) -> bool {
        // Relaxed, here and below: of one thread at a time.
        let len = own.len.load(Ordering::Relaxed);
        if len >= self.most_kept {
            return false;
        }
        let top = own.top.load(Ordering::Relaxed);
        self.link(slot).store(top, Ordering::Relaxed);
        own.top.store(slot + 1, Ordering::Relaxed);
        own.len.store(len + 1, Ordering::Relaxed);
        true
    }
}

impl OwnSlots {
    #[inline]
    fn take<'a>(&self, link_of: impl Fn(u32) -> &'a AtomicU32) -> Option<u32> {
        // Relaxed, six times: of one thread at a time. A thread that has seen what became of the
        // slot counts this.
        let slot = self.top.load(Ordering::Relaxed).checked_sub(1)?;
        let below = link_of(slot).load(Ordering::Relaxed);
        self.top.store(below, Ordering::Relaxed);
        let len = self.len.load(Ordering::Relaxed);
        self.len.store(len.wrapping_sub(1), Ordering::Relaxed);
        let taken = self.taken.load(Ordering::Relaxed);
        self.taken.store(taken.wrapping_add(1), Ordering::Relaxed);
        Some(slot)
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    /// A number that no thread has.
    const NONE: usize = usize::MAX;

    fn shard(number: u64) -> ShardId {
        ShardId::of_bits(number)
    }

    #[test]
    fn a_thread_keeps_a_few_slots_for_itself() {
        let slots = VacantSlots::new(8, 2, 2);
        for slot in 0..4 {
            slots.add(0, shard(1), slot);
        }
        assert_eq!(slots.take(1, shard(0)), None, "another shard");
        assert_eq!(slots.take(1, shard(1)), Some(3));
        assert_eq!(slots.take_from_any(), Some(2));
        assert_eq!(slots.take_from_any(), None, "the others are kept");
        let ours = [(); 3].map(|()| slots.take(0, shard(0)));
        assert_eq!(ours, [Some(1), Some(0), None]);
        assert_eq!(slots.taken(), 4);
    }

    #[test]
    fn threads_without_a_list_of_their_own_share_what_a_shard_has() {
        let slots = VacantSlots::new(8, 2, 2);
        slots.add_each(NONE, shard(3), [4, 6, 5].into_iter());
        slots.add(3, shard(5), 7);
        assert_eq!(slots.take(NONE, shard(1)), Some(7));
        assert_eq!(slots.take(3, shard(1)), Some(4));
        assert_eq!(slots.take(0, shard(7)), Some(6));
        assert_eq!(slots.take(0, shard(0)), None);
        assert_eq!(slots.taken(), 3);
    }

    #[test]
    fn of_several_slots_the_first_is_taken_first() {
        let slots = VacantSlots::new(8, 2, 3);
        slots.add_each(1, shard(0), [4, 6, 5].into_iter());
        let taken = [(); 4].map(|()| slots.take(1, shard(0)));
        assert_eq!(taken, [Some(4), Some(6), Some(5), None]);
    }
}

#[cfg(all(test, relay_loom))]
mod models {
    use super::*;
    use crate::sync::{Arc, check, yield_point};
    use loom::thread;

    /// A thread that keeps slots takes and adds some beside one that takes those of all.
    #[test]
    fn a_slot_is_taken_once() {
        check(3, || {
            let shard = ShardId::of_bits(0);
            let slots = Arc::new(VacantSlots::new(4, 1, 1));
            slots.add_each(0, shard, [0, 1].into_iter());
            let other = Arc::clone(&slots);
            let taking = thread::spawn(move || {
                let taken = [other.take_from_any(), other.take(1, shard)];
                yield_point();
                taken
            });
            let first = slots.take(0, shard);
            first.into_iter().for_each(|slot| slots.add(0, shard, slot));
            let ours = [slots.take(0, shard), slots.take(0, shard)];
            let theirs = taking.join().unwrap();
            let mut all: Vec<_> = ours.into_iter().chain(theirs).flatten().collect();
            all.extend(std::iter::from_fn(|| slots.take(0, shard)));
            all.sort_unstable();
            assert_eq!(all, [0, 1]);
        });
    }
}
