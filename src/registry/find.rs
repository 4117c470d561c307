//! Finding a relay, and taking a unit of it.

use crate::errors::{FindError, LeaseError};
use crate::registry::inner::Inner;
use crate::registry::lease::Lease;
use crate::relay::{NodeId, Rejection, RelayInfo};
use crate::select::{
    Candidate, Criteria, Explanation, FindOptions, LatencyLimit, Search, SearchScope, Views,
};
use crate::sync::epoch::{self, Guard};
use crate::table::snapshot::{FilterId, Snapshot};
use crate::time::Tick;
use std::num::NonZeroU32;

/// What it means that a search found no relay.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The call ends, and counts as refused.
    Counts,
    /// The call goes on.
    IsNoOutcome,
}

impl Inner {
    pub(super) fn find_relay(
        &self,
        target: &NodeId,
        options: &FindOptions,
    ) -> Result<RelayInfo, FindError> {
        self.relays.counters.count_find();
        self.look_for_relay(target, options, Refusal::Counts)
    }

    /// A find that is not counted itself.
    #[inline(always)]
    pub(super) fn look_for_relay(
        &self,
        target: &NodeId,
        options: &FindOptions,
        refusal: Refusal,
    ) -> Result<RelayInfo, FindError> {
        let now = self.relays.present();
        let (guard, snapshot) = (epoch::pin(), self.relays.publication().load());
        match self.fast_path(target, options, now, &snapshot, &guard) {
            Some(best) => Ok(self.relays.describe_candidate(&best, now)),
            None => self.find_slow_path(target, options, refusal, now, &snapshot, &guard),
        }
    }

    #[inline(never)]
    fn find_slow_path(
        &self,
        target: &NodeId,
        options: &FindOptions,
        refusal: Refusal,
        now: Tick,
        snapshot: &Snapshot,
        guard: &Guard,
    ) -> Result<RelayInfo, FindError> {
        if let Some(best) = self.fast_path_by_tiers(target, options, now, snapshot, guard) {
            return Ok(self.relays.describe_candidate(&best, now));
        }
        self.search(
            target,
            options,
            now,
            snapshot,
            guard,
            |search| match search.best() {
                Some(best) => Ok(self.relays.describe_candidate(&best, now)),
                None => Err(self.none_available(search, refusal)),
            },
        )
    }

    pub(super) fn find_relays(&self, target: &NodeId, options: &FindOptions) -> Vec<RelayInfo> {
        self.relays.counters.count_find();
        let now = self.relays.present();
        let describe = |candidate: &Candidate<'_>| self.relays.describe_candidate(candidate, now);
        let (guard, snapshot) = (epoch::pin(), self.relays.publication().load());
        let found: Vec<RelayInfo> =
            self.search(target, options, now, &snapshot, &guard, |search| {
                let best = search.best_of(options.max_results);
                // A call for no relay at all is not refused.
                if best.is_empty() && options.max_results > 0 {
                    self.relays.counters.count_refusal(&search.rejections());
                }
                best.iter().map(describe).collect()
            });
        if found.is_empty() {
            self.link.notify_miss();
        }
        found
    }

    pub(super) fn reserve(
        &self,
        target: &NodeId,
        options: &FindOptions,
    ) -> Result<Lease, FindError> {
        self.relays.counters.count_reservation();
        self.look_for_lease(target, options, Refusal::Counts)
    }

    /// A reservation that is not counted itself.
    #[inline(always)]
    pub(super) fn look_for_lease(
        &self,
        target: &NodeId,
        options: &FindOptions,
        refusal: Refusal,
    ) -> Result<Lease, FindError> {
        let now = self.relays.present();
        let (guard, snapshot) = (epoch::pin(), self.relays.publication().load());
        let best = self.fast_path(target, options, now, &snapshot, &guard);
        match best.and_then(|best| self.lease_of(&best, options, &snapshot, now)) {
            Some(lease) => Ok(lease),
            None => self.reserve_slow_path(target, options, refusal, now, &snapshot, &guard),
        }
    }

