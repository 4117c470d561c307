//! [`Distribution`]: the running DHT of one registry, threads around three state machines.
//!
//! ```text
//! callers ──wake flags──> DhtState: publisher, discovery, admission ──jobs──> engine, probe
//!                             └─────────── RegistryBackend ───────────> registry
//! ```
//!
//! The state machines are in [`DhtState`], behind one lock. No hot operation of the registry
//! takes it. Calls that may take long, to the engine and to the probe, are made by worker
//! threads without the lock. A worker holds no strong reference to the registry during such a
//! call. So a call that never returns keeps the state alive, but not the registry.

mod query;
#[cfg(feature = "persistence")]
mod saved;
mod state;
mod watch;

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use super::admission::OfferOutcome;
use super::backend::{Now, RegistryBackend};
use super::engine::{DhtError, Limits, Put, RelayDht, ShardPath};
use super::options::{DhtOptions, DhtOptionsError};
use super::probe::ProbeError;
use super::publisher::Action;
use super::record::{MAX_VALUE_LEN, SignedRecord};
use super::reject_reason::RejectReason;
use super::stats::DhtStats;
use super::wake_flags::WakeFlags;
use crate::events::{Latch, Running};
use crate::relay::NodeId;
use crate::sync::unmodelled::OnceLock;
use crate::sync::unmodelled::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use crate::sync::unmodelled::thread::{self, JoinHandle, Thread, ThreadId};
use crate::sync::{Arc, Mutex, Weak, park_timeout};
use crate::time::Clock;
use crate::trace::DhtTrace;
#[cfg(feature = "persistence")]
pub(crate) use saved::{DistributionMemory, SavedMemory};
use state::{DhtState, Job, Role};

/// The running DHT of a registry. Dropping it withdraws this node's relay and ends the threads,
/// unless it was closed before.
pub(crate) struct Distribution {
    shared: Arc<Shared>,
    threads: Vec<Thread>,
    ending: Mutex<Ending>,
    /// The threads of callers that are inside a call of the engine or the probe, or close to it.
    inside: Mutex<Vec<ThreadId>>,
}

/// What shows that the threads have ended; empty once one thread has waited for that.
#[derive(Default)]
struct Ending {
    handles: Vec<JoinHandle<()>>,
    /// Disconnected once all threads have ended.
    alive: Option<Receiver<()>>,
}

/// Notes that this thread makes calls of the engine, until it is dropped.
struct Inside<'a>(&'a Mutex<Vec<ThreadId>>);

impl<'a> Inside<'a> {
    fn enter(threads: &'a Mutex<Vec<ThreadId>>) -> Self {
        threads.lock().push(thread::current().id());
        Self(threads)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let current = thread::current().id();
        let mut threads = self.0.lock();
        // Only one of them: an engine may call the registry that calls it.
        if let Some(at) = threads.iter().position(|&thread| thread == current) {
            threads.swap_remove(at);
        }
    }
}

/// Reads the counters and the present state of a DHT, if that still exists.
#[derive(Clone, Default)]
pub(crate) struct StatsReader(Weak<Shared>);

impl StatsReader {
    pub(crate) fn read(&self) -> Option<DhtStats> {
        let shared = self.0.upgrade()?;
        let stats = shared.state.lock().stats();
        Some(stats)
    }
}

impl fmt::Debug for StatsReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StatsReader")
    }
}

struct Shared {
    engine: Arc<dyn RelayDht>,
    options: DhtOptions,
    /// The registry's calendar.
    wall_clock: Arc<dyn Clock>,
    wake_flags: Arc<WakeFlags>,
    state: Mutex<DhtState>,
    trace: DhtTrace,
    backend: OnceLock<Weak<dyn RegistryBackend>>,
    /// The longest sleep of a thread. The clocks are the embedder's, so a thread can't know how
    /// long to sleep until a given time.
    max_sleep: Duration,
    /// The longest value of a record that the engine carries.
    max_value: usize,
    /// Whether it waits for changes.
    watches: bool,
}

/// The result of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Worked,
    Idle,
    /// The registry was dropped.
    Ended,
}

/// The most steps of one call of [`Distribution::run_due`].
const MAX_STEPS: usize = 100_000;

