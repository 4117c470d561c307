//! A latch that opens when all threads of a registry have ended.

use crate::events::wakers::{Waiting, Wakers};
use crate::sync::{Arc, AtomicU32, Ordering};
use std::future::poll_fn;
use std::task::Poll;

/// How many threads run, and the tasks that wait for their end.
#[derive(Debug, Default)]
pub(crate) struct Latch {
    running: AtomicU32,
    wakers: Wakers,
}

/// Held by a thread while it runs.
#[derive(Debug)]
pub(crate) struct Running(Arc<Latch>);

impl Latch {
    /// For a thread that is about to be started.
    pub(crate) fn enter(self: &Arc<Self>) -> Running {
        // Relaxed: the thread is started afterwards.
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(self))
    }

    /// Ends when no thread runs.
    pub(crate) async fn opened(&self) {
        let mut waiting = Waiting::new(&self.wakers);
        poll_fn(|context| {
            waiting.register(context.waker());
            // Acquire: what the threads did is seen.
            match self.running.load(Ordering::Acquire) {
                0 => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // AcqRel: the last thread passes on what all did.
        if self.0.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            // The lock of the wakers orders it: a task that registers later sees zero.
            self.0.wakers.wake_all();
        }
    }
}
