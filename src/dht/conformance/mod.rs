//! What every engine must do: a suite for authors of engines.
//!
//! It talks to an engine the way a registry does and panics at the first rule
//! of [`RelayDht`] that is broken, naming it. It needs the feature
//! `conformance`, and the engine a network that works: what becomes of an answer
//! on the way is the registry's concern, and is tested with the
//! [faults](crate::dht::Faults) of [`Memory`](crate::dht::Memory).
//!
//! ```no_run
//! use relay_registry::dht::{Memory, Network, conformance};
//!
//! let network = Memory::new();
//! conformance::check(|| network.connect(), &Network::default());
//! ```

mod cases;
mod samples;

use std::time::{Duration, Instant};

use crate::dht::engine::{DhtError, RelayDht};
use crate::dht::record::Network;
use crate::sync::Arc;
use crate::sync::unmodelled::{mpsc, thread};

/// Runs the whole suite, with a minute's request_timeout for each request.
///
/// Each call of `make` gives another handle to, or node of, one and the same
/// network, which may hold anything else as well: the suite makes keys of its
/// own. Records are signed for `network`.
///
/// # Panics
///
/// If the engine breaks a rule.
pub fn check<D: RelayDht>(make: impl Fn() -> D, network: &Network) {
    Suite::new(make, network).check();
}

/// The suite, to run in parts or with other request_timeout.
pub struct Suite {
    /// What is written by one handle is read by the other.
    writer: Arc<dyn RelayDht>,
    reader: Arc<dyn RelayDht>,
    network: Network,
    request_timeout: Duration,
}

/// How often what may fail in passing is tried.
const ATTEMPTS: u32 = 8;

impl Suite {
    /// A suite over two handles that `make` gives; see [`check`].
    #[must_use]
    pub fn new<D: RelayDht>(make: impl Fn() -> D, network: &Network) -> Self {
        Self {
            writer: Arc::new(make()),
            reader: Arc::new(make()),
            network: *network,
            request_timeout: Duration::from_secs(60),
        }
    }

    /// How long a request may take at most. Default: a minute. A correct engine
    /// passes with any request_timeout that its network can meet.
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
        self.limits_make_sense();
        self.what_is_stored_is_read_back();
        self.a_later_record_replaces_an_older_one_and_never_the_reverse();
        self.one_sequence_has_one_value();
        self.a_withdrawal_is_a_record_like_any_other();
        self.values_up_to_the_limit_are_stored_and_none_above_it();
        self.an_unknown_relay_is_not_made_up();
        self.a_reader_can_stop_early();
        self.calls_end_at_their_deadline();
        self.members_are_found_until_they_leave();
        self.what_is_not_there_is_unsupported();
        self.many_can_use_it_at_once();
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.request_timeout
    }

    /// Repeats what failed in passing, as the registry does.
    fn persist<T>(
        &self,
        what: &str,
        mut request: impl FnMut(Instant) -> Result<T, DhtError>,
    ) -> Result<T, DhtError> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match request(self.deadline()) {
                Err(error) if error.is_transient() => last = Some(error),
                decided => return decided,
            }
        }
        panic!("{what}: failed {ATTEMPTS} times, at last because {last:?}");
    }

    /// Runs `request`, which must return within the request_timeout.
    fn watched<T: Send + 'static>(
        &self,
        what: &str,
        request: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || sender.send(request()));
        receiver
            .recv_timeout(self.request_timeout)
            .unwrap_or_else(|_| panic!("{what}: the call hangs, or it panicked"))
    }
}
