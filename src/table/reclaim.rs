//! The way of retired records and announcements back to their pools.
//!
//! What leaves the table is pushed to the store's stacks of retired items. A
//! *round* takes all of them and hands the epoch collector one function, which
//! notes them as *reclaimable* once no thread that was pinned then still is. There
//! is one round at a time, so however many items a stalled thread holds up, the
//! collector holds one function.
//!
//! What is reclaimable is given back in *pieces* of a bounded length: one by a call
//! that needs a record or an announcement and would have to take one that was never
//! used, or do without; all, one after another, by maintenance. Each item is given
//! back once, so a call pays for one item on average.
//!
//! Deferred functions run on whatever thread happens to collect, which may be
//! one that looks for a relay in another registry. So that none of those pays for
//! more than a constant number of steps, a deferred function links in whole chains,
//! gives nothing back, and does not own the store: a store whose registry was
//! dropped is *deferred*, and freed by the thread that next builds, drops or maintains
//! a registry once a last round has passed.
//!
//! # Invariants
//!
//! - A store with a round under way is held by its registry, or deferred.
//! - The last thing that a round's function does to its store is to say that the
//!   round is over.
//! - An item is retired, in a round, reclaimable, or in the hands of the thread that
//!   took it from those reclaimable to give it back; never two of these. A popper
//!   owns what it popped, so of two pieces at once each has items of its own.
//! - Records reclaimable hold their permit and count as awaiting reclamation until
//!   they are given back or left to their leases; announcements reclaimable are
//!   initialised until then.
//! - A deferred store is let go only after a round that began after its registry
//!   ended, and after all that is reclaimable then was given back: a thread that was
//!   releasing the last lease of a record then, pinned, has finished with the store,
//!   and every announcement has been dropped once.

use crate::sync::epoch::{self, Guard};
use crate::sync::{Arc, Ordering};
use crate::table::store::{Retired, Store};

/// A store that a round's function refers to.
struct InRound(*const Store);

/// The collector holds a function of three words without allocating.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<(InRound, Retired)>() <= 3 * size_of::<usize>());

// SAFETY: a store is `Sync`.
unsafe impl Send for InRound {}

impl InRound {
    /// Runs when no thread can come upon what was retired any more.
    fn finish(self, retired: Retired) {
        // SAFETY: a round is under way, so the store is held; see the module.
        let store = unsafe { &*self.0 };
        store.make_reclaimable(retired);
        // Release: the round is over, and with it our use of the store.
        store.round.store(false, Ordering::Release);
    }
}

impl Store {
    /// Begins a round with what is retired by now, unless one is under way.
    pub(super) fn begin_round(&self, guard: &Guard) {
        // Acquire: a new round sees what the last one did.
        if self.round.load(Ordering::Relaxed) || self.round.swap(true, Ordering::Acquire) {
            return;
        }
        let retired = self.take_retired();
        let store = InRound(self);
        guard.defer(move || store.finish(retired));
        // Nothing may lie in this thread's bag while it idles.
        guard.flush();
    }

    /// Pushes rounds as far as they go without waiting for another thread, in a constant
    /// number of steps.
    pub(super) fn push_rounds(&self) {
        if self.has_retired() {
            self.begin_round(&epoch::pin());
        }
        epoch::collect();
    }

    /// The same, and gives back all that is reclaimable then.
    pub(super) fn reclaim(&self) {
        self.push_rounds();
        self.free_all();
    }

    /// Pinned anew for each piece, lest the epoch be held back for the time of all.
    fn free_all(&self) {
        while self.free_records(&epoch::pin()) {}
        while self.free_announcements(&epoch::pin()) {}
    }

    #[cfg(not(relay_loom))]
    fn is_at_rest(&self) -> bool {
        // Acquire: the last round is over, and we see what it made reclaimable.
        !self.round.load(Ordering::Acquire)
    }
}

/// Takes over a store whose registry has ended.
pub(super) fn defer_free(store: Arc<Store>) {
    graveyard::defer_free(store);
    for _ in 0..4 {
        graveyard::sweep();
        epoch::collect();
    }
    graveyard::sweep();
}

/// Frees the deferred stores that nothing refers to any more but leases.
pub(crate) fn free_deferred() {
    graveyard::sweep();
}

#[cfg(not(relay_loom))]
mod graveyard {
    use super::{Arc, Store, epoch};
    use crate::sync::Mutex;

    struct Deferred {
        store: Arc<Store>,
        /// The round that began after the registry's end is under way or over.
        last_round_began: bool,
    }

    static DEFERRED: Mutex<Vec<Deferred>> = Mutex::new(Vec::new());

    pub(super) fn defer_free(store: Arc<Store>) {
        DEFERRED.lock().push(Deferred {
            store,
            last_round_began: false,
        });
    }

    pub(super) fn sweep() {
        let Some(mut deferred) = DEFERRED.try_lock() else {
            return;
        };
        let (done, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut *deferred)
            .into_iter()
            .partition(|deferred| deferred.last_round_began && deferred.store.is_at_rest());
        *deferred = waiting;
        deferred.iter_mut().for_each(Deferred::begin_last_round);
        drop(deferred);
        done.iter().for_each(|deferred| deferred.store.free_all());
        // The stores are freed here, unless leases hold them.
        drop(done);
    }

    impl Deferred {
        /// Begins it as soon as the one before is over.
        fn begin_last_round(&mut self) {
            if !self.last_round_began && self.store.is_at_rest() {
                self.last_round_began = true;
                self.store.begin_round(&epoch::pin());
            }
        }
    }
}

/// Models end with their execution: what is deferred stays.
#[cfg(relay_loom)]
mod graveyard {
    use super::{Arc, Store};

    pub(super) fn defer_free(store: Arc<Store>) {
        std::mem::forget(store);
    }

    pub(super) fn sweep() {}
}
