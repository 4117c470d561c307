//! What relays do: register, renew in time, and tell how loaded they are.

use crate::AnyError;
use crate::ledger::{Ledger, count};
use crate::world::Relay;
use broker::client::{Answer, Client};
use broker::config::Secret;
use broker::tokens::{Role, token};
use fastrand::Rng;
use hyper::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

const LOAD_EVERY: Duration = Duration::from_secs(2);
/// The share of its capacity that a relay carries for other brokers, at most.
const OTHERS: f64 = 0.1;

/// A relay that calls the broker.
#[derive(Clone)]
pub struct RelayClient {
    pub relay: Relay,
    token: String,
    client: Client,
    ledger: Arc<Ledger>,
    /// Whether it has left, and will come back.
    is_away: Arc<AtomicBool>,
}

impl RelayClient {
    pub fn new(relay: Relay, secret: &Secret, client: Client, ledger: Arc<Ledger>) -> Self {
        Self {
            token: token(secret, Role::Relay, &relay.id),
            relay,
            client,
            ledger,
            is_away: Arc::default(),
        }
    }

    /// Registers, or renews; returns when to do so again.
    pub async fn register(&self) -> Result<Duration, AnyError> {
        let Relay {
            endpoint,
            capacity,
            labels,
            failure_domain,
            ..
        } = &self.relay;
        let body = json!({
            "endpoint": endpoint,
            "options": { "capacity": capacity, "labels": labels, "failure_domain": failure_domain },
        });
        let answer = self.call(Method::PUT, "", Some(body)).await?;
        let seconds = answer.json()["renew_after_seconds"].as_f64();
        Ok(Duration::from_secs_f64(
            seconds.ok_or("a registration has no renew_after_seconds")?,
        ))
    }

    pub async fn set_draining(&self, draining: bool) -> Result<(), AnyError> {
        let body = json!({ "draining": draining });
        self.call(Method::PUT, "/draining", Some(body))
            .await
            .map(drop)
    }

    /// Leaves, and comes back after a while.
    pub async fn leave(&self, length: Duration) -> Result<(), AnyError> {
        self.is_away.store(true, SeqCst);
        self.call(Method::DELETE, "", None).await?;
        sleep(length).await;
        self.register().await?;
        self.is_away.store(false, SeqCst);
        Ok(())
    }

    async fn report_load(&self, rng: &mut Rng) -> Result<(), AnyError> {
        let id = &self.relay.id;
        let others = f64::from(self.relay.capacity) * OTHERS * rng.f64();
        self.ledger.set_others(id, others as u32);
        let body = json!({ "load": self.ledger.load(id) });
        self.call(Method::POST, "/load", Some(body)).await.map(drop)
    }

    async fn call(
        &self,
        method: Method,
        part: &str,
        body: Option<Value>,
    ) -> Result<Answer, AnyError> {
        let path = format!("/v1/relays/{}{part}", self.relay.id);
        let answer = self
            .client
            .call(method, &path, Some(&self.token), body)
            .await?;
        match answer.status.is_success() {
            true => Ok(answer),
            false => Err(format!("{path}: {}: {}", answer.status, answer.json()).into()),
        }
    }

    /// Renews and reports until it is aborted. A failure of the broker to take one is a broken promise.
    pub async fn live(self, renew_after: Duration, seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let start = Instant::now();
        let (mut renew_at, mut report_at) =
            (start + renew_after, start + LOAD_EVERY.mul_f64(rng.f64()));
        loop {
            sleep_until(renew_at.min(report_at)).await;
            let was_away = self.is_away.load(SeqCst);
            let done = if renew_at <= report_at {
                renew_at += renew_after;
                count(&self.ledger.tallies.renewals);
                if was_away {
                    Ok(())
                } else {
                    self.register().await.map(drop)
                }
            } else {
                report_at += LOAD_EVERY;
                self.report_load(&mut rng).await
            };
            // A relay that is away is not known.
            if let Err(error) = done
                && !was_away
                && !self.is_away.load(SeqCst)
            {
                self.ledger
                    .is_broken(format!("a call of a relay failed: {error}"));
            }
        }
    }
}
