//! Stacks of indices, threaded through the items' links.
//!
//! [`Stack`] is pushed to one by one and taken as a whole, as a [`Chain`];
//! [`TaggedStack`] takes a whole chain at once and is popped one by one, or a few at a time. So
//! a chain goes from the one to the other in a constant number of steps, however
//! long it is.
//!
//! # Invariants
//!
//! - An item is in one stack or chain at most, and its link is that one's.
//! - The word of a `Stack` names the top item and the bottom one, or none, and counts the items.
//! - The word of a `TaggedStack` carries a tag that counts the items that were popped. The tag
//!   prevents ABA: a pop with a stale `next` fails, unless exactly 2^32 items were popped in between.

use crate::sync::{AtomicU32, AtomicU64, Ordering};
use std::num::NonZeroU64;

/// Pushed to one by one, taken as a whole.
#[derive(Debug, Default)]
pub(super) struct Stack {
    /// How many items there are, modulo 2^8, in the highest bits. Index plus one of the bottom item
    /// in the middle, of the top item below that; or zero.
    word: AtomicU64,
}

/// The bits of a name in the word of a [`Stack`].
const NAME_BITS: u32 = 28;
const NAME_MASK: u64 = (1 << NAME_BITS) - 1;
const COUNT_SHIFT: u32 = 2 * NAME_BITS;

/// Items linked from top to bottom, at least one, which belong to its holder.
#[derive(Debug)]
#[must_use]
pub(in crate::table) struct Chain {
    /// Index plus one of the bottom item in the high half, of the top item in the
    /// low half.
    ends: NonZeroU64,
}

/// Pushed to by whole chains, popped one by one or a few at a time.
#[derive(Debug, Default)]
pub(in crate::table) struct TaggedStack {
    /// Tag in the high half; index plus one of the top item, or zero, in the
    /// low half.
    top: AtomicU64,
}

impl Stack {
    /// Indices of items are below this.
    pub(super) const INDICES: u64 = NAME_MASK;

    /// Adds an item, whose link this is and which is in no other stack. How many there are then,
    /// modulo 2^8.
    #[inline]
    pub(super) fn push(&self, index: u32, link: &AtomicU32) -> u8 {
        let name = u64::from(index + 1);
        // Relaxed: the compare-and-swap decides.
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let top = word & NAME_MASK;
            // Relaxed: published below.
            link.store(top as u32, Ordering::Relaxed);
            let bottom = match top {
                0 => name << NAME_BITS,
                _ => word & NAME_MASK << NAME_BITS,
            };
            let count = count_of(word).wrapping_add(1);
            let next = u64::from(count) << COUNT_SHIFT | bottom | name;
            // Release: publishes the link, and what was done to the item.
            match self
                .word
                .compare_exchange_weak(word, next, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return count,
                Err(current) => word = current,
            }
        }
    }

    /// Takes all items, if there are any; and how many there were, modulo 2^8.
    pub(super) fn take_all(&self) -> (Option<Chain>, u8) {
        // Acquire: pairs with each push.
        let word = self.word.swap(0, Ordering::Acquire);
        let (bottom, top) = (word >> NAME_BITS & NAME_MASK, word & NAME_MASK);
        let chain = (top != 0).then(|| Chain::between(top as u32, bottom as u32));
        (chain, count_of(word))
    }

    /// How many items there are, modulo 2^8.
    pub(super) fn count(&self) -> u8 {
        // Relaxed: a hint; `take_all` decides.
        count_of(self.word.load(Ordering::Relaxed))
    }

    pub(super) fn is_empty(&self) -> bool {
        // Relaxed: a hint; `take_all` decides.
        self.word.load(Ordering::Relaxed) == 0
    }
}

fn count_of(word: u64) -> u8 {
    (word >> COUNT_SHIFT) as u8
}

/// Items that are linked one by one, to a chain.
#[derive(Debug, Default)]
pub(super) struct Batch(Option<Chain>);

impl Batch {
    /// Adds an item at the top.
    pub(super) fn add<'a>(&mut self, index: u32, link_of: impl Fn(u32) -> &'a AtomicU32) {
        let added = match &self.0 {
            None => Chain::of(index),
            Some(chain) => {
                // Relaxed: published when the chain is pushed.
                link_of(index).store(chain.top_name(), Ordering::Relaxed);
                Chain::between(index + 1, chain.bottom() + 1)
            }
        };
        self.0 = Some(added);
    }

    pub(super) fn into_chain(self) -> Option<Chain> {
        self.0
    }
}

impl Chain {
    /// From names of the top item and the bottom one.
    fn between(top: u32, bottom: u32) -> Self {
        let ends = NonZeroU64::new(u64::from(bottom) << 32 | u64::from(top));
        Self {
            ends: ends.expect("names are above zero"),
        }
    }

