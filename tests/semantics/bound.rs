//! Rule 1, of a table with several shards: a newcomer is refused exactly if the table is full,
//! compared with a set of relays and their deadlines.

use crate::common::*;
use fastrand::Rng;
use proptest::prelude::*;
use relay_registry::{RegisterError, Registration};
use std::collections::BTreeMap;

/// With so many, a machine with two cores or more has eight shards.
const MAX: usize = 4_096;
/// Ids of which most are held at the bound.
const IDS: u32 = MAX as u32 + MAX as u32 / 8;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// A registration of an id that may be held, for so many ticks.
    Join(u32, u64),
    /// Registrations of so many new ids.
    JoinMany(u32),
    /// Departures of so many relays.
    LeaveMany(usize),
    Advance(u64),
    Maintain,
}

fn any_life() -> impl Strategy<Value = u64> {
    prop_oneof![1..5_u64, Just(LONG)]
}

const LONG: u64 = 1_000_000;

fn any_op() -> impl Strategy<Value = Op> {
    let few_or_many = || prop_oneof![4 => 1..4_u32, 1 => 1..600_u32];
    prop_oneof![
        6 => (0..IDS, any_life()).prop_map(|(n, life)| Op::Join(n, life)),
        4 => few_or_many().prop_map(Op::JoinMany),
        4 => few_or_many().prop_map(|count| Op::LeaveMany(count as usize)),
        2 => (0..3_u64).prop_map(Op::Advance),
        1 => Just(Op::Maintain),
    ]
}

/// A table beside the relays that it should have.
struct Compared {
    world: World,
    now: u64,
    /// Deadlines in ticks.
    relays: BTreeMap<u32, u64>,
    next_id: u32,
    rng: Rng,
}

impl Compared {
    /// A full table, where the deadlines of some relays are near.
    fn full(seed: u64) -> Self {
        let mut compared = Self {
            world: world_of(MAX),
            now: 0,
            relays: BTreeMap::new(),
            next_id: IDS,
            rng: Rng::with_seed(seed),
        };
        for n in 0..MAX as u32 {
            let life = if n % 16 == 0 {
                u64::from(n) / 16 % 8 + 1
            } else {
                LONG
            };
            compared.join(n, life);
        }
        compared
    }

    fn perform(&mut self, op: Op) {
        match op {
            Op::Join(n, life) => self.join(n, life),
            Op::JoinMany(count) => {
                for _ in 0..count {
                    self.next_id += 1;
                    self.join(self.next_id, LONG);
                }
            }
            Op::LeaveMany(count) => (0..count).for_each(|_| self.leave_any()),
            Op::Advance(ticks) => {
                self.now += ticks;
                self.world.advance(TICK * ticks as u32);
                self.relays.retain(|_, deadline| *deadline > self.now);
            }
            Op::Maintain => _ = self.world.maintain(),
        }
        assert_eq!(self.world.relay_count(), self.relays.len(), "{op:?}");
    }

    fn join(&mut self, n: u32, life: u64) {
        let options = ttl(TICK * life as u32);
        let outcome = self.world.register_with(id(n), endpoint(n), &options);
        match outcome {
            Ok(Registration::Renewed) => assert!(self.relays.contains_key(&n), "relay {n}"),
            Ok(_) => {
                assert!(!self.relays.contains_key(&n), "relay {n}");
                assert!(self.relays.len() < MAX, "relay {n} is one too many");
            }
            Err(RegisterError::Full { max: MAX, .. }) => {
                assert!(!self.relays.contains_key(&n), "relay {n}");
                assert_eq!(self.relays.len(), MAX, "there is room for relay {n}");
                return;
            }
            Err(error) => panic!("relay {n}: {error}"),
        }
        self.relays.insert(n, self.now + life);
    }

    fn leave_any(&mut self) {
        let from = self.rng.u32(..self.next_id);
        let at_or_after = self.relays.range(from..).next();
        let any = at_or_after.or_else(|| self.relays.iter().next());
        if let Some((&n, _)) = any {
            self.world.leave(n);
            self.relays.remove(&n);
        }
    }
}

proptest! {
    #[test]
    fn s01_a_newcomer_is_refused_exactly_if_the_table_is_full(
        seed in any::<u64>(),
        ops in prop::collection::vec(any_op(), 1..40),
    ) {
        let mut compared = Compared::full(seed);
        ops.into_iter().for_each(|op| compared.perform(op));
        // Whatever has happened, there is room for all that are missing, and for no more.
        compared.perform(Op::JoinMany(MAX as u32 - compared.relays.len() as u32 + 1));
    }
}
