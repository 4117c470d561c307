//! The way of retired records and announcements back to their pools.
//!
//! What leaves the table is pushed to the store's stacks of retired items. A
//! *round* takes all of them and hands the epoch collector one function, which
//! makes them *reclaimable* once no thread that was pinned then still is. There
//! is one round at a time, so however many items a stalled thread holds up, the
//! collector holds one function.
//!
//! What is reclaimable is given back in *pieces* of a bounded length: one by a call
//! that needs a record or an announcement and would have to take one that was never
//! used, or do without; all, one after another, by maintenance. Each item is given
//! back once, so a call pays for one item on average.
//!
//! Deferred functions run on whichever thread happens to collect, which may be
//! one that looks for a relay in another registry. So that none of those pays for
//! more than a constant number of steps, a deferred function links in whole chains,
//! gives nothing back, and does not own the store. A store whose registry was
//! dropped goes to *limbo*, and is freed by the thread that next builds, drops or
//! maintains a registry once a last round has passed.
//!
//! # Invariants
//!
//! - A store with a round under way is held by its registry, or in limbo.
//! - The last thing that a round's function does to its store is to say that the
//!   round is over.
//! - An item is retired, in a round, reclaimable, or in the hands of the thread that
//!   took it from those reclaimable to give it back; never two of these. A popper
//!   owns what it popped, so of two pieces at once each has items of its own.
//! - Records reclaimable hold their permit and count as awaiting reclamation until
//!   they are given back or left to their leases; announcements reclaimable are
//!   initialised until then.
//! - A store in limbo is let go only after a round that began after its registry
//!   ended, and after all that is reclaimable then was given back. So a thread that
//!   was calling through a lease then, pinned, has finished with the store and with
//!   what it read there, and every announcement has been dropped once.
//!
//! That the last round began is not assumed: only the swap that begins a round makes a
//! [`RoundBegun`], and a store in limbo without one asks for a round at each sweep. A round
//! from before may be under way then, and no new one begins; so it asks again.

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
    /// Runs when no thread can reach what was retired any more.
    fn finish(self, retired: Retired) {
        // SAFETY: a round is under way, so the store is held; see the module.
        let store = unsafe { &*self.0 };
        store.make_reclaimable(retired);
        // Release: the round is over, and with it our use of the store.
        store.round.store(false, Ordering::Release);
    }
}

/// A round began that takes all that was retired before.
pub(super) struct RoundBegun(());

impl Store {
    /// Begins a round with what is retired by now, unless one is under way.
    #[must_use = "where none began, a round is under way that began before"]
    pub(super) fn begin_round(&self, guard: &Guard) -> Option<RoundBegun> {
        // Acquire: a new round sees what the last one did.
        if self.round.load(Ordering::Relaxed) || self.round.swap(true, Ordering::Acquire) {
            return None;
        }
        let retired = self.take_retired();
        let store = InRound(self);
        guard.defer(move || store.finish(retired));
        // Nothing may lie in this thread's bag while it idles.
        guard.flush();
        Some(RoundBegun(()))
    }

