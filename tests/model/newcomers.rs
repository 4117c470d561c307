//! Slow start: the capacity of a newcomer counts as growing from a tenth to the whole.

use super::{Address, Model, Record};

/// The ranks of newcomers follow in so many steps.
const STEPS: u128 = 16;

impl<K: Copy + Ord, E: Address> Model<K, E> {
    /// When a newcomer arrives, if it starts slowly.
    pub(super) fn arrival(&self) -> Option<u64> {
        (!self.settings.slow_start.is_zero()).then_some(self.tick)
    }

    /// The share of the capacity of a relay that counts, and what it may still count as in the ranks.
    pub(super) fn shares(&self, relay: &Record<E>) -> (f64, f64) {
        let tick = self.settings.tick.as_nanos();
        let ticks = self.settings.slow_start.as_nanos().div_ceil(tick);
        let step = ticks.div_ceil(STEPS).max(1);
        let now = u128::from(self.tick);
        let ranked_at = now.saturating_sub(step);
        (self.share_at(relay, now), self.share_at(relay, ranked_at))
    }

    fn share_at(&self, relay: &Record<E>, tick: u128) -> f64 {
        let Some(arrived_at) = relay.arrived_at else {
            return 1.0;
        };
        let ticks = tick.saturating_sub(arrived_at.into());
        let age = ticks as f64 * self.settings.tick.as_secs_f64();
        (0.1 + 0.9 * age / self.settings.slow_start.as_secs_f64()).min(1.0)
    }
}
