//! The few figures at the top of the page.

use relay_registry::Stats;
use serde_json::{Value, json};
use std::time::Instant;

/// Makes rates of counters.
#[derive(Default)]
pub struct Meter {
    last: Option<(Instant, u64, u64)>,
}

impl Meter {
    pub fn figures(&mut self, stats: &Stats, sessions: usize) -> Value {
        let (now, finds, refusals) = (
            Instant::now(),
            stats.finds + stats.reservations,
            stats.refusals.total(),
        );
        let (since, finds_before, refusals_before) = self.last.unwrap_or((now, finds, refusals));
        self.last = Some((now, finds, refusals));
        let seconds = now.duration_since(since).as_secs_f64().max(1e-3);
        json!({
            "relays": stats.relay_states,
            "sessions": sessions,
            "leases": stats.leases,
            "capacity": stats.capacity,
            "load": stats.load,
            "finds_per_second": (finds - finds_before) as f64 / seconds,
            "refusals_per_second": (refusals - refusals_before) as f64 / seconds,
        })
    }
}
