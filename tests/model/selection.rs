//! Eligibility and ranking.

use super::{Access, Address, Model, Obstacle, Query, Record};
use std::time::Duration;

impl<K: Copy + Ord, E: Address> Model<K, E> {
    /// The eligible relays with their scores, best first.
    pub fn eligible(&self, target: &K, query: &Query<K>) -> Vec<(K, f64)> {
        let mut eligible: Vec<_> = self
            .relays
            .iter()
            .filter(|(id, relay)| self.obstacles(id, relay, target, query).is_empty())
            .map(|(id, relay)| {
                (
                    *id,
                    relay.score(query.path(id, relay, self.settings.assumed_rtt)),
                )
            })
            .collect();
        eligible.sort_by(|a, b| a.1.total_cmp(&b.1));
        eligible
    }

    /// What a find of one relay hands out: `best`, or the preferred relay.
    pub fn handed_out(&self, best: &K, target: &K, query: &Query<K>) -> K {
        let keeps = |preferred: &K| {
            let relay = self.relays.get(preferred)?;
            let may_stay = self.obstacles(preferred, relay, target, query).is_empty()
                && relay.circuit.access(self.tick) == Access::Free
                && f64::from(relay.load()) <= f64::from(relay.capacity) * 0.9;
            (may_stay && !self.is_worth_leaving(relay, &self.relays[best])).then_some(())
        };
        query
            .preferred
            .filter(|preferred| keeps(preferred).is_some())
            .unwrap_or(*best)
    }

    /// Whether `best` is better by at least 10 ms and a third. Legs that are assumed for both are left out.
    fn is_worth_leaving(&self, current: &Record<E>, best: &Record<E>) -> bool {
        let (current, best) = match (current.latency(), best.latency()) {
            (None, None) => return false,
            legs => legs,
        };
        let micros = |leg: Option<Duration>| leg.unwrap_or(self.settings.assumed_rtt).as_micros();
        let (current, best) = (micros(current), micros(best));
        let gain = current.saturating_sub(best);
        gain >= 10_000 && gain as f64 >= current as f64 * (1.0 / 3.0)
    }

    /// [`Model::eligible`] for the rest of a list that begins with `first`: relays on trial are last.
    pub fn listed_after(&self, first: &K, target: &K, query: &Query<K>) -> Vec<(K, f64)> {
        let mut others = self.eligible(target, query);
        others.retain(|(id, _)| id != first);
        others.sort_by_key(|(id, _)| self.relays[id].circuit.access(self.tick) != Access::Free);
        others
    }

    /// The relays that may be a last resort, if no other relay is eligible: the preferred one, or those that
    /// have been backing off for longest.
    pub fn last_resorts(&self, target: &K, query: &Query<K>) -> Vec<K> {
        if self.settings.max_ejected_share >= 1.0 {
            return Vec::new();
        }
        let stands_aside = |(id, relay): &(&K, &Record<E>)| {
            self.obstacles(id, relay, target, query) == [Obstacle::BackingOff]
        };
        let candidates = || self.relays.iter().filter(stands_aside);
        let preferred = candidates().find(|(id, _)| query.preferred == Some(**id));
        if let Some((preferred, _)) = preferred {
            return vec![*preferred];
        }
        let longest = candidates().map(|(_, relay)| relay.circuit.since).min();
        candidates()
            .filter(|(_, relay)| Some(relay.circuit.since) == longest)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Every reason why a live relay is not eligible.
    pub fn obstacles(
        &self,
        id: &K,
        relay: &Record<E>,
        target: &K,
        query: &Query<K>,
    ) -> Vec<Obstacle> {
        let excluded =
            id == target || self.settings.local == Some(*id) || query.excluded.contains(id);
        let distance = match (query.max_latency, query.first_leg(id, relay)) {
            (Some(max), Some(latency)) if latency > max => Some(Obstacle::TooFar),
            (Some(_), None) if !query.allow_unmeasured => Some(Obstacle::Unmeasured),
            _ => None,
        };
        let mut obstacles = Vec::new();
        obstacles.extend(excluded.then_some(Obstacle::Excluded));
        obstacles.extend(match relay.circuit.access(self.tick) {
            Access::Banned => Some(Obstacle::Banned),
            Access::BackingOff => Some(Obstacle::BackingOff),
            _ => None,
        });
        obstacles.extend(relay.draining.then_some(Obstacle::Draining));
        obstacles.extend(relay.lacks(query.units).then_some(Obstacle::Full));
        obstacles.extend(distance);
        obstacles
    }
}
