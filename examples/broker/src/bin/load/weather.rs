//! What goes wrong: now and then a relay stops working for a while, drains, or leaves and comes back.

use crate::AnyError;
use crate::ledger::Ledger;
use crate::relays::RelayClient;
use fastrand::Rng;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::sleep;

const CALM: Duration = Duration::from_millis(1_500);
const SPELL: Duration = Duration::from_secs(6);

/// Goes on until it is aborted. At most three relays in twenty are out at a time, so that there is always room.
pub async fn change(relays: Arc<Vec<RelayClient>>, ledger: Arc<Ledger>, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let most = (relays.len() * 3 / 20).max(1);
    let mut spells: Vec<(usize, tokio::task::JoinHandle<()>)> = Vec::new();
    loop {
        sleep(CALM.mul_f64(0.5 + rng.f64())).await;
        spells.retain(|(_, spell)| !spell.is_finished());
        let chosen = rng.usize(..relays.len());
        if spells.len() >= most || spells.iter().any(|(relay, _)| *relay == chosen) {
            continue;
        }
        let (relay, ledger, kind) = (relays[chosen].clone(), Arc::clone(&ledger), rng.u8(..8));
        let length = SPELL.mul_f64(0.5 + rng.f64());
        let spell = tokio::spawn(async move {
            if let Err(error) = spell(kind, &relay, &ledger, length).await {
                ledger.is_broken(format!("a call of a relay failed: {error}"));
            }
        });
        spells.push((chosen, spell));
    }
}

async fn spell(
    kind: u8,
    relay: &RelayClient,
    ledger: &Ledger,
    length: Duration,
) -> Result<(), AnyError> {
    let id = &relay.relay.id;
    match kind {
        0..4 => {
            ledger.set_broken(id, true);
            sleep(length).await;
            ledger.set_broken(id, false);
        }
        4..7 => {
            relay.set_draining(true).await?;
            ledger.set_draining(id, Some(Instant::now()));
            sleep(length).await;
            ledger.set_draining(id, None);
            relay.set_draining(false).await?;
        }
        _ => relay.leave(length / 3).await?,
    }
    Ok(())
}
