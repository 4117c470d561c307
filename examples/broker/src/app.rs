//! What all requests share.

use crate::config::Config;
use crate::feed::Feed;
use crate::peers::accounts::Accounts;
use metrics_exporter_prometheus::PrometheusHandle;
use relay_registry::Registry;
use std::sync::{Arc, PoisonError, RwLock};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub struct App {
    pub registry: Registry,
    pub accounts: Accounts,
    pub feed: Feed,
    pub metrics: PrometheusHandle,
    /// Cancelled when the broker begins to end: no relay is handed out from then on.
    pub closing: CancellationToken,
    /// Cancelled when sessions have had their grace: what is still open ends.
    pub ended: CancellationToken,
    /// The sessions that are open.
    pub sessions: TaskTracker,
    config: RwLock<Arc<Config>>,
}

impl App {
    pub fn new(registry: Registry, config: Config, metrics: PrometheusHandle) -> Self {
        Self {
            registry,
            accounts: Accounts::default(),
            feed: Feed::new(),
            metrics,
            closing: CancellationToken::new(),
            ended: CancellationToken::new(),
            sessions: TaskTracker::new(),
            config: RwLock::new(Arc::new(config)),
        }
    }

    /// The configuration that is in force.
    pub fn config(&self) -> Arc<Config> {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&config)
    }

    /// Puts another configuration in force.
    pub fn set_config(&self, config: Config) {
        let mut current = self.config.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(config);
    }
}
