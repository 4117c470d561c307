//! What the public types have for the DHT.

use super::DhtSetup;
use crate::dht::{DhtOptions, Distribution, OfferOutcome, RejectReason, RelayDht, SignedRecord};
use crate::registry::{Registry, RegistryBuilder};
use crate::relay::NodeId;

impl RegistryBuilder {
    /// Publishes this node's relay to `engine`, and learns of others from it, as
    /// the options say. By default a registry is alone.
    ///
    /// Threads of its own do that, which end with the registry. No call on the registry
    /// waits for the engine, but for [`Registry::find_relay_wait`]. See [`dht`](crate::dht)
    /// for how learned relays are checked, and what is not defended.
    pub fn dht(mut self, engine: impl RelayDht, options: DhtOptions) -> Self {
        self.dht = DhtSetup::new(engine, options);
        self
    }
}

impl Registry {
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

    fn distribution(&self) -> Option<&Distribution> {
        self.shared.dht.distribution()
    }
}
