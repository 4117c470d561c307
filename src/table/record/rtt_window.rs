//! The least round-trip time of the last five minutes, in three words.
//!
//! Noise only ever adds to a round-trip time, so the minimum is the best guess
//! of the path itself; the window lets it rise again when the path changes
//! (the filter of BBR, RFC draft-ietf-ccwg-bbr, and of Tailscale's netcheck).
//!
//! Time is cut into slices of 100 seconds, a word for each; slice `s` lives in
//! word `s % 3`. The window is the slice with the latest sample and the two before
//! it: a sample counts for at least 200 seconds and at most 300, and not beyond its
//! lifetime. When nothing newer is measured, the last minimum stands until the latest
//! sample lapses.
//!
//! ```text
//!  63   62                24 23             0
//! +----+--------------------+----------------+
//! |seed| second of the last |    minimum     |
//! +----+--------------------+----------------+
//! ```
//!
//! The second is stored plus one, in 39 bits. A registry counts its time in 64 bits of
//! nanoseconds, which are fewer than 2^35 seconds: no stamp comes round. A minimum of
//! zero is *no sample*.
//!
//! A *seed* is a round trip that was reported, not measured. It counts while there is no
//! measurement that does, and lapses as one would.

use crate::limits::MAX_RTT;
use crate::sync::{AtomicU64, Ordering};

const WORDS: usize = 3;
const VALUE_BITS: u32 = 24;
const VALUE_MASK: u64 = (1 << VALUE_BITS) - 1;
const SEED: u64 = 1 << 63;

const NANOS: u64 = 1_000_000_000;
const SLICE_SECONDS: u64 = 100;

const _: () = assert!(MAX_RTT.as_micros() <= VALUE_MASK as u128);
const _: () = assert!(u64::MAX / NANOS + 1 < SEED >> VALUE_BITS);

/// Samples of one relay. All-zero memory is a window without samples.
#[derive(Debug, Default)]
pub(crate) struct RttWindow([AtomicU64; WORDS]);

/// A second since the registry was built: the unit of the age of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Second(u64);

/// What a window says of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Measurement {
    pub(crate) micros: u32,
    /// When the latest sample was taken, or the seed reported.
    pub(crate) latest: Second,
}

/// A round trip of a window.
#[cfg(feature = "persistence")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RttSample {
    /// Of the latest of the measurements of which this is the least.
    pub(crate) second: Second,
    pub(crate) micros: u32,
    /// Whether it was reported, and not measured.
    pub(crate) is_seed: bool,
}

/// A word taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample {
    latest: Second,
    micros: u32,
    is_seed: bool,
}

impl Second {
    pub(crate) const FIRST: Self = Self(0);

    pub(crate) fn of(elapsed_nanos: u64) -> Self {
        Self(elapsed_nanos / NANOS)
    }

    /// The first one of which a sample still counts at `elapsed_nanos`: a sample counts
    /// for its lifetime, and less than a second longer.
    pub(crate) fn oldest(elapsed_nanos: u64, lifetime_nanos: u64) -> Self {
        Self::of(elapsed_nanos.saturating_sub(lifetime_nanos))
    }

    /// When what was sampled in this second lapses, in nanoseconds.
    pub(crate) fn lapses_at(self, lifetime_nanos: u64) -> u64 {
        let ends = (self.0 + 1).saturating_mul(NANOS);
        ends.saturating_add(lifetime_nanos)
    }

    /// The seconds until it begins.
    pub(crate) fn number(self) -> u64 {
        self.0
    }

    fn slice(self) -> u64 {
        self.0 / SLICE_SECONDS
    }
}

impl Sample {
    fn from_bits(bits: u64) -> Option<Self> {
        let second = (bits & !SEED) >> VALUE_BITS;
        let micros = (bits & VALUE_MASK) as u32;
        (micros != 0).then(|| Self {
            latest: Second(second - 1),
            micros,
            is_seed: bits & SEED != 0,
        })
    }

    fn bits(self) -> u64 {
        let seed = if self.is_seed { SEED } else { 0 };
        seed | (self.latest.0 + 1) << VALUE_BITS | u64::from(self.micros)
    }