    /// Pushes rounds as far as they go without waiting for another thread, in a constant
    /// number of steps.
    pub(super) fn push_rounds(&self) {
        if self.has_retired() {
            // If one is under way, the next call begins the next.
            let _ = self.begin_round(&epoch::pin());
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
    limbo::add(store);
    for _ in 0..4 {
        limbo::sweep();
        epoch::collect();
    }
    limbo::sweep();
}

/// Frees the stores in limbo that nothing refers to any more but leases.
pub(crate) fn free_deferred() {
    limbo::sweep();
}

#[cfg(not(relay_loom))]
mod limbo {
    use super::{Arc, RoundBegun, Store, epoch};
    use crate::sync::Mutex;

    struct Deferred {
        store: Arc<Store>,
        /// The round that began after the end of the registry.
        last_round: Option<RoundBegun>,
    }

    static LIMBO: Mutex<Vec<Deferred>> = Mutex::new(Vec::new());

    pub(super) fn add(store: Arc<Store>) {
        LIMBO.lock().push(Deferred {
            store,
            last_round: None,
        });
    }

    pub(super) fn sweep() {
        let Some(mut limbo) = LIMBO.try_lock() else {
            return;
        };
        let (done, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut *limbo)
            .into_iter()
            .partition(|deferred| deferred.last_round.is_some() && deferred.store.is_at_rest());
        *limbo = waiting;
        for deferred in limbo.iter_mut().filter(|it| it.last_round.is_none()) {
            deferred.last_round = deferred.store.begin_round(&epoch::pin());
        }
        drop(limbo);
        done.iter().for_each(|deferred| deferred.store.free_all());
        // The stores are freed here, unless leases hold them.
        drop(done);
    }
}

/// Models end with their execution: what is in limbo stays.
#[cfg(relay_loom)]
mod limbo {
    use super::{Arc, Store};

    pub(super) fn add(store: Arc<Store>) {
        std::mem::forget(store);
    }

    pub(super) fn sweep() {}
}

/// Of the stores in limbo, for which models have a stand-in. `ci/sanitizers.sh` runs them
/// under the address sanitizer, too.
#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::relay::NodeId;
    use crate::table::record::Announcement;
    use crate::table::snapshot::Terms;
    use crate::table::{Table, Unit};
    use crate::time::{Tick, Timeline};
    use std::sync::Weak;
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    /// A table with one relay, what tells whether its announcement was dropped, and a unit.
    fn leased() -> (Table, Weak<str>, Unit) {
        let table = Table::new(1, Terms::FOR_TESTS, Timeline::for_tests()).unwrap();
        let (id, label) = (NodeId::from([1; 32]), Arc::from("rack 1"));
        let endpoint = std::net::SocketAddr::from(([192, 0, 2, 1], 4433)).into();
        let weak = Arc::downgrade(&label);
        let announcement = Announcement {
            failure_domain: Some(label),
            ..Announcement::new(endpoint, 1, Duration::from_secs(1))
        };
        let unit = {
            let guard = epoch::pin();
            let named = (&id, table.hash(&id));
            let staged = table.stage(named, announcement, Tick(9), None, &guard);
            let staged = staged.unwrap();
            let record = staged.record();
            let _ = staged.admit(None);
            record.lease(None).map(|(unit, _)| unit)
        };
        (
            table,
            weak,
            unit.unwrap_or_else(|_| panic!("it has a unit")),
        )
    }

    /// Sweeps until it is so: threads of other tests hold the epoch back for a while.
    fn until(is_so: impl Fn() -> bool) {
        for _ in 0..10_000 {
            if is_so() {
                return;
            }
            free_deferred();
            epoch::collect();
            thread::sleep(Duration::from_millis(1));
        }
        panic!("never");
    }

    #[test]
    fn what_was_announced_outlives_its_registry_for_a_call_through_a_lease() {
        let (table, label, unit) = leased();
        unit.with_record(|record| {
            let said = record.observe_live().unwrap().announcement();
            drop(table);
            free_deferred();
            assert_eq!(label.strong_count(), 1, "it was not dropped");
            assert_eq!(said.failure_domain.as_deref(), Some("rack 1"));
            assert!(record.observe().announcement().is_none());
        });
        until(|| label.strong_count() == 0);
    }

    #[test]
    fn a_store_in_limbo_outlives_each_thread_that_was_pinned_at_the_end_of_its_registry() {
        let (table, label, unit) = leased();
        drop(unit);
        let store = Arc::downgrade(&table.store);
        let (unpin, wait) = channel::<()>();
        let (tell, pinned) = channel();
        let thread = thread::spawn(move || {
            let _guard = epoch::pin();
            tell.send(()).unwrap();
            wait.recv().unwrap_err();
        });
        pinned.recv().unwrap();
        drop(table);
        for _ in 0..20 {
            free_deferred();
            epoch::collect();
        }
        assert!(store.strong_count() > 0 && label.strong_count() > 0);
        drop(unpin);
        thread.join().unwrap();
        until(|| store.strong_count() == 0);
        assert_eq!(label.strong_count(), 0);
    }

    /// The round that is under way began before the registry ended, and is not the last.
    #[test]
    fn a_round_from_before_is_not_the_last() {
        let (table, label, unit) = leased();
        drop(unit);
        let store = Arc::clone(&table.store);
        let began = store.begin_round(&epoch::pin());
        // Unless it is over by now.
        let is_under_way = began.is_some() && !store.is_at_rest();
        assert!(!is_under_way || store.begin_round(&epoch::pin()).is_none());
        let weak = Arc::downgrade(&store);
        drop((table, store));
        until(|| weak.strong_count() == 0);
        assert_eq!(label.strong_count(), 0);
    }
}
