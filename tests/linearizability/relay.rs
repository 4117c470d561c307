//! One relay as one caller at a time would see it.

use crate::checker::Specification;
use std::collections::BTreeSet;

/// Names a lease: the caller's, whether it comes about or not.
pub type Token = u32;

/// What a registration said.
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
    /// A search that only this relay can answer.
    Find,
    Lease(Token),
    /// A search that takes what it finds.
    Reserve(Token),
    Release(Token),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    New,
    Renewed,
    Yes,
    No,
    Seen(Terms),
    Unseen,
    Leased,
    Unknown,
    /// At this capacity.
    Full(u32),
    Done,
}

/// Absent, or the terms and the leases of the present registration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Relay(Option<Held>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Held {
    terms: Terms,
    leases: BTreeSet<Token>,
}

impl Held {
    fn new(terms: Terms) -> Self {
        Self {
            terms,
            leases: BTreeSet::new(),
        }
    }

    fn has_room(&self) -> bool {
        self.leases.len() < self.terms.capacity as usize
    }

    fn with_lease(&self, token: Token) -> Relay {
        let mut held = self.clone();
        held.leases.insert(token);
        Relay(Some(held))
    }
}

impl Relay {
    /// What an operation answers in this state, and the state after it.
    pub fn answer(&self, operation: &Operation) -> (Answer, Self) {
        let seen = self
            .0
            .as_ref()
            .map_or(Answer::Unseen, |held| Answer::Seen(held.terms));
        let capacity = self.0.as_ref().map_or(0, |held| held.terms.capacity);
        let answers = [
            Answer::New,
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
        let held = self.0.as_ref();
        let available = held.filter(|held| held.has_room());
        match (*operation, *answer) {
            (Operation::Register(terms), Answer::New) => {
                held.is_none().then(|| Self(Some(Held::new(terms))))
            }
            (Operation::Register(terms), Answer::Renewed) => {
                let leases = held?.leases.clone();
                Some(Self(Some(Held { terms, leases })))
            }
            (Operation::Unregister, Answer::Yes) => held.map(|_| Self(None)),
            (Operation::IsRelay, Answer::Yes) => stays(held.is_some()),
            (Operation::Unregister | Operation::IsRelay, Answer::No)
            | (Operation::Relay, Answer::Unseen)
            | (Operation::Lease(_), Answer::Unknown) => stays(held.is_none()),
            (Operation::Relay, Answer::Seen(terms)) => stays(held?.terms == terms),
            (Operation::Find, Answer::Seen(terms)) => stays(available?.terms == terms),
            (Operation::Find | Operation::Reserve(_), Answer::Unseen) => stays(available.is_none()),
            (Operation::Lease(token) | Operation::Reserve(token), Answer::Leased) => {
                Some(available?.with_lease(token))
            }
            (Operation::Lease(_), Answer::Full(capacity)) => {
                let held = held?;
                stays(!held.has_room() && held.terms.capacity == capacity)
            }
            (Operation::Release(token), Answer::Done) => {
                let mut after = self.clone();
                // A lease on an earlier registration is nothing to the present one.
                if let Some(held) = &mut after.0 {
                    held.leases.remove(&token);
                }
                Some(after)
            }
            _ => None,
        }
    }
}
