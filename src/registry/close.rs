//! Closing: the threads end, and the registry goes on without them.
//!
//! 1. Calls read the clock themselves from here on, before the thread ends that raised the
//!    tick. So at no moment does neither.
//! 2. All threads are told to end, before one is waited for. The DHT's withdraw this node's
//!    relay first.
//! 3. The calling thread waits until all of them have ended. It waits for none of them if it is
//!    one of them, or if it is inside a call of the embedder's code that one of them or
//!    `run_distribution` made: the end of the others may depend on its return.
//! 4. The last save is made, if the builder asked for saves.

use crate::registry::Shared;
use crate::registry::maintenance_thread::MaintenanceThreads;
#[cfg(feature = "persistence")]
use crate::registry::persistence::Saver;

impl Shared {
    pub(super) fn close(&self) {
        self.inner.relays.timeline.give_up_thread();
        self.dht.stop();
        if let Some(threads) = &self.threads {
            threads.stop();
        }
        if !self.is_own_thread() {
            self.dht.finish();
            if let Some(threads) = &self.threads {
                threads.join();
            }
        }
        self.saver.0.save_at_end();
    }

    #[cfg(feature = "persistence")]
    pub(super) fn saver(&self) -> &Saver {
        &self.saver.0
    }

    fn is_own_thread(&self) -> bool {
        let threads = self.threads.as_ref();
        self.dht.is_own_thread() || threads.is_some_and(MaintenanceThreads::is_own_thread)
    }
}
