//! What to ask the engine for, and when: one query at a time for each shard
//! of the directory and for each relay.
//!
//! Every shard is swept now and then, at random times, so that the sweeps of
//! many nodes do not meet and no order can be foreseen. A caller who found no
//! relay makes all of them due. Relays that a directory only names are asked for
//! one by one. What a *complete* answer did not bring is left alone for a while;
//! from one that reached nobody nothing follows, and it is asked again after a
//! back-off. Those that are known take turns with all this, and are asked for
//! again whatever a directory says of them.

mod negative_cache;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fastrand::Rng;

pub(super) use negative_cache::NegativeCache;

use super::retry::{RetryBackoff, a_little_less};
use crate::relay::NodeId;

/// How many relays wait to be asked for at most.
const MAX_WAITING: usize = 1_024;

/// How many negative_cache are remembered.
const MAX_ABSENT: usize = 4_096;

/// When things are asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intervals {
    /// How often each shard is swept.
    pub(super) sweep_every: Duration,
    /// How soon after one sweep of a shard a miss can cause the next.
    pub(super) sweep_soon: Duration,
    /// How long an absence is believed.
    pub(super) negative_cache_ttl: Duration,
    /// A sweep that has taken this long no longer holds up the next of its shard.
    pub(super) time_limit: Duration,
}

/// What to ask next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Query {
    /// Who is in this shard? If `first_will_do`, whoever waits waits for anyone.
    Sweep(u16),
    /// What does this relay say? If the flag is set, the first good answer that
    /// is not known ends the read.
    Fetch { node: NodeId, first_will_do: bool },
}

/// How a query ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueryOutcome {
    /// Whatever there is was found.
    Complete { found: bool },
    /// What is known of the relay is its latest word.
    NoNews,
    /// There may be more.
    Partial { found: bool },
    /// Nobody answered, or the engine failed.
    Failed,
    /// There is no such thing, and will not be.
    Never,
}

#[derive(Debug)]
struct Shard {
    due: Duration,
    asked_at: Option<Duration>,
    in_flight: bool,
    back_off: RetryBackoff,
}

/// A relay that is asked for, or will be.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    /// Whether the first answer will do.
    first_will_do: bool,
    /// The shard of the directory that named it last.
    named_in: Option<u16>,
}

/// What is waited for, what is under way, and what is not there.
#[derive(Debug)]
pub(super) struct Discovery {
    intervals: Intervals,
    shards: Vec<Shard>,
    waiting: VecDeque<NodeId>,
    /// All that wait or are under way.
    wanted: BTreeMap<NodeId, Wanted>,
    absent: NegativeCache,
    /// Those that had nothing new to say just now.
    silent: NegativeCache,
    /// Whether it is the turn of those that are known.
    known_first: bool,
}

impl Discovery {
    pub(super) fn new(shards: u16, intervals: Intervals) -> Self {
        let shard = || Shard {
            due: Duration::ZERO,
            asked_at: None,
            in_flight: false,
            back_off: RetryBackoff::new(Duration::from_secs(1), intervals.sweep_every),
        };
        Self {
            intervals,
            shards: (0..shards).map(|_| shard()).collect(),
            waiting: VecDeque::new(),
            wanted: BTreeMap::new(),
            absent: NegativeCache::new(MAX_ABSENT),
            silent: NegativeCache::new(MAX_ABSENT),
            known_first: false,
        }
    }

    /// Somebody found no relay: look everywhere, but where one looked just now.
    pub(super) fn sweep_soon(&mut self, now: Duration) {
        for shard in &mut self.shards {
            let soonest = shard
                .asked_at
                .map_or(now, |at| at.saturating_add(self.intervals.sweep_soon));
            shard.due = shard.due.min(soonest.max(now));
        }
    }

    /// Has a relay asked for, unless that is under way, or it is known not to be
    /// there or to have no news; whether it will be asked for.
    pub(super) fn want(&mut self, node: NodeId, first_will_do: bool, now: Duration) -> bool {
        if let Some(wanted) = self.wanted.get_mut(&node) {
            wanted.first_will_do |= first_will_do;
            return true;
        }
        let is_known = self.absent.contains(&node, now) || self.silent.contains(&node, now);
        if is_known || self.wanted.len() >= MAX_WAITING {
            return false;
        }
        self.wanted.insert(node, Wanted::new(first_will_do));
        self.waiting.push_back(node);
        true
    }

    /// A relay that is wanted, if it is, was named in this shard of the directory.
    pub(super) fn note_named(&mut self, node: &NodeId, shard: u16) {
        if let Some(wanted) = self.wanted.get_mut(node) {
            wanted.named_in = Some(shard);
        }
    }

    /// The shard of the directory that named a relay, while that is asked for.
    pub(super) fn named_in(&self, node: &NodeId) -> Option<u16> {
        self.wanted.get(node)?.named_in
    }

