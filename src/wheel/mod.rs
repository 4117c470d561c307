//! The coarse timer wheel: which records may be due at which tick.
//!
//! The wheel has seven levels of 64 lists each. A list of level `l` spans `64^l` ticks, so
//! the wheel spans more ticks than there are deadlines. A record is in at most one list,
//! at or before its deadline. A renewal does not touch the wheel: when a record comes up,
//! its present deadline says whether it is due, or which list comes next (Varghese and
//! Lauck's scheme 7, with lazy cascades).
//!
//! A record's entry is found by its index. So the wheel takes 8 bytes for each record and
//! does not grow with churn: when a record is reused, so is its entry.
//!
//! Maintenance changes the wheel, under a lock. Other threads send it records through the
//! lock-free [`Inbox`].

mod inbox;
#[cfg(all(test, relay_loom))]
mod models;

pub(crate) use inbox::Inbox;

use crate::footprint::Footprint;
use crate::limits::TICK_BITS;
use crate::time::Tick;

const LEVELS: usize = 7;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;

/// Ticks from here on share a list. All deadlines are earlier.
const END: u64 = (1 << (LEVELS as u32 * SLOT_BITS)) - 1;
const _: () = assert!(1 << TICK_BITS < END - 1);

/// Ends a list, and marks a record that is in none.
const NONE: u32 = u32::MAX;
/// Marks the link back from the first record of a list to the list itself.
const LIST: u32 = 1 << 31;

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Wheel {
    now: Tick,
    first: [[u32; SLOTS]; LEVELS],
    /// A bit for each list that is not empty.
    occupied: [u64; LEVELS],
    links: Vec<Links>,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Links {
    next: u32,
    /// The record before this one, or `LIST` and the list's number.
    back: u32,
}

const UNLINKED: Links = Links {
    next: NONE,
    back: NONE,
};

impl Wheel {
    pub(crate) fn new() -> Self {
        Self {
            now: Tick(0),
            first: [[NONE; SLOTS]; LEVELS],
            occupied: [0; LEVELS],
            links: Vec::new(),
            len: 0,
        }
    }

    /// The tick that it has advanced to.
    pub(crate) fn now(&self) -> Tick {
        self.now
    }

    /// How many records are on the wheel.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn footprint(&self) -> Footprint {
        Footprint::of_some::<Links>(self.links.len(), self.links.capacity())
    }

    /// Puts a record into the list of `deadline`, and takes it out of the list that it was
    /// in. If the deadline has passed, the record comes up at the next tick.
    pub(crate) fn schedule(&mut self, record: u32, deadline: Tick) {
        self.cancel(record);
        let at = deadline.0.clamp(self.now.0 + 1, END);
        // The highest group of six bits in which the two ticks differ.
        let level = (at ^ self.now.0).ilog2() / SLOT_BITS;
        let slot = slot_of(at, level as usize);
        self.link(record, level as usize, slot);
    }

    /// Takes a record off the wheel, if it is on it.
    pub(crate) fn cancel(&mut self, record: u32) {
        match self.links.get(record as usize) {
            Some(links) if links.back != NONE => self.unlink(record),
            _ => {}
        }
    }

    /// Advances to the tick `to` and calls `visit` for every record that comes up. `visit`
    /// returns the record's next deadline, or `None` to drop it.
    pub(crate) fn advance(&mut self, to: Tick, mut visit: impl FnMut(u32) -> Option<Tick>) {
        let to = to.0.min(END - 1);
        while let Some((at, level)) = self.next_event().filter(|&(at, _)| at <= to) {
            self.now = Tick(at);
            let slot = slot_of(at, level);
            while self.first[level][slot] != NONE {
                let record = self.first[level][slot];
                self.unlink(record);
                if let Some(deadline) = visit(record) {
                    self.schedule(record, deadline);
                }
            }
        }
        self.now = Tick(to.max(self.now.0));
    }

    /// When the next list comes up, and its level.
    fn next_event(&self) -> Option<(u64, usize)> {
        // The records of a level are ahead of its present slot, within the span of one
        // slot of the level above. So the lowest level comes first.
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        let slot = u64::from(self.occupied[level].trailing_zeros());
        let shift = level as u32 * SLOT_BITS;
        let span = self.now.0 >> shift >> SLOT_BITS << SLOT_BITS << shift;
        Some((span | slot << shift, level))
    }

    fn link(&mut self, record: u32, level: usize, slot: usize) {
        if self.links.len() <= record as usize {
            self.links.resize(record as usize + 1, UNLINKED);
        }
        let next = std::mem::replace(&mut self.first[level][slot], record);
        if next != NONE {
            self.links[next as usize].back = record;
        }
        let back = LIST | (level * SLOTS + slot) as u32;
        self.links[record as usize] = Links { next, back };
        self.occupied[level] |= 1 << slot;
        self.len += 1;
    }

    fn unlink(&mut self, record: u32) {
        let Links { next, back } = std::mem::replace(&mut self.links[record as usize], UNLINKED);
        if next != NONE {
            self.links[next as usize].back = back;
        }
        if back & LIST == 0 {
            self.links[back as usize].next = next;
        } else {
            let list = (back ^ LIST) as usize;
            let (level, slot) = (list / SLOTS, list % SLOTS);
            self.first[level][slot] = next;
            if next == NONE {
                self.occupied[level] &= !(1 << slot);
            }
        }
        self.len -= 1;
    }
}

