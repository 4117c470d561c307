//! The public method of [`RegistryBuilder`] that concerns the facade `metrics`.

use crate::registry::RegistryBuilder;
use std::time::Duration;

impl RegistryBuilder {
    /// How often figures are passed to the recorder of the crate `metrics`, by default every 10
    /// s, by the registry's clock. Any length is accepted; with zero, each maintenance pass does
    /// it.
    ///
    /// The first maintenance pass after each such time records all that
    /// [`Stats::visit`](crate::Stats::visit) has, counters by their absolute value. With
    /// [`Maintenance::Thread`](crate::Maintenance::Thread) the recorder is called on the thread
    /// `relay-registry`, else inside [`maintain`](crate::Registry::maintain). Nothing is recorded
    /// elsewhere, so no find pays for it. It costs what [`stats`](crate::Registry::stats) costs.
    ///
    /// **The recorder.** The one that `metrics` has installed for that thread at that moment.
    /// Each metric is described once, the first time that it is recorded; so install the recorder
    /// before this time has passed since the registry was built. No lock of the registry is held
    /// while the recorder is called, and it may call the registry. If it panics, the rest of that
    /// recording is left out, and the panic counts in
    /// [`Stats::maintenance_panics`](crate::Stats::maintenance_panics). If it hangs, so does
    /// maintenance, but no find.
    ///
    /// **Labels.** Those of [`Metric`](crate::Metric), and `registry` with the
    /// [name](Self::name) of the registry, if it has one. Two registries of one process that have
    /// the same name, or none, write to the same series.
    ///
    /// ```
    /// use relay_registry::{Maintenance, Registry};
    /// use std::time::Duration;
    ///
    /// let registry = Registry::builder()
    ///     .name("edge-1")
    ///     .metrics_interval(Duration::ZERO)
    ///     .maintenance(Maintenance::Manual)
    ///     .build()?;
    /// // Install a recorder, such as that of `metrics-exporter-prometheus`; then:
    /// registry.maintain();
    /// # Ok::<(), relay_registry::BuildError>(())
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
    pub fn metrics_interval(mut self, interval: Duration) -> Self {
        self.exporter.interval = interval;
        self
    }
}
