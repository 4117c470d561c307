//! The distribution of one registry: threads around three state machines.
//!
//! ```text
//! callers ──wake_flags──> state: publisher, discovery, admission ──jobs──> engine, probe
//!                     └────────────── backend ──────────> registry
//! ```
//!
//! All that decides is on the [`DhtState`], behind one lock that no caller of a hot
//! operation takes. All that may take long (the engine, the probe) is done by
//! worker threads without the lock. They hold the registry weakly, and not at
//! all while they are outside: one that hangs there for ever keeps the state, and
//! nothing of the registry.

mod query;
mod state;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::admission::OfferOutcome;
use super::backend::{Now, RegistryBackend};
use super::engine::{DhtError, Limits, RelayDht};
use super::options::{DhtOptions, DhtOptionsError};
use super::probe::ProbeError;
use super::publisher::Action;
use super::record::SignedRecord;
use super::reject_reason::RejectReason;
use super::stats::DhtStats;
use super::wake_flags::WakeFlags;
use crate::relay::NodeId;
use crate::sync::unmodelled::OnceLock;
use crate::sync::unmodelled::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use crate::sync::unmodelled::thread::{self, JoinHandle};
use crate::sync::{Arc, Mutex, Weak, park_timeout};
use state::{DhtState, Job, Role};

/// A running distribution; dropping this ends it.
pub(crate) struct Distribution {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Disconnected once all threads have ended.
    alive: Mutex<Option<Receiver<()>>>,
}

/// What the threads share.
struct Shared {
    engine: Arc<dyn RelayDht>,
    options: DhtOptions,
    wake_flags: Arc<WakeFlags>,
    state: Mutex<DhtState>,
    backend: OnceLock<Weak<dyn RegistryBackend>>,
    /// How long a thread sleeps at most: the clocks may be the embedder's.
    poll: Duration,
}

/// What came of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Did,
    Idle,
    Over,
}

/// The most that one call of [`Distribution::run_due`] does.
const MAX_STEPS: usize = 100_000;

impl Distribution {
    /// Makes everything ready for a registry of `max_relays`.
    pub(crate) fn prepare(
        engine: Arc<dyn RelayDht>,
        options: DhtOptions,
        max_relays: usize,
        tick: Duration,
    ) -> Result<Self, DhtOptionsError> {
        options.check(max_relays)?;
        let limits =
            catch_panic(|| engine.limits()).map_err(|()| DhtOptionsError::EnginePanicked)?;
        let limits = limits.clamped();
        let state = DhtState::new(&options, limits, max_relays, tick);
        Ok(Self {
            shared: Arc::new(Shared {
                engine,
                options: within(options, limits),
                wake_flags: Arc::new(WakeFlags::new()),
                state: Mutex::new(state),
                backend: OnceLock::new(),
                poll: tick.clamp(Duration::from_millis(1), Duration::from_millis(100)),
            }),
            threads: Vec::new(),
            alive: Mutex::new(None),
        })
    }

    pub(crate) fn wake_flags(&self) -> Arc<WakeFlags> {
        Arc::clone(&self.shared.wake_flags)
    }

    /// Starts to work for a registry.
    pub(crate) fn start(&mut self, backend: Weak<dyn RegistryBackend>) -> io::Result<()> {
        let _ = self.shared.backend.set(backend);
        let (alive, ended) = channel();
        *self.alive.lock() = Some(ended);
        let options = &self.shared.options;
        if options.worker_threads == 0 {
            return Ok(());
        }
        let probers = if options.probe.is_some() {
            options.probe_threads
        } else {
            0
        };
        let engine = std::iter::repeat_n(Role::Engine, options.worker_threads);
        for role in engine.chain(std::iter::repeat_n(Role::Prober, probers)) {
            // A thread that cannot be had ends those there are: we are dropped.
            let thread = self.spawn(role, alive.clone())?;
            self.threads.push(thread);
        }
        self.register_threads();
        Ok(())
    }

    #[cfg(not(relay_loom))]
    fn register_threads(&self) {
        let sleepers = self.threads.iter().map(|thread| thread.thread().clone());
        self.shared.wake_flags.set_workers(sleepers);
    }

