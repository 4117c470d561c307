//! The attacker at work: forges, stores, and hands around.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_registry::Endpoint;
use relay_registry::dht::{Network, OfferOutcome, RelayDht, SecretKey, SignedRecord};

use super::{Arsenal, Kind, Shot, forgery};
use crate::error::Failure;
use crate::net::Net;
use crate::newcomer::Newcomer;
use crate::relay;
use crate::service::Service;

/// Of so many relays all kinds of forgeries are made; of the others, those of
/// their records alone.
const MAX_VICTIMS: usize = 8;

/// So many of each kind are stored past the engine.
const MAX_RAW: u32 = 4;

/// What became of what was offered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Records that the DHT took.
    pub stored: u64,
    /// Records that the DHT would not take.
    pub not_stored: u64,
    /// Forged records that a newcomer believed when they were handed to it.
    pub forged_accepted: u64,
    /// Replayed ones, likewise.
    pub replayed_accepted: u64,
}

pub struct Attacker {
    arsenal: Arc<Arsenal>,
    engine: Arc<dyn RelayDht>,
    network: Network,
    /// One for each kind that it signs itself.
    keys: [SecretKey; 4],
    /// All of them are served, so that a probe is no obstacle.
    services: Vec<Service>,
    pub tally: Tally,
}

impl Attacker {
    pub fn start(
        net: &dyn Net,
        network: Network,
        arsenal: &Arc<Arsenal>,
        seed: u64,
    ) -> Result<Self, Failure> {
        let keys = [1, 2, 3, 4].map(|n| relay::key(!seed - n));
        let services = keys
            .iter()
            .map(|key| Service::start(key).map_err(Failure::system("the attacker's relay")))
            .collect::<Result<Vec<Service>, Failure>>()?;
        Ok(Self {
            arsenal: Arc::clone(arsenal),
            engine: net.join()?,
            network,
            keys,
            services,
            tally: Tally::default(),
        })
    }

    /// Forges the records of relays that said this, and some of its own.
    pub fn forge(&self, loot: &[SignedRecord]) -> Result<Vec<Shot>, Failure> {
        let network = &self.network;
        let [garbage, future, expired, impostor] = &self.keys;
        let at = |service: usize| Endpoint::from(self.services[service].address());
        let mut shots = vec![
            forgery::signed_garbage(garbage, network),
            forgery::future(future, &at(1), network)?,
            forgery::expired(expired, &at(2), network)?,
        ];
        let mut others = loot.iter().cycle().skip(1);
        for (number, victim) in loot.iter().enumerate() {
            let own = forgery::announced(garbage, &at(0), forgery::now(), network)?;
            shots.push(forgery::wrong_signature(victim, &own));
            if number < MAX_VICTIMS {
                shots.push(forgery::garbage(victim));
                shots.push(forgery::huge(victim));
                if let Some(other) = others.next() {
                    shots.push(forgery::foreign(victim, other));
                }
            }
        }
        let victim = loot
            .first()
            .and_then(|victim| victim.record().announcement());
        if let Some(victim) = victim {
            shots.push(forgery::impostor(impostor, victim.endpoint(), network)?);
        }
        Ok(shots)
    }

    /// What was said before, to be said again.
    pub fn replay(loot: &[SignedRecord]) -> Vec<Shot> {
        loot.iter().map(forgery::replay).collect()
    }

    /// Offers each shot in every way there is: to the DHT through the engine and
    /// past it, to newcomers by hand; and has its nodes answer with them from
    /// now on.
    pub fn strike(&mut self, net: &dyn Net, shots: Vec<Shot>, newcomers: &[Newcomer]) {
        let mut raw = BTreeMap::new();
        for shot in &shots {
            let record = SignedRecord::decode(&shot.bytes, &self.network).ok();
            if let Some(record) = record.filter(|record| record.node_id() == shot.under) {
                self.store(shot.kind, &record);
                self.hand_over(shot.kind, &record, newcomers);
            }
            let before = raw.entry(shot.kind).or_insert(0);
            *before += 1;
            if *before > MAX_RAW {
                continue;
            }
            if let Some(is_stored) = net.store_raw(&shot.under, &shot.bytes) {
                self.count(shot.kind, is_stored);
            }
        }
        self.arsenal.add(shots);
    }

    /// Names to newcomers whom it forged, or replays, so that they ask for them.
    pub fn name(&self, newcomers: &[Newcomer]) {
        for under in self.arsenal.names() {
            for newcomer in newcomers {
                newcomer.registry.request_record(&under);
            }
        }
    }

    /// Puts it, and enters it in the directory, so that newcomers ask for it.
    fn store(&mut self, kind: Kind, record: &SignedRecord) {
        let deadline = || Instant::now() + Duration::from_secs(2);
        let put = self.engine.put(record, deadline());
        self.count(kind, put.is_ok());
        if let Some(shard) = self.engine.limits().shard_of(&record.node_id()) {
            let joined = self.engine.join(shard, record, deadline());
            self.count(kind, joined.is_ok());
        }
    }

    /// As a peer may do. One with nothing wrong in it but who is at the address
    /// is for the probe to refuse, and left to it.
    fn hand_over(&mut self, kind: Kind, record: &SignedRecord, newcomers: &[Newcomer]) {
        if kind == Kind::Impostor {
            return;
        }
        for newcomer in newcomers {
            self.arsenal.count(kind);
            let offered = newcomer.registry.offer_record(record);
            // What is known is not changed by hearing it again.
            let is_accepted = offered.is_ok_and(|offered| offered != OfferOutcome::Known);
            let tally = &mut self.tally;
            let accepted = if kind.is_forged() {
                &mut tally.forged_accepted
            } else {
                &mut tally.replayed_accepted
            };
            *accepted += u64::from(is_accepted);
        }
    }

    fn count(&mut self, kind: Kind, is_stored: bool) {
        self.arsenal.count(kind);
        self.tally.stored += u64::from(is_stored);
        self.tally.not_stored += u64::from(!is_stored);
    }
}
