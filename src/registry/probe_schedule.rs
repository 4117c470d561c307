//! Whom to measure next.

use crate::registry::core::Core;
use crate::relay::NodeId;
use crate::sync::{Mutex, epoch, random_hasher};
use crate::table::RecordRef;
use crate::table::record::Handle;
use crate::table::snapshot::penalty;
use crate::time::{Tick, nanos};
use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

/// Who was named to be measured, and when, in nanoseconds: as long as that counts.
#[derive(Debug)]
pub(crate) struct ProbeSchedule(Mutex<Named>);

type Named = HashMap<Handle, u64, ahash::RandomState>;

/// A round trip is measured again after this part of its lifetime.
const DUE_AFTER: u64 = 2;

/// A relay is named again after this part of it.
const NAMED_FOR: u64 = 10;

/// A relay that is due.
struct Due {
    score: f32,
    handle: Handle,
    id: NodeId,
}

/// As many of the best as there is room for.
struct Shortlist {
    room: usize,
    /// The worst on top.
    best: BinaryHeap<Due>,
}

impl Default for ProbeSchedule {
    fn default() -> Self {
        Self(Mutex::new(HashMap::with_hasher(random_hasher())))
    }
}

impl ProbeSchedule {
    /// Names a relay anew, whenever it is due.
    pub(super) fn forget(&self, relay: Handle) {
        self.0.lock().remove(&relay);
    }

    /// The same for all.
    pub(super) fn forget_all(&self) {
        self.0.lock().clear();
    }
}

impl Core {
    pub(super) fn due_for_probe(&self, max: usize) -> Vec<NodeId> {
        let tick = self.present();
        let now = self.timeline.nanos_of(tick);
        // Before anything is pinned: this waits for another thread.
        let mut named = self.probes.0.lock();
        let lasts = nanos(self.settings.rtt_lifetime) / NAMED_FOR;
        named.retain(|_, at| now.saturating_sub(*at) < lasts);
        if named.len() >= self.table.max_relays() {
            // Some of them have left.
            named.retain(|&relay, _| self.table.resolve(relay, &epoch::pin()).is_some());
        }
        let due = self.best_due(max, tick, &named);
        named.extend(due.iter().map(|due| (due.handle, now)));
        due.into_iter().map(|due| due.id).collect()
    }

    /// Those that are most likely to be chosen, the best first.
    fn best_due(&self, max: usize, now: Tick, named: &Named) -> Vec<Due> {
        let mut shortlist = Shortlist {
            room: max,
            best: BinaryHeap::new(),
        };
        if max > 0 {
            self.for_each_live(now, |record| {
                if self.is_due_for_probe(&record, now) && !named.contains_key(&record.handle()) {
                    shortlist.consider(self.probe_score(&record), &record);
                }
            });
        }
        shortlist.best.into_sorted_vec()
    }

    fn is_due_for_probe(&self, record: &RecordRef<'_>, tick: Tick) -> bool {
        let now = self.timeline.nanos_of(tick);
        let fresh_for = nanos(self.settings.rtt_lifetime) / DUE_AFTER;
        let is_fresh = record.measurement(now).is_some_and(|it| {
            // To the second, and never too early.
            it.latest.lapses_at(fresh_for) > now
        });
        let is_usable = !record.load().is_draining()
            && !record.circuit().is_banned(tick)
            && !(self.settings.local_id.as_ref()).is_some_and(|local| record.is_of(local));
        !is_fresh && is_usable
    }

    /// The score of the path through a relay of which no more is known; infinite for one
    /// that is full.
    fn probe_score(&self, record: &RecordRef<'_>) -> f32 {
        let assumed = self.settings.assumed_rtt_micros;
        let own = record.rtt_micros().unwrap_or(assumed);
        (own + assumed) as f32 * penalty(record.load())
    }
}

impl Shortlist {
    fn consider(&mut self, score: f32, record: &RecordRef<'_>) {
        if self.best.len() == self.room {
            match self.best.peek() {
                Some(worst) if score < worst.score => self.best.pop(),
                _ => return,
            };
        }
        self.best.push(Due {
            score,
            handle: record.handle(),
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
