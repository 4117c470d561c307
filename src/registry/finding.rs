//! Finding a relay, and taking a unit of it.

use crate::errors::{FindError, LeaseError};
use crate::record::Refusal;
use crate::registry::core::Core;
use crate::registry::lease::Lease;
use crate::relay::{NodeId, RelayInfo};
use crate::select::{Candidate, Criteria, Explanation, FindOptions, Look, Views, Walk};
use crate::sync::epoch;

impl Core {
    #[inline]
    pub(super) fn find_relay(
        &self,
        target: &NodeId,
        options: &FindOptions,
    ) -> Result<RelayInfo, FindError> {
        self.walk(target, options, |walk| match walk.best() {
            Some(best) => Ok(self.describe_candidate(&best)),
            None => Err(self.none_available(walk)),
        })
    }

    pub(super) fn find_relays(&self, target: &NodeId, options: &FindOptions) -> Vec<RelayInfo> {
        let describe = |candidate: &Candidate<'_>| self.describe_candidate(candidate);
        let found: Vec<RelayInfo> = self.walk(target, options, |walk| {
            walk.best_of(options.max_results)
                .iter()
                .map(describe)
                .collect()
        });
        if found.is_empty() {
            self.note_miss();
        }
        found
    }

    #[inline]
    pub(super) fn reserve(
        &self,
        target: &NodeId,
        options: &FindOptions,
    ) -> Result<Lease, FindError> {
        self.walk(target, options, |walk| match walk.lease() {
            Some((candidate, unit)) => Ok(Lease::new(self.describe_candidate(&candidate), unit)),
            None => Err(self.none_available(walk)),
        })
    }

    pub(super) fn lease(&self, relay: &NodeId) -> Result<Lease, LeaseError> {
        let guard = epoch::pin();
        let (record, word) = self
            .find_live(relay, &guard)
            .ok_or(LeaseError::UnknownRelay)?;
        if record.circuit().is_banned(self.timeline.tick()) {
            return Err(LeaseError::Banned);
        }
        match record.lease() {
            Ok(unit) => Ok(Lease::new(self.describe(&record, word), unit)),
            Err(Refusal::Closed) => Err(LeaseError::UnknownRelay),
            Err(Refusal::Draining) => Err(LeaseError::Draining),
            Err(Refusal::Full) => Err(LeaseError::Full {
                capacity: record.announcement(word).capacity,
            }),
        }
    }

    /// Looks at the present snapshot with the eyes of one caller.
    #[inline]
    fn walk<R>(
        &self,
        target: &NodeId,
        options: &FindOptions,
        walk: impl FnOnce(&Walk<'_>) -> R,
    ) -> R {
        let guard = epoch::pin();
        let snapshot = self.publication.load();
        let views = options.has_views().then(|| {
            let (requester, target) = (&options.requester_view, &options.target_view);
            let positions = &snapshot.base.positions;
            Views::resolve(requester, target, &self.table, positions, &guard)
        });
        let criteria = Criteria {
            target,
            local: self.settings.local_id.as_ref(),
            options,
            views: views.as_ref(),
            tick: self.timeline.tick(),
            assumed_rtt_micros: self.settings.assumed_rtt_micros,
        };
        walk(&Walk {
            look: Look {
                table: &self.table,
                guard: &guard,
                snapshot: &snapshot,
                criteria,
            },
            tick_nanos: self.timeline.tick_nanos(),
            max_ejected: self.settings.max_ejected,
        })
    }

    #[cold]
    fn none_available(&self, walk: &Walk<'_>) -> FindError {
        self.note_miss();
        FindError::NoRelaysAvailable {
            passed_over: walk.passed_over(),
        }
    }

    pub(super) fn explain(&self, target: &NodeId, options: &FindOptions) -> Explanation {
        self.walk(target, options, |walk| walk.explain(options.max_results))
    }
}
