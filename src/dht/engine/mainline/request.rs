//! One request on its turn: lookups and writes, one after the other.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_core::Stream;
use mainline::async_dht::GetStream;
use mainline::errors::{ConcurrencyError, PutMutableError, PutQueryError};
use mainline::{GetMutableOutcome, MutableItem, PutOutcome};

use super::super::turns::Turn;
use super::super::{Answer, DhtError, Put};
use super::Mainline;
use super::waiting::{NoResult, Pending, Unwanted, contained, wait_until};

/// The most distinct items that are looked at in one lookup.
const MAX_ITEMS: usize = 64;

/// Holds a turn, until the deadline passes or the reader has enough: then what
/// still runs in the actor keeps it.
pub(super) struct Request<'a> {
    engine: &'a Mainline,
    turn: Option<Turn<'a>>,
    deadline: Instant,
}

impl<'a> Request<'a> {
    pub(super) fn start(engine: &'a Mainline, deadline: Instant) -> Result<Self, DhtError> {
        engine.check_open()?;
        if deadline <= Instant::now() {
            return Err(DhtError::Timeout);
        }
        Ok(Self {
            engine,
            turn: Some(engine.turns.take(deadline)?),
            deadline,
        })
    }

    /// Hands each distinct item under `key` and `salt` to `sink`. The actor has
    /// verified their signatures.
    pub(super) fn look_up(
        &mut self,
        key: &[u8; 32],
        salt: &[u8],
        newer_than: Option<i64>,
        mut sink: impl FnMut(&MutableItem) -> ControlFlow<()>,
    ) -> Result<Answer, DhtError> {
        self.check_turn()?;
        let lookup = contained(|| {
            let dht = &self.engine.dht;
            let detailed = dht.get_mutable_detailed(key, Some(salt), newer_than);
            Lookup {
                items: Some(detailed.items),
                outcome: Box::pin(detailed.outcome.recv()),
            }
        });
        let mut lookup = lookup.map_err(|_| self.engine.close())?;
        let mut seen = HashSet::new();
        loop {
            let step = wait_until(self.deadline, |context| lookup.poll_step(context));
            match step {
                Ok(Step::Item(item)) => {
                    if seen.insert(*item.signature())
                        && (sink(&item).is_break() || seen.len() >= MAX_ITEMS)
                    {
                        return Ok(self.cut_short(lookup, seen.len()));
                    }
                }
                Ok(Step::Ended(outcome)) => return self.answer(&outcome),
                Err(NoResult::Late) => return Ok(self.cut_short(lookup, seen.len())),
                Err(NoResult::Dead) => return Err(self.engine.close()),
            }
        }
    }

    /// A lookup is complete when more than half of the nodes on its way answered:
    /// in a DHT some are always gone. A node that serves others also asks itself,
    /// so to have heard from one is to have heard from nobody.
    fn answer(&self, outcome: &GetMutableOutcome) -> Result<Answer, DhtError> {
        let (asked, answered) = (outcome.queried, outcome.valid_responses());
        Ok(if answered == 1 && self.serves()? {
            Answer::unreachable(asked)
        } else if answered > asked / 2 {
            Answer::complete(asked, answered)
        } else {
            Answer::partial(asked, answered)
        })
    }

    /// Whether this node answers requests, as far as can be told in time.
    fn serves(&self) -> Result<bool, DhtError> {
        match self.engine.node(self.deadline) {
            Err(DhtError::Timeout) => Ok(true),
            node => node.map(|node| node.serves),
        }
    }

    /// Why nobody answered: there was nobody, or not enough time.
    pub(super) fn unanswered(&self) -> DhtError {
        match self.turn {
            Some(_) => DhtError::Unreachable,
            None => DhtError::Timeout,
        }
    }

    /// Leaves the rest of a lookup to itself.
    fn cut_short(&mut self, lookup: Lookup, answered: usize) -> Answer {
        self.leave_behind(lookup.outcome);
        let answered = u32::try_from(answered).unwrap_or(u32::MAX);
        Answer::partial(answered, answered)
    }

    /// Stores `item`, with compare-and-swap where `cas` names what it replaces.
    pub(super) fn store(&mut self, item: MutableItem, cas: Option<i64>) -> Result<Put, DhtError> {
        self.check_turn()?;
        let dht = self.engine.dht.clone();
        let mut put: Pending<_> = Box::pin(async move { dht.put_mutable(item, cas).await });
        match wait_until(self.deadline, |context| put.as_mut().poll(context)) {
            Ok(result) => result.map(stored).map_err(refused),
            Err(NoResult::Late) => {
                self.leave_behind(put);
                Err(DhtError::Timeout)
            }
            Err(NoResult::Dead) => Err(self.engine.close()),
        }
    }

    /// What is left of the time.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Without a turn, what came before is still running.
    fn check_turn(&self) -> Result<(), DhtError> {
        match self.turn {
            Some(_) => Ok(()),
            None => Err(DhtError::Timeout),
        }
    }

    fn leave_behind<T: 'static>(&mut self, pending: Pending<T>) {
        if let Some(turn) = self.turn.take() {
            turn.leave_behind(Box::new(Unwanted(pending)));
        }
    }
}

/// A lookup: items as they come, then how it went.
struct Lookup {
    items: Option<GetStream<MutableItem>>,
    outcome: Pending<GetMutableOutcome>,
}

enum Step {
    Item(MutableItem),
    Ended(GetMutableOutcome),
}

impl Lookup {
    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Step> {
        if let Some(items) = &mut self.items {
            match ready!(Pin::new(items).poll_next(context)) {
                Some(item) => return Poll::Ready(Step::Item(item)),
                None => self.items = None,
            }
        }
        self.outcome.as_mut().poll(context).map(Step::Ended)
    }
}

/// The actor does not say how many it asked.
fn stored(outcome: PutOutcome) -> Put {
    Put::new(outcome.stored_at, outcome.stored_at)
}

fn refused(error: PutMutableError) -> DhtError {
    match error {
        PutMutableError::Concurrency(ConcurrencyError::NotMostRecent) => {
            DhtError::Superseded { stored: None }
        }
        PutMutableError::Concurrency(_) => DhtError::Conflict,
        PutMutableError::Query(PutQueryError::NoClosestNodes) => DhtError::Unreachable,
        PutMutableError::Query(PutQueryError::Timeout) => DhtError::Timeout,
        PutMutableError::Query(PutQueryError::ErrorResponse(error)) => {
            DhtError::rejected(&error.description)
        }
    }
}