    /// A single item.
    #[inline]
    pub(super) fn of(index: u32) -> Self {
        Self::between(index + 1, index + 1)
    }

    /// These items, if any, the first at the top.
    pub(super) fn of_each<'a>(
        indices: impl DoubleEndedIterator<Item = u32>,
        link_of: impl Fn(u32) -> &'a AtomicU32,
    ) -> Option<Self> {
        let mut batch = Batch::default();
        indices.rev().for_each(|index| batch.add(index, &link_of));
        batch.into_chain()
    }

    /// The items, from the top. Each link is read before its item is returned.
    pub(super) fn into_items<'a>(
        self,
        link_of: impl Fn(u32) -> &'a AtomicU32,
    ) -> impl Iterator<Item = u32> {
        let bottom = self.bottom();
        let below = move |&index: &u32| {
            // Relaxed: the holder of the chain synchronised with what linked it.
            let below = || link_of(index).load(Ordering::Relaxed) - 1;
            (index != bottom).then(below)
        };
        std::iter::successors(Some(self.top_name() - 1), below)
    }

    fn top_name(&self) -> u32 {
        self.ends.get() as u32
    }

    fn bottom(&self) -> u32 {
        (self.ends.get() >> 32) as u32 - 1
    }
}

impl TaggedStack {
    /// Adds all items of a chain.
    #[inline]
    pub(super) fn push<'a>(&self, chain: Chain, link_of: impl Fn(u32) -> &'a AtomicU32) {
        let link = link_of(chain.bottom());
        // Relaxed: the compare-and-swap decides.
        let mut top = self.top.load(Ordering::Relaxed);
        loop {
            // Relaxed: published below.
            link.store(top as u32, Ordering::Relaxed);
            let next = top >> 32 << 32 | u64::from(chain.top_name());
            // Release: the links, and all that was done to the items.
            match self
                .top
                .compare_exchange_weak(top, next, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(current) => top = current,
            }
        }
    }

    /// Takes the top item, if there is any.
    #[inline]
    pub(super) fn pop<'a>(&self, link_of: impl Fn(u32) -> &'a AtomicU32) -> Option<u32> {
        let popped = self.pop_chain(1, |index| Some(link_of(index)));
        popped.map(|(chain, _)| chain.bottom())
    }

    /// Takes so many items from the top, at least one, or all if there are fewer; and how many
    /// there are. `link_of` may have no link of an item that another thread has just pushed.
    #[inline]
    pub(super) fn pop_chain<'a>(
        &self,
        most: u32,
        link_of: impl Fn(u32) -> Option<&'a AtomicU32>,
    ) -> Option<(Chain, u32)> {
        // Acquire: the links were written before their items were pushed.
        let mut top = self.top.load(Ordering::Acquire);
        loop {
            let (mut bottom, mut count) = ((top as u32).checked_sub(1)?, 1);
            // Relaxed: a link that another thread has changed makes the compare-and-swap fail by the
            // tag. So does one that is missing.
            let below_of = |index| link_of(index).map_or(0, |link| link.load(Ordering::Relaxed));
            let mut below = below_of(bottom);
            while count < most && below != 0 {
                bottom = below - 1;
                below = below_of(bottom);
                count += 1;
            }
            let next = (top >> 32).wrapping_add(count.into()) << 32 | u64::from(below);
            // Acquire: sees what the former owners did to the items. No release is needed: a
            // read-modify-write continues the release sequence of the pushes before it.
            match self
                .top
                .compare_exchange_weak(top, next, Ordering::Acquire, Ordering::Acquire)
            {
                Ok(_) => return Some((Chain::between(top as u32, bottom + 1), count)),
                Err(current) => top = current,
            }
        }
    }

    /// How many items were popped so far, modulo 2^32.
    pub(super) fn pops(&self) -> u32 {
        // Acquire: a thread that has seen what became of an item counts its pop.
        (self.top.load(Ordering::Acquire) >> 32) as u32
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        // Relaxed: a hint; `pop` decides.
        self.top.load(Ordering::Relaxed) as u32 == 0
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    fn links() -> [AtomicU32; 8] {
        // What is left of another stack.
        [(); 8].map(|()| AtomicU32::new(5))
    }

    fn all_of(stack: &TaggedStack, links: &[AtomicU32]) -> Vec<u32> {
        std::iter::from_fn(|| stack.pop(|index| &links[index as usize])).collect()
    }

    #[test]
    fn a_chain_of_what_was_pushed_is_popped_from_its_top() {
        let links = links();
        let (stack, tagged) = (Stack::default(), TaggedStack::default());
        let (none, count) = stack.take_all();
        assert!(none.is_none() && count == 0 && stack.is_empty());
        let counts = [3, 0, 7].map(|index| stack.push(index, &links[index as usize]));
        assert_eq!((counts, stack.count()), ([1, 2, 3], 3));
        assert!(!stack.is_empty());
        let (chain, count) = stack.take_all();
        let chain = chain.unwrap();
        assert_eq!((count, stack.count()), (3, 0));
        assert_eq!((chain.top_name(), chain.bottom()), (8, 3));
        assert!(stack.is_empty() && tagged.is_empty());
        tagged.push(chain, |index| &links[index as usize]);
        assert!(!tagged.is_empty());
        assert_eq!(all_of(&tagged, &links), [7, 0, 3]);
        assert!(tagged.is_empty());
    }

    #[test]
    fn a_chain_goes_above_what_is_there() {
        let links = links();
        let link_of = |index: u32| &links[index as usize];
        let stack = TaggedStack::default();
        stack.push(Chain::of_each(4..7, link_of).unwrap(), link_of);
        stack.push(Chain::of(0), link_of);
        stack.push(Chain::of_each(1..3, link_of).unwrap(), link_of);
        assert_eq!(all_of(&stack, &links), [1, 2, 0, 4, 5, 6]);
        assert!(Chain::of_each(4..4, link_of).is_none());
    }

    #[test]
    fn a_batch_has_what_was_added_last_at_its_top() {
        let links = links();
        let link_of = |index: u32| &links[index as usize];
        assert!(Batch::default().into_chain().is_none());
        let mut batch = Batch::default();
        for index in [2, 6, 4] {
            batch.add(index, link_of);
        }
        let stack = TaggedStack::default();
        stack.push(batch.into_chain().unwrap(), link_of);
        assert_eq!(all_of(&stack, &links), [4, 6, 2]);
    }

    #[test]
    fn a_few_are_popped_at_once_from_the_top() {
        let links = links();
        let link_of = |index: u32| &links[index as usize];
        let stack = TaggedStack::default();
        stack.push(
            Chain::of_each([6, 1, 4, 0].into_iter(), link_of).unwrap(),
            link_of,
        );
        let pop = |most| {
            let (chain, count) = stack.pop_chain(most, |index| Some(link_of(index)))?;
            let items: Vec<_> = chain.into_items(link_of).collect();
            assert_eq!(items.len(), count as usize);
            Some(items)
        };
        assert_eq!(pop(3), Some(vec![6, 1, 4]));
        assert_eq!(pop(3), Some(vec![0]));
        assert_eq!(pop(3), None);
        assert_eq!(stack.pops(), 4);
    }

    #[test]
    fn pops_are_counted_and_pushes_are_not() {
        let links = links();
        let link_of = |index: u32| &links[index as usize];
        let stack = TaggedStack::default();
        for pops in 0..3 {
            stack.push(Chain::of(1), link_of);
            assert_eq!(stack.pops(), pops);
            assert_eq!(stack.pop(link_of), Some(1));
        }
        assert_eq!(stack.pop(link_of), None);
        assert_eq!(stack.pops(), 3);
    }
}

