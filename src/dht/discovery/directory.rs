//! [`Directory`]: which shards of the directory are read, and when.
//!
//! A directory whose shards do not divide is read whole: each shard at a jittered interval, in
//! random order. So is one whose shards may divide while none has, and while this node wants more
//! relays than there are. Of a larger one, this node reads a random sample of the leaves, and the
//! same ones from then on:
//!
//! - A walk goes to a random leaf. It begins at the depth at which the last one ended, and goes a
//!   step down from a shard that has divided, a step up from an empty one. So roots are read as
//!   seldom as other shards.
//! - Walks go on until this node knows of as many relays as it wants, or until all shards are
//!   known. A caller that found no relay adds a few. Noise is not counted, because what is wanted
//!   are relays whose records were found.
//! - The mark of a divided shard proves nothing. Below a false one the children are empty, and
//!   the shard itself goes on being read.
//! - Where all turns out to be empty, the shard above is read again, and so on up to the root: the
//!   marks may have ended, and the relays gone back.
//! - Leaves beyond [`LEAVES_AT_ONCE`] are read more seldom, so that a directory full of noise costs
//!   a limited number of reads, and walks go on beside them.
//!
//! Two walks rarely meet. Where they do, the second one reads the highest shard that is not known
//! on its way: so in the end all are known.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;

use super::walk::{Walk, Walked};
use super::{Intervals, QueryOutcome, QueryResult};
use crate::dht::engine::{Limits, ShardPath};
use crate::dht::retry::{RetryBackoff, with_jitter};

/// The most shards that are known.
const MAX_SHARDS: usize = 4_096;

/// The most walks at a time.
const MAX_WALKS: usize = 8;

/// The most steps of walks within a sweep interval: a directory that is false all over could be
/// as deep everywhere as shards may divide.
const MAX_STEPS: u32 = 256;

/// So many leaves are read again in each sweep interval. If more are known, then each shard is read
/// the more seldom.
const LEAVES_AT_ONCE: usize = 256;

/// How many walks a caller permits that found no relay.
const WALKS_PER_MISS: u32 = 4;

/// The longest interval at which a shard is read.
const MAX_INTERVAL: Duration = Duration::from_secs(86_400);

/// A shard that was read, or a root.
#[derive(Debug)]
struct Shard {
    due: Duration,
    swept_at: Option<Duration>,
    in_flight: bool,
    back_off: RetryBackoff,
    state: State,
}

/// What the last read of a shard found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It was not read, or not to its end.
    Unknown,
    Divided,
    /// It has members.
    Leaf,
    Empty,
}

#[derive(Debug)]
pub(in crate::dht) struct Directory {
    intervals: Intervals,
    limits: Limits,
    shards: BTreeMap<ShardPath, Shard>,
    walks: Vec<Walk>,
    /// The depth at which the last walk ended.
    depth: u8,
    /// Whether a shard was found divided.
    has_divided: bool,
    /// Walks that callers permit, although as many relays are known as are wanted.
    extra_walks: u32,
    /// The steps of walks since this time.
    steps: (Duration, u32),
    /// Whether a step of a walk is next; these alternate with shards that are due.
    step_next: bool,
}

impl Directory {
    pub(in crate::dht) fn new(limits: Limits, intervals: Intervals) -> Self {
        let mut directory = Self {
            intervals,
            limits,
            shards: BTreeMap::new(),
            walks: Vec::new(),
            depth: 0,
            has_divided: false,
            extra_walks: 0,
            steps: (Duration::ZERO, 0),
            step_next: false,
        };
        for shard in 0..limits.shards {
            directory.add(ShardPath::root(shard));
        }
        directory
    }

    fn add(&mut self, path: ShardPath) -> &mut Shard {
        let intervals = self.intervals;
        self.shards.entry(path).or_insert_with(|| Shard {
            due: Duration::ZERO,
            swept_at: None,
            in_flight: false,
            back_off: RetryBackoff::new(Duration::from_secs(1), intervals.sweep_interval),
            state: State::Unknown,
        })
    }

