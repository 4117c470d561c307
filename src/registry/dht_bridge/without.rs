//! The same types in a build without the feature `dht`. They are empty.

use crate::errors::RegisterError;
use crate::events::Latch;
use crate::registry::build_error::BuildError;
#[cfg(feature = "persistence")]
use crate::registry::persistence::fields::{FieldError, Fields, Kind};
use crate::relay::NodeId;
use crate::sync::Arc;
use crate::table::record::Announcement;
use crate::time::Clock;
use std::io;
use std::time::Duration;

#[derive(Default)]
pub(in crate::registry) struct DhtSetup {}

#[derive(Debug, Default)]
pub(in crate::registry) struct DhtLink {}

#[derive(Default)]
pub(in crate::registry) struct DhtHandle {}

/// There is nothing to remember. Entries of a save that a DHT wrote are skipped.
#[cfg(feature = "persistence")]
pub(in crate::registry) struct DhtMemory {}

#[cfg(feature = "persistence")]
pub(in crate::registry) fn check_saved(_: Kind, _: &Fields<'_>) -> Result<(), FieldError> {
    Ok(())
}

#[cfg(feature = "persistence")]
impl DhtMemory {
    pub(in crate::registry) fn save(
        &self,
        _: impl FnMut(Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(feature = "persistence")]
impl DhtHandle {
    pub(in crate::registry) fn memory(&self) -> DhtMemory {
        DhtMemory {}
    }

    pub(in crate::registry) fn restore<S, T>(&self, _: &S, _: &T) -> (usize, usize) {
        (0, 0)
    }
}

impl DhtSetup {
    pub(in crate::registry) fn own_id(
        &self,
        _: Option<NodeId>,
    ) -> Result<Option<NodeId>, BuildError> {
        Ok(None)
    }

    pub(in crate::registry) fn prepare(
        self,
        _: usize,
        _: Duration,
        _: &Arc<dyn Clock>,
    ) -> Result<(DhtHandle, DhtLink), BuildError> {
        Ok(Default::default())
    }
}

impl DhtLink {
    /// No relay is ever learned.
    pub(in crate::registry) fn is_connected(&self) -> bool {
        false
    }

    /// Nothing is published.
    pub(in crate::registry) fn check_publishable(
        &self,
        _: &NodeId,
        _: &Announcement,
    ) -> Result<(), RegisterError> {
        Ok(())
    }

    #[inline]
    pub(in crate::registry) fn notify_change(&self, _: &NodeId) {}

    pub(in crate::registry) fn notify_miss(&self) {}
}

impl DhtHandle {
    pub(in crate::registry) fn start<T>(&mut self, _: &Arc<T>, _: &Arc<Latch>) -> io::Result<()> {
        Ok(())
    }

    pub(in crate::registry) fn stop(&self) {}

    pub(in crate::registry) fn finish(&self) {}

    pub(in crate::registry) fn withdraw_without_threads(&self) {}

    pub(in crate::registry) fn is_own_thread(&self) -> bool {
        false
    }
}
