//! How retired records and announcements are freed to their slabs.
//!
//! What leaves the table is pushed to the stacks of retired items of its shard. A *round* takes
//! all of them and defers one function to the epoch collector, which makes them
//! *reclaimable* once no thread that was pinned then still is. A shard has one round at a time.
//! So the collector holds one function for each, however many items a stalled thread delays.
//!
//! Reclaimable items are freed in *batches* of at most 64. A call that needs a record or an
//! announcement frees one batch, if it would otherwise fail or use a slot that was never
//! used. Maintenance frees all, batch by batch. Each item is freed once, so a call frees one
//! item on average.
//!
//! A thread begins a round with every 32nd item that is retired, since a round costs far more than
//! an item; maintenance, and a call that finds nothing free, begin one with any.
//!
//! Deferred functions run on any thread that collects, perhaps one that looks up a relay in
//! another registry. So that each costs O(1), a deferred function splices whole chains,
//! frees nothing, and does not own the store. A store whose registry was dropped goes to
//! *limbo*. The thread that next drops or maintains a registry after the last round of each of
//! its shards frees it.
//!
//! # Invariants
//!
//! - A store with a round under way is owned by its registry, or in limbo.
//! - The last access of a round's function to its store is the one that ends the round.
//! - An item is in one place at a time: retired, in a round, reclaimable, or popped by the
//!   thread that frees it. So two batches at once have no item in common.
//! - A reclaimable record counts as awaiting reclamation until it is freed or left to its
//!   leases. A reclaimable announcement is initialised until then.
//! - A store in limbo is dropped only after rounds of all shards that began after its registry
//!   ended, and after everything that is reclaimable then was freed. So a thread that was pinned then,
//!   in a call through a lease, has finished with the store and with what it read there, and
//!   every announcement has been dropped once.
//!
//! Only the swap that begins a round makes a [`RoundBegun`], and a store in limbo tries to begin
//! a round at each sweep in each shard that has none. While an earlier round is under way, no
//! new one begins, so it tries again.

use crate::sync::epoch::{self, Guard};
use crate::sync::{Arc, Ordering};
use crate::table::shards::{MAX_SHARDS, Shard, ShardId};
use crate::table::store::{Retired, Store, not_in_awaiting};
use std::ptr;

/// A store that a round's function refers to; the lowest bits say which shard. So the function
/// has no more than three words.
struct InRound(*const Store);

const _: () = assert!(align_of::<Store>() >= MAX_SHARDS);

/// The collector holds a function of three words without allocating.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<(InRound, Retired)>() <= 3 * size_of::<usize>());

// SAFETY: a store is `Sync`.
unsafe impl Send for InRound {}

impl InRound {
    fn new(store: &Store, shard: ShardId) -> Self {
        Self(ptr::from_ref(store).map_addr(|address| address | shard.bits() as usize))
    }

    /// Runs when no thread can reach what was retired in a shard any more.
    fn finish(self, retired: Retired) {
        let shard = ShardId::of_bits(self.0.addr() as u64 & (MAX_SHARDS as u64 - 1));
        let store = self.0.map_addr(|address| address & !(MAX_SHARDS - 1));
        // SAFETY: a round is under way, so the store is owned; see the module.
        let store = unsafe { &*store };
        let shard = store.shards.get(shard);
        store.make_reclaimable(shard, retired);
        // Release: our accesses to the store are before the end of the round.
        shard.round.store(false, Ordering::Release);
    }
}

/// A round began that takes all that was retired before.
pub(super) struct RoundBegun(());

impl Store {
    /// Begins a round of a shard with what is retired there by now, unless one is under way.
    #[must_use = "where none began, a round is under way that began before"]
    pub(super) fn begin_round(&self, id: ShardId, guard: &Guard) -> Option<RoundBegun> {
        let shard = self.shards.get(id);
        // Relaxed: only saves the swap. Acquire: a new round sees what the last one did.
        if shard.round.load(Ordering::Relaxed) || shard.round.swap(true, Ordering::Acquire) {
            return None;
        }
        let retired = shard.take_retired();
        let store = InRound::new(self, id);
        guard.defer(move || store.finish(retired));
        Some(RoundBegun(()))
    }

    /// Advances rounds as far as possible without waiting for another thread, in O(1).
    pub(super) fn push_rounds(&self) {
        for (id, shard) in self.shards.iter() {
            if shard.has_retired() {
                // If one is under way, the next call begins the next.
                let _ = self.begin_round(id, &epoch::pin());
            }
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
        for (id, _) in self.shards.iter() {
            while self.free_records(id, &epoch::pin()) {}
            while self.free_announcements(id, &epoch::pin()) {}
        }
    }

    #[cfg(not(relay_loom))]
    fn is_at_rest(&self) -> bool {
        // Acquire: the last round is over, and we see what it made reclaimable.
        let is_over = |shard: &Shard| !shard.round.load(Ordering::Acquire);
        self.shards.iter().all(|(_, shard)| is_over(shard))
    }
}

impl Shard {
    pub(super) fn has_retired(&self) -> bool {
        !(self.retired_records.is_empty() && self.retired_announcements.is_empty())
    }

