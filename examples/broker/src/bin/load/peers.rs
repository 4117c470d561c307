//! What peers do: send their view, ask for a relay, tell whether it works, and hold their session until told otherwise.

use crate::AnyError;
use crate::ledger::{Ledger, count, record};
use crate::session::{Answer, Session};
use crate::world::{LABEL, World};
use broker::client::Client;
use broker::config::Secret;
use broker::tokens::{Role, token};
use fastrand::Rng;
use hyper::Method;
use relay_registry::NodeId;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// One session in so many asks for relays with a label.
const LABELLED: u32 = 5;
/// How often a peer sends its view, when it begins a session.
const VIEW_EVERY: Duration = Duration::from_secs(60);

/// What all peers share.
pub struct Peers {
    pub world: World,
    pub ledger: Arc<Ledger>,
    pub broker: SocketAddr,
    pub client: Client,
}

/// Begin another session in place of the one that is held.
pub struct Begin {
    /// When it was due; waiting in this program counts.
    pub due: Instant,
    /// Given back when the answer has come.
    pub place: Option<OwnedSemaphorePermit>,
}

pub struct PeerClient {
    peers: Arc<Peers>,
    /// Which one of the world.
    at: usize,
    token: String,
    rng: Rng,
    viewed: Instant,
    held: Option<Held>,
}

struct Held {
    session: Session,
    relay: NodeId,
}

impl PeerClient {
    pub fn new(peers: Arc<Peers>, at: usize, secret: &Secret, seed: u64) -> Self {
        let token = token(secret, Role::Peer, &peers.world.peers[at].id);
        Self {
            peers,
            at,
            token,
            rng: Rng::with_seed(seed),
            viewed: Instant::now(),
            held: None,
        }
    }

    /// Sends what it measured before it knew which relays are near, or else what it knows.
    pub async fn send_view(&self, round: Option<usize>) -> Result<(), AnyError> {
        let Peers { world, client, .. } = &*self.peers;
        let peer = &world.peers[self.at];
        let path = format!("/v1/peers/{}", peer.id);
        let view = match round {
            Some(round) => world.early_view(self.at, round),
            None => world.view(peer),
        };
        let body = serde_json::to_value(view)?;
        let answer = client
            .call(Method::PUT, &path, Some(&self.token), Some(body))
            .await?;
        match answer.status.is_success() {
            true => Ok(()),
            false => Err(format!("{path}: {}: {}", answer.status, answer.json()).into()),
        }
    }

    /// Does what it is told until the channel closes, and then ends its session.
    pub async fn live(mut self, mut told: mpsc::UnboundedReceiver<Begin>) {
        loop {
            let begin = match &mut self.held {
                None => told.recv().await,
                Some(held) => tokio::select! {
                    begin = told.recv() => begin,
                    () = held.session.ended() => {
                        count(&self.peers.ledger.tallies.lost);
                        self.peers.ledger.is_broken("the broker ended a session".into());
                        self.give_back();
                        continue;
                    }
                },
            };
            self.end().await;
            let Some(begin) = begin else { return };
            self.begin(begin).await;
            self.send_view_in_time().await;
        }
    }

    /// The broker forgets views in time.
    async fn send_view_in_time(&mut self) {
        if self.viewed.elapsed() < VIEW_EVERY {
            return;
        }
        self.viewed = Instant::now();
        if let Err(error) = self.send_view(None).await {
            let ledger = &self.peers.ledger;
            ledger.is_broken(format!("a view was not taken: {error}"));
        }
    }

    async fn begin(&mut self, Begin { due, place }: Begin) {
        if let Err(error) = self.try_begin(due).await {
            count(&self.peers.ledger.tallies.unanswered);
            self.peers.ledger.is_broken(format!("no answer: {error}"));
        }
        drop(place);
    }

    async fn try_begin(&mut self, due: Instant) -> Result<(), AnyError> {
        let peers = Arc::clone(&self.peers);
        let callee = peers.world.callee(self.at, &mut self.rng);
        let pair = (peers.world.peers[self.at].id, peers.world.peers[callee].id);
        let label = (self.rng.u32(..LABELLED) == 0).then_some(LABEL);
        let (mut session, mut answer) =
            Session::ask(peers.broker, &self.token, pair, label).await?;
        record(&peers.ledger.asked, due.elapsed());
        let mut asked = due;
        loop {
            let relay = match answer {
                Answer::Relay(relay) => relay,
                Answer::None(why) => {
                    count(&peers.ledger.tallies.refused);
                    peers
                        .ledger
                        .is_broken(format!("no relay was given, though there was room: {why}"));
                    return Ok(());
                }
            };
            if peers.ledger.take(&relay, asked) {
                self.held = Some(Held { session, relay });
                self.held
                    .as_mut()
                    .expect("just set")
                    .session
                    .succeeded()
                    .await?;
                return Ok(());
            }
            count(&peers.ledger.tallies.failures_told);
            peers.ledger.give_back(&relay);
            asked = Instant::now();
            answer = session.failed().await?;
            record(&peers.ledger.asked_again, asked.elapsed());
            if matches!(&answer, Answer::Relay(next) if *next == relay) {
                peers
                    .ledger
                    .is_broken(format!("relay {relay:.8} was given again after it failed"));
            }
        }
    }

    async fn end(&mut self) {
        if let Some(session) = self.give_back() {
            session.end().await;
        }
    }

    fn give_back(&mut self) -> Option<Session> {
        let Held { session, relay } = self.held.take()?;
        self.peers.ledger.give_back(&relay);
        Some(session)
    }
}
