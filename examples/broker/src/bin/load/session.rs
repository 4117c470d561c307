//! One session of a peer: a WebSocket on which the broker gives relays.

use crate::AnyError;
use futures_util::{SinkExt, StreamExt};
use relay_registry::NodeId;
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};

/// After so long, an answer is missing.
const PATIENCE: Duration = Duration::from_secs(20);
/// Messages are small. By default, each connection has 128 KiB for what it reads.
const BUFFER_BYTES: usize = 1024;

pub struct Session {
    socket: WebSocketStream<TcpStream>,
}

/// What the broker answers.
pub enum Answer {
    Relay(NodeId),
    /// No relay was eligible; why.
    None(String),
}

/// The messages of the broker.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Incoming {
    Relay {
        relay: GivenRelay,
    },
    None {
        error: Value,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct GivenRelay {
    node_id: NodeId,
}

impl Session {
    /// Asks for a relay between two peers.
    pub async fn ask(
        broker: SocketAddr,
        token: &str,
        (requester, target): (NodeId, NodeId),
        label: Option<&str>,
    ) -> Result<(Self, Answer), AnyError> {
        let label = label
            .map(|label| format!("&require={label}"))
            .unwrap_or_default();
        let url = format!("ws://{broker}/v1/sessions?requester={requester}&target={target}{label}");
        let mut request = url.into_client_request()?;
        let bearer = HeaderValue::try_from(format!("Bearer {token}"))?;
        request.headers_mut().insert(AUTHORIZATION, bearer);
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(0);
        let connect = async {
            let stream = TcpStream::connect(broker).await?;
            stream.set_nodelay(true)?;
            let config = Some(config);
            let connected = tokio_tungstenite::client_async_with_config(request, stream, config);
            Ok::<_, AnyError>(connected.await?.0)
        };
        let socket = timeout(PATIENCE, connect).await??;
        let mut session = Self { socket };
        let answer = session.answer().await?;
        Ok((session, answer))
    }

    /// Tells that the relay did not work, and waits for the next one.
    pub async fn failed(&mut self) -> Result<Answer, AnyError> {
        self.send(json!({ "type": "failed", "failure": "timed-out" }))
            .await?;
        self.answer().await
    }

    /// Tells that the relay works.
    pub async fn succeeded(&mut self) -> Result<(), AnyError> {
        self.send(json!({ "type": "succeeded" })).await
    }

    /// Returns when the broker ends the session. Meanwhile it answers the broker's pings.
    pub async fn ended(&mut self) {
        while let Some(Ok(message)) = self.socket.next().await {
            if message.is_close() {
                return;
            }
        }
    }

    /// Ends the session.
    pub async fn end(mut self) {
        // The broker sees the end of the connection, if not the message.
        _ = timeout(PATIENCE, self.socket.close(None)).await;
    }

    async fn answer(&mut self) -> Result<Answer, AnyError> {
        let next = async {
            loop {
                let message = self
                    .socket
                    .next()
                    .await
                    .ok_or("the session ended without an answer")??;
                let Message::Text(text) = message else {
                    continue;
                };
                match serde_json::from_str(&text)? {
                    Incoming::Relay { relay } => return Ok(Answer::Relay(relay.node_id)),
                    Incoming::None { error } => {
                        return Ok(Answer::None(error["message"].to_string()));
                    }
                    Incoming::Other => {}
                }
            }
        };
        timeout(PATIENCE, next).await?
    }

    async fn send(&mut self, message: Value) -> Result<(), AnyError> {
        Ok(self.socket.send(Message::text(message.to_string())).await?)
    }
}
