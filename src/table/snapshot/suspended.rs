//! Relays that are suspended: banned, or backing off.
//!
//! Two trees have a leaf for each relay. One has the tick at which the suspension ends, so
//! that the first find of that tick refreshes the relay. The other has the tick since which
//! a relay has backed off, if it is rejected for nothing else, so that a search for a last
//! resort finds the one that has backed off longest.

use crate::footprint::Footprint;
use crate::table::snapshot::tree::{FANOUT, Join, Tree, span};
use crate::time::Tick;

/// The join of words that hold one number: the maximum.
pub(crate) enum Greatest {}

const NUMBER_BITS: u32 = 40;

impl Join for Greatest {
    const FIELDS: u64 = (1 << NUMBER_BITS) - 1;

    fn join_two(one: u64, other: u64) -> u64 {
        (one & Self::FIELDS).max(other & Self::FIELDS)
    }
}

/// Ticks as numbers of which the earliest is the greatest; 0 means no tick.
pub(crate) struct Earliest;

impl Earliest {
    /// Later than every tick.
    pub(crate) const NEVER: u64 = Greatest::FIELDS;

    pub(crate) fn word(tick: Tick) -> u64 {
        Self::NEVER - tick.0.min(Self::NEVER - 1)
    }

    /// The tick in a word, if there is one.
    #[inline]
    pub(crate) fn tick(word: u64) -> Option<Tick> {
        match Self::number(word) {
            Self::NEVER => None,
            tick => Some(Tick(tick)),
        }
    }

    /// The tick in a word as a number; [`NEVER`](Self::NEVER) if there is none.
    #[inline]
    pub(crate) fn number(word: u64) -> u64 {
        Self::NEVER - (word & Greatest::FIELDS)
    }
}

/// See the module's description.
pub(crate) struct Suspended {
    /// When suspensions end.
    pub(super) due: Tree<Greatest>,
    /// Since when possible last resorts have backed off.
    pub(crate) since: Tree<Greatest>,
}

impl Suspended {
    pub(super) fn new(leaves: usize) -> Self {
        Self {
            due: Tree::new(leaves, true),
            since: Tree::new(leaves, true),
        }
    }

    pub(super) fn footprint(&self) -> Footprint {
        Footprint::of::<Self>() + self.due.footprint() + self.since.footprint()
    }

    /// The fields of a leaf in both trees.
    pub(super) fn leaf(&self, slot: usize) -> (u64, u64) {
        (self.due.leaf(slot), self.since.leaf(slot))
    }

    /// A lower bound of the ticks since which last resorts have backed off.
    #[inline]
    pub(crate) fn earliest(&self) -> u64 {
        Earliest::number(self.since.root_fields())
    }

    /// The slot of the relay that has backed off longest, as the words say. `top` is the
    /// level of the root of the summary tree.
    #[inline]
    pub(crate) fn longest(&self, top: usize) -> usize {
        (0..=top).rev().fold(0, |node, level| {
            let (mut most, mut longest) = (0, 0);
            for (child, word) in (0..).zip(self.since.words(level, node)) {
                let since = word & Greatest::FIELDS;
                (most, longest) = if since > most {
                    (since, child)
                } else {
                    (most, longest)
                };
            }
            node * FANOUT + longest
        })
    }

    /// Whether any suspension has ended at `tick`.
    #[inline(always)]
    pub(super) fn are_due(&self, tick: Tick) -> bool {
        is_due(self.due.root_fields(), tick)
    }

    /// The slot of a relay whose suspension has ended at `tick`.
    pub(super) fn due_at(&self, tick: Tick) -> Option<usize> {
        match self.are_due(tick) {
            true => self.due_below(self.due.top(), 0, tick),
            false => None,
        }
    }

    /// While a change is under way, a word may name a suspension that no leaf below has any
    /// more. Then the search goes on with the word beside it.
    fn due_below(&self, level: usize, node: usize, tick: Tick) -> Option<usize> {
        let words = self.due.words(level, node).into_iter().enumerate();
        let mut due = words.filter(|&(_, word)| is_due(word, tick));
        due.find_map(|(child, _)| match (node * FANOUT + child, level) {
            (slot, 0) => Some(slot),
            (node, _) => self.due_below(level - 1, node, tick),
        })
    }

    /// The first slot from `from` on whose relay is suspended.
    pub(super) fn first_from(&self, from: usize) -> Option<usize> {
        self.first_below(self.due.top(), 0, from)
    }

    fn first_below(&self, level: usize, node: usize, from: usize) -> Option<usize> {
        let words = self.due.words(level, node).into_iter().enumerate();
        let mut suspended = words.filter(|&(_, word)| word & Greatest::FIELDS != 0);
        suspended.find_map(|(child, _)| match (node * FANOUT + child, level) {
            (slot, 0) => (slot >= from).then_some(slot),
            (node, _) if (node + 1) * span(level - 1) <= from => None,
            (node, _) => self.first_below(level - 1, node, from),
        })
    }
}

/// Whether the suspension in a word has ended at a tick.
#[inline(always)]
fn is_due(word: u64, tick: Tick) -> bool {
    Earliest::tick(word).is_some_and(|due| due <= tick)
}