impl Distribution {
    /// Checks the options, and creates the state for a registry of `max_relays`.
    pub(crate) fn prepare(
        engine: Arc<dyn RelayDht>,
        options: DhtOptions,
        max_relays: usize,
        tick: Duration,
        wall_clock: Arc<dyn Clock>,
    ) -> Result<Self, DhtOptionsError> {
        options.check(max_relays)?;
        let (limits, network) = catch_panic(|| (engine.limits(), engine.network()))
            .map_err(|()| DhtOptionsError::EnginePanicked)?;
        options.check_network(network)?;
        let limits = limits.clamped();
        let state = DhtState::new(&options, limits, max_relays, tick);
        let watches = limits.watches && options.probe.is_some();
        Ok(Self {
            shared: Arc::new(Shared {
                engine,
                options: limit_threads(options, limits),
                wall_clock,
                wake_flags: Arc::new(WakeFlags::new()),
                state: Mutex::new(state),
                trace: DhtTrace::default(),
                backend: OnceLock::new(),
                max_value: limits.max_value.min(MAX_VALUE_LEN),
                watches,
                max_sleep: tick.clamp(Duration::from_millis(1), Duration::from_millis(100)),
            }),
            threads: Vec::new(),
            ending: Mutex::default(),
            inside: Mutex::default(),
        })
    }

    /// The longest value of a record that the engine carries.
    pub(crate) fn max_value(&self) -> usize {
        self.shared.max_value
    }

    pub(crate) fn wake_flags(&self) -> Arc<WakeFlags> {
        Arc::clone(&self.shared.wake_flags)
    }

    /// Starts the threads.
    pub(crate) fn start(
        &mut self,
        backend: Weak<dyn RegistryBackend>,
        running: &Arc<Latch>,
    ) -> io::Result<()> {
        let _ = self.shared.backend.set(backend);
        let (alive, ended) = channel();
        self.ending.lock().alive = Some(ended);
        let options = &self.shared.options;
        if options.worker_threads == 0 {
            return Ok(());
        }
        let probes = if options.probe.is_some() {
            options.probe_threads
        } else {
            0
        };
        let engine = std::iter::repeat_n(Role::Engine, options.worker_threads);
        for role in engine.chain(std::iter::repeat_n(Role::Probe, probes)) {
            // If it fails, the caller drops `self`, which ends the threads started so far.
            self.spawn(alive.clone(), running.enter(), move |shared| {
                shared.work(role)
            })?;
        }
        self.register_threads();
        if self.shared.watches {
            self.spawn(alive, running.enter(), Shared::watch)?;
        }
        Ok(())
    }

    #[cfg(not(relay_loom))]
    fn register_threads(&self) {
        self.shared.wake_flags.set_workers(self.threads.clone());
    }

    /// Models set workers of their own, which are threads of loom.
    #[cfg(relay_loom)]
    fn register_threads(&self) {}

