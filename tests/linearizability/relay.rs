//! The sequential specification of one relay.

use crate::checker::Specification;
use std::collections::BTreeSet;

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
    Lease(Token),
    /// The same with a lease: a reservation.
    Reserve(Token),
    Release(Token),
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
    Leased,
    Unknown,
    /// With this capacity.
    Full(u32),
    Done,
}

/// The current registration, if there is one, and the leases of all registrations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Relay {
    terms: Option<Terms>,
    leases: BTreeSet<Token>,
    /// Whether it was ever registered.
    is_known: bool,
}

impl Relay {
    fn available(&self) -> Option<Terms> {
        self.terms
            .filter(|terms| self.leases.len() < terms.capacity as usize)
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
        let (held, available) = (self.terms, self.available());
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
            | (Operation::Relay, Answer::Unseen)
            | (Operation::Lease(_), Answer::Unknown) => stays(held.is_none()),
            (Operation::Relay, Answer::Seen(terms)) => stays(held? == terms),
            (Operation::Find, Answer::Seen(terms)) => stays(available? == terms),
            (Operation::Find | Operation::Reserve(_), Answer::Unseen) => stays(available.is_none()),
            (Operation::Lease(token) | Operation::Reserve(token), Answer::Leased) => {
                available?;
                let mut after = self.clone();
                after.leases.insert(token);
                Some(after)
            }
            (Operation::Lease(_), Answer::Full(capacity)) => {
                stays(available.is_none() && held?.capacity == capacity)
            }
            (Operation::Release(token), Answer::Done) => {
                let mut after = self.clone();
                after.leases.remove(&token);
                Some(after)
            }
            _ => None,
        }
    }
}
