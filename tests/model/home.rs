//! The home relay of this node.

use super::{Address, Call, Candidate, Model, Obstacle};
use std::time::Duration;

impl<K: Copy + Ord, E: Address> Model<K, E> {
    /// The relays to choose a home from, best first: if any was measured, those that were.
    pub fn homes(&self, call: &Call<K>) -> Vec<Candidate<K>> {
        let mut homes = self.eligible(call);
        let is_measured = |it: &Candidate<K>| self.relays[&it.id].latency().is_some();
        if homes.iter().any(is_measured) {
            homes.retain(is_measured);
        }
        homes
    }

    /// The home relay: `best`, or the preferred one. Unlike a relay for a path, that is also kept on trial.
    pub fn home(&self, best: &K, call: &Call<K>) -> K {
        let preferred = call.query.preferred;
        let kept = preferred.filter(|preferred| self.keeps_home(preferred, best, call));
        kept.unwrap_or(*best)
    }

    fn keeps_home(&self, preferred: &K, best: &K, call: &Call<K>) -> bool {
        let Some(relay) = self.relays.get(preferred) else {
            return false;
        };
        let lowest = self.rank(best, &self.relays[best]).tier;
        let is_eligible = match self.obstacles(preferred, relay, call)[..] {
            [] => true,
            // An earlier call handed it out.
            [Obstacle::BackingOff] => relay.circuit.is_tried(),
            _ => false,
        };
        is_eligible
            && self.rank(preferred, relay).tier <= lowest
            && f64::from(relay.load()) <= f64::from(relay.capacity) * 0.9
            && !self.is_better_home(best, preferred)
    }

    /// By at least 10 ms and a third. An unmeasured relay is not better than a measured one.
    fn is_better_home(&self, best: &K, current: &K) -> bool {
        let latency = |id: &K| self.relays[id].latency();
        let (current, best) = match (latency(current), latency(best)) {
            (_, None) => return false,
            (current, Some(best)) => (current.unwrap_or(self.settings.assumed_rtt), best),
        };
        let gain = current.saturating_sub(best);
        gain >= Duration::from_millis(10) && gain * 3 >= current
    }
}
