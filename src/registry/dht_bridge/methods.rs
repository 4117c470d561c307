//! The public methods of [`RegistryBuilder`] and [`Registry`] that concern the DHT.

use super::DhtSetup;
use crate::dht::{
    DhtError, DhtOptions, Distribution, OfferOutcome, RejectReason, RelayDht, SignedRecord,
};
use crate::registry::{Registry, RegistryBuilder};
use crate::relay::NodeId;

impl RegistryBuilder {
    /// Publishes this node's relay through `engine`, and learns the relays of other nodes, as the
    /// options say. Default: no DHT.
    ///
    /// Separate threads do that, and end with the registry or its [`close`](Registry::close). Of
    /// the registry's methods, only [`Registry::find_relay_wait`] waits for learned relays, and
    /// [`Registry::run_distribution`] calls the engine. [`dht`](crate::dht) describes the checks of
    /// learned relays, and the attacks that are not defended.
    pub fn dht(mut self, engine: impl RelayDht, options: DhtOptions) -> Self {
        self.dht = DhtSetup::new(engine, options);
        self
    }
}

impl Registry {
    /// Requests a lookup of a relay's record, in the background, and returns whether there will
    /// be one. If the record is found and a probe of the relay succeeds, the relay is registered
    /// as a learned relay.
    ///
    /// Returns false if the registry has no DHT or no probe, or was [closed](Registry::close), if
    /// `relay` is this node, if the relay had no new record within the last
    /// [`negative_cache_ttl`](crate::dht::DhtOptions::negative_cache_ttl), or if 1,024 lookups are
    /// pending.
    ///
    /// Takes the lock of the DHT for a short time: not for hot paths.
    pub fn request_record(&self, relay: &NodeId) -> bool {
        self.distribution()
            .is_some_and(|distribution| distribution.request_record(relay))
    }

    /// Offers a record that a peer sent. It is checked like a record from the engine, and its
    /// relay is probed before it is handed out.
    ///
    /// Takes the lock of the DHT for a short time: not for hot paths.
    ///
    /// # Errors
    ///
    /// The reason for which the record was not accepted.
    pub fn offer_record(&self, record: &SignedRecord) -> Result<OfferOutcome, RejectReason> {
        match self.distribution() {
            Some(distribution) => distribution.offer_record(record),
            None => Err(RejectReason::NotLearning),
        }
    }

    /// The latest record of this node's relay that the engine stored: an announcement or a
    /// withdrawal. Peers may be [offered](Self::offer_record) it. None before the first, and after
    /// [`close`](Self::close).
    #[must_use]
    pub fn own_record(&self) -> Option<SignedRecord> {
        self.distribution().and_then(Distribution::own_record)
    }

    /// The error of the last request that the engine did not carry out, such as that of a Redis
    /// server which refuses the password. It stays after later requests succeed;
    /// [`DhtStats::engine_failures`](crate::dht::DhtStats::engine_failures) counts them. None if
    /// there was none, and without a DHT.
    ///
    /// Takes the lock of the DHT for a short time: not for hot paths.
    #[must_use]
    pub fn last_engine_error(&self) -> Option<DhtError> {
        self.distribution().and_then(Distribution::last_error)
    }

    /// The ids of the learned relays. A relay that expired since its last probe, or since the
    /// registry was [closed](Self::close), may be among them.
    #[must_use]
    pub fn learned_relays(&self) -> Vec<NodeId> {
        self.distribution()
            .map(Distribution::learned_relays)
            .unwrap_or_default()
    }

    /// Makes all publications, queries and probes that are due, on this thread, and returns their
    /// number, at most 100,000.
    ///
    /// Only needed without [worker threads](crate::dht::DhtOptions::worker_threads). It waits for
    /// each call of the engine and the probe.
    pub fn run_distribution(&self) -> usize {
        self.distribution().map_or(0, Distribution::run_due)
    }

    fn distribution(&self) -> Option<&Distribution> {
        self.shared.dht.distribution()
    }
}
