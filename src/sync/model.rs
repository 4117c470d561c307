//! What the model checker synchronises with.

use super::{Arc, AtomicU64, Ordering, Zeroable};
use std::ops::Deref;

pub(crate) use loom::cell::UnsafeCell;
pub(crate) use loom::sync::atomic::fence;
pub(crate) use loom::thread::{Thread, current as current_thread, yield_now};

/// Makes the operation that follows visible to the scheduler.
///
/// loom does not switch threads between a load and the same thread's own
/// compare-and-swap of that location, so it would never show a value that
/// changed in between (tokio-rs/loom#166). A relaxed step on one shared
/// counter before each operation cures that. It could in turn hide a missing
/// fence, so every model is also run without it: `RELAY_LOOM_STEPS=0`.
pub(super) fn step() {
    loom::lazy_static! {
        static ref STEPS: loom::sync::atomic::AtomicUsize =
            loom::sync::atomic::AtomicUsize::new(0);
    }
    if *STEPPING {
        STEPS.fetch_add(1, Ordering::Relaxed);
    }
}

static STEPPING: std::sync::LazyLock<bool> =
    std::sync::LazyLock::new(|| std::env::var_os("RELAY_LOOM_STEPS").is_none_or(|v| v != "0"));

/// loom's mutex with the interface of `parking_lot`'s.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

pub(crate) type MutexGuard<'a, T> = loom::sync::MutexGuard<'a, T>;

#[allow(dead_code)]
impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0
            .lock()
            .expect("a model that panics has failed already")
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok()
    }
}

/// Vacant items, made one by one.
pub(crate) struct ZeroedSlice<T>(Box<[T]>);

impl<T: Zeroable> ZeroedSlice<T> {
    pub(crate) fn new(len: usize) -> Option<Self> {
        Some(Self::new_or_abort(len))
    }

    pub(crate) fn new_or_abort(len: usize) -> Self {
        Self((0..len).map(|_| T::vacant()).collect())
    }
}

impl<T> Deref for ZeroedSlice<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

/// The swapped pointer as the number of what it points to: a look at it gives the one
/// who swaps it no order, as a lock would.
#[derive(Debug)]
pub(crate) struct Swap<T> {
    current: AtomicU64,
    /// All that there ever was; not for loom to see.
    kept: std::sync::Mutex<Vec<Arc<T>>>,
}

pub(crate) struct Loaded<T>(Arc<T>);

impl<T> Deref for Loaded<T> {
    type Target = Arc<T>;

    fn deref(&self) -> &Arc<T> {
        &self.0
    }
}

impl<T> Swap<T> {
    pub(crate) fn new(value: Arc<T>) -> Self {
        Self {
            current: AtomicU64::default(),
            kept: std::sync::Mutex::new(vec![value]),
        }
    }

    pub(crate) fn load(&self) -> Loaded<T> {
        // Acquire: as the real one.
        let current = self.current.load(Ordering::Acquire) as usize;
        Loaded(Arc::clone(&self.kept()[current]))
    }

    pub(crate) fn replace(&self, current: &Arc<T>, next: Arc<T>) -> Option<Arc<T>> {
        let (from, to) = {
            let mut kept = self.kept();
            let from = kept.iter().position(|kept| Arc::ptr_eq(kept, current));
            kept.push(next);
            (from.expect("it was loaded") as u64, kept.len() as u64 - 1)
        };
        // AcqRel: likewise.
        let replaced = self
            .current
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        replaced.ok().map(|_| Arc::clone(current))
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Arc<T>>> {
        self.kept.lock().expect("never poisoned")
    }
}

/// Models have back-offs of a length that does not vary.
pub(crate) fn random_key() -> u64 {
    1
}

/// Models must not depend on chance.
pub(crate) fn random_below(_bound: u32) -> u32 {
    0
}

pub(crate) fn random_bits() -> u64 {
    0
}

pub(crate) fn lasting_random_bits() -> u64 {
    0
}

pub(crate) fn prefetch<T>(_place: &T) {}

/// Models must hash alike in every execution.
pub(crate) fn random_hasher() -> ahash::RandomState {
    ahash::RandomState::with_seeds(1, 2, 3, 4)
}

/// Models have threads without a number, for those of loom share the variables of a thread.
pub(crate) fn thread_index() -> usize {
    usize::MAX
}

pub(crate) fn claim_thread_index() -> usize {
    usize::MAX
}

/// Models have no time: parked is parked.
pub(crate) fn park_timeout(_timeout: std::time::Duration) {
    loom::thread::park();
}

/// Epochs that nothing ever leaves: what is deferred does not run, so memory
/// that was retired stays as it was and a late access shows in its content.
#[cfg(not(crossbeam_loom))]
pub(crate) mod epoch {
    #[derive(Debug)]
    pub(crate) struct Guard(());

