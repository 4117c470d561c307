//! A broker from its start to its end.

use crate::app::App;
use crate::config::Config;
use crate::serve::serve;
use crate::{admin, peers, relays, sessions};
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use relay_registry::{BuildError, RestoreError};
use serde_json::json;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Error)]
pub enum StartError {
    #[error("{what} {address}: {source}")]
    Listen {
        what: &'static str,
        address: SocketAddr,
        source: io::Error,
    },
    #[error("state: {0}; to start without it, move the file away")]
    Restore(#[from] RestoreError),
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
    /// Cancelled when sessions have had their grace.
    ended: CancellationToken,
    listeners: Vec<JoinHandle<()>>,
}

impl Broker {
    /// Restores the registry, and serves. `file` is where the configuration came from, if it is to be
    /// read again when it changes.
    pub async fn start(
        config: Config,
        _file: Option<PathBuf>,
        metrics: PrometheusHandle,
    ) -> Result<Self, StartError> {
        let public = listen("listen", config.listen).await?;
        let admin = listen("admin", config.admin).await?;
        let registry = config.registry_builder().build()?;
        let limits = config.limits.clone();
        let app = Arc::new(App::new(registry, config, metrics));
        let ended = CancellationToken::new();
        let (public_address, admin_address) = (address(&public), address(&admin));
        let listeners = vec![
            tokio::spawn(serve(
                public,
                public_routes(&app),
                limits.connections,
                limits.clone(),
                app.closing.clone(),
            )),
            tokio::spawn(serve(
                admin,
                admin::routes().with_state(Arc::clone(&app)),
                limits.admin_connections,
                limits,
                ended.clone(),
            )),
        ];
        Ok(Self {
            app,
            public: public_address,
            admin: admin_address,
            ended,
            listeners,
        })
    }

    /// Ends the broker: no relay is handed out any more, sessions are told and get their grace, and the
    /// registry is saved.
    pub async fn shut_down(self) {
        let app = &self.app;
        app.closing.cancel();
        app.sessions.close();
        let grace = app.config().sessions.grace_seconds.get();
        _ = time::timeout(grace, app.sessions.wait()).await;
        self.ended.cancel();
        for listener in self.listeners {
            _ = time::timeout(grace, listener).await;
        }
        app.registry.closed().await;
    }
}

fn public_routes(app: &Arc<App>) -> Router {
    relays::routes()
        .merge(peers::routes())
        .merge(sessions::routes())
        .route("/health", get(|| async { Json(json!({ "ok": true })) }))
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
