//! Any answers of an engine, in any order: nothing panics, a learned relay has a valid signature and passed a
//! probe, an older record never replaces a newer one, and a withdrawn relay never returns.
#![no_main]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use relay_registry::dht::{
    Announcement, Answer, Candidate, CandidateSink, DhtError, DhtOptions, Limits, Member,
    MemberSink, Network, ProbeError, Put, RelayDht, RelayRecord, SecretKey, SignedRecord,
};
use relay_registry::{Clock, Endpoint, Maintenance, ManualClock, NodeId, RegisterError, Registry};

const EPOCH: Duration = Duration::from_secs(1_800_000_000);
const RELAYS: u8 = 4;

#[derive(Arbitrary, Debug)]
enum Step {
    Register,
    Unregister,
    Miss,
    LookUp(u8),
    Offer(Said),
    Pass(u16),
    Distribute,
}

/// A record of one of a few relays, signed at some second.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Said {
    relay: u8,
    second: u16,
    ttl: u16,
    withdraws: bool,
    private: bool,
}

#[derive(Arbitrary, Debug)]
enum Value<'a> {
    Signed(Said),
    Forged(Said, u16),
    Noise(&'a [u8]),
    Parts([u8; 32], &'a [u8], i64, [u8; 32]),
}

/// An engine whose answers are the fuzzer's.
struct Hostile(Mutex<Vec<u8>>);

impl Said {
    fn sign(self) -> Option<SignedRecord> {
        let issued = EPOCH + Duration::from_secs(self.second.into());
        let sequence = u64::try_from(issued.as_micros()).ok()?;
        let ttl = Duration::from_secs(self.ttl.into());
        let record = if self.withdraws {
            RelayRecord::withdraw(sequence, issued, ttl)
        } else {
            let block = if self.private { "10.6" } else { "5.6" };
            // The port says when the record was signed.
            let port = self.second.max(1);
            let endpoint = format!("{block}.{}.1:{port}", self.relay % RELAYS);
            let announcement = Announcement::new(endpoint.parse().ok()?, 10).ok()?;
            RelayRecord::announce(announcement, sequence, issued, ttl)
        };
        let key = SecretKey::from_seed([self.relay % RELAYS; 32]);
        SignedRecord::sign(&record.ok()?, &key, &Network::default()).ok()
    }
}

impl Hostile {
    fn draw<R>(
        &self,
        draw: impl FnOnce(&mut Unstructured<'_>) -> arbitrary::Result<R>,
    ) -> Option<R> {
        let mut bytes = self.0.lock().unwrap();
        let mut input = Unstructured::new(&bytes);
        let drawn = draw(&mut input);
        let left = input.len();
        let used = bytes.len() - left;
        bytes.drain(..used);
        drawn.ok()
    }

    fn error(&self) -> Option<DhtError> {
        let drawn = self.draw(|input| {
            Ok(match input.int_in_range(0..=23)? {
                0 => Some(DhtError::Superseded {
                    stored: input.arbitrary()?,
                }),
                1 => Some(DhtError::Conflict),
                2 => Some(DhtError::TooLarge { size: 2, max: 1 }),
                3 => Some(DhtError::Full { max: 1 }),
                4 => Some(DhtError::rejected(input.arbitrary()?)),
                5 => Some(DhtError::Timeout),
                6 => Some(DhtError::Unreachable),
                7 => Some(DhtError::Busy { max_in_flight: 1 }),
                8 => Some(DhtError::Unsupported { what: "anything" }),
                9 => Some(DhtError::Closed),
                _ => None,
            })
        });
        drawn.flatten()
    }

    fn write(&self) -> Result<Put, DhtError> {
        match self.error() {
            Some(error) => Err(error),
            None => Ok(Put::new(1, 1)),
        }
    }

    fn read(
        &self,
        mut give: impl FnMut(Candidate<'_>) -> ControlFlow<()>,
    ) -> Result<Answer, DhtError> {
        let count = self.draw(|input| input.int_in_range(0..=8)).unwrap_or(0);
        for _ in 0..count {
            let flow = self.draw(|input| {
                Ok(match Value::arbitrary(input)? {
                    Value::Signed(said) => {
                        said.sign().map(|it| give(Candidate::Encoded(&it.encode())))
                    }
                    Value::Forged(said, at) => said.sign().map(|it| {
                        let mut bytes = it.encode();
                        let bit = usize::from(at) % (bytes.len() * 8);
                        bytes[bit / 8] ^= 1 << (bit % 8);
                        give(Candidate::Encoded(&bytes))
                    }),
                    Value::Noise(bytes) => Some(give(Candidate::Encoded(bytes))),
                    Value::Parts(public_key, value, sequence, half) => {
                        let mut signature = [0; 64];
                        signature[..32].copy_from_slice(&half);
                        Some(give(Candidate::Bep44 {
                            public_key: &public_key,
                            value,
                            sequence,
                            signature: &signature,
                        }))
                    }
                })
            });
            // Some engines ignore the sink's break.
            if flow.is_none() {
                break;
            }
        }
        if let Some(error) = self.error() {
            return Err(error);
        }
        let answered = self
            .draw(|input| input.arbitrary())
            .unwrap_or((0, 0, false));
        Ok(match answered {
            (asked, answered, true) => Answer::complete(asked, answered),
            (asked, answered, false) => Answer::partial(asked, answered),
        })
    }
}

impl RelayDht for Hostile {
    fn limits(&self) -> Limits {
        let drawn = self.draw(|input| input.arbitrary::<(u16, u8, u32, u8)>());
        let (max_value, in_flight, refresh, shards) = drawn.unwrap_or((900, 4, 3_600, 4));
        let refresh = Duration::from_secs(refresh.into());
        Limits::new(
            max_value.into(),
            in_flight.into(),
            refresh,
            (shards % 8).into(),
        )
    }

    fn put(&self, _: &SignedRecord, _: Instant) -> Result<Put, DhtError> {
        self.write()
    }

    fn get(
        &self,
        _: &NodeId,
        _: Option<u64>,
        _: Instant,
        sink: &mut CandidateSink<'_>,
    ) -> Result<Answer, DhtError> {
        self.read(sink)
    }

    fn join(&self, _: u16, _: &SignedRecord, _: Instant) -> Result<Put, DhtError> {
        self.write()
    }

    fn leave(&self, _: u16, _: &SignedRecord, _: Instant) -> Result<Put, DhtError> {
        self.write()
    }

    fn members(&self, _: u16, _: Instant, sink: &mut MemberSink<'_>) -> Result<Answer, DhtError> {
        let node = self
            .draw(|input| input.int_in_range(0..=RELAYS))
            .unwrap_or(0);
        let node = SecretKey::from_seed([node; 32]).node_id();
        let _ = sink(Member { node, record: None });
        self.read(|candidate| {
            sink(Member {
                node,
                record: Some(candidate),
            })
        })
    }
}

fuzz_target!(|input: (Vec<Step>, Vec<u8>)| {
    let (steps, answers) = input;
    let (clock, wall) = (ManualClock::new(), ManualClock::new());
    wall.advance(EPOCH);
    let own = SecretKey::from_seed([0xff; 32]);
    let own_id = own.node_id();
    let probed: Arc<Mutex<Vec<(NodeId, Endpoint)>>> = Arc::default();
    let noted = Arc::clone(&probed);
    let options = DhtOptions::new()
        .key(own)
        .worker_threads(0)
        .seed(1)
        .max_updates_per_minute(u32::MAX)
        .probe(move |relay: &NodeId, endpoint: &Endpoint, _| {
            noted.lock().unwrap().push((*relay, endpoint.clone()));
            if endpoint.port() % 7 == 0 {
                Err(ProbeError::Unreachable)
            } else {
                Ok(Duration::from_millis(5))
            }
        });
    let registry = Registry::builder()
        .max_relays(8)
        .maintenance(Maintenance::Manual)
        .clock(clock.clone())
        .wall_clock(wall.clone())
        .dht(Hostile(Mutex::new(answers)), options)
        .build()
        .unwrap();
    // The second at which each relay's latest known record was signed.
    let mut heard = BTreeMap::<NodeId, u16>::new();
    for step in steps.into_iter().take(64) {
        match step {
            Step::Register => {
                let endpoint: Endpoint = "5.7.7.7:1".parse().unwrap();
                match registry.register(own_id, endpoint) {
                    // The engine says what it carries, and may say too little.
                    Ok(_) | Err(RegisterError::TooLargeToPublish { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Unregister => drop(registry.unregister(&own_id)),
            Step::Miss => drop(registry.find_relay(&NodeId::from([9; 32]))),
            Step::LookUp(relay) => {
                registry.request_record(&SecretKey::from_seed([relay % RELAYS; 32]).node_id());
            }
            Step::Offer(said) => {
                if let Some(record) = said.sign() {
                    let offered = registry.offer_record(&record);
                    if offered.is_ok() {
                        let latest = heard.entry(record.node_id()).or_default();
                        *latest = said.second.max(*latest);
                        if said.withdraws {
                            assert!(!registry.is_relay(&record.node_id()));
                        }
                    }
                }
            }
            Step::Pass(seconds) => {
                let by = Duration::from_secs(seconds.into());
                clock.advance(by);
                wall.advance(by);
            }
            Step::Distribute => drop(registry.run_distribution()),
        }
        registry.maintain();
        for relay in registry.relays() {
            let id = relay.node_id();
            if id == own_id {
                continue;
            }
            let at = (id, relay.endpoint().clone());
            assert!(
                probed.lock().unwrap().contains(&at),
                "it was not probed there"
            );
            let second = relay.endpoint().port();
            let latest = heard.entry(id).or_default();
            assert!(second.max(1) >= (*latest).max(1), "an older record won");
            *latest = second.max(*latest);
        }
        // Each relay has a prefix of its own, in which a failed probe delays the next.
        for relay in 0..RELAYS {
            let id = SecretKey::from_seed([relay; 32]).node_id();
            let probed = probed.lock().unwrap();
            let failed = |(of, at): &&(NodeId, Endpoint)| *of == id && at.port() % 7 == 0;
            let failed = probed.iter().filter(failed).count() as u64;
            assert!(
                failed <= 1 + clock.now().as_secs() * 2 / 15,
                "probed on and on"
            );
        }
    }
    let stats = registry.stats().dht.unwrap();
    assert!(stats.candidates <= 4_096 && stats.wanted <= 1_024 && stats.panics == 0);
});