    pub(crate) fn pin() -> Guard {
        Guard(())
    }

    /// Like the real one it does something when dropped, if only in name.
    impl Drop for Guard {
        fn drop(&mut self) {}
    }

    pub(crate) fn is_pinned() -> bool {
        false
    }

    impl Guard {
        pub(crate) fn defer(&self, free: impl FnOnce() + Send + 'static) {
            std::mem::forget(free);
        }
    }

    pub(crate) fn collect() {}
}

/// The real epochs, run by loom.
#[cfg(crossbeam_loom)]
pub(crate) mod epoch {
    #[derive(Debug)]
    pub(crate) struct Guard(crossbeam_epoch::Guard);

    pub(crate) fn pin() -> Guard {
        Guard(crossbeam_epoch::pin())
    }

    pub(crate) fn is_pinned() -> bool {
        false
    }

    impl Guard {
        pub(crate) fn defer(&self, free: impl FnOnce() + Send + 'static) {
            self.0.defer(free);
            self.flush();
        }

        fn flush(&self) {
            self.0.flush();
        }
    }

    pub(crate) fn collect() {
        for _ in 0..4 {
            pin().flush();
        }
    }
}

/// Words, for a whole registry of loom's large atomics is built on this stack. The
/// thread that loom starts itself has 4,096 of them, and no way to ask for more.
#[cfg(test)]
const STACK_WORDS: usize = 64 * 1024;

/// A place in a model where the scheduler may switch threads also in the run
/// without steps, in which it never does so before a thread that only loads.
#[cfg(test)]
pub(crate) fn yield_point() {
    YIELD_POINTS.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
loom::lazy_static! {
    static ref YIELD_POINTS: loom::sync::atomic::AtomicUsize =
        loom::sync::atomic::AtomicUsize::new(0);
}

/// Explores `model` with at most so many preemptions, or as many as
/// `RELAY_LOOM_PREEMPTIONS` says, for at most `RELAY_LOOM_SECONDS`; prints how
/// many executions that took, and whether they were all.
///
/// A single execution means that nothing in it was seen to be shared: the
/// model has lost its subject.
#[cfg(test)]
pub(crate) fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    use std::sync::atomic::AtomicUsize;
    use std::time::{Duration, Instant};

    /// Loom looks at the time before each execution whose number this divides.
    const BETWEEN_LOOKS: usize = 100;

    let model = std::sync::Arc::new(model);
    let executions = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&executions);
    let preemptions = asked("RELAY_LOOM_PREEMPTIONS").unwrap_or(preemptions);
    let limit = asked("RELAY_LOOM_SECONDS").map(|seconds| Duration::from_secs(seconds as u64));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_duration = limit;
    builder.checkpoint_interval = BETWEEN_LOOKS;
    builder.max_branches = 100_000;
    let begun = Instant::now();
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        // Before there are threads: a thread that finds a lazy static made sees all that
        // was done before it was made.
        yield_point();
        step();
        let model = std::sync::Arc::clone(&model);
        let thread = loom::thread::Builder::new().stack_size(STACK_WORDS);
        let ended = thread.spawn(move || model()).map(|model| model.join());
        assert!(matches!(ended, Ok(Ok(()))));
    });
    let executions = executions.load(Ordering::Relaxed);
    let was_cut = limit.is_some_and(|limit| begun.elapsed() >= limit)
        && (executions + 1).is_multiple_of(BETWEEN_LOOKS);
    let extent = if was_cut { "in part" } else { "completely" };
    let name = std::thread::current().name().map(str::to_owned);
    println!(
        "{}: {executions} executions, explored {extent}, preemptions <= {preemptions}",
        name.unwrap_or_default()
    );
    assert!(executions > 1, "nothing to explore");
}

#[cfg(test)]
fn asked(variable: &str) -> Option<usize> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().expect("a number"))
}
