//! A broker in this process, and the relays and peers that call it.

use broker::broker::Broker;
use broker::client::Client;
use broker::config::Config;
use broker::metrics;
use broker::tokens::{Role, token};
use futures_util::StreamExt;
use hyper::Method;
use metrics_exporter_prometheus::PrometheusHandle;
use relay_registry::{Coordinate, NodeId, PeerView};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const SECRET: &str = "a secret of tests, of no use elsewhere";

pub struct World {
    broker: Broker,
    config: Config,
    public: Client,
}

/// An open session.
pub type Session = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl World {
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address")).await
    }

    /// Starts a broker whose page is at an address.
    pub async fn start_at(admin: SocketAddr) -> Self {
        let text = format!(
            "listen = \"127.0.0.1:0\"\nadmin = \"{admin}\"\nsecret = \"{SECRET}\"\noperator_token = \"{SECRET}\"\n\
             decisions_per_second = 1000\n[sessions]\ngrace_seconds = 0.1\nview_every_seconds = 0\nlabels = [\"udp\"]\n"
        );
        let config = Config::parse(&text).expect("it is valid");
        let broker = Broker::start(config.clone(), None, recorder())
            .await
            .expect("it starts");
        Self {
            public: Client::new(broker.public),
            config,
            broker,
        }
    }

    pub async fn end(self) -> SocketAddr {
        let admin = self.broker.admin;
        self.broker.shut_down().await;
        admin
    }

    pub fn page(&self) -> String {
        format!("http://{}/", self.broker.admin)
    }

    /// Registers a relay with ten units, and options.
    pub async fn register(&self, n: u16, options: Value) {
        let mut all = json!({ "capacity": 10 });
        let options = options.as_object().expect("options are an object").clone();
        all.as_object_mut().expect("an object").extend(options);
        let body = json!({ "endpoint": endpoint(n), "options": all });
        let id = relay(n);
        self.call(
            Method::PUT,
            &format!("/v1/relays/{id}"),
            Role::Relay,
            id,
            body,
        )
        .await;
    }

    pub async fn set_draining(&self, n: u16, draining: bool) {
        let (id, body) = (relay(n), json!({ "draining": draining }));
        self.call(
            Method::PUT,
            &format!("/v1/relays/{id}/draining"),
            Role::Relay,
            id,
            body,
        )
        .await;
    }

    pub async fn send_view(&self, peer: NodeId, view: PeerView) {
        let body = serde_json::to_value(view).expect("it can be serialised");
        self.call(
            Method::PUT,
            &format!("/v1/peers/{peer}"),
            Role::Peer,
            peer,
            body,
        )
        .await;
    }

    /// Begins a session, and waits for its relay.
    pub async fn begin(&self, requester: NodeId, target: NodeId) -> Session {
        let url = format!(
            "ws://{}/v1/sessions?requester={requester}&target={target}",
            self.broker.public
        );
        let mut request = url.into_client_request().expect("a request");
        let bearer = format!(
            "Bearer {}",
            token(&self.config.secret, Role::Peer, &requester)
        );
        request
            .headers_mut()
            .insert("authorization", bearer.parse().expect("a value"));
        let (mut session, _) = tokio_tungstenite::connect_async(request)
            .await
            .expect("it connects");
        let first = session.next().await.expect("an answer").expect("a message");
        let answer: Value = serde_json::from_str(first.to_text().expect("text")).expect("JSON");
        assert_eq!(answer["type"], "relay", "{answer}");
        session
    }

    async fn call(&self, method: Method, path: &str, role: Role, id: NodeId, body: Value) {
        let token = token(&self.config.secret, role, &id);
        let answer = self
            .public
            .call(method, path, Some(&token), Some(body))
            .await
            .expect("an answer");
        assert!(
            answer.status.is_success(),
            "{path}: {}: {}",
            answer.status,
            answer.json()
        );
    }
}

/// One for the process.
fn recorder() -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER
        .get_or_init(|| metrics::install().expect("it is the only one"))
        .clone()
}

pub fn relay(n: u16) -> NodeId {
    id(1, n)
}

pub fn peer(n: u16) -> NodeId {
    id(2, n)
}

pub fn endpoint(n: u16) -> String {
    format!("relay-{n}.example:4433")
}

fn id(kind: u8, n: u16) -> NodeId {
    let mut bytes = [kind; 32];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    NodeId::from(bytes)
}

/// A place so many milliseconds east and south of the middle.
pub fn place(east: f32, south: f32) -> Coordinate {
    let mut position = [0.0; Coordinate::DIMENSIONS];
    (position[0], position[1]) = (1e3 * east, 1e3 * south);
    Coordinate::new(position, 1e3, 0.0, 0.1).expect("it is in range")
}

/// The view of a peer at a place, of up to three relays at places.
pub fn view(at: Coordinate, relays: &[(u16, Coordinate)]) -> PeerView {
    let view = PeerView::new().coordinate(at);
    relays.iter().fold(view, |view, (n, place)| {
        let rtt = at.rtt_to(place).max(Duration::from_millis(1));
        view.measured(relay(*n), rtt).expect("up to three")
    })
}