    /// Where the first answer ended a read, it may have been an old one: the relay is
    /// asked for once more, and all answers are heard.
    pub(super) fn retry_elsewhere(&mut self, ended: &Query, ending: QueryOutcome, now: Duration) {
        if let Query::Fetch {
            node,
            first_will_do: true,
        } = ended
        {
            if ending == (QueryOutcome::Partial { found: true }) {
                self.want(*node, false, now);
            }
        }
    }

    /// What to ask at `now`, if anything, or whom of those that are `known`; these
    /// take turns with all others. Each query must be [ended](Self::ended).
    pub(super) fn next(
        &mut self,
        now: Duration,
        random: &mut Rng,
        mut known: impl FnMut() -> Option<NodeId>,
    ) -> Option<Query> {
        let known_first = std::mem::replace(&mut self.known_first, false);
        if let Some(query) = known_first.then(|| self.again(&mut known)).flatten() {
            return Some(query);
        }
        let query = self.next_unknown(now, random);
        self.known_first = query.is_some();
        query.or_else(|| self.again(&mut known))
    }

    /// Asks for one of those that are known, unless that is under way.
    fn again(&mut self, known: impl FnMut() -> Option<NodeId>) -> Option<Query> {
        let wanted = &mut self.wanted;
        let node = std::iter::from_fn(known).find(|node| !wanted.contains_key(node))?;
        wanted.insert(node, Wanted::new(false));
        Some(Query::Fetch {
            node,
            first_will_do: false,
        })
    }

    fn next_unknown(&mut self, now: Duration, random: &mut Rng) -> Option<Query> {
        if let Some(node) = self.waiting.pop_front() {
            let wanted = self.wanted.get(&node);
            let first_will_do = wanted.is_some_and(|wanted| wanted.first_will_do);
            return Some(Query::Fetch {
                node,
                first_will_do,
            });
        }
        let is_held_up = |shard: &Shard| {
            let since = shard.asked_at.filter(|_| shard.in_flight);
            since.is_some_and(|since| now.saturating_sub(since) < self.intervals.time_limit)
        };
        let is_due = |(_, shard): &(usize, &Shard)| !is_held_up(shard) && shard.due <= now;
        let due: Vec<usize> = self
            .shards
            .iter()
            .enumerate()
            .filter(is_due)
            .map(|(number, _)| number)
            .collect();
        let number = *random.choice(&due)?;
        let shard = &mut self.shards[number];
        shard.in_flight = true;
        shard.asked_at = Some(now);
        u16::try_from(number).ok().map(Query::Sweep)
    }

    /// Takes in how a query ended.
    pub(super) fn ended(
        &mut self,
        query: &Query,
        ending: QueryOutcome,
        now: Duration,
        random: &mut Rng,
    ) {
        match query {
            Query::Sweep(number) => self.swept(*number, ending, now, random),
            Query::Fetch { node, .. } => {
                self.wanted.remove(node);
                let until = now.saturating_add(self.intervals.negative_cache_ttl);
                match ending {
                    QueryOutcome::Complete { found: false } | QueryOutcome::Never => {
                        self.absent.insert(*node, until);
                    }
                    QueryOutcome::NoNews => self.silent.insert(*node, until),
                    QueryOutcome::Complete { found: true }
                    | QueryOutcome::Partial { .. }
                    | QueryOutcome::Failed => {}
                }
            }
        }
    }

    fn swept(&mut self, number: u16, ending: QueryOutcome, now: Duration, random: &mut Rng) {
        let Some(shard) = self.shards.get_mut(usize::from(number)) else {
            return;
        };
        shard.in_flight = false;
        let rest = match ending {
            QueryOutcome::Complete { .. }
            | QueryOutcome::NoNews
            | QueryOutcome::Partial { found: true } => {
                shard.back_off.reset();
                a_little_less(self.intervals.sweep_every, random)
            }
            QueryOutcome::Partial { found: false } | QueryOutcome::Failed => {
                shard.back_off.fail(random)
            }
            QueryOutcome::Never => Duration::MAX,
        };
        shard.due = now.saturating_add(rest);
    }

    /// How many relays are asked for or wait to be.
    pub(super) fn wanted(&self) -> usize {
        self.wanted.len()
    }

    /// How many relays are known not to be there.
    pub(super) fn absent(&self) -> usize {
        self.absent.len()
    }
}

