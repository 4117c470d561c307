//! Which relays to measure next.

use crate::footprint::Footprint;
use crate::registry::relays::Relays;
use crate::relay::NodeId;
use crate::sync::{Mutex, random_hasher};
use crate::table::RecordRef;
use crate::table::snapshot::{Weight, penalty};
use crate::time::{Tick, nanos};
use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

/// The relays that were returned lately.
#[derive(Debug)]
pub(crate) struct ProbeSchedule(Mutex<Recent>);

/// When each relay was returned, in nanoseconds. By id, so that it holds also for a relay that
/// leaves and returns meanwhile.
type Recent = HashMap<NodeId, u64, ahash::RandomState>;

/// A round trip is measured again after this part of its lifetime.
const DUE_AFTER: u64 = 2;

/// A relay is returned again after this part of it.
const RECENT_FOR: u64 = 10;

/// A relay that is due.
struct Due {
    score: f32,
    id: NodeId,
}

/// The best `max` of the relays that are due.
struct BestDue {
    max: usize,
    /// The worst on top.
    heap: BinaryHeap<Due>,
}

impl Default for ProbeSchedule {
    fn default() -> Self {
        Self(Mutex::new(HashMap::with_hasher(random_hasher())))
    }
}

impl ProbeSchedule {
    pub(super) fn footprint(&self) -> Footprint {
        Footprint::of_hash_map::<(NodeId, u64)>(self.0.lock().capacity())
    }

    /// Has a relay returned again as soon as it is due.
    pub(super) fn forget(&self, relay: &NodeId) {
        self.0.lock().remove(relay);
    }

    /// The same for all.
    pub(super) fn forget_all(&self) {
        self.0.lock().clear();
    }

    /// Returns up to `max` relays that are due, the most likely choices first, and keeps
    /// them from being returned again for a while.
    pub(super) fn next_due(&self, relays: &Relays, max: usize) -> Vec<NodeId> {
        let tick = relays.present();
        let now = relays.timeline.nanos_of(tick);
        // Before anything is pinned: this waits for another thread.
        let mut recent = self.0.lock();
        let lasts = nanos(relays.settings.rtt_lifetime) / RECENT_FOR;
        recent.retain(|_, at| now.saturating_sub(*at) < lasts);
        if recent.len() >= relays.table.max_relays() {
            // Some of them have left.
            recent.retain(|relay, _| relays.is_live(relay, tick));
        }
        let due = best_due(relays, max, tick, &recent);
        // A relay that restarts may be met in two records.
        let is_first = |relay: &NodeId| recent.insert(*relay, now).is_none();
        due.into_iter().map(|due| due.id).filter(is_first).collect()
    }
}

/// Those that are most likely to be chosen, the best first.
fn best_due(relays: &Relays, max: usize, now: Tick, recent: &Recent) -> Vec<Due> {
    let mut best = BestDue {
        max,
        heap: BinaryHeap::new(),
    };
    if max > 0 {
        relays.for_each_live(now, |record| {
            if is_due(relays, &record, now) && !recent.contains_key(&record.identity()) {
                best.push(score(relays, &record), &record);
            }
        });
    }
    best.heap.into_sorted_vec()
}

fn is_due(relays: &Relays, record: &RecordRef<'_>, tick: Tick) -> bool {
    let now = relays.timeline.nanos_of(tick);
    let fresh_for = nanos(relays.settings.rtt_lifetime) / DUE_AFTER;
    let is_fresh = record.measurement(now).is_some_and(|it| {
        // To the second, and never too early.
        it.latest.lapses_at(fresh_for) > now
    });
    let local_id = relays.settings.local_id.as_ref();
    let is_usable = !record.load().is_draining()
        && !record.circuit().is_banned(tick)
        && !local_id.is_some_and(|local| record.is_of(local));
    !is_fresh && is_usable
}

/// The score of the path through a relay of which no more is known; infinite for one
/// that is full.
fn score(relays: &Relays, record: &RecordRef<'_>) -> f32 {
    let assumed = relays.settings.assumed_rtt_micros;
    let own = record.rtt_micros().unwrap_or(assumed);
    (own + assumed) as f32 * penalty(record.load(), record.weight().unwrap_or(Weight::PLAIN))
}

impl BestDue {
    fn push(&mut self, score: f32, record: &RecordRef<'_>) {
        if self.heap.len() == self.max {
            match self.heap.peek() {
                Some(worst) if score < worst.score => self.heap.pop(),
                _ => return,
            };
        }
        self.heap.push(Due {
            score,
            id: record.identity(),
        });
    }
}

impl Ord for Due {
    /// The better one first; of equals, either.
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score)
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}
