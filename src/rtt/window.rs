//! The least round-trip time of the last five minutes, in three words.
//!
//! Noise only ever adds to a round-trip time, so the minimum is the best guess
//! of the path itself; the window lets it rise again when the path changes
//! (the filter of BBR, RFC draft-ietf-ccwg-bbr, and of Tailscale's netcheck).
//!
//! Time is cut into slices of 50 seconds, two to a word. The window is the pair
//! of slices with the latest sample and the two pairs before it: a sample counts
//! for at least 200 seconds and at most 300, and the last known minimum stands
//! when nothing newer is measured. Slice `s` lives in word `s / 2 % 3`, in half
//! `s % 2`:
//!
//! ```text
//!  63          48 47            24 23             0
//! +--------------+----------------+----------------+
//! |     pair     |  odd minimum   |  even minimum  |
//! +--------------+----------------+----------------+
//! ```
//!
//! The pair number is stored plus one, modulo 2^16 - 1: a sample that is 38 days old is taken
//! for new. A minimum of zero is *no sample*.

use crate::sync::{AtomicU64, Ordering};

const WORDS: usize = 3;
const VALUE_BITS: u32 = 24;
const VALUE_MASK: u64 = (1 << VALUE_BITS) - 1;
const PAIR_SHIFT: u32 = 2 * VALUE_BITS;
const PAIRS: u64 = (1 << (u64::BITS - PAIR_SHIFT)) - 1;

/// Samples of one relay. All-zero memory is a window without samples.
#[derive(Debug, Default)]
pub(crate) struct RttWindow([AtomicU64; WORDS]);

impl RttWindow {
    /// Length of a slice.
    const SLICE_NANOS: u64 = 50_000_000_000;

    /// Takes in a sample of 1 to 2^24 - 1 microseconds at `elapsed_nanos`.
    pub(crate) fn record(&self, elapsed_nanos: u64, micros: u32) {
        let slice = elapsed_nanos / Self::SLICE_NANOS;
        let word = &self.0[(slice / 2) as usize % WORDS];
        let mut seen = word.load(Ordering::Relaxed);
        loop {
            let next = with_sample(seen, slice, u64::from(micros));
            if next == seen {
                return;
            }
            // Relaxed throughout: a sample carries nothing but itself.
            match word.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(current) => seen = current,
            }
        }
    }

    /// The minimum over the window that ends with the latest sample, seen from
    /// `elapsed_nanos`; `None` before the first sample.
    pub(crate) fn minimum(&self, elapsed_nanos: u64) -> Option<u32> {
        let now = elapsed_nanos / Self::SLICE_NANOS;
        let words: [u64; WORDS] = std::array::from_fn(|word| self.0[word].load(Ordering::Relaxed));
        let samples = || words.into_iter().flat_map(move |word| slices(word, now));
        let latest_age = samples().map(|(age, _)| age).min()?;
        samples()
            .filter(|&(age, _)| age < latest_age + 2 * WORDS as u64)
            .map(|(_, micros)| micros)
            .min()
    }

    /// Takes over the samples of another window.
    pub(crate) fn copy_from(&self, other: &Self) {
        for (word, others) in self.0.iter().zip(&other.0) {
            word.store(others.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Forgets all samples, for a record that begins a new life.
    pub(crate) fn clear(&self) {
        for word in &self.0 {
            word.store(0, Ordering::Relaxed);
        }
    }
}

/// `word` with a sample of `slice`; an older pair of slices makes room.
fn with_sample(word: u64, slice: u64, micros: u64) -> u64 {
    let pair = pair_stamp(slice / 2);
    let shift = (slice % 2) as u32 * VALUE_BITS;
    let kept = if word >> PAIR_SHIFT == pair {
        word
    } else {
        pair << PAIR_SHIFT
    };
    match kept >> shift & VALUE_MASK {
        least if least != 0 && least <= micros => kept,
        _ => kept & !(VALUE_MASK << shift) | micros << shift,
    }
}

/// Age in slices and minimum of each slice of `word` that has a sample.
fn slices(word: u64, now: u64) -> impl Iterator<Item = (u64, u32)> {
    let stamp = word >> PAIR_SHIFT;
    // Pairs since the word was written, by the stamps' circle.
    let behind = (pair_stamp(now / 2) + PAIRS - stamp) % PAIRS;
    // Ahead of a `now` that was read a little earlier is as good as now.
    let age_in_pairs = if behind >= PAIRS - 2 { 0 } else { behind };
    (0..2).filter_map(move |half| {
        let micros = (word >> (half as u32 * VALUE_BITS) & VALUE_MASK) as u32;
        let age = (2 * age_in_pairs + now % 2).saturating_sub(half);
        (micros != 0).then_some((age, micros))
    })
}

fn pair_stamp(pair: u64) -> u64 {
    pair % PAIRS + 1
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    fn at(seconds: u64) -> u64 {
        seconds * 1_000_000_000
    }

    #[test]
    fn the_minimum_of_the_window_counts() {
        let window = RttWindow::default();
        assert_eq!(window.minimum(at(0)), None);
        window.record(at(0), 900);
        window.record(at(1), 700);
        window.record(at(2), 800);
        assert_eq!(window.minimum(at(3)), Some(700));
    }

    #[test]
    fn an_old_minimum_gives_way_to_later_samples() {
        for start in [0, 49, 50, 99, 1_234_567] {
            let window = RttWindow::default();
            window.record(at(start), 100);
            window.record(at(start + 200), 500);
            assert_eq!(
                window.minimum(at(start + 200)),
                Some(100),
                "up to 200 seconds"
            );
            window.record(at(start + 301), 600);
            assert_eq!(window.minimum(at(start + 301)), Some(500), "after 300");
        }
    }

    #[test]
    fn without_new_samples_the_last_minimum_stands() {
        let window = RttWindow::default();
        window.record(at(10), 300);
        window.record(at(70), 400);
        assert_eq!(window.minimum(at(100_000)), Some(300));
        window.record(at(100_000), 900);
        assert_eq!(window.minimum(at(100_000)), Some(900));
    }

    #[test]
    fn each_minute_of_a_long_run_sees_its_own_window() {
        let window = RttWindow::default();
        for minute in 0..10_000_u64 {
            window.record(at(minute * 60), 10_000 + minute as u32);
            // The window begins two pairs of slices before the present one.
            let start = (minute * 60 / 100).saturating_sub(2) * 100;
            let oldest = 10_000 + start.div_ceil(60) as u32;
            assert_eq!(window.minimum(at(minute * 60)), Some(oldest), "{minute}");
        }
    }
}
