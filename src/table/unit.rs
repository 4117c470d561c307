//! One leased unit of capacity: the right to it, and the duty to release it.

use crate::sync::{Arc, epoch};
use crate::table::record::{Load, Record};
use crate::table::record_ref::RecordRef;
use crate::table::store::Store;
use crate::time::Tick;
use std::mem::ManuallyDrop;

/// One unit of a relay's capacity, released once, when dropped, from any
/// thread.
///
/// It keeps the memory of its record; it keeps neither the relay registered nor
/// the registry alive. Releasing is lock-free, and one compare-and-swap as long
/// as the relay is registered.
pub(crate) struct Unit {
    store: *const Store,
    index: u32,
}

// SAFETY: a store is `Sync`, and a lease may be released from any thread.
unsafe impl Send for Unit {}
// SAFETY: a shared unit offers nothing.
unsafe impl Sync for Unit {}

impl Unit {
    /// Stands for a lease that the caller took on the record at `index`.
    pub(crate) fn taken(store: &Arc<Store>, index: u32) -> Self {
        Self {
            store: Arc::as_ptr(store),
            index,
        }
    }

    /// The tick that a call goes by which is made through the lease; to be asked for before
    /// anything is pinned, for it may read the clock.
    pub(crate) fn present(&self) -> Tick {
        // SAFETY: our lease is counted, so the registry holds the store or has left a
        // reference to it with the record.
        unsafe { &*self.store }.publication.context.watch.present()
    }

    /// Does something with the record, which the lease keeps in the life that it was
    /// taken in; the relay may have left.
    pub(crate) fn with_record<R>(&self, act: impl FnOnce(RecordRef<'_>) -> R) -> R {
        let guard = epoch::pin();
        // SAFETY: our lease is counted, so the registry holds the store or has left a
        // reference to it with the record; that count is left as it is.
        let store = ManuallyDrop::new(unsafe { Arc::from_raw(self.store) });
        act(RecordRef {
            record: store.record(self.index),
            index: self.index,
            store: &store,
            guard: &guard,
        })
    }

    /// The last lease of a record may have to give it back, or to let go of
    /// the store that an ended registry left to it. Only while pinned.
    #[cold]
    fn release_departed(&self, record: &Record) {
        let before = record.release_lease_of_departed();
        if before.leases() > 1 {
            return;
        }
        if before.has(Load::DETACHED) {
            // SAFETY: the registry left one reference to each orphaned record
            // with leases, and we were its last lease.
            unsafe { Arc::decrement_strong_count(self.store) };
        } else if before.has(Load::UNREACHABLE) {
            // SAFETY: pinned, and not orphaned when we let go, so the store is
            // held for a round that begins later, and that ends after we unpin.
            unsafe { &*self.store }.on_last_lease(self.index);
        }
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        // Pinned: from the moment our lease is gone, only this holds off the
        // end of the store.
        let _guard = epoch::pin();
        // SAFETY: our lease is counted, so the registry holds the store or has
        // left a reference to it with the record.
        let store = unsafe { &*self.store };
        if !store.release_lease(self.index) {
            self.release_departed(store.record(self.index));
        }
    }
}
