//! Random orders of publishing, withdrawing, replaying, skew and loss: an older
//! record never wins, a withdrawn one never returns.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use relay_registry::dht::{
    Announcement, DhtOptions, Faults, Network, RelayDht, RelayRecord, SignedRecord, next_sequence,
};
use relay_registry::{Clock, NodeId};

use crate::world::{EPOCH, Node, TTL, World, id, key, secs};

const RELAYS: u8 = 3;

#[derive(Clone, Debug)]
enum Op {
    /// A relay publishes a new record, by a clock that is off by this many seconds.
    Publish(u8, i64),
    Withdraw(u8, i64),
    /// An old record is stored again on nodes that have no newer one.
    Store(usize),
    /// A peer offers one of them.
    Offer(usize),
    /// Storage nodes lose what they have.
    Forget(usize),
    Faults(u8, u8),
    LookUp(u8),
    Pass(u16),
    Work,
}

fn op() -> impl Strategy<Value = Op> {
    let relay = 0..RELAYS;
    let skew = -200_i64..200;
    prop_oneof![
        3 => (relay.clone(), skew.clone()).prop_map(|(n, skew)| Op::Publish(n, skew)),
        2 => (relay.clone(), skew).prop_map(|(n, skew)| Op::Withdraw(n, skew)),
        3 => any::<usize>().prop_map(Op::Store),
        3 => any::<usize>().prop_map(Op::Offer),
        1 => (0..8_usize).prop_map(Op::Forget),
        1 => (0..80_u8, 0..80_u8).prop_map(|(loss, stale)| Op::Faults(loss, stale)),
        2 => relay.prop_map(Op::LookUp),
        3 => (1..400_u16).prop_map(Op::Pass),
        4 => Just(Op::Work),
    ]
}

struct Model {
    world: World,
    reader: Node,
    /// All records so far.
    records: Vec<SignedRecord>,
    last: BTreeMap<u8, u64>,
    /// The sequence that goes with a port.
    of_port: BTreeMap<u16, u64>,
    /// The highest sequence of each relay that the reader certainly knows.
    heard: BTreeMap<NodeId, u64>,
    /// The same for withdrawals.
    withdrawn: BTreeMap<NodeId, u64>,
}

impl Model {
    fn new() -> Self {
        let world = World::new();
        let options: DhtOptions = world.options().max_updates_per_minute(u32::MAX);
        Self {
            reader: world.node_with(options),
            world,
            records: Vec::new(),
            last: BTreeMap::new(),
            of_port: BTreeMap::new(),
            heard: BTreeMap::new(),
            withdrawn: BTreeMap::new(),
        }
    }

    fn sign(&mut self, n: u8, skew: i64, withdraws: bool) {
        let now = self.world.wall.now();
        let wall = Duration::from_secs(now.as_secs().saturating_add_signed(skew));
        let wall = wall.max(EPOCH);
        let sequence = next_sequence(self.last.get(&n).copied(), wall);
        let port = self.records.len() as u16 + 1;
        let record = if withdraws {
            RelayRecord::withdraw(sequence, wall, TTL).unwrap()
        } else {
            self.of_port.insert(port, sequence);
            let endpoint = format!("5.6.{n}.1:{port}").parse().unwrap();
            let announcement = Announcement::new(endpoint, 10).unwrap();
            RelayRecord::announce(announcement, sequence, wall, TTL).unwrap()
        };
        self.last.insert(n, sequence);
        let signed = SignedRecord::sign(&record, &key(n), &Network::default()).unwrap();
        self.records.push(signed);
        self.store(self.records.len() - 1);
    }

    fn store(&self, index: usize) {
        let (record, deadline) = (&self.records[index], Instant::now() + secs(60));
        let _ = self.world.dht.put(record, deadline);
        let shard = self.world.dht.limits().shard_of(&record.node_id()).unwrap();
        let _ = if record.is_tombstone() {
            self.world.dht.leave(shard, record, deadline)
        } else {
            self.world.dht.join(shard, record, deadline)
        };
    }

    fn pick(&self, number: usize) -> Option<usize> {
        number.checked_rem(self.records.len())
    }

    fn offer_record(&mut self, index: usize) {
        let record = &self.records[index];
        if self.reader.registry.offer_record(record).is_ok() {
            let (id, sequence) = (record.node_id(), record.sequence());
            raise(&mut self.heard, id, sequence);
            if record.is_tombstone() {
                raise(&mut self.withdrawn, id, sequence);
            }
        }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Publish(n, skew) => self.sign(n, skew, false),
            Op::Withdraw(n, skew) => self.sign(n, skew, true),
            Op::Store(number) => {
                if let Some(index) = self.pick(number) {
                    self.store(index);
                }
            }
            Op::Offer(number) => {
                if let Some(index) = self.pick(number) {
                    self.offer_record(index);
                }
            }
            Op::Forget(node) => {
                self.world.dht.stop(node..node + 1);
                self.world.dht.start(node..node + 1);
            }
            Op::Faults(loss, stale) => {
                let share = |percent: u8| f64::from(percent) / 100.0;
                let faults = Faults::new().loss(share(loss)).stale(share(stale));
                self.reader.dht.set_faults(faults);
            }
            Op::LookUp(n) => {
                self.reader.registry.request_record(&id(n));
            }
            Op::Pass(seconds) => self.world.advance(secs(seconds.into())),
            Op::Work => self.reader.work(),
        }
    }

    /// What the reader hands out is the latest it heard, is not withdrawn, and
    /// has not expired.
    fn check(&mut self) {
        self.reader.registry.maintain();
        for relay in self.reader.registry.relays() {
            let id = relay.node_id();
            let sequence = self.of_port[&relay.endpoint().port()];
            let heard = self.heard.get(&id).copied().unwrap_or(0);
            let withdrawn = self.withdrawn.get(&id).copied().unwrap_or(0);
            assert!(sequence >= heard, "an older record won");
            assert!(sequence > withdrawn, "a withdrawn relay returned");
            raise(&mut self.heard, id, sequence);
            let record = self
                .records
                .iter()
                .find(|it| it.sequence() == sequence && it.node_id() == id);
            let expires_at = record.unwrap().record().expires_at();
            let now = self.world.wall.now();
            // Expiry is judged in ticks.
            assert!(
                now < expires_at + Duration::from_millis(200),
                "it outlived its record"
            );
        }
    }
}

fn raise(map: &mut BTreeMap<NodeId, u64>, id: NodeId, sequence: u64) {
    let highest = map.entry(id).or_default();
    *highest = sequence.max(*highest);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn an_older_record_never_wins_and_a_withdrawn_one_never_returns(
        ops in proptest::collection::vec(op(), 1..120),
    ) {
        let mut model = Model::new();
        for op in ops {
            model.run(op);
            model.check();
        }
        // The relays can still be learned again.
        model.reader.dht.set_faults(Faults::new());
        model.world.advance(secs(3_600));
        for n in 0..RELAYS {
            model.sign(n, 0, false);
        }
        for _ in 0..5 {
            model.run(Op::Work);
            model.world.advance(secs(61));
            model.check();
        }
        model.run(Op::Work);
        for n in 0..RELAYS {
            prop_assert!(model.reader.knows(n));
        }
    }
}
