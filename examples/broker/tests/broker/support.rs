//! A broker in this process, and what calls it.

use broker::broker::Broker;
use broker::client::{Answer, Client};
use broker::config::Config;
use broker::metrics;
use broker::tokens::{Role, token};
use futures_util::{SinkExt, StreamExt};
use hyper::Method;
use metrics_exporter_prometheus::PrometheusHandle;
use relay_registry::NodeId;
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Nothing that is waited for takes so long, unless it does not happen.
pub const DEADLINE: Duration = Duration::from_secs(60);
pub const OPERATOR: &str = "the token of the operator, of these tests";

static METRICS: LazyLock<PrometheusHandle> =
    LazyLock::new(|| metrics::install().expect("no other recorder"));

/// A broker, and its folder.
pub struct Running {
    pub broker: Broker,
    pub config: Config,
    pub file: PathBuf,
    pub folder: TempDir,
    pub public: Client,
    pub admin: Client,
}

pub fn id(number: u8) -> NodeId {
    NodeId::from([number; 32])
}

/// The configuration of a test; `more` is added to it.
pub fn text(folder: &TempDir, more: &str) -> String {
    let state = folder.path().join("relays.save");
    format!(
        "listen = '127.0.0.1:0'\nadmin = '127.0.0.1:0'\n\
         secret = 'the secret of the tokens, of these tests'\noperator_token = '{OPERATOR}'\n\
         state = '{}'\n{more}\n",
        state.display()
    )
}

pub async fn start(more: &str) -> Running {
    start_in(TempDir::new().expect("a folder"), more).await
}

pub async fn start_in(folder: TempDir, more: &str) -> Running {
    let file = folder.path().join("broker.toml");
    fs::write(&file, text(&folder, more)).expect("it can be written");
    let config = Config::read(&file).expect("it is right");
    let started = Broker::start(config.clone(), Some(file.clone()), METRICS.clone()).await;
    let broker = started.expect("it starts");
    Running {
        public: Client::new(broker.public),
        admin: Client::new(broker.admin),
        broker,
        config,
        file,
        folder,
    }
}

impl Running {
    pub fn token(&self, role: Role, id: NodeId) -> String {
        token(&self.config.secret, role, &id)
    }

    /// A call of a relay, with its token.
    pub async fn relay(
        &self,
        method: Method,
        id: NodeId,
        part: &str,
        body: Option<Value>,
    ) -> Answer {
        let path = format!("/v1/relays/{id}{part}");
        self.call_as(Role::Relay, id, method, &path, body).await
    }

    /// Registers a relay with these options.
    pub async fn register(&self, number: u8, options: Value) -> Answer {
        let body = json!({ "endpoint": format!("192.0.2.{number}:4433"), "options": options });
        self.relay(Method::PUT, id(number), "", Some(body)).await
    }

    /// Registers relays 1 and 2, with no options.
    pub async fn register_two(&self) {
        for number in [1, 2] {
            self.register(number, json!({})).await;
        }
    }

    /// A call of a peer, with its token.
    pub async fn peer(
        &self,
        method: Method,
        id: NodeId,
        part: &str,
        body: Option<Value>,
    ) -> Answer {
        let path = format!("/v1/peers/{id}{part}");
        self.call_as(Role::Peer, id, method, &path, body).await
    }

    async fn call_as(
        &self,
        role: Role,
        id: NodeId,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let token = self.token(role, id);
        let answer = self.public.call(method, path, Some(&token), body).await;
        answer.expect("an answer")
    }

    /// A call of the operator.
    pub async fn operator(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let answer = self.admin.call(method, path, Some(OPERATOR), body).await;
        answer.expect("an answer")
    }

    /// What the broker knows of a relay.
    pub async fn known(&self, number: u8) -> Value {
        let path = format!("/api/relays/{}", id(number));
        self.operator(Method::GET, &path, None).await.json()
    }

    /// How many units of a relay are taken.
    pub async fn load(&self, number: u8) -> Option<u64> {
        self.known(number).await["current_load"].as_u64()
    }

    /// Opens a session between two peers; or what it is refused with.
    pub async fn session(&self, pair: (u8, u8), more: &str) -> Result<Session, (u16, Value)> {
        let token = self.token(Role::Peer, id(pair.0));
        Session::open(self.broker.public, &token, pair, more).await
    }

    /// Starts another broker in the same folder.
    pub async fn restart(self, more: &str) -> Self {
        self.broker.shut_down().await;
        start_in(self.folder, more).await
    }
}

/// The WebSocket of a session.
#[derive(Debug)]
pub struct Session {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Session {
    pub async fn open(
        broker: SocketAddr,
        token: &str,
        (requester, target): (u8, u8),
        more: &str,
    ) -> Result<Self, (u16, Value)> {
        let (requester, target) = (id(requester), id(target));
        let url = format!("ws://{broker}/v1/sessions?requester={requester}&target={target}{more}");
        let mut request = url.into_client_request().expect("a URL");
        let bearer = format!("Bearer {token}").try_into().expect("a header");
        request.headers_mut().insert("authorization", bearer);
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(Error::Http(response)) => {
                let body = response.body().as_deref().unwrap_or_default();
                let body = serde_json::from_slice(body).unwrap_or_default();
                Err((response.status().as_u16(), body))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// The next message of the broker; null if the session has ended.
    pub async fn next(&mut self) -> Value {
        loop {
            let message = timeout(DEADLINE, self.socket.next())
                .await
                .expect("in time");
            match message {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).expect("JSON"),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Value::Null,
                Some(Ok(_)) => {}
            }
        }
    }

    /// The relay that the broker gives.
    pub async fn relay(&mut self) -> Value {
        let message = self.next().await;
        assert_eq!(message["type"], "relay", "{message}");
        message["relay"]["node_id"].clone()
    }

    pub async fn say(&mut self, report: Value) {
        let message = Message::text(report.to_string());
        self.socket.send(message).await.expect("it is open");
    }

    pub async fn fail(&mut self) {
        self.say(json!({ "type": "failed", "failure": "timed-out" }))
            .await;
    }
}

/// Waits until it is so.
pub async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < DEADLINE, "not so in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
