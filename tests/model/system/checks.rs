//! The comparison of every answer with the model's.

use super::super::conversions::*;
use super::super::operation::{NODES, node, non_relay, unconditional};
use super::super::{Access, Call, Counters, Obstacle, Query, Rank, Record, time_of};
use super::System;
use relay_registry::{Endpoint, FindError, FindOptions, NodeId, Rejections, RelayInfo, Verdict};
use std::time::Duration;

impl System {
    pub(super) fn find(&mut self, target: NodeId, query: &Query<NodeId>) {
        let call = self.call(target, query);
        let outcome = if *query == unconditional() {
            self.registry.find_relay(&target)
        } else {
            let options = find_options(query);
            self.registry.find_relay_with(&target, &options)
        };
        match outcome {
            Ok(info) => {
                self.check_choice(&info, &call);
                self.check_relay(&info);
                self.model.hand_out(&info.node_id());
            }
            Err(error) => self.check_none(&error, &call),
        }
    }

    pub(super) fn find_many(&mut self, target: NodeId, query: &Query<NodeId>) {
        let call = self.call(target, query);
        let found = self.registry.find_relays(&target, &find_options(query));
        let candidates = self.model.candidates(&call);
        if candidates.is_empty() && query.max_results > 0 {
            return self.check_last_resort_in(&found, &call);
        }
        assert_eq!(
            found.len(),
            candidates.len().min(query.max_results),
            "{candidates:?}, not {found:?}\n{}",
            self.registry.explain(&target, &find_options(query)),
        );
        let Some(first) = found.first().map(RelayInfo::node_id) else {
            return;
        };
        self.check_choice_in_list(&found, &call);
        found.iter().for_each(|info| self.check_relay(info));
        self.model.hand_out(&first);
    }

    /// The first is one of the best of the lowest tier; a preference counts for it if it is alone. The others
    /// are as the list that begins with it.
    fn check_choice_in_list(&self, found: &[RelayInfo], call: &Call<NodeId>) {
        let mut of_first = call.clone();
        if call.query.max_results > 1 {
            of_first.query.preferred = None;
        }
        self.check_choice(&found[0], &of_first);
        let list = self.model.list(&found[0].node_id(), call);
        let mut seen = Vec::new();
        for (info, expected) in found.iter().zip(&list) {
            let id = info.node_id();
            assert!(!seen.contains(&id), "{id:?} twice");
            seen.push(id);
            let listed = list.iter().find(|it| it.id == id);
            let listed = listed.expect("an eligible relay");
            let is_in_place =
                (listed.tier, listed.is_on_trial) == (expected.tier, expected.is_on_trial);
            assert!(is_in_place, "{listed:?} in place of {expected:?}");
            if self.settled {
                assert!(
                    self.is_as_good(listed.score, expected.ranked, call),
                    "{listed:?} where {expected:?} was to be had"
                );
            }
        }
    }

    fn check_last_resort_in(&mut self, found: &[RelayInfo], call: &Call<NodeId>) {
        let last_resorts = self.model.last_resorts(call);
        // Relays past their deadline count in the share of backing-off relays until they are swept.
        let is_swept = self.departed_since_maintenance() == 0;
        assert!(found.len() == last_resorts.len().min(1) || (!is_swept && found.len() <= 1));
        for info in found {
            let is_one = last_resorts.contains(&info.node_id()) && info.is_last_resort();
            assert!(is_one || !is_swept);
            self.check_relay(info);
            self.model.hand_out(&info.node_id());
        }
    }

    /// The one that is handed out, or the first of a list.
    pub(super) fn check_choice(&self, info: &RelayInfo, call: &Call<NodeId>) {
        let relay = info.node_id();
        let eligible = self.model.eligible(call);
        if eligible.is_empty() {
            let last_resorts = self.model.last_resorts(call);
            let is_swept = self.departed_since_maintenance() == 0;
            let is_one = last_resorts.contains(&relay) && info.is_last_resort();
            return assert!(is_one || !is_swept, "not {relay:?}");
        }
        assert!(!info.is_last_resort(), "{info:?}");
        let chosen = eligible.iter().find(|it| it.id == relay);
        let chosen = chosen.unwrap_or_else(|| panic!("{relay:?} is not eligible"));
        let best = &eligible[0];
        let ties = eligible
            .iter()
            .filter(|it| self.is_as_good(it.score, best.ranked, call));
        let mut expected = ties.map(|it| self.model.handed_out(&it.id, call));
        if self.settled {
            assert!(
                expected.any(|id| id == relay),
                "{chosen:?} where {best:?} was to be had"
            );
        }
    }