    /// Models ring bells for threads of their own.
    #[cfg(relay_loom)]
    fn register_threads(&self) {}

    fn spawn(&self, role: Role, alive: Sender<()>) -> io::Result<JoinHandle<()>> {
        let shared = Arc::clone(&self.shared);
        thread::Builder::new()
            .name("relay-registry-dht".into())
            .spawn(move || {
                shared.work(role);
                drop(alive);
            })
    }

    /// Does all that is due, on this thread; how much that was.
    pub(crate) fn run_due(&self) -> usize {
        let steps = std::iter::repeat_with(|| self.shared.step(Role::Both));
        steps
            .take(MAX_STEPS)
            .take_while(|step| *step == Step::Did)
            .count()
    }

    /// Judges a record that a peer handed over.
    pub(crate) fn offer_record(&self, record: &SignedRecord) -> Result<OfferOutcome, RejectReason> {
        self.shared
            .offer_record(record, None)
            .unwrap_or(Err(RejectReason::NotLearning))
    }

    /// Has a relay asked for; whether it will be.
    pub(crate) fn request_record(&self, relay: &NodeId) -> bool {
        let shared = &self.shared;
        let Some(now) = shared.backend().and_then(|backend| shared.now(&*backend)) else {
            return false;
        };
        let is_wanted = shared.state.lock().want(*relay, true, now.at);
        shared.wake_flags.notify_work();
        is_wanted
    }

    /// Has this thread woken when a relay enters, until [`leave`](Self::leave).
    pub(crate) fn wait(&self) {
        self.shared.state.lock().wait();
    }

    pub(crate) fn leave(&self) {
        self.shared.state.lock().leave();
    }

    pub(crate) fn own_record(&self) -> Option<SignedRecord> {
        self.shared.state.lock().own_record()
    }

    pub(crate) fn learned_relays(&self) -> Vec<NodeId> {
        self.shared.state.lock().learned_relays()
    }

    pub(crate) fn stats(&self) -> DhtStats {
        self.shared.state.lock().stats()
    }

    fn is_own_thread(&self) -> bool {
        let me = thread::current().id();
        self.threads.iter().any(|thread| thread.thread().id() == me)
    }

    /// Whether all threads have ended by then.
    fn have_ended(&self, until: Instant) -> bool {
        let Some(alive) = self.alive.lock().take() else {
            return true;
        };
        let left = until.saturating_duration_since(Instant::now());
        alive.recv_timeout(left) == Err(RecvTimeoutError::Disconnected)
    }
}

impl Drop for Distribution {
    fn drop(&mut self) {
        self.shared.wake_flags.stop();
        for thread in &self.threads {
            thread.thread().unpark();
        }
        if self.is_own_thread() {
            return;
        }
        if self.have_ended(
            self.shared
                .options
                .deadline(self.shared.options.shutdown_timeout),
        ) {
            for thread in self.threads.drain(..) {
                // It ended; a panic of its own is nothing to pass on here.
                let _ = thread.join();
            }
        }
    }
}

impl Shared {
    fn backend(&self) -> Option<Arc<dyn RegistryBackend>> {
        self.backend.get()?.upgrade()
    }

    /// Reads both clocks, which are the embedder's and may panic.
    fn now(&self, backend: &dyn RegistryBackend) -> Option<Now> {
        let now = catch_panic(|| Now {
            at: backend.now(),
            wall: self.options.wall_clock.now(),
        });
        if now.is_err() {
            self.state.lock().count_panic();
        }
        now.ok()
    }

    fn work(&self, role: Role) {
        while !self.wake_flags.is_stopped() {
            match self.step(role) {
                Step::Did => {}
                Step::Idle if !self.wake_flags.is_clear() => {}
                Step::Idle => park_timeout(self.poll),
                Step::Over => return,
            }
        }
        if role != Role::Prober {
            self.withdraw_all();
        }
    }

    /// Looks around and does one thing, if there is one to do.
    fn step(&self, role: Role) -> Step {
        let Some(backend) = self.backend() else {
            return Step::Over;
        };
        let flags = self.wake_flags.take();
        let Some(now) = self.now(&*backend) else {
            return Step::Idle;
        };
        let job = {
            let mut state = self.state.lock();
            state.observe(flags, &*backend, now);
            state.next(role, now)
        };
        drop(backend);
        if flags.need_engine() && role == Role::Prober {
            self.wake_flags.notify_work();
        }
        match job {
            Some(job) => {
                self.run(job, now);
                Step::Did
            }
            None => Step::Idle,
        }
    }

