//! Relays that a registry was not told of: waiting for one, asking for one, and
//! what this node publishes of itself.

use crate::dht::{Distribution, OfferOutcome, RejectReason, SignedRecord};
use crate::errors::FindError;
use crate::registry::Registry;
use crate::relay::{NodeId, RelayInfo};
use crate::select::FindOptions;
use crate::sync::park_timeout;
use std::time::{Duration, Instant};

/// How long [`Registry::find_relay_wait`] sleeps at most.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

impl Registry {
    /// The best relay for a path to `target` that meets the options, for which
    /// this waits up to `longest`.
    ///
    /// Returns as soon as [`find_relay_with`](Self::find_relay_with) has an
    /// answer, whatever brought it about: a relay learned (a miss asks for that),
    /// registered, given back. Without a distribution, it is local changes that
    /// are waited for. It looks again when a relay was learned, and every 10 ms
    /// or so.
    ///
    /// # Errors
    ///
    /// As [`find_relay_with`](Self::find_relay_with), once the time is over.
    pub fn find_relay_wait(
        &self,
        target: &NodeId,
        options: &FindOptions,
        longest: Duration,
    ) -> Result<RelayInfo, FindError> {
        let first = self.find_relay_with(target, options);
        if first.is_ok() || longest.is_zero() {
            return first;
        }
        let _waiting = Waiting::new(self.distribution());
        let begun = Instant::now();
        loop {
            let found = self.find_relay_with(target, options);
            let left = longest.saturating_sub(begun.elapsed());
            if found.is_ok() || left.is_zero() {
                return found;
            }
            park_timeout(left.min(LOOK_AGAIN));
        }
    }

    /// Has a named relay asked for, in the background: one that a peer says it
    /// uses, say. Whether it will be; not without a distribution that learns,
    /// nor while it is known to have no record, or too many are waited for.
    ///
    /// When its record is found and a probe of it succeeds, it enters the
    /// registry. Takes a short lock: not for a hot path.
    pub fn request_record(&self, relay: &NodeId) -> bool {
        self.distribution()
            .is_some_and(|distribution| distribution.request_record(relay))
    }

    /// Takes in a record that a peer handed over, as if the engine had brought
    /// it: judged, and its relay probed before it is handed out.
    ///
    /// Takes a short lock: not for a hot path.
    ///
    /// # Errors
    ///
    /// A [`RejectReason`]: why it does not count.
    pub fn offer_record(&self, record: &SignedRecord) -> Result<OfferOutcome, RejectReason> {
        match self.distribution() {
            Some(distribution) => distribution.offer_record(record),
            None => Err(RejectReason::NotLearning),
        }
    }

    /// What this node last said of its own relay and the engine has stored: an
    /// announcement or a withdrawal, for peers to be [offered](Self::offer_record).
    #[must_use]
    pub fn own_record(&self) -> Option<SignedRecord> {
        self.distribution().and_then(Distribution::own_record)
    }

    /// The relays that were learned and are registered, or were until just now.
    #[must_use]
    pub fn learned_relays(&self) -> Vec<NodeId> {
        self.distribution()
            .map(Distribution::learned_relays)
            .unwrap_or_default()
    }

    /// Publishes, asks and probes whatever is due, on this thread; how many
    /// things that were.
    ///
    /// Needed without [workers](crate::dht::DhtOptions::worker_threads) only. It waits
    /// for the engine and the probe as long as they take.
    pub fn run_distribution(&self) -> usize {
        self.distribution().map_or(0, Distribution::run_due)
    }
}

/// A thread that waits for a relay to be learned.
struct Waiting<'a>(Option<&'a Distribution>);

impl<'a> Waiting<'a> {
    fn new(distribution: Option<&'a Distribution>) -> Self {
        if let Some(distribution) = distribution {
            distribution.wait();
        }
        Self(distribution)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(distribution) = self.0 {
            distribution.leave();
        }
    }
}
