//! Sampling: random numbers by the handful, and windows on long bands.

use crate::sync::{random_bits, turn};
use std::ops::Range;

/// The longest stretch that is sampled at once.
///
/// Entries all over a band of a hundred thousand would each be a miss of every
/// cache. Those of a window stay in them, for it moves on by one entry with each
/// search of a thread.
pub(crate) const WINDOW: usize = 256;

/// The random numbers of one search, drawn from the thread's generator four at
/// a time.
#[derive(Debug, Default)]
pub(crate) struct Chance {
    bits: u64,
    left: u32,
    turn: Option<u32>,
}

/// A part of a band that goes around in it.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    band: Range<usize>,
    start: usize,
    len: u32,
}

impl Chance {
    /// A number below `bound`, which is at most 2^16.
    #[inline(always)]
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        if self.left == 0 {
            self.bits = random_bits();
            self.left = u64::BITS / u16::BITS;
        }
        self.left -= 1;
        let bits = self.bits as u16;
        self.bits >>= u16::BITS;
        ((u64::from(bits) * u64::from(bound)) >> u16::BITS) as u32
    }

    /// The part of a band to sample now.
    #[inline(always)]
    pub(crate) fn window(&mut self, band: Range<usize>) -> Window {
        if band.len() <= WINDOW {
            let (start, len) = (band.start, band.len() as u32);
            return Window { band, start, len };
        }
        let turn = *self.turn.get_or_insert_with(turn) as usize;
        Window {
            start: band.start + turn % band.len(),
            len: WINDOW as u32,
            band,
        }
    }

    /// A place in the window, each as likely as any other.
    #[inline(always)]
    pub(crate) fn place_in(&mut self, window: &Window) -> usize {
        window.place(self.below(window.len) as usize)
    }
}

impl Window {
    /// Whether it will move on.
    #[inline(always)]
    pub(crate) fn is_moving(&self) -> bool {
        self.band.len() > self.len as usize
    }

    /// The place that will be in the window so many searches later.
    #[inline]
    pub(crate) fn entrant(&self, searches: usize) -> usize {
        let offset = self.len as usize + searches;
        // In a band that is hardly longer, it has gone around.
        self.place(offset.checked_sub(self.band.len()).unwrap_or(offset))
    }

    #[inline(always)]
    fn place(&self, offset: usize) -> usize {
        let place = self.start + offset;
        if place < self.band.end {
            place
        } else {
            place - self.band.len()
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_are_below_their_bound_and_reach_all_of_them() {
        let mut chance = Chance::default();
        let seen: BTreeSet<u32> = (0..10_000).map(|_| chance.below(7)).collect();
        assert_eq!(seen, (0..7).collect());
    }

    #[test]
    fn a_short_band_is_sampled_as_a_whole() {
        let mut chance = Chance::default();
        let window = chance.window(5..9);
        assert!(!window.is_moving());
        let seen: BTreeSet<usize> = (0..1_000).map(|_| chance.place_in(&window)).collect();
        assert_eq!(seen, (5..9).collect());
    }

    #[test]
    fn what_enters_is_in_the_band_however_short_that_is() {
        for len in WINDOW + 1..WINDOW + 20 {
            let band = 7..7 + len;
            for start in band.clone() {
                let band = band.clone();
                let window = Window {
                    start,
                    len: WINDOW as u32,
                    band: band.clone(),
                };
                assert!((0..20).all(|searches| band.contains(&window.entrant(searches))));
            }
        }
    }

    #[test]
    fn the_window_on_a_long_band_goes_around_in_it() {
        let band = 10..10 + 2 * WINDOW + 1;
        let window = || Chance::default().window(band.clone());
        let first = window();
        let entrant = first.entrant(0);
        let next = window();
        assert_eq!(next.place(WINDOW - 1), entrant);
        let later = (0..band.len()).map(|_| window().start);
        assert_eq!(later.collect::<BTreeSet<_>>(), band.clone().collect());
        let mut chance = Chance::default();
        assert!((0..1_000).all(|_| band.contains(&chance.place_in(&next))));
    }
}
