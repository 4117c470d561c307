//! How retired records and announcements are freed to their slabs.
//!
//! What leaves the table is pushed to the store's stacks of retired items. A *round* takes
//! all of them and defers one function to the epoch collector, which makes them
//! *reclaimable* once no thread that was pinned then still is. There is one round at a time.
//! So the collector holds one function, however many items a stalled thread delays.
//!
//! Reclaimable items are freed in *batches* of at most 64. A call that needs a record or an
//! announcement frees one batch, if it would otherwise fail or use a slot that was never
//! used. Maintenance frees all, batch by batch. Each item is freed once, so a call frees one
//! item on average.
//!
//! Deferred functions run on any thread that collects, perhaps one that looks up a relay in
//! another registry. So that each costs O(1), a deferred function splices whole chains,
//! frees nothing, and does not own the store. A store whose registry was dropped goes to
//! *limbo*. The thread that next drops or maintains a registry after the last round of that
//! store frees it.
//!
//! # Invariants
//!
//! - A store with a round under way is owned by its registry, or in limbo.
//! - The last access of a round's function to its store is the one that ends the round.
//! - An item is in one place at a time: retired, in a round, reclaimable, or popped by the
//!   thread that frees it. So two batches at once have no item in common.
//! - A reclaimable record holds its permit and counts as awaiting reclamation until it is
//!   freed or left to its leases. A reclaimable announcement is initialised until then.
//! - A store in limbo is dropped only after a round that began after its registry ended, and
//!   after everything that is reclaimable then was freed. So a thread that was pinned then,
//!   in a call through a lease, has finished with the store and with what it read there, and
//!   every announcement has been dropped once.
//!
//! Only the swap that begins a round makes a [`RoundBegun`], and a store in limbo without one
//! tries to begin a round at each sweep. While an earlier round is under way, no new one
//! begins, so it tries again.

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
        // SAFETY: a round is under way, so the store is owned; see the module.
        let store = unsafe { &*self.0 };
        store.make_reclaimable(retired);
        // Release: our accesses to the store are before the end of the round.
        store.round.store(false, Ordering::Release);
    }
}

/// A round began that takes all that was retired before.
pub(super) struct RoundBegun(());

impl Store {
    /// Begins a round with what is retired by now, unless one is under way.
    #[must_use = "where none began, a round is under way that began before"]
    pub(super) fn begin_round(&self, guard: &Guard) -> Option<RoundBegun> {
        // Relaxed: only saves the swap. Acquire: a new round sees what the last one did.
        if self.round.load(Ordering::Relaxed) || self.round.swap(true, Ordering::Acquire) {
            return None;
        }
        let retired = self.take_retired();
        let store = InRound(self);
        guard.defer(move || store.finish(retired));
        // Without this, the function could stay in the bag of a thread that idles.
        guard.flush();
        Some(RoundBegun(()))
    }

    /// Advances rounds as far as possible without waiting for another thread, in O(1).
    pub(super) fn push_rounds(&self) {
        if self.has_retired() {
            // If one is under way, the next call begins the next.
            let _ = self.begin_round(&epoch::pin());
        }
        epoch::collect();
    }

    /// The same, and frees everything that is reclaimable then.
    pub(super) fn reclaim(&self) {
        self.push_rounds();
        self.free_all();
    }

    /// Pins anew for each batch, so that the epoch can advance in between.
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
    use crate::table::{Table, Units};
    use crate::time::Tick;
    use std::num::NonZeroU32;
    use std::sync::Weak;
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    /// A table with one relay, what tells whether its announcement was dropped, and a unit.
    fn leased() -> (Table, Weak<str>, Units) {
        let table = Table::for_tests(1);
        let (id, label) = (NodeId::from([1; 32]), Arc::from("rack 1"));
        let endpoint = std::net::SocketAddr::from(([192, 0, 2, 1], 4433)).into();
        let weak = Arc::downgrade(&label);
        let announcement = Announcement::new(endpoint, 1, Duration::from_secs(1));
        let announcement = announcement.in_domain(label);
        let unit = {
            let guard = epoch::pin();
            let named = (&id, table.hash(&id));
            let staged = table.stage(
                named,
                announcement,
                Tick(9),
                crate::table::Beginning::default(),
                &guard,
            );
            let staged = staged.unwrap();
            let record = staged.record();
            let _ = staged.admit(None);
            record.lease(NonZeroU32::MIN, None).map(|(unit, _)| unit)
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
            assert_eq!(said.failure_domain(), Some("rack 1"));
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
