//! One request on its slot: lookups and writes, one after the other.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_core::Stream;
use mainline::async_dht::GetStream;
use mainline::errors::{ConcurrencyError, PutMutableError, PutQueryError};
use mainline::{GetMutableOutcome, MutableItem, PutOutcome};

use super::super::slots::RequestSlot;
use super::super::{Answer, DhtError, Put};
use super::Mainline;
use super::block_on::{AbandonedFuture, NoResult, Pending, block_on, catch_panic};

/// The most distinct items that are looked at in one lookup, beside those that are
/// newer than all before.
const MAX_ITEMS: usize = 256;

/// The most that are looked at in any case.
const MOST_ITEMS: usize = 4_096;

/// Holds a slot, until the deadline passes or the reader has enough: then what
/// still runs in the actor keeps it.
pub(super) struct Request<'a> {
    engine: &'a Mainline,
    slot: Option<RequestSlot<'a>>,
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
            slot: Some(engine.slots.take(deadline)?),
            deadline,
        })
    }

    /// Hands each distinct item under `key` and `salt` to `sink`. The actor has
    /// verified their signatures.
    pub(super) fn lookup(
        &mut self,
        key: &[u8; 32],
        salt: &[u8],
        newer_than: Option<i64>,
        mut sink: impl FnMut(&MutableItem) -> ControlFlow<()>,
    ) -> Result<Answer, DhtError> {
        self.check_slot()?;
        let lookup = catch_panic(|| {
            let dht = &self.engine.dht;
            let detailed = dht.get_mutable_detailed(key, Some(salt), newer_than);
            Lookup {
                items: Some(detailed.items),
                outcome: Box::pin(detailed.outcome.recv()),
            }
        });
        let mut lookup = lookup.map_err(|_| self.engine.close())?;
        let mut filter = ItemFilter::default();
        loop {
            let step = block_on(self.deadline, |context| lookup.poll_step(context));
            match step {
                Ok(Step::Item(item)) => {
                    if filter.accepts(&item) && sink(&item).is_break() {
                        return Ok(self.cut_short(lookup, filter.heard()));
                    }
                }
                Ok(Step::Ended(outcome)) => {
                    let answer = self.answer(&outcome)?;
                    return Ok(filter.judge(answer));
                }
                Err(NoResult::Late) => return Ok(self.cut_short(lookup, filter.heard())),
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
        match self.slot {
            Some(_) => DhtError::Unreachable,
            None => DhtError::Timeout,
        }
    }

    /// Leaves the rest of a lookup to itself.
    fn cut_short(&mut self, lookup: Lookup, answered: usize) -> Answer {
        self.abandon(lookup.outcome);
        let answered = u32::try_from(answered).unwrap_or(u32::MAX);
        Answer::partial(answered, answered)
    }

    /// Stores `item`, with compare-and-swap where `cas` names what it replaces.
    pub(super) fn store(&mut self, item: MutableItem, cas: Option<i64>) -> Result<Put, DhtError> {
        self.check_slot()?;
        let dht = self.engine.dht.clone();
        let mut put: Pending<_> = Box::pin(async move { dht.put_mutable(item, cas).await });
        match block_on(self.deadline, |context| put.as_mut().poll(context)) {
            Ok(result) => result.map(stored).map_err(refused),
            Err(NoResult::Late) => {
                self.abandon(put);
                Err(DhtError::Timeout)
            }
            Err(NoResult::Dead) => Err(self.engine.close()),
        }
    }

    /// What is left of the time.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Without a slot, what came before is still running.
    fn check_slot(&self) -> Result<(), DhtError> {
        match self.slot {
            Some(_) => Ok(()),
            None => Err(DhtError::Timeout),
        }
    }

    fn abandon<T: 'static>(&mut self, pending: Pending<T>) {
        if let Some(slot) = self.slot.take() {
            slot.abandon(Box::new(AbandonedFuture(pending)));
        }
    }
}

/// Which of the items that come are looked at: each once, and of those that bring
/// nothing newer only so many. The others are passed over and end nothing, so that
/// those who send old ones first keep nobody from being heard.
#[derive(Default)]
struct ItemFilter {
    seen: HashSet<[u8; 64]>,
    newest: Option<i64>,
    older: usize,
    has_passed_over: bool,
}

impl ItemFilter {
    fn accepts(&mut self, item: &MutableItem) -> bool {
        if self.seen.contains(item.signature()) {
            return false;
        }
        let is_newer = Some(item.seq()) > self.newest;
        if self.seen.len() >= MOST_ITEMS || (!is_newer && self.older >= MAX_ITEMS) {
            self.has_passed_over = true;
            return false;
        }
        self.older += usize::from(!is_newer);
        self.newest = self.newest.max(Some(item.seq()));
        self.seen.insert(*item.signature())
    }

    fn heard(&self) -> usize {
        self.seen.len()
    }

    /// A lookup of which not all was looked at is not complete.
    fn judge(&self, answer: Answer) -> Answer {
        if self.has_passed_over {
            Answer::partial(answer.asked(), answer.answered())
        } else {
            answer
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

#[cfg(test)]
mod tests {
    use super::*;
    use mainline::SigningKey;

    fn item(sequence: i64) -> MutableItem {
        let key = SigningKey::from_bytes(&[7; 32]);
        MutableItem::new(key, b"anything", sequence, None)
    }

    #[test]
    fn any_number_of_old_items_first_leaves_the_newest_heard() {
        let mut filter = ItemFilter::default();
        let complete = Answer::complete(20, 20);
        let first = 1_000_000;
        assert!(filter.accepts(&item(first)) && !filter.accepts(&item(first)));
        let accepted =
            (0..2 * MAX_ITEMS as i64).filter(|&age| filter.accepts(&item(first - 1 - age)));
        assert_eq!(accepted.count(), MAX_ITEMS);
        assert!(filter.accepts(&item(first + 1)));
        assert!(!filter.judge(complete).is_complete());
        assert!(ItemFilter::default().judge(complete).is_complete());
    }

    #[test]
    fn no_number_of_items_grows_without_bound() {
        let mut filter = ItemFilter::default();
        let accepted = (0..MOST_ITEMS as i64 + 10).filter(|&seq| filter.accepts(&item(seq)));
        assert_eq!(accepted.count(), MOST_ITEMS);
        assert_eq!(filter.heard(), MOST_ITEMS);
    }
}