    /// A caller found no relay: all shards are due, and a few more are looked for.
    pub(in crate::dht) fn sweep_soon(&mut self, now: Duration) {
        self.make_due(now);
        self.extra_walks = WALKS_PER_MISS;
    }

    /// Makes all shards due, except those that were swept just before and those that have divided.
    /// Of very many, it makes those due that would be next.
    pub(in crate::dht) fn make_due(&mut self, now: Duration) {
        let interval = self.intervals.min_sweep_interval;
        let is_read = |shard: &&mut Shard| shard.state != State::Divided;
        let mut shards: Vec<&mut Shard> = self.shards.values_mut().filter(is_read).collect();
        shards.sort_by_key(|shard| shard.due);
        let at_once = LEAVES_AT_ONCE.max(self.limits.shards.into());
        for shard in shards.into_iter().take(at_once) {
            shard.due_at(now, interval);
        }
    }

    /// The next shard to read. `wants_more` is whether fewer relays are known than are wanted. The
    /// caller reports what it found to [`was_read`](Self::was_read).
    pub(in crate::dht) fn next(
        &mut self,
        wants_more: bool,
        now: Duration,
        random: &mut Rng,
    ) -> Option<ShardPath> {
        let path = match self.step_next {
            true => {
                (self.next_step(wants_more, now, random)).or_else(|| self.next_due(now, random))
            }
            false => {
                (self.next_due(now, random)).or_else(|| self.next_step(wants_more, now, random))
            }
        }?;
        self.step_next = !self.step_next;
        let shard = self.add(path);
        shard.in_flight = true;
        shard.swept_at = Some(now);
        Some(path)
    }

    fn next_due(&self, now: Duration, random: &mut Rng) -> Option<ShardPath> {
        // Of a large directory, a root is a shard like any other: only walks lead to it.
        let is_skipped = |shard: &Shard| self.has_divided && shard.is_unread();
        let is_due = |shard: &Shard| {
            shard.due <= now && !self.is_in_flight(shard, now) && !is_skipped(shard)
        };
        let due = self.shards.iter().filter(|(_, shard)| is_due(shard));
        let due: Vec<ShardPath> = due.map(|(path, _)| *path).collect();
        random.choice(due)
    }

    fn is_in_flight(&self, shard: &Shard, now: Duration) -> bool {
        let since = shard.swept_at.filter(|_| shard.in_flight);
        since.is_some_and(|since| now.saturating_sub(since) < self.intervals.timeout)
    }

    /// The next step of a walk, or the first one of another walk.
    fn next_step(
        &mut self,
        wants_more: bool,
        now: Duration,
        random: &mut Rng,
    ) -> Option<ShardPath> {
        if !self.has_divided || !self.may_step(now) || !self.has_room() {
            return None;
        }
        let walks = std::mem::take(&mut self.walks);
        self.walks = walks
            .into_iter()
            .filter_map(|walk| self.advance(walk))
            .collect();
        let ready = self.walks.iter().map(Walk::path);
        let ready = ready.filter(|path| !self.is_backing_off(*path, now));
        let path = ready
            .min()
            .or_else(|| self.begin_walk(wants_more, now, random))?;
        self.steps.1 += 1;
        Some(path)
    }

    /// Whether a shard is in flight, or could not be read just now.
    fn is_backing_off(&self, path: ShardPath, now: Duration) -> bool {
        let shard = self.shards.get(&path);
        shard.is_some_and(|shard| self.is_in_flight(shard, now) || shard.due > now)
    }

    /// Whether another shard may become known. If need be, then those that list nothing are
    /// forgotten: marks that are false deep down make so many of them that the search would end.
    fn has_room(&mut self) -> bool {
        if self.shards.len() >= MAX_SHARDS {
            let is_kept = |path: &ShardPath, shard: &Shard| {
                path.depth() == 0 || shard.in_flight || shard.state == State::Leaf
            };
            self.shards.retain(|path, shard| is_kept(path, shard));
        }
        self.shards.len() < MAX_SHARDS
    }

    /// Whether another step is within the limit.
    fn may_step(&mut self, now: Duration) -> bool {
        let (since, steps) = &mut self.steps;
        if now.saturating_sub(*since) >= self.intervals.sweep_interval {
            (*since, *steps) = (now, 0);
        }
        *steps < MAX_STEPS
    }

