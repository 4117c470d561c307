//! Waiting for a future until a deadline, without a runtime, and whatever
//! panics within it.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use super::super::slots::Abandoned;
use crate::sync::Arc;
use crate::sync::unmodelled::thread::{self, Thread};

/// Why there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoResult {
    /// The deadline passed first. It can be waited for again.
    Late,
    /// It panicked, as everything does whose actor has died.
    Dead,
}

/// Runs `call`; a panic in it says that the actor has died.
pub(super) fn catch_panic<T>(call: impl FnOnce() -> T) -> Result<T, NoResult> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        // To drop it could panic again.
        std::mem::forget(payload);
        NoResult::Dead
    })
}

/// Polls until there is a result or the deadline has passed.
pub(super) fn block_on<T>(
    deadline: Instant,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Result<T, NoResult> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(result) = catch_panic(|| poll(&mut context))? {
            return Ok(result);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(NoResult::Late);
        }
        // A wake-up in between makes this return at once.
        thread::park_timeout(left);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// A future that can be sent between threads.
pub(super) type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A future whose result nobody wants any more.
pub(super) struct AbandonedFuture<T>(pub(super) Pending<T>);

impl<T> Abandoned for AbandonedFuture<T> {
    fn has_ended(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        !matches!(
            catch_panic(|| self.0.as_mut().poll(&mut context)),
            Ok(Poll::Pending)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn wait_for<T>(future: impl Future<Output = T>, deadline: Instant) -> Result<T, NoResult> {
        let mut future = std::pin::pin!(future);
        block_on(deadline, |context| future.as_mut().poll(context))
    }

    #[test]
    fn a_result_late_and_dead_are_told_apart() {
        let far = Instant::now() + Duration::from_secs(60);
        assert_eq!(wait_for(async { 7 }, far), Ok(7));
        assert_eq!(
            wait_for(std::future::pending::<u8>(), Instant::now()),
            Err(NoResult::Late)
        );
        assert_eq!(
            wait_for(async { panic!("asked for") }, far),
            Err::<u8, _>(NoResult::Dead)
        );
    }

    #[test]
    fn a_wake_up_from_another_thread_is_heard() {
        let (sender, receiver) = std::sync::mpsc::channel::<Waker>();
        let waking = thread::spawn(move || {
            for waker in receiver {
                waker.wake();
            }
        });
        let mut polls = 0;
        let result = block_on(Instant::now() + Duration::from_secs(60), |context| {
            polls += 1;
            if polls == 3 {
                return Poll::Ready(polls);
            }
            sender.send(context.waker().clone()).expect("it listens");
            Poll::Pending
        });
        assert_eq!(result, Ok(3));
        drop(sender);
        waking.join().expect("it does not panic");
    }

    #[test]
    fn what_is_unwanted_ends_with_its_result_or_its_death() {
        let mut polls = 0;
        let second_time = std::future::poll_fn(move |_| {
            polls += 1;
            if polls < 2 {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        });
        let mut unwanted = AbandonedFuture(Box::pin(second_time));
        assert!(!unwanted.has_ended());
        assert!(unwanted.has_ended());
        assert!(AbandonedFuture::<()>(Box::pin(async { panic!("asked for") })).has_ended());
    }
}
