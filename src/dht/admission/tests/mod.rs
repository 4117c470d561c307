//! A fixture: an [`Admission`] and a registry of a few relays.

mod lifecycle;
mod sybil;

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use crate::dht::backend::LocalRelay;
use crate::dht::probe::ProbeError;
use crate::dht::record::{Announcement, Network, RelayRecord, SecretKey, next_sequence};
use crate::relay::{AddressPolicy, NatType};

const S: fn(u64) -> Duration = Duration::from_secs;
const WALL: Duration = Duration::from_secs(1_800_000_000);
const RTT: Duration = Duration::from_millis(20);
const TTL: u64 = 1_800;

/// A registry of at most `max` relays.
#[derive(Default)]
struct Registry {
    max: usize,
    relays: Mutex<BTreeMap<NodeId, Held>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Held {
    local: bool,
    capacity: u32,
    ttl: Duration,
    failed: bool,
}

impl Registry {
    fn register(&self, n: u8) {
        let held = Held {
            local: true,
            capacity: 1,
            ttl: S(1),
            failed: false,
        };
        self.relays.lock().unwrap().insert(id(n), held);
    }

    fn get(&self, n: u8) -> Option<Held> {
        self.relays.lock().unwrap().get(&id(n)).cloned()
    }

    fn holds(&self, id: &NodeId, local: bool) -> bool {
        let relays = self.relays.lock().unwrap();
        relays.get(id).is_some_and(|held| held.local == local)
    }
}

impl RegistryBackend for Registry {
    fn now(&self) -> Duration {
        S(0)
    }

    fn elapsed(&self) -> Duration {
        S(0)
    }

    fn local_relay(&self, _: &NodeId) -> Option<LocalRelay> {
        None
    }

    fn is_local(&self, id: &NodeId) -> bool {
        self.holds(id, true)
    }

    fn is_learned(&self, id: &NodeId) -> bool {
        self.holds(id, false)
    }

    fn register_learned(
        &self,
        id: &NodeId,
        _: &Announcement,
        capacity: u32,
        ttl: Duration,
        _: Duration,
    ) -> Result<(), LearnError> {
        if self.is_local(id) {
            return Err(LearnError::HeldLocally);
        }
        let mut relays = self.relays.lock().unwrap();
        if !relays.contains_key(id) && relays.len() >= self.max {
            return Err(LearnError::NoRoom);
        }
        let held = Held {
            local: false,
            capacity,
            ttl,
            failed: false,
        };
        relays.insert(*id, held);
        Ok(())
    }

    fn probe_succeeded(&self, _: &NodeId, _: Duration) {}

    fn record_rejected(&self, _: &NodeId, _: RejectReason) {}

    fn is_relay_awaited(&self) -> bool {
        false
    }

    fn wake_waiting(&self) {}

    fn probe_failed(&self, id: &NodeId) {
        if let Some(held) = self.relays.lock().unwrap().get_mut(id) {
            held.failed = true;
        }
    }

    fn unregister_learned(&self, id: &NodeId) -> bool {
        self.is_learned(id) && self.relays.lock().unwrap().remove(id).is_some()
    }

    fn relay_count(&self) -> usize {
        self.relays.lock().unwrap().len()
    }
}

fn key(n: u8) -> SecretKey {
    SecretKey::from_seed([n; 32])
}

fn id(n: u8) -> NodeId {
    key(n).node_id()
}

/// The announcement of relay `n`, signed `at` seconds after [`WALL`].
fn announce_at(n: u8, at: u64, endpoint: &str) -> SignedRecord {
    announce_with(n, at, endpoint, 10, None)
}

fn announce_with(
    n: u8,
    at: u64,
    endpoint: &str,
    capacity: u32,
    nat: Option<NatType>,
) -> SignedRecord {
    let issued = WALL + S(at);
    let announcement = Announcement::new(endpoint.parse().unwrap(), capacity).unwrap();
    let sequence = next_sequence(None, issued);
    let record =
        RelayRecord::announce(announcement.with_nat(nat), sequence, issued, S(TTL)).unwrap();
    SignedRecord::sign(&record, &key(n), &Network::default()).unwrap()
}

fn withdrawal(n: u8, at: u64) -> SignedRecord {
    let issued = WALL + S(at);
    let sequence = next_sequence(None, issued);
    SignedRecord::tombstone(sequence, issued, S(1), &key(n), &Network::default()).unwrap()
}

/// The announcement of relay `n` at an address in a prefix of its own.
fn announce(n: u8, at: u64) -> SignedRecord {
    announce_at(n, at, &format!("5.6.{n}.1:1"))
}

struct Fixture {
    admission: Admission,
    registry: Registry,
    at: u64,
}

fn policy() -> AdmissionPolicy {
    AdmissionPolicy {
        network: Network::default(),
        own: Some(id(200)),
        allowed: None,
        addresses: AddressPolicy::PublicOnly,
        accept_names: false,
        max_relays: 15,
        local_reserve: 5,
        max_candidates: 100,
        short_probes_above: 24,
        max_capacity: 100,
        max_updates_per_minute: 3,
        probe_interval: S(60),
        requery_interval: S(600),
        max_failed_probes: 3,
        tick: Duration::from_millis(100),
    }
}

impl Fixture {
    fn new(policy: AdmissionPolicy) -> Self {
        Self::seeded(policy, 1)
    }

    fn seeded(policy: AdmissionPolicy, seed: u64) -> Self {
        Self {
            registry: Registry {
                max: policy.max_relays,
                ..Registry::default()
            },
            admission: Admission::new(policy, PerPrefix { v4: 2, v6: 2 }, Rng::with_seed(seed)),
            at: 0,
        }
    }

    fn now(&self) -> Now {
        Now {
            at: S(self.at),
            wall: WALL + S(self.at),
        }
    }

    fn at(&mut self, at: u64) -> &mut Self {
        self.at = at;
        let now = self.now();
        self.admission.remove_expired(&self.registry, now);
        self
    }

    fn offer_record(&mut self, record: &SignedRecord) -> Result<OfferOutcome, RejectReason> {
        let now = self.now();
        self.admission.offer_record(record, &self.registry, now)
    }

    /// Makes all probes that are due. Those of relays for which `works` is true succeed.
    fn probe(&mut self, works: impl Fn(&NodeId) -> bool) -> usize {
        let mut probed = 0;
        let now = self.now();
        while let Some((id, endpoint)) = self.admission.next_probe(now.at) {
            let outcome = if works(&id) {
                Ok(RTT)
            } else {
                Err(ProbeError::Unreachable)
            };
            let Self {
                admission,
                registry,
                ..
            } = self;
            admission.probe_finished(&id, &endpoint, outcome, registry, now);
            probed += 1;
        }
        probed
    }

    /// Makes up to `probes` probes that are due.
    fn probe_some(&mut self, probes: usize, works: impl Fn(&NodeId) -> bool) {
        let now = self.now();
        for _ in 0..probes {
            let Some((id, endpoint)) = self.admission.next_probe(now.at) else {
                return;
            };
            let outcome = works(&id).then_some(RTT).ok_or(ProbeError::Unreachable);
            self.admission
                .probe_finished(&id, &endpoint, outcome, &self.registry, now);
        }
    }

    fn learn(&mut self, n: u8) {
        let at = self.at;
        assert_eq!(
            self.offer_record(&announce(n, at)),
            Ok(OfferOutcome::Candidate)
        );
        self.probe(|_| true);
        assert!(self.registry.holds(&id(n), false));
    }
}
