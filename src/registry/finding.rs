//! Finding a relay, and taking a unit of it.

use crate::errors::{FindError, LeaseError};
use crate::record::Refusal;
use crate::registry::core::Core;
use crate::registry::lease::Lease;
use crate::relay::{NodeId, RelayInfo};
use crate::select::{
    Best, Candidate, Criteria, Explanation, FindOptions, Look, Search, Views, Walk,
};
use crate::sync::epoch::{self, Guard};

impl Core {
    pub(super) fn find_relay(
        &self,
        target: &NodeId,
        options: &FindOptions,
    ) -> Result<RelayInfo, FindError> {
        let guard = epoch::pin();
        match self.glance(target, options, &guard) {
            Some(best) if best.is_confirmed() => Ok(self.describe_candidate(&best)),
            _ => self.find_carefully(target, options, &guard),
        }
    }

    #[inline(never)]
    fn find_carefully(
        &self,
        target: &NodeId,
        options: &FindOptions,
        guard: &Guard,
    ) -> Result<RelayInfo, FindError> {
        self.walk(target, options, guard, |walk| match walk.best() {
            Some(best) => Ok(self.describe_candidate(&best)),
            None => Err(self.none_available(walk)),
        })
    }

    pub(super) fn find_relays(&self, target: &NodeId, options: &FindOptions) -> Vec<RelayInfo> {
        let describe = |candidate: &Candidate<'_>| self.describe_candidate(candidate);
        let found: Vec<RelayInfo> = self.walk(target, options, &epoch::pin(), |walk| {
            let best = walk.best_of(options.max_results);
            best.iter().map(describe).collect()
        });
        if found.is_empty() {
            self.note_miss();
        }
        found
    }

    pub(super) fn reserve(
        &self,
        target: &NodeId,
        options: &FindOptions,
    ) -> Result<Lease, FindError> {
        let guard = epoch::pin();
        let best = self.glance(target, options, &guard);
        let taken = best.and_then(|best| Some((best, best.record.lease().ok()?)));
        match taken {
            Some((best, (unit, word))) => {
                let relay = self.describe_candidate(&best.judged_by(word));
                Ok(Lease::new(relay, unit))
            }
            None => self.reserve_carefully(target, options, &guard),
        }
    }

    #[inline(never)]
    fn reserve_carefully(
        &self,
        target: &NodeId,
        options: &FindOptions,
        guard: &Guard,
    ) -> Result<Lease, FindError> {
        self.walk(target, options, guard, |walk| match walk.lease() {
            Some((candidate, unit)) => Ok(Lease::new(self.describe_candidate(&candidate), unit)),
            None => Err(self.none_available(walk)),
        })
    }

    pub(super) fn lease(&self, relay: &NodeId) -> Result<Lease, LeaseError> {
        let guard = epoch::pin();
        let (record, _) = self
            .find_live(relay, &guard)
            .ok_or(LeaseError::UnknownRelay)?;
        if record.circuit().is_banned(self.timeline.tick()) {
            return Err(LeaseError::Banned);
        }
        match record.lease() {
            Ok((unit, word)) => Ok(Lease::new(self.describe(&record, word), unit)),
            Err((Refusal::Closed, _)) => Err(LeaseError::UnknownRelay),
            Err((Refusal::Draining, _)) => Err(LeaseError::Draining),
            Err((Refusal::Full, word)) => Err(LeaseError::Full {
                capacity: record.announcement(word).capacity,
            }),
        }
    }

    /// The best relay, exactly or nearly so, where relays differ in nothing but
    /// what this node knows of them, and none has to be handed out with care.
    #[inline(always)]
    fn glance<'g>(
        &'g self,
        target: &NodeId,
        options: &FindOptions,
        guard: &'g Guard,
    ) -> Option<Candidate<'g>> {
        if !options.is_plain() {
            return None;
        }
        let criteria = self.criteria(target, options, None);
        let recalled = match options.restricts() {
            false => self.recent.recall(&criteria, &self.table, guard),
            true => None,
        };
        let best = match recalled {
            Some(best) => best,
            None => self.search(&criteria, guard)?,
        };
        let best = Candidate::new(self.table.revisit(best.index, guard), best.worth);
        (!best.is_on_trial()).then_some(best)
    }

    /// Looks at the snapshot, and remembers what may serve the next calls.
    #[inline(never)]
    fn search(&self, criteria: &Criteria<'_>, guard: &Guard) -> Option<Best> {
        let snapshot = self.publication.load();
        let look = Look {
            table: &self.table,
            guard,
            snapshot: &snapshot,
            criteria: *criteria,
        };
        let (best, near) = Search::glance(&look)?;
        if !criteria.options.restricts() && snapshot.is_sampled() {
            self.recent.keep(&best, &near, criteria, &self.table, guard);
        }
        Some(best)
    }

    #[inline(always)]
    fn criteria<'a>(
        &'a self,
        target: &'a NodeId,
        options: &'a FindOptions,
        views: Option<&'a Views<'a>>,
    ) -> Criteria<'a> {
        Criteria {
            target,
            local: self.settings.local_id.as_ref(),
            options,
            views,
            tick: self.timeline.tick(),
            assumed_rtt_micros: self.settings.assumed_rtt_micros,
        }
    }

    /// Looks at the present snapshot with the eyes of one caller.
    fn walk<R>(
        &self,
        target: &NodeId,
        options: &FindOptions,
        guard: &Guard,
        walk: impl FnOnce(&Walk<'_>) -> R,
    ) -> R {
        let snapshot = self.publication.load();
        let positions = &snapshot.base.positions;
        let views = Views::resolve(options, &self.table, positions, guard);
        walk(&Walk {
            look: Look {
                table: &self.table,
                guard,
                snapshot: &snapshot,
                criteria: self.criteria(target, options, options.has_views().then_some(&views)),
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
        let explain = |walk: &Walk<'_>| walk.explain(options.max_results);
        self.walk(target, options, &epoch::pin(), explain)
    }
}
