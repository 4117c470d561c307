//! [`SaveSetup`]: what the builder was told of saves.

use super::RestoreReport;
use super::saved::{Saved, Shift};
use super::saver::{Saver, Schedule};
use crate::registry::build_error::BuildError;
use crate::registry::dht_bridge::DhtHandle;
use crate::registry::inner::Inner;
use crate::sync::Arc;
use crate::time::Clock;
use std::time::Duration;

/// What is restored, and where to save.
#[derive(Default)]
pub(in crate::registry) struct SaveSetup {
    pub(super) saved: Option<Saved>,
    pub(super) schedule: Option<Schedule>,
    shift: Shift,
}

impl SaveSetup {
    pub(in crate::registry) fn check(&self) -> Result<(), BuildError> {
        let every = self.schedule.as_ref().map(|schedule| schedule.every);
        match every {
            Some(every) if every.is_zero() => Err(BuildError::InvalidSaveInterval { every }),
            _ => Ok(()),
        }
    }

    /// Which time a registry counts from that begins at this time since the Unix epoch, in
    /// nanoseconds.
    pub(in crate::registry) fn begin(&mut self, wall: Duration, tick: Duration) -> u64 {
        if let Some(saved) = &self.saved {
            self.shift = saved.shift(wall, tick);
        }
        self.shift.base
    }

    /// Restores what there is to restore, before any thread has the registry, and starts to count
    /// towards the next save.
    pub(in crate::registry) fn finish(
        self,
        inner: &Arc<Inner>,
        dht: &DhtHandle,
        wall_clock: Arc<dyn Clock>,
    ) -> Saver {
        let Self {
            saved,
            schedule,
            shift,
        } = self;
        let restored = saved.map(|saved| restore(&saved, shift, inner, dht));
        Saver::new(
            Arc::clone(inner),
            dht.memory(),
            wall_clock,
            schedule,
            restored,
        )
    }
}

fn restore(saved: &Saved, shift: Shift, inner: &Inner, dht: &DhtHandle) -> RestoreReport {
    let mut report = inner.restore(saved, shift);
    (report.sequences, report.candidates) = dht.restore(saved, inner);
    report
}
