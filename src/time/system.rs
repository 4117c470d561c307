//! The default clock: the operating system's, and one that goes on while the machine is
//! suspended, if the system has one.
//!
//! | system | clock | goes on while suspended |
//! |---|---|---|
//! | Linux, Android | `CLOCK_BOOTTIME` | yes |
//! | macOS, iOS and the like | `CLOCK_MONOTONIC_RAW` | yes |
//! | Windows | that of [`Instant`], `QueryPerformanceCounter` | yes |
//! | any other, and where the above is refused | that of [`Instant`] | as the system decides |

use crate::time::Clock;
use std::time::{Duration, Instant};

/// See the module's description.
#[derive(Debug)]
pub(crate) struct MonotonicClock(Source);

#[derive(Debug)]
enum Source {
    /// The clock that [`continuous`] reads.
    Continuous,
    /// The time since this instant.
    Since(Instant),
}

impl MonotonicClock {
    pub(crate) fn new() -> Self {
        Self(match continuous() {
            Some(_) => Source::Continuous,
            None => Source::Since(Instant::now()),
        })
    }
}

impl Clock for MonotonicClock {
    fn now(&self) -> Duration {
        match &self.0 {
            // It was read when this was made. If it cannot be read any more, zero is a
            // reading that went backwards, which is ignored.
            Source::Continuous => continuous().unwrap_or_default(),
            Source::Since(origin) => origin.elapsed(),
        }
    }
}

/// The system's clock that goes on while the machine is suspended, if it has one.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn continuous() -> Option<Duration> {
    #[cfg(target_vendor = "apple")]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC_RAW;
    #[cfg(not(target_vendor = "apple"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_BOOTTIME;

    let mut reading = std::mem::MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the address is that of a `timespec`, which may be written to.
    let status = unsafe { libc::clock_gettime(CLOCK, reading.as_mut_ptr()) };
    // SAFETY: its fields are integers, for which zero bytes are valid.
    let reading = unsafe { reading.assume_init() };
    let secs = u64::try_from(reading.tv_sec).ok()?;
    let nanos = u32::try_from(reading.tv_nsec).ok()?;
    (status == 0).then(|| Duration::new(secs, nanos))
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn continuous() -> Option<Duration> {
    None
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_default_clock_only_rises() {
        let clock = MonotonicClock::new();
        let mut last = clock.now();
        for _ in 0..1_000 {
            let now = clock.now();
            assert!(now >= last, "{now:?} after {last:?}");
            last = now;
        }
    }

    /// The uptime that the system reports includes all suspensions.
    #[test]
    #[cfg(all(target_os = "linux", not(miri)))]
    fn the_default_clock_counts_the_time_since_the_machine_was_started() {
        let uptime = || {
            let text = std::fs::read_to_string("/proc/uptime").unwrap();
            let secs: f64 = text.split(' ').next().unwrap().parse().unwrap();
            Duration::from_secs_f64(secs)
        };
        let clock = MonotonicClock::new();
        assert!(matches!(clock.0, Source::Continuous));
        let (before, now, after) = (uptime(), clock.now(), uptime());
        // Shown in hundredths of a second.
        let hundredth = Duration::from_millis(10);
        assert!(before <= now + hundredth && now <= after + hundredth);
    }
}
