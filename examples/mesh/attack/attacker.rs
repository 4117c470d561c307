//! What the attacker does: it forges records, stores them in the DHT, and offers them to nodes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_registry::Endpoint;
use relay_registry::dht::{Network, OfferOutcome, RelayDht, SecretKey, SignedRecord};

use super::{AttackRecord, AttackRecords, Kind, forgery};
use crate::error::Failure;
use crate::joining_node::JoiningNode;
use crate::net::Net;
use crate::relay;
use crate::service::Service;

/// All kinds of forgeries are made for this many relays. For the others, only the signature is forged.
const MAX_VICTIMS: usize = 8;

/// How many records of each kind are written without the engine.
const MAX_RAW_WRITES: u32 = 4;

/// What the DHT and the joining nodes did with the records.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Records that the DHT stored.
    pub stored: u64,
    /// Records that the DHT refused.
    pub not_stored: u64,
    /// Forged records that a joining node accepted when they were offered to it directly.
    pub forged_accepted: u64,
    /// The same for replayed records.
    pub replayed_accepted: u64,
}

pub struct Attacker {
    attack_records: Arc<AttackRecords>,
    engine: Arc<dyn RelayDht>,
    network: Network,
    /// One key for each kind that the attacker signs itself.
    keys: [Arc<SecretKey>; 4],
    /// The attacker answers probes for all of its keys, so a probe does not reveal it.
    service: Service,
    pub tally: Tally,
}

impl Attacker {
    pub fn start(
        net: &dyn Net,
        network: Network,
        attack_records: &Arc<AttackRecords>,
        seed: u64,
    ) -> Result<Self, Failure> {
        let keys = [1, 2, 3, 4].map(|n| Arc::new(relay::key(!seed - n)));
        let service = Service::start(&keys).map_err(Failure::system("the attacker's relay"))?;
        Ok(Self {
            attack_records: Arc::clone(attack_records),
            engine: net.join()?,
            network,
            keys,
            service,
            tally: Tally::default(),
        })
    }

    /// Forges the captured records, and makes some of its own.
    pub fn forge(&self, captured: &[SignedRecord]) -> Result<Vec<AttackRecord>, Failure> {
        let network = &self.network;
        let [garbage, future, expired, impostor] = &self.keys;
        let own_address = Endpoint::from(self.service.address());
        let mut records = vec![
            forgery::signed_garbage(garbage, network),
            forgery::future(future, &own_address, network)?,
            forgery::expired(expired, &own_address, network)?,
        ];
        let mut others = captured.iter().cycle().skip(1);
        for (number, victim) in captured.iter().enumerate() {
            let own = forgery::announced(garbage, &own_address, forgery::now(), network)?;
            records.push(forgery::wrong_signature(victim, &own));
            if number < MAX_VICTIMS {
                records.push(forgery::garbage(victim));
                records.push(forgery::huge(victim));
                if let Some(other) = others.next() {
                    records.push(forgery::foreign(victim, other));
                }
            }
        }
        let victim = captured
            .first()
            .and_then(|victim| victim.record().announcement());
        if let Some(victim) = victim {
            records.push(forgery::impostor(impostor, victim.endpoint(), network)?);
        }
        Ok(records)
    }

    pub fn replay(captured: &[SignedRecord]) -> Vec<AttackRecord> {
        captured.iter().map(forgery::replay).collect()
    }

    /// Offers each record in every way: to the DHT with and without the engine, and to joining nodes
    /// directly. From then on the attacker's nodes answer with them.
    pub fn attack(&mut self, net: &dyn Net, records: Vec<AttackRecord>, nodes: &[JoiningNode]) {
        let mut raw = BTreeMap::new();
        for attack in &records {
            let record = SignedRecord::decode(&attack.bytes, &self.network).ok();
            if let Some(record) = record.filter(|record| record.node_id() == attack.under) {
                self.store(attack.kind, &record);
                self.offer_directly(attack.kind, &record, nodes);
            }
            let before = raw.entry(attack.kind).or_insert(0);
            *before += 1;
            if *before > MAX_RAW_WRITES {
                continue;
            }
            if let Some(is_stored) = net.store_raw(&attack.under, &attack.bytes) {
                self.count(attack.kind, is_stored);
            }
        }
        self.attack_records.add(records);
    }

    /// Makes joining nodes ask for every id under which there is an attack record.
    pub fn request_all(&self, nodes: &[JoiningNode]) {
        for under in self.attack_records.node_ids() {
            for node in nodes {
                node.registry.request_record(&under);
            }
        }
    }

    /// Stores the record and enters it in the directory, so that joining nodes ask for it.
    fn store(&mut self, kind: Kind, record: &SignedRecord) {
        let deadline = || Instant::now() + Duration::from_secs(2);
        let put = self.engine.put(record, deadline());
        self.count(kind, put.is_ok());
        if let Some(shard) = self.engine.limits().shard_of(&record.node_id()) {
            let joined = self.engine.join(shard, record, deadline());
            self.count(kind, joined.is_ok());
        }
    }

    /// Offers the record as a peer can. An impostor is left out: its record is valid, and only a probe
    /// shows that another relay is at the address.
    fn offer_directly(&mut self, kind: Kind, record: &SignedRecord, nodes: &[JoiningNode]) {
        if kind == Kind::Impostor {
            return;
        }
        for node in nodes {
            self.attack_records.count(kind);
            let offered = node.registry.offer_record(record);
            // A record that the registry has already changes nothing.
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
        self.attack_records.count(kind);
        self.tally.stored += u64::from(is_stored);
        self.tally.not_stored += u64::from(!is_stored);
    }
}
