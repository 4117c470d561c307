//! A stack of indices, threaded through the items themselves.
//!
//! It is pushed to one by one and taken as a whole, so no index is ever popped
//! beside a push, and nothing can come round.

use crate::sync::{AtomicU32, Ordering, Padded};

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Stack {
    /// Index plus one of the item on top, or zero.
    top: Padded<AtomicU32>,
}

/// What was taken from a stack.
#[derive(Debug)]
#[must_use]
pub(crate) struct Taken {
    top: u32,
}

impl Stack {
    /// Adds an item, whose link this is and which is in no other stack.
    pub(crate) fn push(&self, index: u32, link: &AtomicU32) {
        let mut top = self.top.load(Ordering::Relaxed);
        loop {
            link.store(top, Ordering::Relaxed);
            // Release: publishes the link, and what was done to the item.
            match self.top.compare_exchange_weak(
                top,
                index + 1,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(current) => top = current,
            }
        }
    }

    /// Takes all items.
    pub(crate) fn take_all(&self) -> Taken {
        // Acquire: pairs with each push.
        let top = self.top.swap(0, Ordering::Acquire);
        Taken { top }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.top.load(Ordering::Relaxed) == 0
    }
}

impl Taken {
    /// Visits each item; its link is free from then on.
    pub(crate) fn for_each<'a>(
        self,
        link_of: impl Fn(u32) -> &'a AtomicU32,
        mut visit: impl FnMut(u32),
    ) {
        let mut top = self.top;
        while let Some(index) = top.checked_sub(1) {
            top = link_of(index).load(Ordering::Relaxed);
            visit(index);
        }
    }
}