    /// Passes the shards that are known. None if the walk has ended.
    fn advance(&mut self, mut walk: Walk) -> Option<Walk> {
        loop {
            let walked = match self.state(walk.path()) {
                State::Unknown => return Some(walk),
                State::Divided => walk.found_divided(),
                State::Empty => walk.found_empty(),
                State::Leaf => {
                    self.depth = walk.path().depth();
                    Walked::Ended
                }
            };
            if walked == Walked::Ended {
                return None;
            }
        }
    }

    fn begin_walk(
        &mut self,
        wants_more: bool,
        now: Duration,
        random: &mut Rng,
    ) -> Option<ShardPath> {
        let is_permitted = wants_more || self.extra_walks > 0;
        if !is_permitted || self.walks.len() >= MAX_WALKS {
            return None;
        }
        let Some(walk) = self.new_walk(now, random) else {
            self.extra_walks = 0;
            return None;
        };
        if !wants_more {
            self.extra_walks -= 1;
        }
        let path = walk.path();
        self.walks.push(walk);
        Some(path)
    }

    /// A walk to a random leaf that is not known.
    fn new_walk(&self, now: Duration, random: &mut Rng) -> Option<Walk> {
        let roots = (0..self.limits.shards).map(ShardPath::root);
        let unknown: Vec<ShardPath> = roots.filter(|root| !self.is_known(*root, now)).collect();
        let mut path = random.choice(unknown)?;
        // Below the highest shard that is not known, the way is random.
        while self.state(path) == State::Divided {
            let bit = random.bool();
            let is_open = |bit: bool| path.child(bit).filter(|child| !self.is_known(*child, now));
            path = is_open(bit).or_else(|| is_open(!bit))?;
        }
        let depth = self.depth.min(self.limits.max_depth);
        let walk = Walk::towards(path, depth, self.limits.max_depth, random);
        // Two walks have met.
        let meets = self.shards.contains_key(&walk.path());
        Some(match meets {
            true => Walk::towards(path, 0, self.limits.max_depth, random),
            false => walk,
        })
    }

    fn state(&self, path: ShardPath) -> State {
        let shard = self.shards.get(&path);
        shard.map_or(State::Unknown, |shard| shard.state)
    }

    /// Whether there is nothing to look for in a shard and below it: all is known, is being read,
    /// or could not be read just now.
    fn is_known(&self, path: ShardPath, now: Duration) -> bool {
        let Some(shard) = self.shards.get(&path) else {
            return false;
        };
        if shard.state != State::Divided {
            return shard.state != State::Unknown
                || self.is_in_flight(shard, now)
                || shard.due > now;
        }
        let is_known = |bit| {
            let child = path
                .child(bit)
                .filter(|_| path.depth() < self.limits.max_depth);
            child.is_none_or(|child| self.is_known(child, now))
        };
        is_known(false) && is_known(true)
    }

    /// Applies what reading a shard found.
    pub(in crate::dht) fn was_read(
        &mut self,
        path: ShardPath,
        read: QueryResult,
        now: Duration,
        random: &mut Rng,
    ) {
        let Some(shard) = self.shards.get_mut(&path) else {
            return;
        };
        let before = shard.state;
        shard.in_flight = false;
        let state = State::of(read);
        match state {
            Some(state) => {
                shard.back_off.reset();
                shard.state = state;
                self.has_divided |= state == State::Divided;
                let wait = with_jitter(self.interval(path, state), random);
                self.set_due(path, now.saturating_add(wait));
            }
            None => {
                let wait = match read.outcome {
                    QueryOutcome::Unsupported => Duration::MAX,
                    _ => shard.back_off.fail(random),
                };
                shard.due = now.saturating_add(wait);
            }
        }
        match state {
            Some(state) => self.follow(path, before, state, now, random),
            // Another walk goes another way.
            None => self.walks.retain(|walk| walk.path() != path),
        }
    }

    fn set_due(&mut self, path: ShardPath, due: Duration) {
        if let Some(shard) = self.shards.get_mut(&path) {
            shard.due = due;
        }
    }

