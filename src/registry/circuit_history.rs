//! The circuits of relays that failed and whose records were forgotten. Without them, a
//! relay would shed its penalties by leaving for long enough.
//!
//! Each is one word, the circuit's own, with a mark of the id in bits that the circuit does
//! not need any more (the sequence, which no lease of another record knows, and two flags):
//!
//! ```text
//!  63          54 53       39 38               0
//! +--------------+-----------+------------------+
//! | circuit      | mark      | circuit: until   |
//! +--------------+-----------+------------------+
//! ```
//!
//! It is a set-associative cache: the keyed hash of the id names a set of four slots. When
//! all four are taken, the circuit whose back-off ends first is replaced. So memory is
//! bounded and an operation reads four words. If two are inserted at one moment, one may be
//! lost. At worst one new relay in 8,000 is taken for another that failed, and is
//! tried before it is trusted.

use crate::footprint::Footprint;
use crate::relay::NodeId;
use crate::sync::{AtomicBool, AtomicU64, Ordering, ZeroedSlice, random_hasher};
use crate::table::record::Circuit;

const WAYS: usize = if cfg!(relay_loom) { 1 } else { 4 };
const SETS: usize = if cfg!(relay_loom) { 2 } else { 1 << 14 };

/// The circuits of forgotten relays, by id.
///
/// All accesses are relaxed: a word carries nothing but itself, and a thread that does not see
/// an insertion yet takes the relay for one that did not fail.
pub(crate) struct CircuitHistory {
    slots: ZeroedSlice<AtomicU64>,
    /// Set for good after the first insertion: until then, no set is read.
    is_used: AtomicBool,
    hasher: ahash::RandomState,
}

impl CircuitHistory {
    /// `None` if there is not enough memory.
    pub(super) fn new() -> Option<Self> {
        Some(Self {
            slots: ZeroedSlice::new(SETS * WAYS)?,
            is_used: AtomicBool::new(false),
            hasher: random_hasher(),
        })
    }

    /// It counts as used as a whole once any of it is.
    pub(super) fn footprint(&self) -> Footprint {
        let used = match self.is_used() {
            true => self.slots.len(),
            false => 0,
        };
        Footprint::of_some::<AtomicU64>(used, self.slots.len())
    }

    /// Whether it has, or had, the circuit of any relay.
    #[inline]
    pub(super) fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    /// Replaces the circuit of a relay; one without penalties takes no slot.
    pub(super) fn insert(&self, relay: &NodeId, circuit: Circuit) {
        if !circuit.is_penalised() {
            if self.is_used() {
                self.remove(relay);
            }
            return;
        }
        let (set, mark) = self.locate(relay);
        let words = || set.iter().map(|slot| slot.load(Ordering::Relaxed));
        let slot = words()
            .position(|word| word != 0 && Circuit::mark_of(word) == mark)
            .or_else(|| (0..WAYS).min_by_key(|&way| words().nth(way).map(ends_at)));
        set[slot.unwrap_or(0)].store(circuit.marked(mark), Ordering::Relaxed);
        self.is_used.store(true, Ordering::Relaxed);
    }

    /// The circuit of a relay, if it is here.
    #[inline]
    pub(super) fn get(&self, relay: &NodeId) -> Option<Circuit> {
        if !self.is_used() {
            return None;
        }
        self.find(relay)
    }

    /// Removes the circuit of a relay; whether there was one.
    pub(super) fn remove(&self, relay: &NodeId) -> bool {
        let (set, mark) = self.locate(relay);
        let remove = |slot: &AtomicU64| {
            let word = slot.load(Ordering::Relaxed);
            let is_its = word != 0 && Circuit::mark_of(word) == mark;
            // A compare-and-swap, so that a word which another relay put there meanwhile stays.
            let swap = |word| slot.compare_exchange(word, 0, Ordering::Relaxed, Ordering::Relaxed);
            is_its && swap(word).is_ok()
        };
        set.iter().map(remove).fold(false, |any, one| any | one)
    }

