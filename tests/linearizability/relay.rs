//! The sequential specification of one relay.

use crate::checker::Specification;
use std::collections::BTreeMap;

/// The number of a lease, chosen by the caller.
pub type Token = u32;

/// The answer of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Terms {
    pub port: u16,
    pub capacity: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Register(Terms),
    Unregister,
    IsRelay,
    Relay,
    /// A find that excludes all other relays.
    Find,
    /// Of so many units.
    Lease(Token, u32),
    /// The same with a lease: a reservation.
    Reserve(Token, u32),
    Release(Token),
    /// The operator sets the tier. Relays announce tier 0.
    SetTier(u8),
    Lift,
    /// A look-up of the tier.
    Tier,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    New,
    Returned,
    Renewed,
    Yes,
    No,
    Seen(Terms),
    Unseen,
    InTier(u8),
    Leased,
    Unknown,
    /// With this capacity.
    Full(u32),
    Done,
}

/// The current registration, if there is one, the units leased over all registrations, and the tier that the
/// operator said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Relay {
    terms: Option<Terms>,
    leases: BTreeMap<Token, u32>,
    tier: Option<u8>,
    /// Whether it was ever registered.
    is_known: bool,
}

impl Relay {
    /// The registration, if it has so many units free.
    fn available(&self, units: u32) -> Option<Terms> {
        let leased: u32 = self.leases.values().sum();
        self.terms.filter(|terms| leased + units <= terms.capacity)
    }

    /// The tier of any registration.
    fn tier(&self) -> u8 {
        self.tier.unwrap_or(0)
    }

    fn registered(&self, terms: Terms) -> Self {
        Self {
            terms: Some(terms),
            is_known: true,
            ..self.clone()
        }
    }
}

impl Relay {
    /// The answer of an operation in this state, and the state after it.
    pub fn answer(&self, operation: &Operation) -> (Answer, Self) {
        let seen = self.terms.map_or(Answer::Unseen, Answer::Seen);
        let capacity = self.terms.map_or(0, |terms| terms.capacity);
        let answers = [
            Answer::New,
            Answer::Returned,
            Answer::Renewed,
            Answer::Yes,
            Answer::No,
            seen,
            Answer::Unseen,
            Answer::InTier(self.tier()),
            Answer::Leased,
            Answer::Unknown,
            Answer::Full(capacity),
            Answer::Done,
        ];
        let possible = |answer| Some((answer, self.after(operation, &answer)?));
        let mut possible = answers.into_iter().filter_map(possible);
        possible.next().expect("an answer to every operation")
    }
}

impl Specification for Relay {
    type Operation = Operation;
    type Answer = Answer;

    fn after(&self, operation: &Operation, answer: &Answer) -> Option<Self> {
        let stays = |it_may: bool| it_may.then(|| self.clone());
        let held = self.terms;
        match (*operation, *answer) {
            (Operation::Register(terms), Answer::New) => {
                (held.is_none() && !self.is_known).then(|| self.registered(terms))
            }
            (Operation::Register(terms), Answer::Returned) => {
                (held.is_none() && self.is_known).then(|| self.registered(terms))
            }
            (Operation::Register(terms), Answer::Renewed) => held.map(|_| self.registered(terms)),
            (Operation::Unregister, Answer::Yes) => held.map(|_| Self {
                terms: None,
                ..self.clone()
            }),
            (Operation::IsRelay, Answer::Yes) => stays(held.is_some()),
            (Operation::Unregister | Operation::IsRelay, Answer::No)
            | (Operation::Relay | Operation::Tier, Answer::Unseen)
            | (Operation::Lease(..), Answer::Unknown) => stays(held.is_none()),
            (Operation::Relay, Answer::Seen(terms)) => stays(held? == terms),
            (Operation::Tier, Answer::InTier(tier)) => stays(held.is_some() && self.tier() == tier),
            (Operation::Find, Answer::Seen(terms)) => stays(self.available(1)? == terms),
            (Operation::Find, Answer::Unseen) => stays(self.available(1).is_none()),
            (Operation::Reserve(_, units), Answer::Unseen) => {
                stays(self.available(units).is_none())
            }
            (Operation::Lease(token, units) | Operation::Reserve(token, units), Answer::Leased) => {
                self.available(units)?;
                let mut after = self.clone();
                after.leases.insert(token, units);
                Some(after)
            }
            (Operation::Lease(_, units), Answer::Full(capacity)) => {
                stays(self.available(units).is_none() && held?.capacity == capacity)
            }
            (Operation::Release(token), Answer::Done) => {
                let mut after = self.clone();
                after.leases.remove(&token);
                Some(after)
            }
            (Operation::SetTier(tier), Answer::Done) => Some(Self {
                tier: Some(tier),
                ..self.clone()
            }),
            (Operation::Lift, Answer::Done) => Some(Self {
                tier: None,
                ..self.clone()
            }),
            _ => None,
        }
    }
}
