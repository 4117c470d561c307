//! Tasks and threads that wait, by their wakers.

use crate::panics::drop_payload;
use crate::sync::{Arc, AtomicU32, Mutex, Ordering, Thread, current_thread, epoch};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::{Wake, Waker};
use std::thread::panicking;

/// A list of wakers, each of which is woken once.
///
/// A waker is the embedder's code in three ways: it is cloned, woken and dropped. All three
/// happen without the lock.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    slots: Mutex<Slots>,
    /// How many wakers there are.
    waiting: AtomicU32,
}

#[derive(Debug, Default)]
struct Slots {
    wakers: Vec<Option<(u64, Waker)>>,
    vacant: Vec<usize>,
    /// The number of the next waker.
    next: u64,
}

/// Which waker of a list is a waiter's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registered {
    slot: usize,
    number: u64,
}

impl Wakers {
    /// Registers a waker in place of the one that this waiter had, if that has not been
    /// woken. What the waiter waits for must be looked at afterwards.
    pub(crate) fn register(&self, waker: &Waker, before: Option<Registered>) -> Registered {
        let waker = waker.clone();
        let (registered, replaced) = {
            let mut slots = self.slots.lock();
            let replaced = before.and_then(|before| slots.take(before));
            let registered = slots.insert(waker);
            self.store_count(&slots);
            (registered, replaced)
        };
        drop(replaced);
        registered
    }

    /// Removes the waker of a waiter that waits no longer.
    pub(crate) fn unregister(&self, registered: Registered) {
        let removed = {
            let mut slots = self.slots.lock();
            let removed = slots.take(registered);
            self.store_count(&slots);
            removed
        };
        drop(removed);
    }

    /// Whether anything waits. A waiter registers and then looks at what it waits for; a thread
    /// that changes that, and calls this afterwards, must have the two in one order: by a lock,
    /// or by a fence on either side.
    #[inline]
    pub(crate) fn are_any(&self) -> bool {
        // Relaxed: see above.
        self.waiting.load(Ordering::Relaxed) != 0
    }

    /// Wakes all that wait. Not to be called while pinned, nor with a lock held. If a waker
    /// panics, the others are woken first.
    #[cold]
    pub(crate) fn wake_all(&self) {
        debug_assert!(!epoch::is_pinned(), "a waker is the embedder's code");
        let woken = {
            let mut slots = self.slots.lock();
            let woken = std::mem::take(&mut slots.wakers);
            slots.vacant.clear();
            self.store_count(&slots);
            woken
        };
        wake_each(woken.into_iter().flatten().map(|(_, waker)| waker));
    }

    fn store_count(&self, slots: &Slots) {
        let count = (slots.wakers.len() - slots.vacant.len()) as u32;
        // Relaxed: written under the lock; see `are_any`.
        self.waiting.store(count, Ordering::Relaxed);
    }
}

fn wake_each(wakers: impl Iterator<Item = Waker>) {
    let mut first_panic = None;
    for waker in wakers {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
            match first_panic {
                None => first_panic = Some(payload),
                Some(_) => drop_payload(payload),
            }
        }
    }
    match first_panic {
        Some(payload) if !panicking() => resume_unwind(payload),
        // The panic that goes on already is enough: a second one would abort.
        Some(payload) => drop_payload(payload),
        None => {}
    }
}

/// The waker of one waiter, which removes it when it ends.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    wakers: &'a Wakers,
    registered: Option<Registered>,
}

impl<'a> Waiting<'a> {
    pub(crate) fn new(wakers: &'a Wakers) -> Self {
        Self {
            wakers,
            registered: None,
        }
    }

    /// To be called before the waiter looks at what it waits for.
    pub(crate) fn register(&mut self, waker: &Waker) {
        self.registered = Some(self.wakers.register(waker, self.registered));
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(registered) = self.registered {
            self.wakers.unregister(registered);
        }
    }
}

/// A waker that unparks this thread.
pub(crate) fn waker_of_this_thread() -> Waker {
    Waker::from(Arc::new(Parked(current_thread())))
}

struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Slots {
    fn insert(&mut self, waker: Waker) -> Registered {
        let number = self.next;
        self.next += 1;
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.wakers.push(None);
            self.wakers.len() - 1
        });
        self.wakers[slot] = Some((number, waker));
        Registered { slot, number }
    }

    /// Takes a waker out, unless it was woken.
    fn take(&mut self, Registered { slot, number }: Registered) -> Option<Waker> {
        let entry = self.wakers.get_mut(slot)?;
        if entry.as_ref().is_none_or(|(of, _)| *of != number) {
            return None;
        }
        self.vacant.push(slot);
        entry.take().map(|(_, waker)| waker)
    }
}
