//! One leased unit of capacity: the right to it, and the duty to release it.

use crate::relay::Rejection;
use crate::sync::{Arc, epoch};
use crate::table::record::{Load, Record};
use crate::table::record_ref::{LiveRecord, RecordRef};
use crate::table::snapshot::Snapshot;
use crate::table::store::Store;
use crate::time::Tick;
use std::cell::Cell;
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

impl<'g> RecordRef<'g> {
    /// Takes one unit of the capacity that is announced, with the lifecycle that decides
    /// it; or says why not, with the capacity that decides that (0 of a relay that left).
    ///
    /// A renewal or a departure may come between a look at the lifecycle and a
    /// step on the load, so there is a second look: a refusal holds if nothing
    /// changed, and a unit is given back, before any caller has it, if by now there is
    /// no room for it. So none is held beyond the capacity that was announced
    /// when it was taken, nor by a relay that had left. Until it is given back, it
    /// keeps others from that unit: which of the two came first, the thread that takes it
    /// or the thread that changes the lifecycle, is not to be known.
    ///
    /// `snapshot` is one that is at hand, for the summary to be brought in line.
    #[inline]
    pub(crate) fn lease(
        &self,
        snapshot: Option<&Snapshot>,
    ) -> Result<(Unit, LiveRecord<'g>), (Rejection, u32)> {
        loop {
            let Some(live) = self.observe_live() else {
                return Err((Rejection::Departed, 0));
            };
            let capacity = live.announcement().capacity;
            match self.record.take_lease(capacity) {
                Ok(change) => {
                    // SAFETY: the lease was taken just now, on the record at that index.
                    let unit = unsafe { Unit::taken(self.store, self.index) };
                    if let Some(live) = self.allowing(change.1.total()) {
                        let publication = &self.store.publication;
                        publication.refresh_load(&self.subject(), change, snapshot);
                        return Ok((unit, live));
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
    /// Gives one unit back, unless the lease may be the last thing that knows of
    /// the record: then nothing changes and the answer is false. Only while pinned,
    /// for without the lease nothing else holds the store.
    fn release_lease(&self, index: u32) -> bool {
        let record = self.record(index);
        // The lease holds off the next life of the record until it is given back.
        let subject = self.subject(record.handle(index));
        let is_idle = Cell::new(false);
        let released = self.publication.change_load(&subject, |load| {
            let after = load.without_lease().ok_or(())?;
            is_idle.set(after.is_closed() && after.leases() == 0);
            Ok::<_, ()>(after)
        });
        if is_idle.get() && released.is_ok() {
            self.reconsider(index);
        }
        released.is_ok()
    }
}

impl Unit {
    /// Stands for a lease.
    ///
    /// # Safety
    ///
    /// The caller took that lease on the record at `index` of this store, and makes no
    /// other unit of it.
    #[inline]
    unsafe fn taken(store: &Arc<Store>, index: u32) -> Self {
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
            // SAFETY: the registry left one reference to each detached record
            // with leases, and we were its last lease.
            unsafe { Arc::decrement_strong_count(self.store) };
        } else if before.has(Load::UNREACHABLE) {
            // SAFETY: pinned, and not detached when we let go, so the store is
            // held for a round that begins later, and that ends after we unpin.
            unsafe { &*self.store }.free_record(self.index);
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