    fn spawn(
        &mut self,
        alive: Sender<()>,
        running: Running,
        work: impl FnOnce(&Shared) + Send + 'static,
    ) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let handle = thread::Builder::new()
            .name("relay-registry-dht".into())
            .spawn(move || {
                work(&shared);
                drop((alive, running));
            })?;
        self.threads.push(handle.thread().clone());
        self.ending.lock().handles.push(handle);
        Ok(())
    }

    /// Does all that is due, on this thread, and returns the number of steps. Nothing is, once
    /// it is closed.
    pub(crate) fn run_due(&self) -> usize {
        let _inside = Inside::enter(&self.inside);
        if self.shared.watches && !self.shared.wake_flags.is_stopped() {
            self.shared.watch_for(Duration::ZERO);
        }
        let step = || match self.shared.wake_flags.is_stopped() {
            true => Step::Ended,
            false => self.shared.step(Role::Both),
        };
        let steps = std::iter::repeat_with(step);
        let worked = steps
            .take(MAX_STEPS)
            .take_while(|step| *step == Step::Worked)
            .count();
        // The engine or the probe may have closed it.
        if self.shared.wake_flags.is_stopped() {
            self.shared.withdraw();
        }
        worked
    }

    /// See [`Registry::offer_record`](crate::Registry::offer_record).
    pub(crate) fn offer_record(&self, record: &SignedRecord) -> Result<OfferOutcome, RejectReason> {
        if self.shared.wake_flags.is_stopped() {
            return Err(RejectReason::NotLearning);
        }
        self.shared
            .offer_record(record, None)
            .unwrap_or(Err(RejectReason::NotLearning))
    }

    /// See [`Registry::request_record`](crate::Registry::request_record).
    pub(crate) fn request_record(&self, relay: &NodeId) -> bool {
        let shared = &self.shared;
        if shared.wake_flags.is_stopped() {
            return false;
        }
        let Some(now) = shared.backend().and_then(|backend| shared.now(&*backend)) else {
            return false;
        };
        let is_requested = shared.state.lock().request(*relay, true, now.at);
        shared.wake_flags.notify_work();
        is_requested
    }

    pub(crate) fn own_record(&self) -> Option<SignedRecord> {
        self.shared.state.lock().own_record()
    }

    pub(crate) fn last_error(&self) -> Option<DhtError> {
        self.shared.state.lock().last_error()
    }

    pub(crate) fn learned_relays(&self) -> Vec<NodeId> {
        self.shared.state.lock().learned_relays()
    }

    /// Reads counters and present state for as long as this exists.
    pub(crate) fn stats(&self) -> StatsReader {
        StatsReader(Arc::downgrade(&self.shared))
    }

    /// Whether this thread is one of its own, or is inside a call of the engine or the probe.
    pub(crate) fn is_own_thread(&self) -> bool {
        let current = thread::current().id();
        let is_worker = self.threads.iter().any(|thread| thread.id() == current);
        is_worker || self.inside.lock().contains(&current)
    }

    /// Makes the threads withdraw this node's relay and end.
    pub(crate) fn stop(&self) {
        self.shared.wake_flags.stop();
        for thread in &self.threads {
            thread.unpark();
        }
    }

    /// After [`stop`](Self::stop): withdraws this node's relay if there is no thread for that,
    /// and waits for the end of all that was begun, for the shutdown timeout at most.
    pub(crate) fn finish(&self) {
        let options = &self.shared.options;
        let deadline = options.deadline(options.shutdown_timeout);
        self.withdraw_without_threads();
        self.wait_for_threads(deadline);
        while !self.inside.lock().is_empty() && Instant::now() < deadline {
            park_timeout(Duration::from_millis(1));
        }
    }

    /// After [`stop`](Self::stop): withdraws this node's relay, if there is no thread for that.
    pub(crate) fn withdraw_without_threads(&self) {
        if self.shared.options.worker_threads == 0 {
            let _inside = Inside::enter(&self.inside);
            self.shared.withdraw();
        }
    }

    /// Waits until all threads have ended, also if another thread waits for them; after the
    /// deadline it leaves them alone.
    fn wait_for_threads(&self, deadline: Instant) {
        // Locked while it waits, so that other threads wait for the same end. The threads
        // themselves never take the lock.
        let Ending { handles, alive } = &mut *self.ending.lock();
        let left = deadline.saturating_duration_since(Instant::now());
        let ended = |alive: Receiver<()>| alive.recv_timeout(left);
        match alive.take().map(ended) {
            None | Some(Err(RecvTimeoutError::Disconnected)) => {
                for thread in handles.drain(..) {
                    // A panic of the thread must not become a panic of this one.
                    let _ = thread.join();
                }
            }
            Some(_) => handles.clear(),
        }
    }
}

impl Drop for Distribution {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn backend(&self) -> Option<Arc<dyn RegistryBackend>> {
        self.backend.get()?.upgrade()
    }

    /// Reads both clocks, or counts a panic: they are the embedder's code.
    fn now(&self, backend: &dyn RegistryBackend) -> Option<Now> {
        let now = catch_panic(|| Now {
            at: backend.now(),
            wall: self.wall_clock.now(),
        });
        if now.is_err() {
            self.state.lock().count_panic();
        }
        now.ok()
    }

    fn work(&self, role: Role) {
        while !self.wake_flags.is_stopped() {
            match self.step(role) {
                Step::Worked => {}
                Step::Idle if !self.wake_flags.is_clear() => {}
                Step::Idle => park_timeout(self.max_sleep),
                Step::Ended => return,
            }
        }
        if role != Role::Probe {
            self.withdraw();
        }
    }

    /// Wakes what waits for a change, or counts a panic: wakers are the embedder's code.
    fn wake_waiting(&self, backend: &dyn RegistryBackend) {
        if catch_panic(|| backend.wake_waiting()).is_err() {
            self.state.lock().count_panic();
        }
    }

    /// Updates the state, and does one job if one is due.
    fn step(&self, role: Role) -> Step {
        let Some(backend) = self.backend() else {
            return Step::Ended;
        };
        let flags = self.wake_flags.take();
        let Some(now) = self.now(&*backend) else {
            return Step::Idle;
        };
        let (job, unsaid) = {
            let mut state = self.state.lock();
            (0..self.trace.take_panics()).for_each(|_| state.count_panic());
            state.observe(flags, &*backend, now);
            (state.next(role, now), state.notes.take())
        };
        self.wake_waiting(&*backend);
        drop(backend);
        self.trace.say(unsaid, now.at);
        if flags.need_engine() && role == Role::Probe {
            self.wake_flags.notify_work();
        }
        match job {
            Some(job) => {
                self.run(job, now);
                Step::Worked
            }
            None => Step::Idle,
        }
    }

