//! A lease: some units of a relay's capacity, how they are taken and released together.
//!
//! The load word counts the units of all leases. A lease has at least one unit. So the count
//! is zero when no lease is left, and a lease is the last one if no more than its own units
//! are counted. What holds because "our lease is counted" holds for any number of units.
//!
//! To take one ([`RecordRef::lease`]):
//!
//! 1. The thread loads the lifecycle with acquire: live. It reads the announced capacity.
//! 2. A compare-and-swap (acquire and release) of the load adds the units, all or none: if
//!    the record is neither closed nor draining, and its load with them is at most that
//!    capacity.
//! 3. It loads the lifecycle again, with acquire because it reads the announcement, too. If the
//!    relay has departed since, or announces less than its load, it releases the units and
//!    starts again.
//!
//! To release one ([`Units`], when dropped): pinned, a compare-and-swap (acquire and release)
//! of the load subtracts its units, unless the record is unreachable or detached. If it is, a
//! `fetch_sub` (acquire and release) does. The last lease then frees the record to the slab,
//! or drops the reference to the store that the registry left at its end.
//!
//! Each change of the load refreshes the leaf of the relay (`Publication::change_load`). If
//! the relay had too few free units for some call, a pending change is open meanwhile. The
//! last lease of a record that is kept for its leases pushes it to the inbox of the wheel.

use crate::events::WakeGuard;
use crate::relay::Rejection;
use crate::sync::{Arc, epoch};
use crate::table::record::{Load, Record};
use crate::table::record_ref::{LiveRecord, RecordRef};
use crate::table::snapshot::Snapshot;
use crate::table::store::Store;
use crate::time::Tick;
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::num::NonZeroU32;

/// Units of a relay's capacity, at least one, released once and together, when dropped,
/// from any thread.
///
/// It keeps the memory of its record; it keeps neither the relay registered nor the registry
/// alive. Releasing is lock-free: one compare-and-swap and, if the rank of the relay changes,
/// an update of its leaf and of the words above.
pub(crate) struct Units {
    store: *const Store,
    index: u32,
    count: NonZeroU32,
}

// SAFETY: a store is `Sync`, and a lease may be released from any thread.
unsafe impl Send for Units {}
// SAFETY: what is shared offers no change.
unsafe impl Sync for Units {}

impl<'g> RecordRef<'g> {
    /// Takes so many units of the announced capacity, and returns them with the live record;
    /// or returns the reason for the rejection, with the capacity that it was decided by (0 of
    /// a relay that left).
    ///
    /// A renewal or a departure may come between the load of the lifecycle and the change of
    /// the load. So the lifecycle is read again: a rejection counts if nothing changed, and
    /// units are released, before any caller has them, if by now there is no room for them. So
    /// no unit exceeds the capacity that was announced when it was taken, and none is of a
    /// relay that had left. Until such units are released, other threads cannot take them.
    ///
    /// `snapshot` is one that the caller has loaded; its leaf is recomputed.
    #[inline]
    pub(crate) fn lease(
        &self,
        units: NonZeroU32,
        snapshot: Option<&Snapshot>,
    ) -> Result<(Units, LiveRecord<'g>), (Rejection, u32)> {
        loop {
            let Some(live) = self.observe_live() else {
                return Err((Rejection::Departed, 0));
            };
            let capacity = live.announcement().capacity;
            match self.record.take_lease(units.get(), capacity) {
                Ok(change) => {
                    // SAFETY: the units were taken just now, on the record at that index.
                    let taken = unsafe { Units::taken(self.store, self.index, units) };
                    if let Some(live) = self.allowing(change.1.total()) {
                        let publication = &self.store.publication;
                        publication.refresh_load(&self.subject(), change, snapshot);
                        return Ok((taken, live));
                    }
                }
                Err(reason) if live.is_current() => return Err((reason, capacity)),
                Err(_) => {}
            }
        }
    }

