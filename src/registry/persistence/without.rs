//! The same types in a build without the feature `persistence`. They are empty.

use crate::registry::build_error::BuildError;
use crate::registry::dht_bridge::DhtHandle;
use crate::registry::inner::Inner;
use crate::sync::Arc;
use crate::time::Clock;
use std::time::Duration;

#[derive(Default)]
pub(in crate::registry) struct SaveSetup {}

pub(in crate::registry) struct Saver {}

impl SaveSetup {
    pub(in crate::registry) fn check(&self) -> Result<(), BuildError> {
        Ok(())
    }

    pub(in crate::registry) fn begin(&mut self, _: Duration, _: Duration) -> u64 {
        0
    }

    pub(in crate::registry) fn finish(
        self,
        _: &Arc<Inner>,
        _: &DhtHandle,
        _: Arc<dyn Clock>,
    ) -> Saver {
        Saver {}
    }
}

impl Saver {
    pub(in crate::registry) fn has_schedule(&self) -> bool {
        false
    }

    pub(in crate::registry) fn is_due(&self) -> bool {
        false
    }

    pub(in crate::registry) fn save_if_due(&self) {}

    pub(in crate::registry) fn save_at_end(&self) {}
}