    /// Each live relay must be rejected once, for a reason that holds and under which it counts. Until the next maintenance pass, a
    /// relay past its deadline may count as before, also in the share of backing-off relays.
    pub(super) fn check_none(&self, error: &FindError, call: &Call<NodeId>) {
        assert_eq!(self.model.eligible(call), []);
        if self.departed_since_maintenance() == 0 {
            assert_eq!(self.model.last_resorts(call), []);
        }
        let FindError::NoRelaysAvailable { rejections, .. } = error else {
            panic!("{error:?}");
        };
        let relays = self.model.relays().iter();
        let reasons: Vec<Vec<Obstacle>> = relays
            .map(|(id, relay)| countable(self.model.obstacles(id, relay, call)))
            .collect();
        let departed = self.departed_since_maintenance() as usize;
        let live = rejections.total() - rejections.departed;
        assert!((reasons.len()..=reasons.len() + departed).contains(&live));
        for (obstacles, count) in counts(rejections) {
            let is_among = |one: &Obstacle| obstacles.contains(one);
            let possible = reasons.iter().filter(|of_one| of_one.iter().any(is_among));
            let certain = reasons.iter().filter(|of_one| of_one.iter().all(is_among));
            let bounds = certain.count()..=possible.count() + departed;
            assert!(
                bounds.contains(&count),
                "{count} {obstacles:?}, not {bounds:?}"
            );
        }
        assert!(rejections.departed <= departed, "{rejections:?}");
        assert_eq!(rejections.tier, 0);
    }

    fn departed_since_maintenance(&self) -> u64 {
        let gone = |counters: Counters| counters.unregistrations + counters.expirations;
        let restarts = self.model.restarts() - self.restarts_counted;
        gone(self.model.counters()) - gone(self.counted) + restarts
    }

    /// The precision of ranks: 1/512 among few relays, 1/32 among many, 1/20 for a pair of peers. Scores are
    /// in single precision.
    fn is_as_good(&self, score: f64, best: f64, call: &Call<NodeId>) -> bool {
        const FEW: usize = 64;
        let tolerance = match self.settings.max_relays {
            _ if call.has_views() => 0.05,
            ..=FEW => 1.0 / 512.0,
            _ => 1.0 / 32.0,
        };
        score <= best * (1.0 + tolerance) * 1.000_1
    }

    /// Membership, infos, the list and the count, for every node.
    pub fn check_every_view(&mut self) {
        self.check_circuits();
        for id in (0..NODES).map(node) {
            let info = self.registry.relay(&id);
            let is_held = self.model.relay(&id).is_some();
            assert_eq!(info.is_some(), is_held, "{id:?}");
            assert_eq!(self.registry.is_relay(&id), is_held, "{id:?}");
            info.iter().for_each(|info| self.check_relay(info));
        }
        let listed = self.registry.relays();
        assert_eq!(listed.len(), self.model.relays().len());
        assert_eq!(self.registry.relay_count(), listed.len());
        let mut ids: Vec<_> = listed.iter().map(RelayInfo::node_id).collect();
        ids.sort_unstable();
        assert!(ids.iter().eq(self.model.relays().keys()), "{ids:?}");
        listed.iter().for_each(|info| self.check_relay(info));
    }

    /// Bans and back-offs. If the model does not know whether a back-off is over, an explanation says it.
    pub(super) fn check_circuits(&mut self) {
        let explanation = self.registry.explain(&non_relay(), &FindOptions::new());
        let tick = self.model.tick();
        for explained in explanation.relays() {
            let (id, verdict) = (explained.relay, explained.verdict);
            if verdict == Verdict::Excluded {
                assert_eq!(self.settings.local, Some(id));
                continue;
            }
            let is_backing_off = matches!(verdict, Verdict::BackingOff | Verdict::LastResort);
            let Some(record) = self.model.relay(&id) else {
                assert_eq!(verdict, Verdict::Departed);
                continue;
            };
            match record.circuit.access(tick) {
                Access::Unknown => self.model.observe(&id, is_backing_off),
                access => {
                    assert_eq!(is_backing_off, access == Access::BackingOff, "{record:?}");
                    assert_eq!(verdict == Verdict::Banned, access == Access::Banned);
                }
            }
        }
    }

    pub(super) fn check_relay(&mut self, info: &RelayInfo) {
        let id = info.node_id();
        let record = self.model.relay(&id).expect("a relay that is held");
        check_info(
            info,
            &id,
            record,
            (self.model.rank(&id, record), record.load()),
        );
        self.check_trust(info);
        self.check_times(info);
    }

