//! Closing: the threads end, and the registry goes on without them.
//!
//! 1. Calls read the clock themselves from here on, before the thread ends that raised the
//!    tick. So at no moment does neither.
//! 2. All threads are told to end, before one is waited for. The DHT's withdraw this node's
//!    relay first. Subscriptions are closed, and what waits for a relay is woken.
//! 3. [`Registry::close`] waits until all of them have ended. It waits for none of them if it is
//!    called by one of them, or inside a call of the embedder's code that one of them or
//!    `run_distribution` made: the end of the others may depend on its return.
//! 4. The last save is made, if the builder asked for saves: by the thread that saves, which ends
//!    last; without one, by this thread.
//!
//! A task that awaits [`Registry::closed`] is woken by the last thread that ends. The drop of the
//! last handle waits for no thread.

use crate::registry::maintenance_thread::MaintenanceThreads;
#[cfg(feature = "persistence")]
use crate::registry::persistence::Saver;
use crate::registry::{Registry, Shared};

impl Registry {
    /// As [`close`](Self::close), but waits without blocking a thread of a runtime.
    ///
    /// The first poll tells the threads to end. The future is ready when they have, and the last
    /// save is made, if the builder asked for saves. It has no limit of its own: an engine of the
    /// DHT that exceeds its deadlines delays it. Where the DHT has no worker threads, the first poll
    /// withdraws this node's relay itself, and waits for the engine; with
    /// [`Maintenance::Manual`](crate::Maintenance::Manual), a poll makes the last save itself.
    ///
    /// If it is dropped before it is ready, the threads end all the same, and the last save is left
    /// to another call, or to the drop of the last handle.
    ///
    /// ```
    /// # use relay_registry::Registry;
    /// # pollster::block_on(async {
    /// let registry = Registry::new();
    /// registry.closed().await;
    /// registry.maintain(); // from here on, maintenance is the caller's
    /// # });
    /// ```
    pub async fn closed(&self) {
        let shared = &self.shared;
        shared.begin_close();
        if shared.is_own_thread() {
            shared.begin_last_save();
            return;
        }
        shared.dht.withdraw_without_threads();
        shared.running.opened().await;
        shared.begin_last_save();
        shared.saving.opened().await;
    }
}

impl Shared {
    pub(super) fn close(&self) {
        let _span = self.inner.relays.trace.close_span();
        self.begin_close();
        if self.is_own_thread() {
            self.begin_last_save();
            return;
        }
        self.dht.finish();
        if let Some(threads) = &self.threads {
            threads.join();
        }
        self.begin_last_save();
        if let Some(threads) = &self.threads {
            threads.join_saving();
        }
    }

    /// Tells all threads to end, but for the one that saves.
    fn begin_close(&self) {
        self.inner.relays.timeline.give_up_thread();
        self.dht.stop();
        if let Some(threads) = &self.threads {
            threads.stop();
        }
        self.inner.relays.events().close();
        self.inner.relays.trace.closing();
    }

    /// Tells the thread that saves to make the last save and to end; without one, saves here.
    fn begin_last_save(&self) {
        match &self.threads {
            Some(threads) => threads.stop_saving(),
            None => self.saver.save_at_end(),
        }
    }

    fn is_own_thread(&self) -> bool {
        let threads = self.threads.as_ref();
        self.dht.is_own_thread() || threads.is_some_and(MaintenanceThreads::is_own_thread)
    }

    #[cfg(feature = "persistence")]
    pub(super) fn saver(&self) -> &Saver {
        &self.saver
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.begin_close();
        self.begin_last_save();
    }
}
