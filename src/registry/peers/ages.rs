//! The order in which views were updated, and which entries are free.
//!
//! Entries are numbers. Those in use are in a doubly linked list, the oldest first. Free ones
//! wait in a queue, so that an entry is used again as late as possible: a reader that is still
//! at it would have to begin anew. Memory is taken as entries come into use.

use crate::footprint::Footprint;
use std::collections::VecDeque;

/// So many entries stay free where possible.
pub(super) const SPARE: usize = if cfg!(relay_loom) { 1 } else { 16 };

/// Beyond both ends of the list.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Neighbours {
    older: u32,
    newer: u32,
}

/// See the module's description.
pub(super) struct Ages {
    /// Of each entry that was ever in use; meaningful for those that are.
    neighbours: Vec<Neighbours>,
    /// How many entries there may be.
    most: usize,
    oldest: u32,
    newest: u32,
    len: usize,
    free: VecDeque<u32>,
}

impl Ages {
    /// For so many entries, more than are ever in use at once.
    pub(super) fn new(most: usize) -> Self {
        Self {
            neighbours: Vec::new(),
            most,
            oldest: NONE,
            newest: NONE,
            len: 0,
            free: VecDeque::new(),
        }
    }

    /// How many entries are in use.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn footprint(&self) -> Footprint {
        Footprint::of_items::<Neighbours>(self.neighbours.capacity())
            + Footprint::of_items::<u32>(self.free.capacity())
    }

    /// How many entries were ever in use.
    pub(super) fn used(&self) -> usize {
        self.neighbours.len()
    }

    pub(super) fn oldest(&self) -> Option<u32> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    /// The entries that are in use, the oldest first.
    #[cfg(feature = "persistence")]
    pub(super) fn oldest_first(&self) -> impl Iterator<Item = u32> {
        std::iter::successors(self.oldest(), |&entry| {
            let newer = self.neighbours[entry as usize].newer;
            (newer != NONE).then_some(newer)
        })
    }

    /// An entry that is not in use.
    pub(super) fn take_free(&mut self) -> u32 {
        let is_scarce = self.free.len() <= SPARE && self.neighbours.len() < self.most;
        match self.free.front().filter(|_| !is_scarce) {
            Some(&longest) => {
                self.free.pop_front();
                longest
            }
            None => {
                let unused = self.neighbours.len() as u32;
                self.neighbours.push(Neighbours {
                    older: NONE,
                    newer: NONE,
                });
                unused
            }
        }
    }

    /// Adds an entry as the newest.
    pub(super) fn push_newest(&mut self, entry: u32) {
        self.neighbours[entry as usize] = Neighbours {
            older: self.newest,
            newer: NONE,
        };
        match self.newest {
            NONE => self.oldest = entry,
            newest => self.neighbours[newest as usize].newer = entry,
        }
        self.newest = entry;
        self.len += 1;
    }

    /// Removes an entry, which is free from now on.
    pub(super) fn remove(&mut self, entry: u32) {
        let Neighbours { older, newer } = self.neighbours[entry as usize];
        match older {
            NONE => self.oldest = newer,
            older => self.neighbours[older as usize].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.neighbours[newer as usize].older = older,
        }
        self.len -= 1;
        self.free.push_back(entry);
    }
}