/// The slot of a level that a tick falls in.
fn slot_of(tick: u64, level: usize) -> usize {
    (tick >> (level as u32 * SLOT_BITS)) as usize % SLOTS
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn fired(wheel: &mut Wheel, to: u64) -> Vec<u32> {
        let mut all = Vec::new();
        wheel.advance(Tick(to), |record| {
            all.push(record);
            None
        });
        all
    }

    #[test]
    fn records_come_up_at_their_deadline_at_any_distance() {
        for exponent in 0..39 {
            let deadline = 1_u64 << exponent;
            let mut wheel = Wheel::new();
            wheel.schedule(3, Tick(deadline));
            let mut visits = 0;
            wheel.advance(Tick(deadline - 1), |_| {
                visits += 1;
                Some(Tick(deadline))
            });
            assert!(visits <= LEVELS, "at most one cascade for each level");
            assert_eq!(wheel.len(), 1);
            assert_eq!(fired(&mut wheel, deadline), [3]);
            assert_eq!(wheel.len(), 0);
        }
    }

    #[test]
    fn the_last_deadline_comes_up_when_the_clock_runs_past_all_ticks() {
        let mut wheel = Wheel::new();
        wheel.schedule(0, Tick(1 << TICK_BITS));
        assert_eq!(fired(&mut wheel, u64::MAX), [0]);
        wheel.schedule(1, Tick(5));
        assert!(fired(&mut wheel, u64::MAX).is_empty(), "time has ended");
    }

    #[test]
    fn a_record_is_on_the_wheel_once() {
        let mut wheel = Wheel::new();
        for deadline in [1 << 20, 70, 5, 6_000] {
            wheel.schedule(9, Tick(deadline));
            assert_eq!(wheel.len(), 1);
        }
        wheel.cancel(9);
        wheel.cancel(9);
        assert_eq!(wheel.len(), 0);
        assert_eq!(wheel.occupied, [0; LEVELS]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// Against a sorted map: after each advance exactly the records with
        /// deadlines in the past have come up, however often the rest moved.
        #[test]
        fn like_a_sorted_map(
            steps in prop::collection::vec(
                (0_u32..24, 0_u64..5_000, 0_u32..14, any::<bool>()), 1..200)
        ) {
            let mut wheel = Wheel::new();
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            let mut now = 0;
            for (record, ahead, exponent, moves_time) in steps {
                if moves_time {
                    // Often to a deadline itself, which is seldom met by chance.
                    let earliest = model.values().min().copied();
                    let met = earliest.filter(|_| record % 2 == 0);
                    now = met.unwrap_or(now + (ahead << exponent >> 6));
                    let mut due = Vec::new();
                    wheel.advance(Tick(now), |record| {
                        let deadline: u64 = model[&record];
                        (deadline > now).then_some(Tick(deadline)).or_else(|| {
                            due.push(record);
                            None
                        })
                    });
                    let mut expected: Vec<u32> = model
                        .iter()
                        .filter(|&(_, &deadline)| deadline <= now)
                        .map(|(&record, _)| record)
                        .collect();
                    due.sort_unstable();
                    expected.sort_unstable();
                    prop_assert_eq!(&due, &expected);
                    model.retain(|_, deadline| *deadline > now);
                } else if model.get(&record).is_some_and(|&old| old <= now + (ahead << exponent)) {
                    // A renewal to a later deadline leaves the wheel alone.
                    model.insert(record, now + 1 + (ahead << exponent));
                } else {
                    let deadline = now + 1 + (ahead << exponent);
                    model.insert(record, deadline);
                    wheel.schedule(record, Tick(deadline));
                }
                prop_assert_eq!(wheel.len(), model.len());
            }
        }
    }
}
