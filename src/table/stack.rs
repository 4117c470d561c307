//! Stacks of indices, threaded through the items' links.
//!
//! [`Stack`] is pushed to one by one and taken as a whole, as a [`Chain`];
//! [`TaggedStack`] takes a whole chain at once and is popped one by one. So a
//! chain goes from the one to the other in a constant number of steps, however
//! long it is.
//!
//! # Invariants
//!
//! - An item is in one stack or chain at most, and its link is that one's.
//! - The word of a `Stack` names the top item and the bottom one, or none.
//! - The word of a `TaggedStack` carries a tag that changes at every pop. The tag prevents
//!   ABA: a pop with a stale `next` fails, unless exactly 2^32 pops happened in between.

use crate::sync::{AtomicU32, AtomicU64, Ordering, Padded};
use std::num::NonZeroU64;

/// Pushed to one by one, taken as a whole.
#[derive(Debug, Default)]
pub(super) struct Stack {
    /// The ends of the chain of all items, or zero.
    ends: Padded<AtomicU64>,
}

/// Items linked from top to bottom, at least one, which belong to its holder.
#[derive(Debug)]
#[must_use]
pub(super) struct Chain {
    /// Index plus one of the bottom item in the high half, of the top item in the
    /// low half.
    ends: NonZeroU64,
}

/// Pushed to by whole chains, popped one by one.
#[derive(Debug, Default)]
pub(super) struct TaggedStack {
    /// Tag in the high half; index plus one of the top item, or zero, in the
    /// low half.
    top: Padded<AtomicU64>,
}

impl Stack {
    /// Adds an item, whose link this is and which is in no other stack.
    pub(super) fn push(&self, index: u32, link: &AtomicU32) {
        let name = u64::from(index + 1);
        // Relaxed: the compare-and-swap decides.
        let mut ends = self.ends.load(Ordering::Relaxed);
        loop {
            // Relaxed: published below.
            link.store(ends as u32, Ordering::Relaxed);
            let bottom = if ends == 0 { name } else { ends >> 32 };
            // Release: publishes the link, and what was done to the item.
            match self.ends.compare_exchange_weak(
                ends,
                bottom << 32 | name,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(current) => ends = current,
            }
        }
    }

    /// Takes all items, if there are any.
    pub(super) fn take_all(&self) -> Option<Chain> {
        // Acquire: pairs with each push.
        let ends = self.ends.swap(0, Ordering::Acquire);
        NonZeroU64::new(ends).map(|ends| Chain { ends })
    }

    pub(super) fn is_empty(&self) -> bool {
        // Relaxed: a hint; `take_all` decides.
        self.ends.load(Ordering::Relaxed) == 0
    }
}

impl Chain {
    /// A single item.
    #[inline]
    pub(super) fn of(index: u32) -> Self {
        let name = u64::from(index) + 1;
        let ends = NonZeroU64::new(name << 32 | name).expect("above zero");
        Self { ends }
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
        // Acquire: the link was written before its item was pushed.
        let mut top = self.top.load(Ordering::Acquire);
        loop {
            let index = (top as u32).checked_sub(1)?;
            // Relaxed: a stale link makes the compare-and-swap fail by its tag.
            let below = link_of(index).load(Ordering::Relaxed);
            let next = (top >> 32).wrapping_add(1) << 32 | u64::from(below);
            // Acquire: sees what the former owner did to the item. No release is needed: a
            // read-modify-write continues the release sequence of the pushes before it.
            match self
                .top
                .compare_exchange_weak(top, next, Ordering::Acquire, Ordering::Acquire)
            {
                Ok(_) => return Some(index),
                Err(current) => top = current,
            }
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        // Relaxed: a hint; `pop` decides.
        self.top.load(Ordering::Relaxed) as u32 == 0
    }
}
