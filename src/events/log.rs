//! The log of the latest events, which all subscribers read.

use crate::events::event::Event;
use crate::events::wakers::{Waiting, Wakers};
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, LoadInOrder, Mutex, Ordering, fence};
use crate::time::Tick;
use std::collections::VecDeque;
use std::task::Waker;

/// So many refusals a second are published.
const MAX_REFUSALS: u32 = 64;

/// The latest events, and what waits for the next one.
#[derive(Debug)]
pub(crate) struct EventLog {
    subscribers: AtomicU32,
    ring: Mutex<Ring>,
    wakers: Wakers,
    /// Whether something was published, or the log closed, for which nothing was woken yet.
    is_wake_due: AtomicBool,
    /// Whether no more is appended. Written under the lock of the ring.
    is_closed: AtomicBool,
    /// What waits for a relay, not for an event.
    finders: Wakers,
}

#[derive(Debug)]
struct Ring {
    events: VecDeque<Event>,
    capacity: usize,
    /// The number of the first event in the ring.
    first: u64,
    refusals: Refusals,
}

/// How many refusals were published in the latest second.
#[derive(Debug, Default)]
struct Refusals {
    second: u64,
    count: u32,
}

/// What a subscriber reads from the log.
#[allow(clippy::large_enum_variant, reason = "it is taken apart at once")]
pub(super) enum Read {
    Event(Event),
    /// There is none that it has not read.
    Empty,
    /// And there will be none.
    Closed,
}

impl EventLog {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            subscribers: AtomicU32::new(0),
            ring: Mutex::new(Ring {
                events: VecDeque::new(),
                capacity,
                first: 0,
                refusals: Refusals::default(),
            }),
            wakers: Wakers::default(),
            is_wake_due: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            finders: Wakers::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> crate::sync::Arc<Self> {
        crate::sync::Arc::new(Self::new(4))
    }

    /// Publishes what `observe` sees of a relay, after it changed. `observe` runs under the lock
    /// of the log; it must read the relay then, and call no code of the embedder.
    #[inline]
    pub(crate) fn publish(&self, observe: impl FnOnce() -> Option<Event>) {
        if self.has_subscribers() {
            self.append(|_| observe());
        }
    }

    /// The same after a change by a sequentially consistent read-modify-write, the last step by
    /// which a subscriber could tell the relay from what it was.
    #[inline]
    pub(crate) fn publish_in_order(&self, observe: impl FnOnce() -> Option<Event>) {
        // In order: see the module's description.
        if self.subscribers.load_in_order() != 0 {
            self.append(|_| observe());
        }
    }

    /// Publishes a refusal, unless there were many within this second.
    pub(crate) fn publish_refusal(
        &self,
        now: Tick,
        tick_nanos: u64,
        event: impl FnOnce() -> Event,
    ) {
        if self.has_subscribers() {
            let second = now.0.saturating_mul(tick_nanos) / 1_000_000_000;
            self.append(|ring| ring.refusals.allow(second).then(event));
        }
    }

    /// Whether there is a subscriber that has not seen what this thread changed before.
    #[inline]
    fn has_subscribers(&self) -> bool {
        // Sequentially consistent, as that in `subscribe`: see the module's description.
        fence(Ordering::SeqCst);
        // Relaxed: the fence orders it.
        self.subscribers.load(Ordering::Relaxed) != 0
    }

    #[inline(never)]
    fn append(&self, event: impl FnOnce(&mut Ring) -> Option<Event>) {
        let displaced = {
            let mut ring = self.ring.lock();
            if self.is_closed() {
                return;
            }
            let Some(event) = event(&mut ring) else {
                return;
            };
            ring.push(event)
        };
        drop(displaced);
        self.wake_later();
    }

    fn wake_later(&self) {
        // Ordered by the lock: a subscriber registers its waker, and then reads under it.
        if self.wakers.are_any() {
            // Release: pairs with `wake_if_due`, which may run in another thread.
            self.is_wake_due.store(true, Ordering::Release);
        }
    }

    /// Wakes what waits for what was published. Not to be called while pinned, nor with a lock
    /// held.
    #[inline]
    fn wake_if_due(&self) {
        // Relaxed: this thread sees what it stored itself, unless another thread woke since.
        if self.is_wake_due.load(Ordering::Relaxed) {
            self.wake_subscribers();
        }
    }

    #[cold]
    fn wake_subscribers(&self) {
        // AcqRel: of several threads, one wakes for what was published before.
        if self.is_wake_due.swap(false, Ordering::AcqRel) {
            self.wakers.wake_all();
        }
    }

