//! [`Request`]: the lookups and writes of one call, which share a slot.

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

/// The maximum number of distinct items of one lookup that are not newer than all
/// earlier ones.
const MAX_OLD_ITEMS: usize = 256;

/// The maximum number of distinct items of one lookup.
const MAX_ITEMS: usize = 4_096;

/// Lookups and writes on one slot. If the deadline passes or the reader ends a
/// lookup early, then the operation that still runs in the actor keeps the slot, and
/// no other can begin.
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
            slot: Some(engine.slots.acquire(deadline)?),
            deadline,
        })
    }

    /// Passes each distinct item under `key` and `salt` to `sink`. The actor verified
    /// their signatures.
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
                        return Ok(self.end_early(lookup, filter.accepted()));
                    }
                }
                Ok(Step::Ended(outcome)) => {
                    let answer = self.answer(&outcome)?;
                    return Ok(filter.limit_coverage(answer));
                }
                Err(NoResult::TimedOut) => {
                    return Ok(self.end_early(lookup, filter.accepted()));
                }
                Err(NoResult::Panicked) => return Err(self.engine.close()),
            }
        }
    }

    /// A lookup is complete if more than half of the queried nodes answered: in a
    /// DHT, some nodes are always gone. A server node queries itself too, so there one
    /// answer means that no other node answered.
    fn answer(&self, outcome: &GetMutableOutcome) -> Result<Answer, DhtError> {
        let (asked, answered) = (outcome.queried, outcome.valid_responses());
        Ok(if answered == 1 && self.is_server()? {
            Answer::unreachable(asked)
        } else if answered > asked / 2 {
            Answer::complete(asked, answered)
        } else {
            Answer::partial(asked, answered)
        })
    }

    /// Whether this is a server node; assumed if it cannot be read in time.
    fn is_server(&self) -> Result<bool, DhtError> {
        match self.engine.node(self.deadline) {
            Err(DhtError::Timeout) => Ok(true),
            node => node.map(|node| node.is_server),
        }
    }

    /// The error after a lookup without answers: `Timeout` if it ended early.
    pub(super) fn no_answer_error(&self) -> DhtError {
        match self.slot {
            Some(_) => DhtError::Unreachable,
            None => DhtError::Timeout,
        }
    }

    /// Abandons a lookup: the actor finishes it.
    fn end_early(&mut self, lookup: Lookup, answered: usize) -> Answer {
        self.abandon(lookup.outcome);
        let answered = u32::try_from(answered).unwrap_or(u32::MAX);
        Answer::partial(answered, answered)
    }

    /// Stores `item`. With `cas`, it must replace the item with that sequence.
    pub(super) fn store(&mut self, item: MutableItem, cas: Option<i64>) -> Result<Put, DhtError> {
        self.check_slot()?;
        let dht = self.engine.dht.clone();
        let mut put: Pending<_> = Box::pin(async move { dht.put_mutable(item, cas).await });
        match block_on(self.deadline, |context| put.as_mut().poll(context)) {
            Ok(result) => result.map(to_put).map_err(to_dht_error),
            Err(NoResult::TimedOut) => {
                self.abandon(put);
                Err(DhtError::Timeout)
            }
            Err(NoResult::Panicked) => Err(self.engine.close()),
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Fails if an earlier operation still runs and keeps the slot.
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

/// Selects the items of one lookup: each distinct item once, at most
/// [`MAX_OLD_ITEMS`] that are not newer than all earlier ones, and at most
/// [`MAX_ITEMS`] in all. Further items are skipped and do not end the lookup, so that
/// nodes that send old items first do not displace the others.
#[derive(Default)]
struct ItemFilter {
    seen: HashSet<[u8; 64]>,
    newest: Option<i64>,
    older: usize,
    has_skipped: bool,
}

impl ItemFilter {
    fn accepts(&mut self, item: &MutableItem) -> bool {
        if self.seen.contains(item.signature()) {
            return false;
        }
        let is_newer = Some(item.seq()) > self.newest;
        if self.seen.len() >= MAX_ITEMS || (!is_newer && self.older >= MAX_OLD_ITEMS) {
            self.has_skipped = true;
            return false;
        }
        self.older += usize::from(!is_newer);
        self.newest = self.newest.max(Some(item.seq()));
        self.seen.insert(*item.signature())
    }

    fn accepted(&self) -> usize {
        self.seen.len()
    }

    /// `answer`, but not complete if items were skipped.
    fn limit_coverage(&self, answer: Answer) -> Answer {
        if self.has_skipped {
            Answer::partial(answer.asked(), answer.answered())
        } else {
            answer
        }
    }
}

/// A lookup in the actor: first its items, then its outcome.
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

/// The actor does not report how many nodes it asked.
fn to_put(outcome: PutOutcome) -> Put {
    Put::new(outcome.stored_at, outcome.stored_at)
}

fn to_dht_error(error: PutMutableError) -> DhtError {
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
    fn old_items_do_not_displace_the_newest() {
        let mut filter = ItemFilter::default();
        let complete = Answer::complete(20, 20);
        let first = 1_000_000;
        assert!(filter.accepts(&item(first)) && !filter.accepts(&item(first)));
        let accepted =
            (0..2 * MAX_OLD_ITEMS as i64).filter(|&age| filter.accepts(&item(first - 1 - age)));
        assert_eq!(accepted.count(), MAX_OLD_ITEMS);
        assert!(filter.accepts(&item(first + 1)));
        assert!(!filter.limit_coverage(complete).is_complete());
        assert!(ItemFilter::default().limit_coverage(complete).is_complete());
    }

    #[test]
    fn the_number_of_items_is_bounded() {
        let mut filter = ItemFilter::default();
        let accepted = (0..MAX_ITEMS as i64 + 10).filter(|&seq| filter.accepts(&item(seq)));
        assert_eq!(accepted.count(), MAX_ITEMS);
        assert_eq!(filter.accepted(), MAX_ITEMS);
    }
}
