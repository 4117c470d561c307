//! What one call asks for, and which relays that rules out.

use fastrand::Rng;
use relay_registry::{FindOptions, IpFamily, NodeId};

use crate::ledger::Ledger;
use crate::relays::{self, DOMAIN, NEAR, PERMANENT};

/// How many different filters clients ask for beside those of [`Kind`]: more than have trees.
const OTHER_FILTERS: u32 = 20;
/// How many units one call asks for at most.
pub const MAX_UNITS: u32 = 3;

/// The options of one call.
pub struct Asked {
    pub target: Option<u32>,
    pub requester: Option<u32>,
    pub excluded: Vec<u32>,
    pub is_near: bool,
    pub kind: Kind,
    pub options: FindOptions,
}

/// The relays that a call asks for, by what they announce.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Any,
    Requiring(&'static str),
    Avoiding(&'static str),
    Over(IpFamily),
    /// Of no failure domain that a relay has here.
    Elsewhere,
}

impl Kind {
    fn any(rng: &mut Rng) -> Self {
        let label = relays::LABELS[rng.usize(..relays::LABELS.len())];
        match rng.u32(..64) {
            0..5 => Self::Requiring(label),
            5..10 => Self::Avoiding(label),
            10..15 => Self::Over(IpFamily::V6),
            15..18 => Self::Over(IpFamily::V4),
            18 => Self::Elsewhere,
            _ => Self::Any,
        }
    }

    fn apply(self, options: FindOptions) -> FindOptions {
        match self {
            Self::Any => options,
            Self::Requiring(label) => options.require([label]),
            Self::Avoiding(label) => options.avoid([label]),
            Self::Over(family) => options.family(family),
            Self::Elsewhere => options.exclude_domains([DOMAIN]),
        }
    }

    fn admits(self, relay: u32) -> bool {
        match self {
            Self::Any => true,
            Self::Requiring(label) => relays::labels(relay).contains(&label),
            Self::Avoiding(label) => !relays::labels(relay).contains(&label),
            Self::Over(family) => relays::is_over(relay, family),
            Self::Elsewhere => false,
        }
    }
}

impl Asked {
    pub fn any(ledger: &Ledger, rng: &mut Rng) -> Self {
        let any_relay = |rng: &mut Rng| rng.u32(..ledger.relays());
        // In half of the calls a relay, which must not be handed out.
        let target = match rng.u32(..8) {
            0..4 => Some(any_relay(rng)),
            4 => Some(relays::peer(rng)),
            _ => None,
        };
        let mut asked = Self {
            target,
            requester: None,
            excluded: Vec::new(),
            is_near: false,
            kind: Kind::any(rng),
            options: FindOptions::new(),
        };
        match rng.u32(..32) {
            0..8 => asked.exclude((0..8).map(|_| any_relay(rng)).collect()),
            // So those of higher tiers are handed out.
            8..12 => asked.exclude((0..PERMANENT).collect()),
            _ => {}
        }
        match rng.u32(..16) {
            0..2 => asked.be_near(),
            2 => asked.ask_for(relays::peer(rng)),
            // A relay asks, which must not be handed out either.
            3 => asked.ask_for(any_relay(rng)),
            _ => {}
        }
        asked.options = asked.kind.apply(asked.options);
        if rng.u32(..8) == 0 {
            let other = format!("other {}", rng.u32(..OTHER_FILTERS));
            asked.options = asked.options.avoid([other]);
        }
        if rng.u32(..4) == 0 {
            asked.options = asked.options.units(1 + rng.u32(..MAX_UNITS));
        }
        if rng.u32(..16) == 0 {
            let preferred = any_relay(rng);
            asked.options = asked.options.prefer(relays::id(preferred));
        }
        asked
    }

    /// A question for a home relay has neither target nor requester.
    pub fn for_home(mut self) -> Self {
        (self.target, self.requester) = (None, None);
        self
    }

    fn exclude(&mut self, excluded: Vec<u32>) {
        let ids = excluded.iter().copied().map(relays::id);
        self.options = std::mem::take(&mut self.options).exclude(ids);
        self.excluded = excluded;
    }

    fn be_near(&mut self) {
        self.options = std::mem::take(&mut self.options).max_latency(NEAR);
        self.is_near = true;
    }

    fn ask_for(&mut self, requester: u32) {
        let options = std::mem::take(&mut self.options);
        self.options = options.requester(relays::id(requester));
        self.requester = Some(requester);
    }

    pub fn target_id(&self) -> NodeId {
        self.target.map_or_else(relays::non_relay, relays::id)
    }

    /// Whether the relay must not be handed out, near or not.
    pub fn rules_out(&self, relay: u32) -> bool {
        [self.target, self.requester].contains(&Some(relay))
            || self.excluded.contains(&relay)
            || !self.kind.admits(relay)
    }
}
