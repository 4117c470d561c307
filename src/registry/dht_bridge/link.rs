//! The types through which the registry reaches its DHT.

#[cfg(feature = "persistence")]
use crate::dht::DistributionMemory;
use crate::dht::{
    DhtOptions, DhtOptionsError, DhtStats, Distribution, RegistryBackend, RelayDht, StatsReader,
    WakeFlags, record_len,
};
use crate::events::Latch;
use crate::registry::build_error::BuildError;
use crate::relay::NodeId;
use crate::sync::{Arc, Weak};
use crate::time::Clock;
use std::io;
use std::time::Duration;

/// The engine and the options, if the builder got them.
#[derive(Default)]
pub(in crate::registry) struct DhtSetup(Option<(Arc<dyn RelayDht>, DhtOptions)>);

/// Notifies the DHT, if there is one.
#[derive(Debug, Default)]
pub(in crate::registry) struct DhtLink(Option<Connection>);

#[derive(Debug)]
struct Connection {
    wake_flags: Arc<WakeFlags>,
    stats: StatsReader,
    terms: Terms,
}

/// What the registry heeds of the options and of the engine.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Terms {
    /// The relay that is published.
    pub(super) own: Option<NodeId>,
    /// The longest record that the engine carries, in bytes.
    pub(super) max_record: usize,
    pub(super) learned_tier: u8,
}

/// Owns the running DHT, if there is one. Dropping it ends the DHT, without waiting for it.
#[derive(Default)]
pub(in crate::registry) struct DhtHandle(Option<Distribution>);

/// What the DHT remembers, if there is one, also once it has ended.
#[cfg(feature = "persistence")]
pub(in crate::registry) struct DhtMemory(pub(super) Option<DistributionMemory>);

impl DhtSetup {
    pub(super) fn new(engine: impl RelayDht, options: DhtOptions) -> Self {
        Self(Some((Arc::new(engine), options)))
    }

    /// The relay that will be published: that of the key.
    ///
    /// # Errors
    ///
    /// `local_id` is another id.
    pub(in crate::registry) fn own_id(
        &self,
        local_id: Option<NodeId>,
    ) -> Result<Option<NodeId>, BuildError> {
        let own = self.0.as_ref().and_then(|(_, options)| options.own());
        match (own, local_id) {
            (Some(of_key), Some(local)) if of_key != local => {
                Err(DhtOptionsError::OtherLocalId { of_key }.into())
            }
            _ => Ok(own),
        }
    }

    /// Checks the options, and creates the DHT of a registry of `max_relays`.
    pub(in crate::registry) fn prepare(
        self,
        max_relays: usize,
        tick: Duration,
        wall_clock: &Arc<dyn Clock>,
    ) -> Result<(DhtHandle, DhtLink), BuildError> {
        let Some((engine, options)) = self.0 else {
            return Ok(Default::default());
        };
        let (own, learned_tier) = (options.own(), options.tier_of_learned());
        let distribution =
            Distribution::prepare(engine, options, max_relays, tick, Arc::clone(wall_clock))?;
        let terms = Terms {
            own,
            max_record: record_len(distribution.max_value()),
            learned_tier,
        };
        let link = DhtLink::new(distribution.wake_flags(), distribution.stats(), terms);
        Ok((DhtHandle(Some(distribution)), link))
    }
}

impl DhtLink {
    pub(super) fn new(wake_flags: Arc<WakeFlags>, stats: StatsReader, terms: Terms) -> Self {
        Self(Some(Connection {
            wake_flags,
            stats,
            terms,
        }))
    }

    /// The longest record of the relay `id`, if it is the one that is published.
    #[inline]
    pub(super) fn max_record_of(&self, id: &NodeId) -> Option<usize> {
        let terms = &self.0.as_ref()?.terms;
        (terms.own.as_ref() == Some(id)).then_some(terms.max_record)
    }

    /// The tier of learned relays.
    pub(super) fn learned_tier(&self) -> u8 {
        let connection = self.0.as_ref();
        connection.map_or(0, |connection| connection.terms.learned_tier)
    }

    pub(in crate::registry) fn is_connected(&self) -> bool {
        self.0.is_some()
    }

    /// What it has published and learned, while it exists.
    pub(in crate::registry) fn stats(&self) -> Option<DhtStats> {
        self.0.as_ref()?.stats.read()
    }

    #[inline]
    pub(in crate::registry) fn notify_change(&self, id: &NodeId) {
        if let Some(connection) = &self.0 {
            if connection.terms.own.as_ref() == Some(id) {
                connection.wake_flags.notify_changed();
            }
        }
    }

    pub(in crate::registry) fn notify_miss(&self) {
        if let Some(connection) = &self.0 {
            connection.wake_flags.notify_miss();
        }
    }
}

impl DhtHandle {
    /// Starts the threads.
    pub(in crate::registry) fn start(
        &mut self,
        backend: &Arc<impl RegistryBackend + 'static>,
        running: &Arc<Latch>,
    ) -> io::Result<()> {
        let backend = Arc::downgrade(backend);
        match &mut self.0 {
            Some(distribution) => distribution.start(backend as Weak<dyn RegistryBackend>, running),
            None => Ok(()),
        }
    }

    /// Makes the threads withdraw this node's relay and end.
    pub(in crate::registry) fn stop(&self) {
        if let Some(distribution) = &self.0 {
            distribution.stop();
        }
    }

    /// Afterwards: waits for that, for the shutdown timeout at most.
    pub(in crate::registry) fn finish(&self) {
        if let Some(distribution) = &self.0 {
            distribution.finish();
        }
    }

    /// Withdraws this node's relay on this thread, if there are no others for that.
    pub(in crate::registry) fn withdraw_without_threads(&self) {
        if let Some(distribution) = &self.0 {
            distribution.withdraw_without_threads();
        }
    }

    /// Whether this thread is one of its own, or is inside a call of the engine or the probe.
    pub(in crate::registry) fn is_own_thread(&self) -> bool {
        self.0.as_ref().is_some_and(Distribution::is_own_thread)
    }

    pub(super) fn distribution(&self) -> Option<&Distribution> {
        self.0.as_ref()
    }
}
