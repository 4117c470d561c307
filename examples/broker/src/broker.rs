//! A broker from its start to its end.

use crate::app::App;
use crate::config::Config;
use crate::serve::serve;
use crate::{admin, feed, metrics, peers, probe, relays, reload, sessions};
use axum::middleware;
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use relay_registry::{BuildError, Registry, RestoreError};
use serde_json::json;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time;

/// How often what has passed is forgotten.
const TIDY_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Error)]
pub enum StartError {
    #[error("{what} = {address}: {source}")]
    Listen {
        what: &'static str,
        address: SocketAddr,
        source: io::Error,
    },
    #[error("state: {0}; to start without it, move the file away")]
    Restore(#[from] RestoreError),
    #[error("state: it cannot be saved: {0}")]
    Save(#[from] io::Error),
    #[error("registry: {0}")]
    Build(#[from] BuildError),
}

/// A broker that runs.
pub struct Broker {
    pub app: Arc<App>,
    /// Where relays and peers call.
    pub public: SocketAddr,
    /// Where the operator calls.
    pub admin: SocketAddr,
    listeners: [JoinHandle<()>; 2],
}

impl Broker {
    /// Restores the registry, and serves. `file` is where the configuration came from, if it is to be
    /// read again when it changes.
    pub async fn start(
        config: Config,
        file: Option<PathBuf>,
        metrics: PrometheusHandle,
    ) -> Result<Self, StartError> {
        let listener = listen("listen", config.listen).await?;
        let admin_listener = listen("admin", config.admin).await?;
        let (public, admin) = (address(&listener), address(&admin_listener));
        // It reads and writes files.
        let (registry, config) = spawn_blocking(|| restore(config))
            .await
            .expect("it does not panic")?;
        let app = Arc::new(App::new(registry, config, metrics));
        start_tasks(&app, file);
        let limits = app.config().limits.clone();
        let (most, most_of_admin) = (limits.connections, limits.admin_connections);
        let (closing, ended) = (app.closing.clone(), app.ended.clone());
        let routes = admin::routes(admin.ip()).with_state(Arc::clone(&app));
        let listeners = [
            tokio::spawn(serve(
                listener,
                public_routes(&app),
                most,
                limits.clone(),
                closing,
            )),
            tokio::spawn(serve(admin_listener, routes, most_of_admin, limits, ended)),
        ];
        Ok(Self {
            app,
            public,
            admin,
            listeners,
        })
    }

    /// Ends the broker: no relay is handed out any more, sessions are told and get their grace, and the
    /// registry makes its last save.
    pub async fn shut_down(self) {
        let app = &self.app;
        app.closing.cancel();
        app.sessions.close();
        let config = app.config();
        let grace = config.sessions.grace_seconds.get();
        _ = time::timeout(grace, app.sessions.wait()).await;
        app.ended.cancel();
        // What is under way may take so long.
        let longest = config.limits.request_seconds.get();
        _ = time::timeout(longest, app.sessions.wait()).await;
        for listener in self.listeners {
            _ = time::timeout(longest, listener).await;
        }
        app.registry.closed().await;
        if let Some(error) = app.registry.last_save_error() {
            tracing::error!(%error, "the last save failed");
        }
    }
}

/// Builds the registry, as it was when it was saved last. Finds out at once whether it can be saved.
fn restore(config: Config) -> Result<(Registry, Config), StartError> {
    let mut builder = config
        .registry_builder()
        .metrics_interval(metrics::REGISTRY_INTERVAL);
    if let Some(path) = &config.state {
        let every = config.registry.save_every_seconds.get();
        builder = builder.restore_from(path)?.save_to(path, every);
    }
    let registry = builder.build()?;
    if let Some(path) = &config.state {
        registry.save_to(path)?;
    }
    reload::start(&registry, &config);
    Ok((registry, config))
}

fn start_tasks(app: &Arc<App>, file: Option<PathBuf>) {
    tokio::spawn(feed::send_changes(Arc::clone(app)));
    tokio::spawn(feed::send_figures(Arc::clone(app)));
    tokio::spawn(reload::keep_relays(Arc::clone(app)));
    tokio::spawn(tidy(Arc::clone(app)));
    if let Some(file) = file {
        tokio::spawn(reload::watch(Arc::clone(app), file));
    }
    let probe = app.config().probe.clone();
    if probe.enabled {
        tokio::spawn(probe::measure(Arc::clone(app), probe));
    }
}

/// Forgets peers that are gone, and samples that the recorder has counted, until the broker has ended.
async fn tidy(app: Arc<App>) {
    loop {
        tokio::select! {
            () = time::sleep(TIDY_EVERY) => {}
            () = app.ended.cancelled() => return,
        }
        app.metrics.run_upkeep();
        let view_every = app.config().sessions.view_every_seconds.get();
        app.accounts.forget_idle(view_every);
    }
}

fn public_routes(app: &Arc<App>) -> Router {
    relays::routes()
        .merge(peers::routes())
        .merge(sessions::routes())
        .route("/health", get(|| async { Json(json!({ "ok": true })) }))
        .route_layer(middleware::from_fn(metrics::count))
        .with_state(Arc::clone(app))
}

async fn listen(what: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|source| StartError::Listen {
        what,
        address,
        source,
    })
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("it is bound")
}
