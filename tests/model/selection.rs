//! Eligibility and ranking.

use super::{Access, Address, Model, Obstacle, Query, Record};
use std::time::Duration;

/// A relay that is eligible if no tier counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate<K> {
    pub id: K,
    pub tier: u8,
    pub score: f64,
    pub is_on_trial: bool,
}

impl<K: Copy + Ord, E: Address> Model<K, E> {
    /// All relays that are eligible if no tier counts: the lowest tier first, and in it the best.
    pub fn candidates(&self, target: &K, query: &Query<K>) -> Vec<Candidate<K>> {
        let eligible = self
            .relays
            .iter()
            .filter(|(id, relay)| self.obstacles(id, relay, target, query).is_empty());
        let mut candidates: Vec<_> = eligible
            .map(|(id, relay)| {
                let rank = self.rank(id, relay);
                let path = query.path(id, relay, self.settings.assumed_rtt);
                Candidate {
                    id: *id,
                    tier: rank.tier,
                    score: rank.cost * relay.score(path),
                    is_on_trial: relay.circuit.access(self.tick) != Access::Free,
                }
            })
            .collect();
        candidates.sort_by(|a, b| a.tier.cmp(&b.tier).then(a.score.total_cmp(&b.score)));
        candidates
    }

    /// The eligible relays, best first: [candidates](Self::candidates) of the lowest tier that has any.
    pub fn eligible(&self, target: &K, query: &Query<K>) -> Vec<Candidate<K>> {
        let mut candidates = self.candidates(target, query);
        let lowest = candidates.first().map(|first| first.tier);
        candidates.retain(|candidate| Some(candidate.tier) == lowest);
        candidates
    }

    /// What a find of one relay hands out: `best`, or the preferred relay.
    pub fn handed_out(&self, best: &K, target: &K, query: &Query<K>) -> K {
        let tier = self.rank(best, &self.relays[best]).tier;
        let keeps = |preferred: &K| {
            let relay = self.relays.get(preferred)?;
            let best = &self.relays[best];
            let may_stay = self.obstacles(preferred, relay, target, query).is_empty()
                && self.rank(preferred, relay).tier <= tier
                && relay.circuit.access(self.tick) == Access::Free
                && f64::from(relay.load()) <= f64::from(relay.capacity) * 0.9;
            (may_stay && !self.is_worth_leaving(relay, best)).then_some(())
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

    /// The list that begins with `first`, as far as scores decide: each tier after the lower ones, and the
    /// relays on trial last in their tier.
    pub fn list(&self, first: &K, target: &K, query: &Query<K>) -> Vec<Candidate<K>> {
        let mut list = self.candidates(target, query);
        let at = list.iter().position(|it| it.id == *first);
        let first = list.remove(at.expect("a candidate"));
        list.sort_by_key(|it| (it.tier, it.is_on_trial));
        list.insert(0, first);
        list
    }

    /// The relays that may be a last resort, if no other relay is eligible: the preferred one, or those that
    /// have been backing off for longest. Tiers do not count.
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
        obstacles.extend(match relay.lacks(1) {
            true => Some(Obstacle::Full),
            false => relay.lacks(query.units).then_some(Obstacle::TooFewUnits),
        });
        obstacles.extend(query.filter.obstacles(relay));
        obstacles.extend(distance);
        obstacles
    }
}