impl Wanted {
    const fn new(first_will_do: bool) -> Self {
        Self {
            first_will_do,
            named_in: None,
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn id(n: u16) -> NodeId {
        NodeId::from_bytes(&n.to_be_bytes()).unwrap()
    }

    fn discovery(shards: u16) -> (Discovery, Rng) {
        let intervals = Intervals {
            sweep_every: S(60),
            sweep_soon: S(2),
            negative_cache_ttl: S(30),
            time_limit: S(1_000),
        };
        (Discovery::new(shards, intervals), Rng::with_seed(1))
    }

    fn all(discovery: &mut Discovery, now: Duration, random: &mut Rng) -> Vec<Query> {
        std::iter::from_fn(|| discovery.next(now, random, || None)).collect()
    }

    #[test]
    fn each_shard_is_asked_once_at_a_time_in_random_order() {
        let (mut discovery, mut random) = discovery(16);
        let asked = all(&mut discovery, S(0), &mut random);
        let mut sorted = asked.clone();
        sorted.sort_by_key(|query| match query {
            Query::Sweep(shard) => *shard,
            Query::Fetch { .. } => u16::MAX,
        });
        assert_eq!(sorted, (0..16).map(Query::Sweep).collect::<Vec<_>>());
        assert_ne!(asked, sorted);
        discovery.sweep_soon(S(500));
        assert_eq!(all(&mut discovery, S(500), &mut random), []);
    }

    #[test]
    fn a_miss_makes_shards_due_but_not_those_asked_just_now() {
        let (mut discovery, mut random) = discovery(1);
        let sweep = Query::Sweep(0);
        let complete = QueryOutcome::Complete { found: true };
        assert_eq!(discovery.next(S(0), &mut random, || None), Some(sweep));
        discovery.ended(&sweep, complete, S(0), &mut random);
        assert_eq!(discovery.next(S(10), &mut random, || None), None);
        discovery.sweep_soon(S(1));
        assert_eq!(discovery.next(S(1), &mut random, || None), None);
        assert_eq!(discovery.next(S(2), &mut random, || None), Some(sweep));
        discovery.ended(&sweep, complete, S(2), &mut random);
        assert_eq!(discovery.next(S(62), &mut random, || None), Some(sweep));
    }

    #[test]
    fn a_shard_that_nobody_answered_for_is_asked_again_soon() {
        let (mut discovery, mut random) = discovery(1);
        let sweep = Query::Sweep(0);
        for ending in [QueryOutcome::Failed, QueryOutcome::Partial { found: false }] {
            assert_eq!(discovery.next(S(100), &mut random, || None), Some(sweep));
            discovery.ended(&sweep, ending, S(98), &mut random);
        }
        assert_eq!(discovery.next(S(100), &mut random, || None), Some(sweep));
        discovery.ended(&sweep, QueryOutcome::Never, S(98), &mut random);
        assert_eq!(discovery.next(S(1_000_000), &mut random, || None), None);
    }

    #[test]
    fn a_sweep_that_never_ends_does_not_hold_up_the_next_for_good() {
        let (mut discovery, mut random) = discovery(1);
        let sweep = Query::Sweep(0);
        assert_eq!(discovery.next(S(0), &mut random, || None), Some(sweep));
        assert_eq!(discovery.next(S(999), &mut random, || None), None);
        assert_eq!(discovery.next(S(1_000), &mut random, || None), Some(sweep));
        assert_eq!(discovery.next(S(1_001), &mut random, || None), None);
    }

    #[test]
    fn a_relay_is_asked_for_once_at_a_time() {
        let (mut discovery, mut random) = discovery(0);
        assert!(discovery.want(id(1), false, S(0)) && discovery.want(id(1), true, S(0)));
        let fetch = Query::Fetch {
            node: id(1),
            first_will_do: true,
        };
        assert_eq!(all(&mut discovery, S(0), &mut random), [fetch]);
        assert!(discovery.want(id(1), false, S(0)));
        assert_eq!(all(&mut discovery, S(0), &mut random), []);
    }

    #[test]
    fn only_a_complete_answer_says_that_a_relay_is_not_there() {
        let (mut discovery, mut random) = discovery(0);
        for (ending, absent) in [
            (QueryOutcome::Failed, false),
            (QueryOutcome::Partial { found: false }, false),
            (QueryOutcome::Complete { found: true }, false),
            (QueryOutcome::Complete { found: false }, true),
        ] {
            assert!(discovery.want(id(1), false, S(0)), "before {ending:?}");
            let fetch = discovery.next(S(0), &mut random, || None).unwrap();
            discovery.ended(&fetch, ending, S(0), &mut random);
            assert_eq!(discovery.absent(), usize::from(absent), "{ending:?}");
        }
        assert!(!discovery.want(id(1), true, S(29)));
        assert!(discovery.want(id(1), true, S(30)));
    }

    #[test]
    fn a_directory_full_of_names_cannot_fill_the_memory() {
        let (mut discovery, mut random) = discovery(0);
        let taken = (0..u16::MAX).filter(|&n| discovery.want(id(n), false, S(0)));
        assert_eq!(taken.count(), MAX_WAITING);
        assert_eq!(discovery.wanted(), MAX_WAITING);
        for query in all(&mut discovery, S(0), &mut random) {
            discovery.ended(&query, QueryOutcome::Failed, S(0), &mut random);
        }
        assert_eq!(discovery.wanted(), 0);
    }
}
