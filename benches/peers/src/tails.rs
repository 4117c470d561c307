//! The latency of single calls during a disturbance.

use hdrhistogram::Histogram;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The times of all calls within one window.
pub struct Window(Histogram<u64>);

impl Window {
    /// Calls `act` until `is_over`, which is called after every 64 calls.
    pub fn of<R>(mut act: impl FnMut() -> R, mut is_over: impl FnMut() -> bool) -> Self {
        let bounds = Histogram::new_with_bounds(1, 10_000_000_000, 3);
        let mut times = bounds.expect("valid bounds");
        while !is_over() {
            for _ in 0..64 {
                let start = Instant::now();
                black_box(act());
                times.saturating_record(nanos(start.elapsed()));
            }
        }
        Self(times)
    }

    /// Median, p99, p99.9 and worst, in nanoseconds.
    pub fn percentiles(&self) -> [f64; 4] {
        [0.5, 0.99, 0.999, 1.0].map(|share| self.0.value_at_quantile(share) as f64)
    }
}

/// The median of each percentile over all windows.
pub fn medians(windows: &[Window]) -> [f64; 4] {
    std::array::from_fn(|place| {
        let mut values: Vec<f64> = windows.iter().map(|it| it.percentiles()[place]).collect();
        crate::interleaved::median(&mut values)
    })
}

pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