    /// Does what may take long.
    fn run(&self, job: Job, begun: Now) {
        match job {
            Job::Publish(action) => {
                let (outcome, panicked) = self.publish(&action, self.options.request_deadline);
                let now = self.later(begun);
                self.state
                    .lock()
                    .published(&action, &outcome, panicked, now);
            }
            Job::Query { query, newer_than } => {
                let (outcome, panicked) = self.ask(&query, newer_than);
                let now = self.later(begun);
                self.state.lock().asked(&query, outcome, panicked, now);
            }
            Job::Probe {
                relay,
                endpoint,
                is_short,
            } => {
                let deadline = self.options.probe_deadline;
                let deadline = if is_short { deadline / 4 } else { deadline };
                let probe = self.options.probe.as_ref();
                let outcome = catch_panic(|| match probe {
                    Some(probe) => probe.probe(&relay, &endpoint, deadline),
                    None => Err(ProbeError::Unreachable),
                });
                let panicked = outcome.is_err();
                let outcome = outcome.unwrap_or(Err(ProbeError::Unreachable));
                if let Some(backend) = self.backend() {
                    let now = self.now(&*backend).unwrap_or(begun);
                    let mut state = self.state.lock();
                    state.probed(&relay, &endpoint, outcome, panicked, &*backend, now);
                }
            }
        }
    }

    /// What time it is now, as far as it can be told.
    fn later(&self, before: Now) -> Now {
        self.backend()
            .and_then(|backend| self.now(&*backend))
            .unwrap_or(before)
    }

    fn publish(&self, action: &Action, span: Duration) -> (Result<(), DhtError>, bool) {
        let deadline = self.options.deadline(span);
        let engine = &self.engine;
        let outcome = catch_panic(|| match action {
            Action::Put(record) => engine.put(record, deadline),
            Action::Join(shard, record) => engine.join(*shard, record, deadline),
            Action::Leave(shard, tombstone) => engine.leave(*shard, tombstone, deadline),
        });
        match outcome {
            Ok(outcome) => (outcome.map(|_| ()), false),
            Err(()) => (Err(DhtError::Closed), true),
        }
    }

    /// Judges a record, which a shard of the directory listed if that is given.
    fn offer_record(
        &self,
        record: &SignedRecord,
        shard: Option<u16>,
    ) -> Option<Result<OfferOutcome, RejectReason>> {
        let backend = self.backend()?;
        let now = self.now(&*backend)?;
        let offered = self
            .state
            .lock()
            .offer_record(record, shard, &*backend, now);
        if offered == Ok(OfferOutcome::Candidate) {
            self.wake_flags.notify_work();
        }
        Some(offered)
    }

    /// Takes back what this node has said, as far as that goes: whoever comes
    /// first.
    fn withdraw_all(&self) {
        let Ok(wall) = catch_panic(|| self.options.wall_clock.now()) else {
            return;
        };
        let Some((tombstone, shards)) = self.state.lock().final_tombstone(wall) else {
            return;
        };
        let until = self.options.deadline(self.options.shutdown_timeout);
        let put = Action::Put(tombstone.clone());
        let leave = |shard| Action::Leave(shard, tombstone.clone());
        for action in std::iter::once(put).chain(shards.into_iter().map(leave)) {
            let left = until.saturating_duration_since(Instant::now());
            let _ = self.publish(&action, left);
        }
    }
}

/// What `risky` returns, unless it panics.
fn catch_panic<R>(risky: impl FnOnce() -> R) -> Result<R, ()> {
    catch_unwind(AssertUnwindSafe(risky)).map_err(|payload| {
        // Dropping it could panic again.
        std::mem::forget(payload);
    })
}

/// No more threads than the engine carries requests.
fn within(mut options: DhtOptions, limits: Limits) -> DhtOptions {
    options.worker_threads = options.worker_threads.min(limits.max_in_flight);
    options
}