    /// The relays of a shard that has divided are below it, so it is read seldom: the more seldom,
    /// the more shards there are below it. So is a half without relays.
    fn interval(&self, path: ShardPath, state: State) -> Duration {
        let times = match state {
            State::Divided => 1 << self.depth.saturating_sub(path.depth()).clamp(1, 24),
            State::Empty if path.depth() > 0 => 8,
            State::Unknown | State::Leaf | State::Empty => 1,
        };
        let interval = self.intervals.sweep_interval;
        interval
            .saturating_mul(times)
            .saturating_mul(self.crowding())
            .min(MAX_INTERVAL.max(interval))
    }

    /// By how many times the leaves are more than are read in a sweep interval. 1 if shards do not
    /// divide: then all are read.
    fn crowding(&self) -> u32 {
        if !self.has_divided {
            return 1;
        }
        let is_leaf = |shard: &&Shard| shard.state == State::Leaf;
        let leaves = self.shards.values().filter(is_leaf).count();
        leaves.div_ceil(LEAVES_AT_ONCE).max(1) as u32
    }

    /// Follows the relays of a shard that was read before, and has divided or lost all members.
    fn follow(
        &mut self,
        path: ShardPath,
        before: State,
        state: State,
        now: Duration,
        random: &mut Rng,
    ) {
        match (before, state) {
            (State::Leaf, State::Divided) if self.walks.len() < MAX_WALKS => {
                let depth = path.depth() + 1;
                let walk = Walk::towards(path, depth, self.limits.max_depth, random);
                self.walks.push(walk);
            }
            (State::Divided, State::Leaf) => self.forget_below(path),
            (State::Divided, State::Empty) => {
                self.forget_below(path);
                self.read_parent(path, now);
            }
            (State::Leaf, State::Empty) => self.read_parent(path, now),
            (State::Unknown, State::Empty) if self.is_parent_doubtful(path) => {
                self.read_parent(path, now);
            }
            _ => {}
        }
    }

    /// The relays of an empty shard may be above it.
    fn read_parent(&mut self, path: ShardPath, now: Duration) {
        let interval = self.intervals.min_sweep_interval;
        if let Some(parent) = path.parent() {
            self.add(parent).due_at(now, interval);
        }
    }

    /// Whether the shard above an empty one is not known, or has divided into two empty ones.
    fn is_parent_doubtful(&self, path: ShardPath) -> bool {
        path.parent().is_some_and(|parent| {
            let is_empty =
                |bit| parent.child(bit).map(|child| self.state(child)) == Some(State::Empty);
            self.state(parent) == State::Unknown || (is_empty(false) && is_empty(true))
        })
    }

    /// Forgets the empty shards below one that is no longer divided.
    fn forget_below(&mut self, path: ShardPath) {
        let is_below = |other: &ShardPath| {
            let levels = other.depth().saturating_sub(path.depth());
            levels > 0 && other.ancestor(levels) == Some(path)
        };
        self.shards
            .retain(|other, shard| !is_below(other) || shard.state == State::Leaf);
        self.has_divided = (self.shards.values()).any(|shard| shard.state == State::Divided);
    }
}

impl Shard {
    /// Makes it due, but not within `interval` after it was swept.
    fn due_at(&mut self, now: Duration, interval: Duration) {
        let soonest = self.swept_at.map_or(now, |at| at.saturating_add(interval));
        self.due = self.due.min(soonest.max(now));
    }

    /// Whether no read of it has ended.
    fn is_unread(&self) -> bool {
        self.state == State::Unknown && self.due.is_zero()
    }
}

impl State {
    /// None if the read does not tell.
    fn of(read: QueryResult) -> Option<Self> {
        match read.outcome {
            QueryOutcome::Failed | QueryOutcome::Unsupported => None,
            QueryOutcome::Partial { found: false } if !read.is_divided => None,
            _ if read.is_divided => Some(Self::Divided),
            QueryOutcome::Complete { found: false } => Some(Self::Empty),
            QueryOutcome::Complete { .. }
            | QueryOutcome::Partial { .. }
            | QueryOutcome::Unchanged => Some(Self::Leaf),
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests;
