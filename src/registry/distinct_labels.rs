//! The bound on different labels.
//!
//! The relays that are registered locally, or expired and may return, have up to 64 different
//! labels together. (The labels of a relay that left do not count: it does not get them back when
//! it returns.) A registration that sets labels claims
//! them first, under a lock that nothing else takes. Nothing is counted down when a relay leaves,
//! renews with other labels or is forgotten, so none of these pays for the bound. Instead, a claim
//! that would exceed it counts anew, from all records, which labels are still in use.
//!
//! Labels of registrations that are under way count as in use. A relay that restarts moves to
//! another record, and a visit of all records may miss it; so the visit is repeated if a relay
//! arrived meanwhile.

use crate::errors::{LabelScope, RegisterError};
use crate::limits::MAX_DISTINCT_LABELS;
use crate::registry::forgetting::{grace_of, remembered_until};
use crate::registry::relays::Relays;
use crate::registry::request::TimeSource;
use crate::relay::{DetailOptions, Label};
use crate::sync::{Arc, Mutex};
use crate::table::ObservedRecord;
use crate::table::record::Origin;
use crate::time::Tick;
use std::collections::BTreeSet;

/// How often a visit of all records is repeated because a relay arrived meanwhile.
const MAX_VISITS: usize = 8;

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct DistinctLabels(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// All that are in use, and perhaps some that are not any more.
    names: BTreeSet<Box<str>>,
    /// Those of the registrations that are under way.
    claimed: Vec<Arc<[Label]>>,
}

/// The labels of a registration that is under way count as in use.
pub(super) struct Claim<'a> {
    owner: &'a DistinctLabels,
    labels: Arc<[Label]>,
}

impl DistinctLabels {
    /// Claims the labels that a registration sets, if it does. To be held until it has ended.
    #[inline(never)]
    pub(super) fn claim_of(
        &self,
        options: &DetailOptions,
        relays: &Relays,
        time: TimeSource,
    ) -> Result<Option<Claim<'_>>, RegisterError> {
        let Some(labels) = options.labels.iter().flatten().next() else {
            return Ok(None);
        };
        // Before the lock: this may read the clock, which is the embedder's code.
        let now = time.present(&relays.timeline);
        self.claim(labels, relays, now).map(Some)
    }

    fn claim(
        &self,
        labels: &Arc<[Label]>,
        relays: &Relays,
        now: Tick,
    ) -> Result<Claim<'_>, RegisterError> {
        let mut known = self.0.lock();
        if known.count_with(labels) > MAX_DISTINCT_LABELS {
            known.names = in_use(relays, now);
            known.add_claimed();
            let count = known.count_with(labels);
            if count > MAX_DISTINCT_LABELS {
                return Err(RegisterError::TooManyLabels {
                    scope: LabelScope::Registry,
                    count,
                    max: MAX_DISTINCT_LABELS,
                });
            }
        }
        known.claimed.push(Arc::clone(labels));
        known.add(labels);
        Ok(Claim {
            owner: self,
            labels: Arc::clone(labels),
        })
    }
}

impl Known {
    /// How many different ones there would be with these.
    fn count_with(&self, labels: &[Label]) -> usize {
        let new = labels
            .iter()
            .filter(|label| !self.names.contains(&label.name));
        self.names.len() + new.count()
    }

    fn add(&mut self, labels: &[Label]) {
        for label in labels {
            if !self.names.contains(&label.name) {
                self.names.insert(label.name.clone());
            }
        }
    }

    fn add_claimed(&mut self) {
        let claimed = std::mem::take(&mut self.claimed);
        claimed.iter().for_each(|labels| self.add(labels));
        self.claimed = claimed;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut known = self.owner.0.lock();
        let is_own = |labels: &Arc<[Label]>| Arc::ptr_eq(labels, &self.labels);
        if let Some(at) = known.claimed.iter().position(is_own) {
            known.claimed.swap_remove(at);
        }
    }
}

/// The labels of all local relays that are live, or expired and remembered.
fn in_use(relays: &Relays, now: Tick) -> BTreeSet<Box<str>> {
    let mut names = BTreeSet::new();
    for _ in 0..MAX_VISITS {
        let before = relays.publication().progress();
        relays.for_each_known(|record| add_labels(&record, relays, now, &mut names));
        if relays.publication().progress() == before {
            break;
        }
    }
    names
}

fn add_labels(
    record: &ObservedRecord<'_>,
    relays: &Relays,
    now: Tick,
    names: &mut BTreeSet<Box<str>>,
) {
    let Some(announced) = record.announcement() else {
        return;
    };
    let word = record.word();
    let is_over = match word.is_gone() {
        true => !word.is_remembered_at(now),
        // It is past its deadline, but no sweep has met it.
        false if word.is_live() && !word.is_live_at(now) => {
            remembered_until(relays, grace_of(relays, announced), word.deadline()) <= now
        }
        false => false,
    };
    if announced.origin == Origin::Learned || is_over {
        return;
    }
    for label in announced.labels() {
        if !names.contains(&label.name) {
            names.insert(label.name.clone());
        }
    }
}
