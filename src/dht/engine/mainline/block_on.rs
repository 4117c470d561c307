//! Blocks on a future until a deadline, without an async runtime, and catches
//! panics of the future.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::super::slots::Abandoned;
use crate::events::waker_of_this_thread;
use crate::sync::unmodelled::thread;

/// Why a future has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoResult {
    /// The deadline passed. The future can be polled again.
    TimedOut,
    /// The future panicked, as every call to an actor does whose thread has ended.
    Panicked,
}

/// Runs `call` and catches a panic.
pub(super) fn catch_panic<T>(call: impl FnOnce() -> T) -> Result<T, NoResult> {
    crate::panics::catch_panic(call).ok_or(NoResult::Panicked)
}

/// Calls `poll` until it returns a result or the deadline has passed.
pub(super) fn block_on<T>(
    deadline: Instant,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Result<T, NoResult> {
    let waker = waker_of_this_thread();
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(result) = catch_panic(|| poll(&mut context))? {
            return Ok(result);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(NoResult::TimedOut);
        }
        // Returns at once if the thread was unparked since `poll`.
        thread::park_timeout(left);
    }
}

/// A boxed future that can be sent between threads.
pub(super) type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A future whose result is not needed.
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
    fn a_result_a_time_out_and_a_panic_are_distinguished() {
        let far = Instant::now() + Duration::from_secs(60);
        assert_eq!(wait_for(async { 7 }, far), Ok(7));
        assert_eq!(
            wait_for(std::future::pending::<u8>(), Instant::now()),
            Err(NoResult::TimedOut)
        );
        assert_eq!(
            wait_for(async { panic!("an injected panic") }, far),
            Err::<u8, _>(NoResult::Panicked)
        );
    }

    #[test]
    fn a_wake_up_by_another_thread_polls_again() {
        let (sender, receiver) = std::sync::mpsc::channel::<Waker>();
        let wakes = thread::spawn(move || {
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
            sender
                .send(context.waker().clone())
                .expect("the thread receives");
            Poll::Pending
        });
        assert_eq!(result, Ok(3));
        drop(sender);
        wakes.join().expect("it does not panic");
    }

    #[test]
    fn an_abandoned_future_ends_with_its_result_or_a_panic() {
        let mut polls = 0;
        let ready_at_second_poll = std::future::poll_fn(move |_| {
            polls += 1;
            if polls < 2 {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        });
        let mut abandoned = AbandonedFuture(Box::pin(ready_at_second_poll));
        assert!(!abandoned.has_ended());
        assert!(abandoned.has_ended());
        assert!(AbandonedFuture::<()>(Box::pin(async { panic!("an injected panic") })).has_ended());
    }
}