#[cfg(all(test, relay_loom))]
mod models {
    use super::*;
    use crate::sync::{Arc, check, yield_point};
    use loom::thread;

    #[derive(Default)]
    struct Items {
        links: [AtomicU32; 3],
        stack: TaggedStack,
    }

    impl Items {
        fn push(&self, items: impl DoubleEndedIterator<Item = u32>) {
            let link_of = |index: u32| &self.links[index as usize];
            let chain = Chain::of_each(items, link_of).unwrap();
            self.stack.push(chain, link_of);
        }

        fn pop(&self, most: u32) -> Vec<u32> {
            let link_of = |index: u32| &self.links[index as usize];
            let popped = self.stack.pop_chain(most, |index| Some(link_of(index)));
            popped.map_or_else(Vec::new, |(chain, _)| chain.into_items(link_of).collect())
        }
    }

    /// One thread takes the upper two while the other takes them, too, and puts them back the other
    /// way round: then the top is the same item above another one, or another item.
    #[test]
    fn items_that_are_taken_together_are_taken_once() {
        check(3, || {
            let items = Arc::new(Items::default());
            items.push(0..3);
            let other = Arc::clone(&items);
            let taking = thread::spawn(move || {
                let taken = other.pop(2);
                yield_point();
                taken
                    .iter()
                    .for_each(|&item| other.push(std::iter::once(item)));
            });
            let mut all = items.pop(2);
            taking.join().unwrap();
            all.extend(items.pop(3));
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2]);
        });
    }
}