    fn check_trust(&self, info: &RelayInfo) {
        let tick = self.model.tick();
        let circuit = &self
            .model
            .relay(&info.node_id())
            .expect("just seen")
            .circuit;
        assert_eq!(info.is_banned(), circuit.is_banned_at(tick));
        if let Some(trust) = circuit.trust(tick).filter(|_| !info.is_banned()) {
            assert_eq!(info.circuit(), circuit_state(trust), "{circuit:?}");
        }
    }

    /// Times of day are times of the clock and deadlines, from one origin.
    fn check_times(&mut self, info: &RelayInfo) {
        let record = self.model.relay(&info.node_id()).expect("just seen");
        // The clock ends at this time.
        let last = Duration::from_nanos(u64::MAX);
        let deadline = time_of(self.settings.tick, record.deadline).min(last);
        let expiry = info.expires_at();
        let origin = *self.origin.get_or_insert_with(|| expiry - deadline);
        assert_eq!(expiry, origin + deadline);
        let earliest = origin + record.registered.saturating_sub(self.settings.tick);
        let registered = earliest..=origin + record.registered;
        assert!(registered.contains(&info.registered_at()), "{info:?}");
        self.check_spans(info);
    }

    /// Spans are counted from the present tick on.
    fn check_spans(&self, info: &RelayInfo) {
        let record = self.model.relay(&info.node_id()).expect("just seen");
        let last = Duration::from_nanos(u64::MAX);
        let time = |tick| time_of(self.settings.tick, tick).min(last);
        let now = time(self.model.tick());
        assert_eq!(info.ttl(), record.ttl.min(last));
        assert_eq!(info.expires_in(), time(record.deadline) - now);
        // What was measured later in the tick is as good as new.
        let measured = record.latest_sample().map(Duration::from_secs);
        let age = measured.map(|at| now.saturating_sub(at));
        assert_eq!(info.latency_age(), age);
    }

    /// Counters are exact after a maintenance pass. Units leased of departed relays may count.
    pub(super) fn check_stats(&self) {
        let stats = self.registry.stats();
        let counters = Counters {
            registrations: stats.registrations,
            renewals: stats.renewals,
            unregistrations: stats.unregistrations,
            expirations: stats.expirations,
            refused: stats.refused,
        };
        assert_eq!(counters, self.model.counters());
        assert_eq!(stats.relays, self.model.relays().len());
        assert_eq!((stats.snapshot_len, stats.arrivals), (stats.relays, 0));
        // Leaves of departed relays may remain, at most one for each record.
        let records = 3 * self.settings.max_relays + 2048;
        assert!(
            (stats.relays..=records).contains(&stats.wheel_len),
            "{stats:?}"
        );
        let live = self.model.relays().values().map(|relay| relay.leases());
        let held = self.leases.iter().map(|(_, held)| held.units);
        let leases = live.sum::<u32>() as usize..=held.sum::<u32>() as usize;
        assert!(
            leases.contains(&stats.leases),
            "{} of {leases:?}",
            stats.leases
        );
    }
}

pub(super) fn check_info(
    info: &RelayInfo,
    id: &NodeId,
    record: &Record<Endpoint>,
    (rank, load): (Rank, u32),
) {
    assert_eq!(info.node_id(), *id);
    assert_eq!(*info.endpoint(), record.endpoint);
    assert_eq!(info.capacity(), record.capacity);
    assert_eq!(info.current_load(), load);
    assert_eq!(info.latency(), record.latency());
    assert_eq!(info.nat(), record.nat.map(nat_type));
    assert_eq!(info.is_draining(), record.draining);
    assert_eq!((info.tier(), info.cost()), (rank.tier, rank.cost));
    assert!(info.labels().eq(&record.details.labels), "{info:?}");
    assert_eq!(info.also_at(), record.details.also_at);
    assert_eq!(info.failure_domain(), record.details.domain.as_deref());
}

/// The obstacles under one of which a relay counts.
fn countable(mut obstacles: Vec<Obstacle>) -> Vec<Obstacle> {
    let lowest = obstacles.iter().map(|it| it.class()).min();
    obstacles.retain(|it| Some(it.class()) == lowest);
    obstacles
}

fn counts(rejections: &Rejections) -> [(&'static [Obstacle], usize); 9] {
    [
        (&[Obstacle::Excluded, Obstacle::Domain], rejections.excluded),
        (&[Obstacle::Banned], rejections.banned),
        (&[Obstacle::BackingOff], rejections.backing_off),
        (&[Obstacle::Draining], rejections.draining),
        (&[Obstacle::Full, Obstacle::TooFewUnits], rejections.full),
        (&[Obstacle::Labels], rejections.labels),
        (&[Obstacle::Family], rejections.family),
        (&[Obstacle::TooFar], rejections.too_far),
        (&[Obstacle::Unmeasured], rejections.unmeasured),
    ]
}