    /// Wakes those that wait for a relay.
    #[inline]
    fn wake_finders(&self) {
        // Sequentially consistent, as that of a waiter between its registration and its search.
        fence(Ordering::SeqCst);
        if self.finders.are_any() {
            self.finders.wake_all();
        }
    }

    /// To be held by a call that changes relays, so that it is dropped last.
    #[inline]
    pub(crate) fn wake_guard(&self) -> WakeGuard<'_> {
        WakeGuard {
            log: self,
            are_finders_woken: true,
        }
    }

    /// The same for a call by which no relay becomes eligible.
    #[inline]
    pub(crate) fn subscribers_guard(&self) -> WakeGuard<'_> {
        WakeGuard {
            log: self,
            are_finders_woken: false,
        }
    }

    /// No more events are appended. Not to be called while pinned, nor with a lock held.
    pub(crate) fn close(&self) {
        {
            let _ring = self.ring.lock();
            // Relaxed: ordered by the lock; for what waits for a relay, by the fence below.
            self.is_closed.store(true, Ordering::Relaxed);
        }
        self.wakers.wake_all();
        self.wake_finders();
    }

    pub(crate) fn is_closed(&self) -> bool {
        // Relaxed: see `close`.
        self.is_closed.load(Ordering::Relaxed)
    }

    /// For a task that waits for a relay.
    pub(crate) fn wait_for_relay(&self) -> Waiting<'_> {
        Waiting::new(&self.finders)
    }

    /// Registers such a task, before it searches.
    pub(crate) fn register_finder(&self, waiting: &mut Waiting<'_>, waker: &Waker) {
        waiting.register(waker);
        // Sequentially consistent, as that in `wake_finders`: of any change either the search
        // sees the result, or the thread that made it sees the waker.
        fence(Ordering::SeqCst);
    }

    /// Whether a call waits for a relay; perhaps not yet, if it has just begun to.
    #[cfg_attr(not(feature = "dht"), allow(dead_code))]
    pub(crate) fn is_relay_awaited(&self) -> bool {
        self.finders.are_any()
    }

    /// Begins a subscription; the number of the first event that it has not read.
    pub(super) fn subscribe(&self) -> u64 {
        let ring = self.ring.lock();
        // Relaxed: the fence orders it.
        self.subscribers.fetch_add(1, Ordering::Relaxed);
        // Sequentially consistent: see the module's description.
        fence(Ordering::SeqCst);
        ring.end()
    }

    pub(super) fn unsubscribe(&self) {
        let unread = {
            let mut ring = self.ring.lock();
            // Relaxed: changed under the lock.
            match self.subscribers.fetch_sub(1, Ordering::Relaxed) {
                1 => ring.take_all(),
                _ => VecDeque::new(),
            }
        };
        drop(unread);
    }

    /// Reads on at `next`, which only one subscription uses.
    pub(super) fn read(&self, next: &AtomicU64) -> Read {
        let ring = self.ring.lock();
        // Relaxed, here and below: read and written under the lock.
        let number = next.load(Ordering::Relaxed);
        let missed = ring.first.saturating_sub(number);
        if missed > 0 {
            next.store(ring.first, Ordering::Relaxed);
            return Read::Event(Event::Missed(missed));
        }
        match ring.events.get((number - ring.first) as usize) {
            Some(event) => {
                next.store(number + 1, Ordering::Relaxed);
                Read::Event(event.clone())
            }
            None if self.is_closed() => Read::Closed,
            None => Read::Empty,
        }
    }

    pub(super) fn wakers(&self) -> &Wakers {
        &self.wakers
    }
}

impl Ring {
    fn push(&mut self, event: Event) -> Option<Event> {
        let displaced = match self.events.len() >= self.capacity {
            true => self.events.pop_front(),
            false => None,
        };
        self.first += u64::from(displaced.is_some());
        self.events.push_back(event);
        displaced
    }

    /// The number of the next event.
    fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    fn take_all(&mut self) -> VecDeque<Event> {
        self.first = self.end();
        std::mem::take(&mut self.events)
    }
}

impl Refusals {
    fn allow(&mut self, second: u64) -> bool {
        if self.second != second {
            *self = Self { second, count: 0 };
        }
        self.count += 1;
        self.count <= MAX_REFUSALS
    }
}

/// When it is dropped, it wakes what waits for a change. It is the first value that a public
/// call holds, so that it is dropped when the thread is not pinned and holds no lock.
pub(crate) struct WakeGuard<'a> {
    log: &'a EventLog,
    are_finders_woken: bool,
}

impl Drop for WakeGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.log.wake_if_due();
        if self.are_finders_woken {
            self.log.wake_finders();
        }
    }
}