    /// Calls the engine or the probe, without the lock.
    fn run(&self, job: Job, started: Now) {
        match job {
            Job::Publish(action) => {
                let (outcome, panicked) = self.publish(&action, self.options.request_deadline);
                let now = self.now_or(started);
                self.state
                    .lock()
                    .publish_finished(&action, &outcome, panicked, now);
            }
            Job::Query { query, newer_than } => {
                let (outcome, panicked) = self.query(&query, newer_than);
                let now = self.now_or(started);
                self.state
                    .lock()
                    .query_finished(&query, outcome, panicked, now);
            }
            Job::Probe {
                relay,
                announcement,
                is_short,
            } => {
                let deadline = self.options.probe_deadline;
                let deadline = if is_short { deadline / 4 } else { deadline };
                let probe = self.options.probe.as_ref();
                let span = self.trace.probe_span(&relay, announcement.endpoint());
                let outcome = catch_panic(|| match probe {
                    Some(probe) => probe.probe_announced(&relay, &announcement, deadline),
                    None => Err(ProbeError::Unreachable),
                });
                let panicked = outcome.is_err();
                let outcome = outcome.unwrap_or(Err(ProbeError::Unreachable));
                span.ended(&outcome, panicked);
                if let Some(backend) = self.backend() {
                    let now = self.now(&*backend).unwrap_or(started);
                    let mut state = self.state.lock();
                    state.probe_finished(&relay, &announcement, outcome, panicked, &*backend, now);
                    drop(state);
                    self.wake_waiting(&*backend);
                }
            }
        }
    }

    /// The time now; `before` if the registry was dropped or a clock panicked.
    fn now_or(&self, before: Now) -> Now {
        self.backend()
            .and_then(|backend| self.now(&*backend))
            .unwrap_or(before)
    }

    /// Publishes within `timeout`; also whether the engine panicked.
    fn publish(&self, action: &Action, timeout: Duration) -> (Result<Put, DhtError>, bool) {
        let deadline = self.options.deadline(timeout);
        let engine = &self.engine;
        let (shard, record) = action.target();
        let span = self
            .trace
            .publish_span(&record.node_id(), shard, record.is_tombstone());
        let outcome = catch_panic(|| match action {
            Action::Put(record) => engine.put(record, deadline),
            Action::Join(path, record) => engine.join_at(*path, record, deadline),
            Action::Leave(path, tombstone) => engine.leave_at(*path, tombstone, deadline),
            Action::Divide(path, _) => engine.divide(*path, deadline),
        });
        let panicked = outcome.is_err();
        let outcome = outcome.unwrap_or(Err(DhtError::Closed));
        span.ended(&outcome, panicked);
        (outcome, panicked)
    }

    /// Offers a record to the admission. `shard` is the shard of the directory that listed it.
    /// None if the registry was dropped or a clock panicked.
    fn offer_record(
        &self,
        record: &SignedRecord,
        shard: Option<ShardPath>,
    ) -> Option<Result<OfferOutcome, RejectReason>> {
        let backend = self.backend()?;
        let now = self.now(&*backend)?;
        let outcome = self
            .state
            .lock()
            .offer_record(record, shard, &*backend, now);
        self.wake_waiting(&*backend);
        if outcome == Ok(OfferOutcome::Candidate) {
            self.wake_flags.notify_work();
        }
        Some(outcome)
    }

    /// Withdraws this node's relay, within the shutdown timeout. The first thread to call this
    /// does so; for the others there is nothing left.
    fn withdraw(&self) {
        let Ok(wall) = catch_panic(|| self.wall_clock.now()) else {
            return;
        };
        let Some((tombstone, shards)) = self.state.lock().final_tombstone(wall) else {
            return;
        };
        let deadline = self.options.deadline(self.options.shutdown_timeout);
        let put = Action::Put(tombstone.clone());
        let leave = |shard| Action::Leave(shard, tombstone.clone());
        for action in std::iter::once(put).chain(shards.into_iter().map(leave)) {
            let left = deadline.saturating_duration_since(Instant::now());
            let _ = self.publish(&action, left);
        }
    }
}

/// Calls code of the embedder or of an engine, which may panic.
fn catch_panic<R>(call: impl FnOnce() -> R) -> Result<R, ()> {
    crate::panics::catch_panic(call).ok_or(())
}

/// Starts no more threads than the engine allows requests in flight.
fn limit_threads(mut options: DhtOptions, limits: Limits) -> DhtOptions {
    options.worker_threads = options.worker_threads.min(limits.max_in_flight);
    options
}
