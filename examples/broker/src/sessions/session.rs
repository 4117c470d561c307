//! One session, from the first relay to the end of the connection.

use super::messages::{Answer, Report};
use crate::app::App;
use crate::errors::ApiError;
use crate::feed::Sample;
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use relay_registry::{Failure, FindOptions, Lease, NodeId};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{self, Instant, MissedTickBehavior};

/// After so long, a peer that takes no message is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

pub struct Session {
    app: Arc<App>,
    requester: NodeId,
    target: NodeId,
    options: FindOptions,
    /// The relays that were given, the last one being in use.
    given: Vec<NodeId>,
    lease: Option<Lease>,
}

/// Why a session ended.
#[derive(Clone, Copy)]
enum End {
    /// The peer closed the connection, or it broke.
    Left,
    /// The peer did not answer.
    Silent,
    /// There was no relay for it.
    NoRelay,
    /// The peer said something that is not a report.
    Misspoke,
    /// Its id was revoked.
    Revoked,
    /// The broker ended.
    Closed,
}

impl Session {
    pub fn new(app: Arc<App>, requester: NodeId, target: NodeId, options: FindOptions) -> Self {
        Self {
            app,
            requester,
            target,
            options,
            given: Vec::new(),
            lease: None,
        }
    }

    /// Returns when the connection has ended. The lease is dropped then, and its unit is free.
    pub async fn run(mut self, mut socket: WebSocket) {
        metrics::gauge!("broker_sessions").increment(1);
        let Err(end) = self.serve(&mut socket).await;
        self.lease = None;
        metrics::gauge!("broker_sessions").decrement(1);
        metrics::counter!("broker_sessions_ended_total", "reason" => end.name()).increment(1);
        if let Some(frame) = end.frame() {
            _ = send(&mut socket, Message::Close(Some(frame))).await;
        }
    }