    /// The units that a call asks for, of a relay, if it has as many.
    #[inline(always)]
    fn lease_of(
        &self,
        best: &Candidate<'_>,
        options: &FindOptions,
        snapshot: &Snapshot,
        now: Tick,
    ) -> Option<Lease> {
        let (units, record) = best.record.lease(options.units, Some(snapshot)).ok()?;
        // It may have been renewed since it was chosen.
        options.check_terms(&record).ok()?;
        let candidate = best.with_record(record);
        let relay = self.relays.describe_candidate(&candidate, now);
        Some(Lease::new(relay, units, best.circuit.sequence()))
    }

    #[inline(never)]
    fn reserve_slow_path(
        &self,
        target: &NodeId,
        options: &FindOptions,
        refusal: Refusal,
        now: Tick,
        snapshot: &Snapshot,
        guard: &Guard,
    ) -> Result<Lease, FindError> {
        let best = self.fast_path_by_tiers(target, options, now, snapshot, guard);
        if let Some(lease) = best.and_then(|best| self.lease_of(&best, options, snapshot, now)) {
            return Ok(lease);
        }
        self.search(
            target,
            options,
            now,
            snapshot,
            guard,
            |search| match search.lease() {
                Some((candidate, units)) => {
                    let sequence = candidate.circuit.sequence();
                    let relay = self.relays.describe_candidate(&candidate, now);
                    Ok(Lease::new(relay, units, sequence))
                }
                None => Err(self.none_available(search, refusal)),
            },
        )
    }

    pub(super) fn lease(&self, relay: &NodeId, units: NonZeroU32) -> Result<Lease, LeaseError> {
        let now = self.relays.present();
        let guard = epoch::pin();
        let record = self
            .relays
            .find_live(relay, now, &guard)
            .ok_or(LeaseError::UnknownRelay)?;
        // Before the lease: a failure in between makes its success count for nothing.
        let circuit = record.circuit();
        if circuit.is_banned(now) {
            return Err(LeaseError::Banned);
        }
        match record.lease(units, None) {
            Ok((units, record)) => {
                let relay = self.relays.describe(&record, now);
                Ok(Lease::new(relay, units, circuit.sequence()))
            }
            Err((reason, capacity)) => Err(match reason {
                Rejection::Full => LeaseError::Full { capacity },
                Rejection::Draining => LeaseError::Draining,
                Rejection::Banned => LeaseError::Banned,
                // A load word rejects for no other reason than that it is closed.
                Rejection::Departed
                | Rejection::BackingOff
                | Rejection::Excluded
                | Rejection::Labels
                | Rejection::Family
                | Rejection::Tier
                | Rejection::TooFar
                | Rejection::Unmeasured => LeaseError::UnknownRelay,
            }),
        }
    }