    /// What a measurement makes of the word that it goes to, where samples from `oldest`
    /// on count.
    fn after(self, held: Option<Self>, oldest: Second) -> Self {
        match held.filter(|held| held.latest >= oldest) {
            Some(held) if held.slice() > self.slice() => held,
            Some(held) if held.slice() == self.slice() && !held.is_seed => Self {
                latest: held.latest.max(self.latest),
                micros: held.micros.min(self.micros),
                is_seed: false,
            },
            _ => self,
        }
    }

    /// What a seed makes of it, where measurements from `oldest` on count.
    fn seeded_after(self, held: Option<Self>, oldest: Second) -> Self {
        match held {
            Some(held) if !held.is_seed && held.latest >= oldest => held,
            Some(held) if held.latest > self.latest => held,
            _ => self,
        }
    }

    fn slice(self) -> u64 {
        self.latest.slice()
    }
}

impl RttWindow {
    /// Adds a sample of 1 to 2^24 - 1 microseconds, where those from `oldest` on count;
    /// whether that changed anything.
    pub(crate) fn record(&self, elapsed_nanos: u64, micros: u32, oldest: Second) -> bool {
        let sample = Sample {
            latest: Second::of(elapsed_nanos),
            micros,
            is_seed: false,
        };
        self.update(sample.slice(), |held| sample.after(held, oldest))
    }

    /// Adds a seed unless a measurement from `oldest` on is there; whether that
    /// changed anything.
    pub(crate) fn seed(&self, elapsed_nanos: u64, micros: u32, oldest: Second) -> bool {
        if self.measured(oldest).is_some() {
            return false;
        }
        let seed = Sample {
            latest: Second::of(elapsed_nanos),
            micros,
            is_seed: true,
        };
        self.update(seed.slice(), |held| seed.seeded_after(held, oldest))
    }

    /// What counts, where samples from `oldest` on do.
    pub(crate) fn in_force(&self, oldest: Second) -> Option<Measurement> {
        self.measured(oldest).or_else(|| {
            let seeds = self.0.each_ref().map(load).into_iter().flatten();
            let seeds = seeds.filter(|sample| sample.is_seed && sample.latest >= oldest);
            seeds
                .max_by_key(|seed| seed.latest)
                .map(|seed| Measurement {
                    micros: seed.micros,
                    latest: seed.latest,
                })
        })
    }

    /// Whether any sample or seed from `oldest` on is there.
    #[inline]
    pub(crate) fn has_any_since(&self, oldest: Second) -> bool {
        let first = (oldest.0 + 1) << VALUE_BITS;
        // Relaxed: a sample carries nothing but itself.
        let bits = |word: &AtomicU64| word.load(Ordering::Relaxed) & !SEED;
        self.0.iter().any(|word| bits(word) >= first)
    }

    /// When the latest sample was taken that is [in force](Self::in_force), or the
    /// seed reported.
    #[inline]
    pub(crate) fn latest(&self, oldest: Second) -> Option<Second> {
        // Measurements before seeds, and of each the latest.
        let rank = |word: &AtomicU64| {
            // Relaxed: a sample carries nothing but itself.
            let bits = word.load(Ordering::Relaxed);
            let counts = (bits & !SEED) >> VALUE_BITS > oldest.0;
            if counts { bits ^ SEED } else { 0 }
        };
        let best = self.0.each_ref().map(rank).into_iter().max()?;
        Sample::from_bits(best).map(|sample| sample.latest)
    }