    /// Takes all that is retired so far.
    pub(super) fn take_retired(&self) -> Retired {
        let (records, count) = self.retired_records.take_all();
        // Relaxed, as all changes of this count. This thread is pinned, so they are freed later.
        self.awaiting
            .fetch_add(not_in_awaiting(count), Ordering::Relaxed);
        let (announcements, _) = self.retired_announcements.take_all();
        Retired {
            records,
            announcements,
        }
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
        /// The round of each shard that began after the end of the registry.
        last_rounds: Vec<Option<RoundBegun>>,
    }

    impl Deferred {
        fn have_all_begun(&self) -> bool {
            self.last_rounds.iter().all(Option::is_some)
        }

        fn begin_last_rounds(&mut self) {
            for ((id, _), last) in self.store.shards.iter().zip(&mut self.last_rounds) {
                if last.is_none() {
                    *last = self.store.begin_round(id, &epoch::pin());
                }
            }
        }
    }

    static LIMBO: Mutex<Vec<Deferred>> = Mutex::new(Vec::new());

    pub(super) fn add(store: Arc<Store>) {
        let last_rounds = store.shards.iter().map(|_| None).collect();
        LIMBO.lock().push(Deferred { store, last_rounds });
    }

    pub(super) fn sweep() {
        let Some(mut limbo) = LIMBO.try_lock() else {
            return;
        };
        let (done, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut *limbo)
            .into_iter()
            .partition(|deferred| deferred.have_all_begun() && deferred.store.is_at_rest());
        *limbo = waiting;
        limbo.iter_mut().for_each(Deferred::begin_last_rounds);
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
    use crate::table::shards::ShardLayout;
    use crate::table::{Before, Table, Units};
    use crate::time::Tick;
    use std::num::NonZeroU32;
    use std::sync::Weak;
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    /// A table with one relay, what tells whether its announcement was dropped, and a unit.
    fn leased() -> (Table, Weak<str>, Units) {
        leased_in(ShardLayout::ONE, ShardId::FIRST)
    }

    /// The same in one of several shards.
    fn leased_in(layout: ShardLayout, shard: ShardId) -> (Table, Weak<str>, Units) {
        let table = Table::for_tests_in(layout, 1);
        let mut ids = (0..).map(|n| NodeId::from([n; 32]));
        let id = ids.find(|id| layout.of_hash(table.hash(id)) == shard);
        let (id, label) = (id.expect("half of them are"), Arc::from("rack 1"));
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
            table.store.shards.supply(shard);
            let _ = staged.admit(Before::Unknown);
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

    /// A thread that is pinned until what is returned is called.
    fn pinned_thread() -> impl FnOnce() {
        let (unpin, wait) = channel::<()>();
        let (tell, pinned) = channel();
        let thread = thread::spawn(move || {
            let _guard = epoch::pin();
            tell.send(()).unwrap();
            wait.recv().unwrap_err();
        });
        pinned.recv().unwrap();
        move || {
            drop(unpin);
            thread.join().unwrap();
        }
    }

    #[test]
    fn a_store_in_limbo_outlives_each_thread_that_was_pinned_at_the_end_of_its_registry() {
        let (table, label, unit) = leased();
        drop(unit);
        let store = Arc::downgrade(&table.store);
        let unpin = pinned_thread();
        drop(table);
        for _ in 0..20 {
            free_deferred();
            epoch::collect();
        }
        assert!(store.strong_count() > 0 && label.strong_count() > 0);
        unpin();
        until(|| store.strong_count() == 0);
        assert_eq!(label.strong_count(), 0);
    }

    /// Of the shard of the relay, a round is under way that began before the registry ended. Of
    /// the other one, none is.
    #[test]
    fn a_store_in_limbo_waits_for_a_round_of_each_shard() {
        let other = ShardId::of_bits(1);
        let (table, label, unit) = leased_in(ShardLayout::TWO, other);
        drop(unit);
        let store = Arc::downgrade(&table.store);
        let unpin = pinned_thread();
        assert!(table.store.begin_round(other, &epoch::pin()).is_some());
        drop(table);
        for _ in 0..20 {
            free_deferred();
            epoch::collect();
        }
        unpin();
        until(|| store.strong_count() == 0);
        assert_eq!(label.strong_count(), 0);
    }

    /// The round that is under way began before the registry ended, and is not the last.
    #[test]
    fn a_round_from_before_is_not_the_last() {
        let (table, label, unit) = leased();
        drop(unit);
        let store = Arc::clone(&table.store);
        let shard = ShardId::FIRST;
        let began = store.begin_round(shard, &epoch::pin());
        // Unless it is over by now.
        let is_under_way = began.is_some() && !store.is_at_rest();
        assert!(!is_under_way || store.begin_round(shard, &epoch::pin()).is_none());
        let weak = Arc::downgrade(&store);
        drop((table, store));
        until(|| weak.strong_count() == 0);
        assert_eq!(label.strong_count(), 0);
    }
}
