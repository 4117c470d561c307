//! Eligibility and ranking.

use super::{Access, Address, Call, Model, Record};

/// Why a live relay is not handed out, or not leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    Excluded,
    Banned,
    BackingOff,
    Draining,
    /// No unit is free.
    Full,
    /// Fewer units are free than the call asks for.
    TooFewUnits,
    /// Its failure domain is excluded.
    Domain,
    Labels,
    Family,
    TooFar,
    Unmeasured,
}

impl Obstacle {
    /// A relay counts under an obstacle of the lowest class: an exclusion goes before what holds for all
    /// callers, and that before what a call asks for.
    pub fn class(self) -> u8 {
        match self {
            Self::Excluded => 0,
            Self::Banned | Self::BackingOff | Self::Draining | Self::Full => 1,
            Self::TooFewUnits
            | Self::Domain
            | Self::Labels
            | Self::Family
            | Self::TooFar
            | Self::Unmeasured => 2,
        }
    }
}

/// A relay that is eligible if no tier counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate<K> {
    pub id: K,
    pub tier: u8,
    pub score: f64,
    /// By which the registry may still rank it.
    pub ranked: f64,
    pub is_on_trial: bool,
}

impl<K: Copy + Ord, E: Address> Model<K, E> {
    /// All relays that are eligible if no tier counts: the lowest tier first, and in it the best.
    pub fn candidates(&self, call: &Call<K>) -> Vec<Candidate<K>> {
        let eligible = self
            .relays
            .iter()
            .filter(|(id, relay)| self.obstacles(id, relay, call).is_empty());
        let mut candidates: Vec<_> = eligible
            .map(|(id, relay)| {
                let rank = self.rank(id, relay);
                let shares = self.shares(relay);
                let path = call.path(id, relay, self.settings.assumed_rtt);
                Candidate {
                    id: *id,
                    tier: rank.tier,
                    score: rank.cost * relay.score(path, shares.0),
                    ranked: rank.cost * relay.score(path, shares.1),
                    is_on_trial: relay.circuit.access(self.tick) != Access::Free,
                }
            })
            .collect();
        candidates.sort_by(|a, b| a.tier.cmp(&b.tier).then(a.ranked.total_cmp(&b.ranked)));
        candidates
    }

    /// The eligible relays, best first: [candidates](Self::candidates) of the lowest tier that has any.
    pub fn eligible(&self, call: &Call<K>) -> Vec<Candidate<K>> {
        let mut candidates = self.candidates(call);
        let lowest = candidates.first().map(|first| first.tier);
        candidates.retain(|candidate| Some(candidate.tier) == lowest);
        candidates
    }

    /// What a find of one relay hands out: `best`, or the preferred relay.
    pub fn handed_out(&self, best: &K, call: &Call<K>) -> K {
        let best_relay = (best, &self.relays[best]);
        let tier = self.rank(best, best_relay.1).tier;
        let keeps = |preferred: &K| {
            let relay = self.relays.get(preferred)?;
            let may_stay = self.obstacles(preferred, relay, call).is_empty()
                && self.rank(preferred, relay).tier <= tier
                && relay.circuit.access(self.tick) == Access::Free
                && f64::from(relay.load()) <= f64::from(relay.capacity) * 0.9;
            (may_stay && !self.is_worth_leaving((preferred, relay), best_relay, call)).then_some(())
        };
        call.query
            .preferred
            .filter(|preferred| keeps(preferred).is_some())
            .unwrap_or(*best)
    }

    /// Whether `best` is better by at least 10 ms and a third. Legs that are assumed for both are left out.
    fn is_worth_leaving(
        &self,
        current: (&K, &Record<E>),
        best: (&K, &Record<E>),
        call: &Call<K>,
    ) -> bool {
        let (current, best) = call.known_paths(current, best, self.settings.assumed_rtt);
        let (current, best) = (current.as_micros(), best.as_micros());
        let gain = current.saturating_sub(best);
        gain >= 10_000 && gain as f64 >= current as f64 * (1.0 / 3.0)
    }

    /// The list that begins with `first`, as far as scores decide: each tier after the lower ones, and the
    /// relays on trial last in their tier.
    pub fn list(&self, first: &K, call: &Call<K>) -> Vec<Candidate<K>> {
        let mut list = self.candidates(call);
        let at = list.iter().position(|it| it.id == *first);
        let first = list.remove(at.expect("a candidate"));
        list.sort_by_key(|it| (it.tier, it.is_on_trial));
        list.insert(0, first);
        list
    }

    /// The relays that may be a last resort, if no other relay is eligible: the preferred one, or those that
    /// have been backing off for longest. Tiers do not count.
    pub fn last_resorts(&self, call: &Call<K>) -> Vec<K> {
        if self.settings.max_ejected_share >= 1.0 {
            return Vec::new();
        }
        let stands_aside = |(id, relay): &(&K, &Record<E>)| {
            self.obstacles(id, relay, call) == [Obstacle::BackingOff]
        };
        let candidates = || self.relays.iter().filter(stands_aside);
        let preferred = candidates().find(|(id, _)| call.query.preferred == Some(**id));
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
    pub fn obstacles(&self, id: &K, relay: &Record<E>, call: &Call<K>) -> Vec<Obstacle> {
        let query = &call.query;
        let named = [call.target, query.requester, self.settings.local];
        let excluded = named.contains(&Some(*id)) || query.excluded.contains(id);
        let distance = match (query.max_latency, call.requester_leg(id, relay)) {
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