    async fn serve(&mut self, socket: &mut WebSocket) -> Result<std::convert::Infallible, End> {
        self.give(socket).await?;
        let app = Arc::clone(&self.app);
        let every = app.config().sessions.ping_seconds.get();
        let mut pings = time::interval_at(Instant::now() + every, every);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut is_heard, mut is_told) = (true, false);
        loop {
            tokio::select! {
                received = socket.recv() => {
                    is_heard = true;
                    match received {
                        Some(Ok(Message::Text(text))) => self.take_report(socket, &text).await?,
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                        Some(Ok(Message::Binary(_))) => return Err(End::Misspoke),
                        Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(End::Left),
                    }
                }
                _ = pings.tick() => {
                    if !is_heard {
                        return Err(End::Silent);
                    }
                    self.check_not_revoked()?;
                    is_heard = false;
                    send(socket, Message::Ping(Default::default())).await?;
                }
                () = app.closing.cancelled(), if !is_told => {
                    is_told = true;
                    let grace = app.config().sessions.grace_seconds.get();
                    let answer = Answer::Closing { grace_seconds: grace.as_secs_f64() };
                    send(socket, answer.message()).await?;
                }
                () = app.ended.cancelled() => return Err(End::Closed),
            }
        }
    }

    async fn take_report(&mut self, socket: &mut WebSocket, text: &str) -> Result<(), End> {
        let report = serde_json::from_str(text).map_err(|_| End::Misspoke)?;
        match (report, &self.lease) {
            (Report::Succeeded, Some(lease)) => {
                lease.succeeded();
                Ok(())
            }
            (Report::Failed { failure }, _) => {
                self.check_not_revoked()?;
                self.take_failure(failure);
                self.give(socket).await
            }
            (Report::Succeeded, None) => Ok(()),
        }
    }

    fn check_not_revoked(&self) -> Result<(), End> {
        match self.app.config().revoked.contains(&self.requester) {
            true => Err(End::Revoked),
            false => Ok(()),
        }
    }

    /// The relay failed the peer: it is not given to this session again, and to others only after a
    /// while. A peer that reports too many failures is believed no more.
    fn take_failure(&mut self, failure: Failure) {
        let most = self.app.config().sessions.failures_per_minute;
        let counts = self.app.accounts.takes_failure(self.requester, most);
        metrics::counter!("broker_failures_total", "counted" => counts.to_string()).increment(1);
        if let Some(lease) = self.lease.take().filter(|_| counts) {
            lease.failed(failure);
        }
    }

    /// Finds a relay, and tells the peer.
    async fn give(&mut self, socket: &mut WebSocket) -> Result<(), End> {
        match self.find_while_open(socket).await? {
            Ok(lease) => {
                self.given.push(lease.relay().node_id());
                let message = Answer::lease(&lease).message();
                self.lease = Some(lease);
                send(socket, message).await
            }
            Err(error) => {
                let answer = Answer::None {
                    error: error.body(),
                };
                send(socket, answer.message()).await?;
                Err(End::NoRelay)
            }
        }
    }

    /// Finds a relay, unless the peer leaves before there is one.
    async fn find_while_open(
        &self,
        socket: &mut WebSocket,
    ) -> Result<Result<Lease, ApiError>, End> {
        let mut find = pin!(self.find());
        loop {
            tokio::select! {
                biased;
                found = &mut find => return Ok(found),
                received = socket.recv() => match received {
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    // There is no relay to report on.
                    Some(Ok(Message::Text(_) | Message::Binary(_))) => return Err(End::Misspoke),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(End::Left),
                },
            }
        }
    }

    async fn find(&self) -> Result<Lease, ApiError> {
        let most = self.app.config().sessions.max_tries;
        if self.given.len() >= most {
            let message = format!("{most} relays failed this session, and it is given no more");
            return Err(ApiError::too_many_requests("too-many-tries", message, 2));
        }
        let options = self.options.clone().exclude(self.given.iter().copied());
        let sample = Sample::take(&self.app, (self.requester, self.target), &options).await;
        let began = Instant::now();
        let found = self.reserve(&options, began).await;
        let outcome = if found.is_ok() { "found" } else { "none" };
        metrics::counter!("broker_finds_total", "outcome" => outcome).increment(1);
        if let Some(sample) = sample {
            let relay = found.as_ref().map(|lease| lease.relay().node_id());
            let relay = relay.map_err(ApiError::body);
            self.app
                .feed
                .tell_decision(sample.decision(relay, began.elapsed()));
        }
        found
    }

    /// Takes a unit of the best relay. If there is none, waits a little for one.
    async fn reserve(&self, options: &FindOptions, began: Instant) -> Result<Lease, ApiError> {
        let (app, registry) = (&self.app, &self.app.registry);
        let until = began + app.config().sessions.wait_seconds.get();
        let search = registry.reserve_async(&self.target, options);
        tokio::select! {
            biased;
            () = app.closing.cancelled() => Err(ApiError::closing()),
            found = time::timeout_at(until, search) => match found {
                Ok(found) => Ok(found?),
                Err(_) => Ok(registry.reserve(&self.target, options)?), // the error counts the reasons
            },
        }
    }
}

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Silent => "silent",
            Self::NoRelay => "no-relay",
            Self::Misspoke => "misspoke",
            Self::Revoked => "revoked",
            Self::Closed => "closed",
        }
    }

    /// What the peer is told, if it is there to be told.
    fn frame(self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Left | Self::Silent => return None,
            Self::NoRelay => (close_code::NORMAL, "no relay"),
            Self::Misspoke => (close_code::INVALID, "a report is {\"type\": ..}"),
            Self::Revoked => (close_code::POLICY, "this id is revoked"),
            Self::Closed => (close_code::AWAY, "the broker ends"),
        };
        Some(CloseFrame {
            code,
            reason: reason.into(),
        })
    }
}

async fn send(socket: &mut WebSocket, message: Message) -> Result<(), End> {
    match time::timeout(SEND_TIMEOUT, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(End::Left),
    }
}