    /// One of the best relays, if the summaries alone decide.
    #[inline(always)]
    fn fast_path<'g>(
        &'g self,
        target: &NodeId,
        options: &FindOptions,
        now: Tick,
        snapshot: &Snapshot,
        guard: &'g Guard,
    ) -> Option<Candidate<'g>> {
        if !options.is_plain() || self.peers.knows(target, now) {
            return None;
        }
        let criteria = self.criteria(target, options, now, None);
        Search::fast_path(&self.relays.table, &criteria, snapshot, guard)
    }

    /// The same in a filter's trees, or among several tiers.
    #[inline(always)]
    fn fast_path_by_tiers<'g>(
        &'g self,
        target: &NodeId,
        options: &FindOptions,
        now: Tick,
        snapshot: &Snapshot,
        guard: &'g Guard,
    ) -> Option<Candidate<'g>> {
        let context = &self.relays.publication().context;
        let has_others = || options.is_filtered() || context.has_higher_tiers();
        match options.is_plain_but_for_filters() && has_others() {
            true => self.best_by_tiers(target, options, now, snapshot, guard),
            false => None,
        }
    }

    #[inline(never)]
    fn best_by_tiers<'g>(
        &'g self,
        target: &NodeId,
        options: &FindOptions,
        now: Tick,
        snapshot: &Snapshot,
        guard: &'g Guard,
    ) -> Option<Candidate<'g>> {
        let filter = self.filter_of(options);
        let has_trees = options.filter.is_none() || filter.is_some();
        if !has_trees || self.peers.knows(target, now) {
            return None;
        }
        let criteria = Criteria {
            filter,
            ..self.criteria(target, options, now, None)
        };
        Search::fast_path_by_tiers(&self.relays.table, &criteria, snapshot, guard)
    }

    /// The filter that a call asks for, if there are trees for it or will be.
    #[inline(always)]
    pub(super) fn filter_of(&self, options: &FindOptions) -> Option<FilterId> {
        let filters = &self.relays.publication().context.filters;
        filters.find(options.filter.as_ref()?)
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
            target: Some(target),
            requester: options.requester.as_ref(),
            local: self.relays.settings.local_id.as_ref(),
            options,
            filter: None,
            views,
            tick: now,
            assumed_rtt_micros: self.relays.settings.assumed_rtt_micros,
            target_leg_micros: self.relays.settings.assumed_rtt_micros,
            // The fast path evaluates nothing.
            has_policies: true,
        }
    }

    /// Prepares a search for one call, and runs `act` on it.
    fn search<R>(
        &self,
        target: &NodeId,
        options: &FindOptions,
        now: Tick,
        snapshot: &Snapshot,
        guard: &Guard,
        act: impl FnOnce(&Search<'_>) -> R,
    ) -> R {
        let context = &self.relays.publication().context;
        context.units_asked.ask(options.units.get());
        let filter = self.filter_of(options);
        let has_policies = self.relays.table.has_policies();
        let with = |views: Option<&Views<'_>>| {
            let criteria = Criteria {
                filter,
                has_policies,
                ..self.criteria(target, options, now, views)
            };
            act(&self.search_by(criteria, snapshot, guard))
        };
        // What is remembered stays here, in place of what the options do not have.
        let (remembered_requester, remembered_target);
        let requester = match (&options.requester_view, self.other_requester(options)) {
            (Some(given), _) => Some(given),
            (None, Some(peer)) => {
                // Of a peer that is not known, no leg is: not this node's own either.
                remembered_requester = self.peers.view_of(peer, now).unwrap_or_default();
                Some(&remembered_requester)
            }
            (None, None) => None,
        };
        let target_view = match &options.target_view {
            None if self.peers.are_any() => {
                remembered_target = self.peers.view_of(target, now);
                remembered_target.as_ref()
            }
            given => given.as_ref(),
        };
        if requester.is_none() && target_view.is_none() {
            return with(None);
        }
        let table = &self.relays.table;
        let views = Views::resolve(requester, target_view, table, snapshot, guard);
        with(Some(&views))
    }

    pub(super) fn search_by<'a>(
        &'a self,
        criteria: Criteria<'a>,
        snapshot: &'a Snapshot,
        guard: &'a Guard,
    ) -> Search<'a> {
        Search {
            scope: SearchScope {
                table: &self.relays.table,
                guard,
                latency_limit: LatencyLimit::of(&criteria),
                criteria,
            },
            snapshot,
            max_ejected_share: self.relays.settings.max_ejected_share,
        }
    }

    /// The peer that asks, if that is not this node.
    fn other_requester<'a>(&self, options: &'a FindOptions) -> Option<&'a NodeId> {
        let local = self.relays.settings.local_id.as_ref();
        options
            .requester
            .as_ref()
            .filter(|&peer| Some(peer) != local)
    }

    #[cold]
    pub(super) fn none_available(&self, search: &Search<'_>, refusal: Refusal) -> FindError {
        self.link.notify_miss();
        let rejections = search.rejections();
        if refusal == Refusal::Counts {
            self.relays.counters.count_refusal(&rejections);
        }
        FindError::NoRelaysAvailable { rejections }
    }

    pub(super) fn explain(&self, target: &NodeId, options: &FindOptions) -> Explanation {
        let now = self.relays.present();
        let (guard, snapshot) = (epoch::pin(), self.relays.publication().load());
        let explain = |search: &Search<'_>| search.explain(target, options.max_results);
        self.search(target, options, now, &snapshot, &guard, explain)
    }
}
