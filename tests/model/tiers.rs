//! Tiers and costs: what relays announce, and what the operator says in place of that.

use super::{Address, Model, Record};

/// How a relay is preferred to others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rank {
    pub tier: u8,
    /// A factor on the score, in whole thousandths.
    pub cost: f64,
}

/// What a registration or the operator sets of a rank.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RankChange {
    pub tier: Option<u8>,
    pub cost: Option<f64>,
}

impl Default for Rank {
    fn default() -> Self {
        Self { tier: 0, cost: 1.0 }
    }
}

impl Rank {
    pub(super) fn changed(self, change: &RankChange) -> Self {
        let cost = change.cost.map(|cost| (cost * 1000.0).round() / 1000.0);
        Self {
            tier: change.tier.unwrap_or(self.tier),
            cost: cost.unwrap_or(self.cost),
        }
    }
}

pub(super) fn is_valid_cost(cost: f64) -> bool {
    (0.1..=10.0).contains(&cost)
}

impl<K: Copy + Ord, E: Address> Model<K, E> {
    pub fn set_tier(&mut self, id: K, tier: u8) {
        self.said.entry(id).or_default().tier = Some(tier);
    }

    /// False, and nothing changed, if the cost is out of range.
    pub fn set_cost(&mut self, id: K, cost: f64) -> bool {
        let is_valid = is_valid_cost(cost);
        if is_valid {
            self.said.entry(id).or_default().cost = Some(cost);
        }
        is_valid
    }

    /// The rank of a relay: the operator's word goes before its announcement.
    pub fn rank(&self, id: &K, relay: &Record<E>) -> Rank {
        let said = self.said.get(id).copied().unwrap_or_default();
        relay.rank.changed(&said)
    }
}
