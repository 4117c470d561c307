//! Finding a relay, and taking a unit of it.

use crate::errors::{FindError, LeaseError};
use crate::registry::core::Core;
use crate::registry::lease::Lease;
use crate::relay::{NodeId, RelayInfo};
use crate::select::{
    Candidate, Criteria, Explanation, FindOptions, Reach, Search, SearchScope, Views,
};
use crate::sync::epoch::{self, Guard};
use crate::table::record::Refusal;
use crate::table::snapshot::Snapshot;
use crate::time::Tick;

impl Core {
    pub(super) fn find_relay(
        &self,
        target: &NodeId,
        options: &FindOptions,
    ) -> Result<RelayInfo, FindError> {
        let now = self.present();
        let (guard, snapshot) = (epoch::pin(), self.publication().load());
        match self.fast_path(target, options, now, &snapshot, &guard) {
            Some(best) => Ok(self.describe_candidate(&best, now)),
            None => self.find_slow_path(target, options, now, &snapshot, &guard),
        }
    }

    #[inline(never)]
    fn find_slow_path(
        &self,
        target: &NodeId,
        options: &FindOptions,
        now: Tick,
        snapshot: &Snapshot,
        guard: &Guard,
    ) -> Result<RelayInfo, FindError> {
        self.search(
            target,
            options,
            now,
            snapshot,
            guard,
            |search| match search.best() {
                Some(best) => Ok(self.describe_candidate(&best, now)),
                None => Err(self.none_available(search)),
            },
        )
    }

    pub(super) fn find_relays(&self, target: &NodeId, options: &FindOptions) -> Vec<RelayInfo> {
        let now = self.present();
        let describe = |candidate: &Candidate<'_>| self.describe_candidate(candidate, now);
        let (guard, snapshot) = (epoch::pin(), self.publication().load());
        let found: Vec<RelayInfo> =
            self.search(target, options, now, &snapshot, &guard, |search| {
                let best = search.best_of(options.max_results);
                best.iter().map(describe).collect()
            });
        if found.is_empty() {
            self.link.note_miss();
        }
        found
    }

    pub(super) fn reserve(
        &self,
        target: &NodeId,
        options: &FindOptions,
    ) -> Result<Lease, FindError> {
        let now = self.present();
        let (guard, snapshot) = (epoch::pin(), self.publication().load());
        let best = self.fast_path(target, options, now, &snapshot, &guard);
        let taken = best.and_then(|best| Some((best, best.record.lease(Some(&snapshot)).ok()?)));
        match taken {
            Some((best, (unit, word))) => {
                let relay = self.describe_candidate(&best.judged_by(word), now);
                Ok(Lease::new(relay, unit, best.circuit.sequence()))
            }
            None => self.reserve_slow_path(target, options, now, &snapshot, &guard),
        }
    }

    #[inline(never)]
    fn reserve_slow_path(
        &self,
        target: &NodeId,
        options: &FindOptions,
        now: Tick,
        snapshot: &Snapshot,
        guard: &Guard,
    ) -> Result<Lease, FindError> {
        self.search(
            target,
            options,
            now,
            snapshot,
            guard,
            |search| match search.lease() {
                Some((candidate, unit)) => {
                    let sequence = candidate.circuit.sequence();
                    let relay = self.describe_candidate(&candidate, now);
                    Ok(Lease::new(relay, unit, sequence))
                }
                None => Err(self.none_available(search)),
            },
        )
    }

    pub(super) fn lease(&self, relay: &NodeId) -> Result<Lease, LeaseError> {
        let now = self.present();
        let guard = epoch::pin();
        let (record, _) = self
            .find_live(relay, now, &guard)
            .ok_or(LeaseError::UnknownRelay)?;
        // Before the lease: a failure in between makes its success count for nothing.
        let circuit = record.circuit();
        if circuit.is_banned(now) {
            return Err(LeaseError::Banned);
        }
        match record.lease(None) {
            Ok((unit, word)) => {
                let relay = self.describe(&record, word, now);
                Ok(Lease::new(relay, unit, circuit.sequence()))
            }
            Err((Refusal::Closed, _)) => Err(LeaseError::UnknownRelay),
            Err((Refusal::Draining, _)) => Err(LeaseError::Draining),
            Err((Refusal::Full, word)) => Err(LeaseError::Full {
                capacity: record.announcement(word).capacity,
            }),
        }
    }

    /// One of the best relays, where no more than the summaries has to be looked at.
    #[inline(always)]
    fn fast_path<'g>(
        &'g self,
        target: &NodeId,
        options: &FindOptions,
        now: Tick,
        snapshot: &Snapshot,
        guard: &'g Guard,
    ) -> Option<Candidate<'g>> {
        if !options.is_plain() {
            return None;
        }
        let criteria = self.criteria(target, options, now, None);
        Search::fast_path(&self.table, &criteria, snapshot, guard)
    }

    #[inline(always)]
    fn criteria<'a>(
        &'a self,
        target: &'a NodeId,
        options: &'a FindOptions,
        now: Tick,
        views: Option<&'a Views<'a>>,
    ) -> Criteria<'a> {
        Criteria {
            target,
            local: self.settings.local_id.as_ref(),
            options,
            views,
            tick: now,
            assumed_rtt_micros: self.settings.assumed_rtt_micros,
        }
    }

    /// Makes a search for one caller.
    fn search<R>(
        &self,
        target: &NodeId,
        options: &FindOptions,
        now: Tick,
        snapshot: &Snapshot,
        guard: &Guard,
        act: impl FnOnce(&Search<'_>) -> R,
    ) -> R {
        let with = |views: Option<&Views<'_>>| {
            let criteria = self.criteria(target, options, now, views);
            act(&Search {
                scope: SearchScope {
                    table: &self.table,
                    guard,
                    reach: Reach::of(&criteria),
                    criteria,
                },
                snapshot,
                max_ejected_share: self.settings.max_ejected_share,
            })
        };
        if !options.has_views() {
            return with(None);
        }
        let views = Views::resolve(options, &self.table, snapshot, guard);
        with(Some(&views))
    }

    #[cold]
    fn none_available(&self, search: &Search<'_>) -> FindError {
        self.link.note_miss();
        FindError::NoRelaysAvailable {
            rejections: search.rejections(),
        }
    }

    pub(super) fn explain(&self, target: &NodeId, options: &FindOptions) -> Explanation {
        let now = self.present();
        let (guard, snapshot) = (epoch::pin(), self.publication().load());
        let explain = |search: &Search<'_>| search.explain(options.max_results);
        self.search(target, options, now, &snapshot, &guard, explain)
    }
}
