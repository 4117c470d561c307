//! A conformance suite for authors of engines.
//!
//! It calls an engine as a registry does, and panics with a message at the first
//! rule of [`RelayDht`] that the engine breaks. It needs the feature `conformance`,
//! and a network without faults. The [faults](crate::dht::Faults) of
//! [`Memory`](crate::dht::Memory) test how a registry handles a faulty network.
//!
//! It does not test that records and memberships end by themselves, that a store or a shard that is
//! full is reported, that a call waits for a slot and is then [`Busy`](DhtError::Busy), or how the
//! engine behaves while its service is down. Test these in addition.
//!
//! ```no_run
//! use relay_registry::dht::{Memory, Network, conformance};
//!
//! let network = Memory::new();
//! conformance::check(|| network.connect(), &Network::default());
//! ```

mod cases;
mod changes;
mod directory;
mod registries;
mod samples;

use std::fmt;
use std::time::{Duration, Instant};

use crate::dht::engine::{DhtError, RelayDht};
use crate::dht::record::Network;
use crate::sync::Arc;
use crate::sync::unmodelled::{mpsc, thread};

/// Runs the whole suite, with a timeout of 1 minute for each request.
///
/// Each of 18 calls of `make` returns another handle to, or node of, one network. Other data
/// may be stored there: the suite generates its own keys. Records are signed for
/// `network`. If shards divide [once](crate::dht::Limits::max_depth) at most, then a root stays
/// divided after a run: give each run a network of its own.
///
/// It cannot see what a network without faults does not show: whether an engine ends a request
/// that hangs by the deadline, and whether it takes silence for absence. Test that over a network
/// that does not answer.
///
/// # Panics
///
/// If the engine breaks a rule.
pub fn check<D: RelayDht>(make: impl Fn() -> D, network: &Network) {
    Suite::new(make, network).check();
}

/// The suite, to run single cases or with another timeout.
pub struct Suite {
    /// Writes; `reader` is another handle, and reads what was written.
    writer: Arc<dyn RelayDht>,
    reader: Arc<dyn RelayDht>,
    /// Join at the same moment.
    racers: Vec<Arc<dyn RelayDht>>,
    network: Network,
    request_timeout: Duration,
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite")
            .field("network", &self.network)
            .field("request_timeout", &self.request_timeout)
            .finish_non_exhaustive()
    }
}

/// How many handles join at the same moment.
const RACERS: usize = 16;

/// How often a request is tried that fails with a transient error.
const ATTEMPTS: u32 = 8;

impl Suite {
    /// A suite over 18 handles that `make` returns; see [`check`].
    #[must_use]
    pub fn new<D: RelayDht>(make: impl Fn() -> D, network: &Network) -> Self {
        let handle = || -> Arc<dyn RelayDht> { Arc::new(make()) };
        Self {
            writer: handle(),
            reader: handle(),
            racers: (0..RACERS).map(|_| handle()).collect(),
            network: *network,
            request_timeout: Duration::from_secs(60),
        }
    }

    /// Sets the timeout of each request. Default: 1 minute. A correct engine passes
    /// with any timeout that its network can meet.
    #[must_use]
    pub fn request_timeout(mut self, request_timeout: Duration) -> Self {
        self.request_timeout = request_timeout;
        self
    }

    /// Runs all cases, one after the other.
    ///
    /// # Panics
    ///
    /// If the engine breaks a rule.
    pub fn check(&self) {
        self.limits_are_valid();
        self.a_stored_record_is_read_back();
        self.a_newer_record_replaces_an_older_one_and_never_the_reverse();
        self.one_sequence_has_one_value();
        self.a_withdrawal_is_a_record_like_any_other();
        self.values_up_to_the_limit_are_stored_and_none_above_it();
        self.an_unknown_relay_has_no_record();
        self.a_reader_can_stop_early();
        self.calls_return_by_their_deadline();
        self.members_are_listed_until_they_leave();
        self.an_unknown_shard_is_unsupported();
        self.a_race_of_joins_loses_no_relay_for_long();
        self.changes_are_passed_on();
        self.a_relay_that_withdraws_between_sweeps_is_forgotten();
        self.concurrent_calls_succeed();
        // The last one: the shard may be a root, which relays can then join no more.
        self.a_divided_shard_sends_relays_on();
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.request_timeout
    }

    /// Repeats a request while it fails with a transient error, as the registry does.
    fn retry<T>(
        &self,
        what: &str,
        mut request: impl FnMut(Instant) -> Result<T, DhtError>,
    ) -> Result<T, DhtError> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match request(self.deadline()) {
                Err(error) if error.is_transient() => last = Some(error),
                result => return result,
            }
        }
        panic!("{what}: failed {ATTEMPTS} times, the last time with {last:?}");
    }

    /// Runs `request` on another thread; panics unless it returns within the timeout.
    fn run_within_timeout<T: Send + 'static>(
        &self,
        what: &str,
        request: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || sender.send(request()));
        receiver
            .recv_timeout(self.request_timeout)
            .unwrap_or_else(|_| panic!("{what}: the call did not return in time, or it panicked"))
    }
}