    /// Forgets the samples of the last tenure, before another thread sees this one.
    pub(crate) fn begin(&self) {
        for word in &self.0 {
            // Relaxed, twice: published with the identity.
            if word.load(Ordering::Relaxed) != 0 {
                word.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Forgets all samples.
    ///
    /// The word that the latest ones go to comes first: of what one thread records
    /// meanwhile, none is forgotten that it recorded after one which is kept.
    pub(crate) fn clear(&self, elapsed_nanos: u64) {
        let slice = Second::of(elapsed_nanos).slice() as usize;
        for back in 0..WORDS {
            // Release: a thread whose sample comes after this one sees those before it
            // cleared. A swap, so that each sample comes before or after it.
            self.0[(slice + 1 + WORDS - back) % WORDS].swap(0, Ordering::Release);
        }
    }

    /// The minimum over the window that ends with the latest measurement, if that is
    /// not older than `oldest`.
    fn measured(&self, oldest: Second) -> Option<Measurement> {
        let counts = |sample: &Sample| !sample.is_seed && sample.latest >= oldest;
        let measured = self.0.each_ref().map(load).map(|it| it.filter(counts));
        let measured = || measured.iter().flatten();
        let latest = measured().map(|sample| sample.latest).max()?;
        let first = latest.slice().saturating_sub(WORDS as u64 - 1);
        let recent = measured().filter(|sample| sample.slice() >= first);
        let micros = recent.map(|sample| sample.micros).min()?;
        Some(Measurement { micros, latest })
    }

    fn update(&self, slice: u64, next: impl Fn(Option<Sample>) -> Sample) -> bool {
        let word = &self.0[slice as usize % WORDS];
        // Relaxed: the compare-and-swap decides.
        let mut seen = word.load(Ordering::Relaxed);
        loop {
            let wanted = next(Sample::from_bits(seen)).bits();
            if wanted == seen {
                return false;
            }
            // Acquire: see `clear`. Else a sample carries nothing but itself.
            match word.compare_exchange_weak(seen, wanted, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(current) => seen = current,
            }
        }
    }

    /// The samples, in no order.
    #[cfg(feature = "persistence")]
    pub(crate) fn samples(&self) -> impl Iterator<Item = RttSample> {
        let samples = self.0.each_ref().map(load).into_iter().flatten();
        samples.map(|sample| RttSample {
            second: sample.latest,
            micros: sample.micros,
            is_seed: sample.is_seed,
        })
    }

    /// Takes over the samples of another window.
    pub(crate) fn copy_from(&self, other: &Self) {
        for (word, others) in self.0.iter().zip(&other.0) {
            // Relaxed: as for taking in samples.
            word.store(others.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

/// Relaxed: as for taking in samples.
fn load(word: &AtomicU64) -> Option<Sample> {
    Sample::from_bits(word.load(Ordering::Relaxed))
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVER: Second = Second::FIRST;

    fn at(seconds: u64) -> u64 {
        seconds * NANOS
    }

    fn micros(window: &RttWindow, oldest: Second) -> Option<u32> {
        window.in_force(oldest).map(|it| it.micros)
    }

    #[test]
    fn the_minimum_of_the_window_counts() {
        let window = RttWindow::default();
        assert_eq!(micros(&window, EVER), None);
        window.record(at(0), 900, EVER);
        window.record(at(1), 700, EVER);
        window.record(at(2), 800, EVER);
        assert_eq!(micros(&window, EVER), Some(700));
    }

    #[test]
    fn an_old_minimum_gives_way_to_later_samples() {
        for start in [0, 49, 50, 99, 1_234_567] {
            let window = RttWindow::default();
            window.record(at(start), 100, EVER);
            window.record(at(start + 200), 500, EVER);
            assert_eq!(micros(&window, EVER), Some(100), "up to 200 seconds");
            window.record(at(start + 301), 600, EVER);
            assert_eq!(micros(&window, EVER), Some(500), "after 300");
        }
    }

    #[test]
    fn the_last_minimum_stands_until_the_latest_sample_lapses() {
        let window = RttWindow::default();
        window.record(at(10), 300, EVER);
        window.record(at(70), 400, EVER);
        let lifetime = at(3_600);
        let at_the_end = Second(70).lapses_at(lifetime);
        assert_eq!(at_the_end, at(3_671), "in the second after it began");
        let last = Second::oldest(at_the_end - 1, lifetime);
        assert_eq!(micros(&window, last), Some(300));
        assert_eq!(micros(&window, Second::oldest(at_the_end, lifetime)), None);
        window.record(at(100_000), 900, EVER);
        assert_eq!(micros(&window, EVER), Some(900));
    }

    #[test]
    fn what_has_lapsed_does_not_come_back_with_a_later_sample() {
        let window = RttWindow::default();
        window.record(at(0), 100, EVER);
        window.record(at(120), 500, Second(1));
        assert_eq!(micros(&window, Second(1)), Some(500));
        window.record(at(130), 700, Second(121));
        assert_eq!(micros(&window, Second(121)), Some(700), "in the same slice");
    }

    #[test]
    fn each_minute_of_a_long_run_sees_its_own_window() {
        let window = RttWindow::default();
        for minute in 0..10_000_u64 {
            window.record(at(minute * 60), 10_000 + minute as u32, EVER);
            // The window begins two slices before the present one.
            let start = (minute * 60 / 100).saturating_sub(2) * 100;
            let oldest = 10_000 + start.div_ceil(60) as u32;
            assert_eq!(micros(&window, EVER), Some(oldest), "{minute}");
        }
    }

    #[test]
    fn a_seed_counts_until_the_first_measurement_and_again_when_that_has_lapsed() {
        let window = RttWindow::default();
        assert!(window.seed(at(0), 50, EVER));
        assert!(window.seed(at(0), 60, EVER), "the latest word");
        assert_eq!(micros(&window, EVER), Some(60));
        window.record(at(250), 900, EVER);
        assert_eq!(micros(&window, EVER), Some(900));
        assert!(!window.seed(at(300), 70, Second(250)));
        assert!(window.seed(at(300), 70, Second(251)));
        assert_eq!(micros(&window, Second(251)), Some(70));
    }

    /// The measurement shares the word of the seed, but not its slice.
    #[test]
    fn a_seed_leaves_a_measurement_that_counts() {
        let held = Sample {
            latest: Second(10),
            micros: 5,
            is_seed: false,
        };
        let seed = Sample {
            latest: Second(310),
            micros: 9,
            is_seed: true,
        };
        assert_eq!(seed.seeded_after(Some(held), Second(10)), held);
        assert_eq!(seed.seeded_after(Some(held), Second(11)), seed);
    }

    proptest! {
        /// With all stamps that a registry can come to.
        #[test]
        fn a_word_keeps_what_it_is_given(nanos: u64, micros in 1u32..1 << VALUE_BITS, is_seed: bool) {
            let sample = Sample { latest: Second::of(nanos), micros, is_seed };
            prop_assert_eq!(Sample::from_bits(sample.bits()), Some(sample));
        }

        /// As a list of all samples has it.
        #[test]
        fn the_least_of_the_window_is_in_force(steps in proptest::collection::vec((0u64..400, 1u32..1_000), 1..60)) {
            let window = RttWindow::default();
            let (mut second, mut samples) = (0, Vec::new());
            for (step, micros) in steps {
                second += step;
                window.record(at(second), micros, EVER);
                samples.push((second, micros));
                let first = (second / SLICE_SECONDS).saturating_sub(2);
                let recent = samples.iter().filter(|(second, _)| second / SLICE_SECONDS >= first);
                let least = recent.map(|&(_, micros)| micros).min();
                let expected = least.map(|micros| Measurement { micros, latest: Second(second) });
                prop_assert_eq!(window.in_force(EVER), expected);
            }
        }

        #[test]
        fn the_latest_is_that_of_what_is_in_force(
            steps in proptest::collection::vec((0u64..300, 1u32..1_000, any::<bool>(), 0u64..500), 1..20),
        ) {
            let (window, mut second) = (RttWindow::default(), 0);
            for (step, micros, is_seed, lifetime) in steps {
                second += step;
                let oldest = Second(second.saturating_sub(lifetime));
                match is_seed {
                    true => window.seed(at(second), micros, oldest),
                    false => window.record(at(second), micros, oldest),
                };
                for oldest in (0..second + 2).map(Second) {
                    let expected = window.in_force(oldest).map(|it| it.latest);
                    prop_assert_eq!(window.latest(oldest), expected);
                }
            }
        }
    }

    #[test]
    fn a_sample_of_any_age_is_known_to_be_old() {
        for years in [0, 1, 100, 500] {
            let start = at(years * 31_557_600);
            for days in 1..=200 {
                let window = RttWindow::default();
                window.record(start, 100, EVER);
                let now = start + at(days * 86_400);
                assert_eq!(micros(&window, Second::oldest(now, at(3_600))), None);
                window.record(now, 700, EVER);
                assert_eq!(
                    micros(&window, EVER),
                    Some(700),
                    "{years} years, {days} days"
                );
            }
        }
    }
}