    /// The lifecycle, if what is announced allows for a load of `total`.
    #[inline]
    fn allowing(&self, total: u32) -> Option<LiveRecord<'g>> {
        self.observe_live()
            .filter(|live| total <= live.announcement().capacity)
    }
}

impl Store {
    /// Releases a lease of so many units; if the record is unreachable or detached, changes
    /// nothing and returns false. Only while pinned: without the lease, only the pin keeps the
    /// store.
    fn release_lease(&self, index: u32, units: u32) -> bool {
        let is_idle = Cell::new(false);
        let without_lease = |load: Load| {
            let after = load.without_lease(units).ok_or(())?;
            is_idle.set(after.is_closed() && after.leases() == 0);
            Ok::<_, ()>(after)
        };
        // The lease keeps the record from being reused for another id.
        let parts = self.parts(index);
        let released = self.publication.change_load(index, parts, without_lease);
        if is_idle.get() && released.is_ok() {
            self.reconsider(index);
        }
        released.is_ok()
    }
}

impl Units {
    /// Represents a lease.
    ///
    /// # Safety
    ///
    /// The caller took a lease of `count` units on the record at `index` of this store, and
    /// represents it only once.
    #[inline]
    unsafe fn taken(store: &Arc<Store>, index: u32, count: NonZeroU32) -> Self {
        Self {
            store: Arc::as_ptr(store),
            index,
            count,
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> NonZeroU32 {
        self.count
    }

    /// The present tick, for a call through the lease. To be called before the thread pins,
    /// for it may read the clock.
    pub(crate) fn present(&self) -> Tick {
        // SAFETY: our lease is counted, so the registry owns the store or has left a
        // reference to it with the record.
        unsafe { &*self.store }.publication.context.watch.present()
    }

    /// For a call through the lease that changes the relay: its first value.
    pub(crate) fn wake_guard(&self) -> WakeGuard<'_> {
        // SAFETY: as in `present`.
        unsafe { &*self.store }
            .publication
            .context
            .events
            .wake_guard()
    }

    /// Calls `act` with the record. The lease keeps it from being reused for another id; the
    /// relay may have left.
    pub(crate) fn with_record<R>(&self, act: impl FnOnce(RecordRef<'_>) -> R) -> R {
        let guard = epoch::pin();
        // SAFETY: our lease is counted, so the registry owns the store or has left a
        // reference to it with the record; that count is left as it is.
        let store = ManuallyDrop::new(unsafe { Arc::from_raw(self.store) });
        act(RecordRef {
            record: store.record(self.index),
            index: self.index,
            store: &store,
            guard: &guard,
        })
    }

    /// Releases the units on a record that is unreachable or detached. The last lease frees
    /// the record, or drops the reference to the store that an ended registry left. Only while
    /// pinned.
    #[cold]
    fn release_removed(&self, record: &Record) {
        let before = record.release_lease_of_removed(self.count.get());
        // Each other lease has at least one unit more.
        if before.leases() > self.count.get() {
            return;
        }
        if before.has(Load::DETACHED) {
            // SAFETY: the registry left one reference to each detached record
            // with leases, and we were its last lease.
            unsafe { Arc::decrement_strong_count(self.store) };
        } else if before.has(Load::UNREACHABLE) {
            // SAFETY: pinned, and not detached when we released the lease, so the store is
            // kept for a round that begins later, and that ends after we unpin.
            unsafe { &*self.store }.free_leased_record(self.index);
        }
    }
}

impl Drop for Units {
    fn drop(&mut self) {
        // Pinned: once our lease is released, only this keeps the store.
        let _guard = epoch::pin();
        // SAFETY: our lease is counted, so the registry owns the store or has
        // left a reference to it with the record.
        let store = unsafe { &*self.store };
        if !store.release_lease(self.index, self.count.get()) {
            self.release_removed(store.record(self.index));
        }
    }
}
