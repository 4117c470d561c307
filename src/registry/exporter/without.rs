//! The same types in a build without the feature `metrics`. They are empty.

use crate::registry::inner::Inner;
use crate::sync::Arc;
use crate::time::Tick;

#[derive(Debug, Default)]
pub(in crate::registry) struct ExporterSettings {}

#[derive(Debug, Default)]
pub(in crate::registry) struct Exporter {}

impl ExporterSettings {
    pub(in crate::registry) fn exporter(&self, _: Option<&Arc<str>>) -> Exporter {
        Exporter {}
    }
}

impl Inner {
    /// Nothing is ever due.
    #[inline]
    pub(in crate::registry) fn export_if_due(&self, _: Tick) {
        let Exporter {} = &self.exporter;
    }
}