    /// Removes all of them.
    pub(super) fn clear(&self) {
        for slot in self.slots.iter() {
            // Most are empty, and their memory was never touched.
            if slot.load(Ordering::Relaxed) != 0 {
                slot.store(0, Ordering::Relaxed);
            }
        }
    }

    fn find(&self, relay: &NodeId) -> Option<Circuit> {
        let (set, mark) = self.locate(relay);
        let mut words = set.iter().map(|slot| slot.load(Ordering::Relaxed));
        words
            .find(|&word| word != 0 && Circuit::mark_of(word) == mark)
            .map(Circuit::from_marked)
    }

    fn locate(&self, relay: &NodeId) -> (&[AtomicU64], u64) {
        let hash = self.hasher.hash_one(relay);
        let set = (hash >> 32) as usize % SETS;
        (&self.slots[set * WAYS..][..WAYS], hash & Circuit::MARK_MASK)
    }
}

fn ends_at(word: u64) -> u64 {
    Circuit::from_marked(word).until().0
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::table::record::{BackOff, BackOffRange, Failure, Fault};
    use crate::time::Tick;

    fn id(n: u32) -> NodeId {
        NodeId::from_bytes(&n.to_be_bytes()).unwrap()
    }

    fn failed_at(tick: u64) -> Circuit {
        let back_off = BackOff {
            now: Tick(tick),
            tick_nanos: 1_000_000,
            jitter: 7,
            back_off_range: BackOffRange::DEFAULT,
        };
        let fault = Fault::reported(Failure::TimedOut);
        let circuit = Circuit::CLOSED.with_failure(fault, back_off);
        // As it is when it is restored.
        Circuit::from_marked(circuit.bits())
    }

    #[test]
    fn a_circuit_comes_back_as_it_was() {
        let history = CircuitHistory::new().unwrap();
        assert_eq!(history.get(&id(1)), None);
        history.insert(&id(1), failed_at(5));
        assert_eq!(history.get(&id(1)), Some(failed_at(5)));
        assert_eq!(history.get(&id(2)), None);
        history.insert(&id(1), failed_at(9));
        assert_eq!(history.get(&id(1)), Some(failed_at(9)));
    }

    #[test]
    fn a_circuit_that_is_removed_does_not_come_back() {
        let history = CircuitHistory::new().unwrap();
        for n in 1..=3 {
            history.insert(&id(n), failed_at(5));
        }
        assert!(history.remove(&id(1)));
        assert!(!history.remove(&id(1)));
        assert_eq!(history.get(&id(1)), None);
        assert!(history.get(&id(2)).is_some());
        history.clear();
        assert_eq!(history.get(&id(2)), None);
    }

    #[test]
    fn one_without_penalties_takes_no_slot() {
        let history = CircuitHistory::new().unwrap();
        history.insert(&id(1), Circuit::CLOSED);
        history.insert(&id(1), Circuit::CLOSED.with_ban(Tick(50)));
        assert_eq!(history.get(&id(1)), None);
    }

    #[test]
    fn one_that_proved_itself_since_comes_back_without_penalties() {
        let history = CircuitHistory::new().unwrap();
        history.insert(&id(1), failed_at(5));
        history.insert(&id(1), Circuit::CLOSED);
        assert_eq!(history.get(&id(1)), None);
    }

    #[test]
    fn of_too_many_those_are_kept_that_last_longest() {
        let history = CircuitHistory::new().unwrap();
        let crowd = 4 * (SETS * WAYS) as u32;
        for n in 0..crowd {
            history.insert(&id(n), failed_at(n.into()));
        }
        let kept = |range: std::ops::Range<u32>| {
            let kept = range.filter(|&n| history.get(&id(n)) == Some(failed_at(n.into())));
            kept.count()
        };
        assert!(kept(0..crowd / 2) < crowd as usize / 8);
        assert!(kept(crowd - crowd / 8..crowd) > crowd as usize / 10);
    }
}
