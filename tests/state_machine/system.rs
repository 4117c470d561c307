//! The registry and its model side by side: each operation is done to both, and every answer compared.

use crate::common::stranger;
use crate::model::{
    self, Access, Admission, Change, Counters, Fault, Held, Model, Obstacle, Query, Record,
    Refusal, Settings,
};
use crate::operations::{NODES, Operation, Wave, crowd, no_wishes, node};
use crate::words::*;
use relay_registry::{
    AddressPolicy, FindError, FindOptions, Lease, LeaseError, Maintenance, ManualClock, NodeId,
    RegisterError, Registration, Registry, Rejections, RelayInfo, Verdict,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

/// How far, relatively, the score of a relay handed out may be from the best one's: of
/// few relays scores are told apart by a 512th.
const TOLERANCE: f64 = 2.1e-3;

pub struct System {
    settings: Settings<NodeId>,
    clock: ManualClock,
    now: Duration,
    registry: Registry,
    model: Model<NodeId, SocketAddr>,
    leases: Vec<(Lease, Held<NodeId>)>,
    /// The time of day at the clock's origin, as the first relay seen tells it.
    origin: Option<SystemTime>,
    /// No round trip has changed since the last maintenance pass, so that order must be exact.
    settled: bool,
    /// The model's counters at the last maintenance pass.
    counted: Counters,
    restarts_counted: u64,
}

impl System {
    pub fn new(settings: Settings<NodeId>) -> Self {
        let clock = ManualClock::new();
        let mut builder = Registry::builder()
            .max_relays(settings.max_relays)
            .ttl(settings.ttl)
            .tick(settings.tick)
            .assumed_rtt(settings.assumed_rtt)
            .rtt_lifetime(settings.rtt_lifetime)
            .max_ejected_share(settings.max_ejected_share)
            .maintenance(Maintenance::Manual)
            .clock(clock.clone());
        if let Some(local) = settings.local {
            builder = builder.local_id(local);
        }
        if let Some(grace) = settings.return_grace {
            builder = builder.return_grace(grace);
        }
        if settings.public_only {
            builder = builder.address_policy(AddressPolicy::PublicOnly);
        }
        Self {
            model: Model::new(settings.clone()),
            registry: builder.build().expect("valid settings"),
            settings,
            clock,
            now: Duration::ZERO,
            leases: Vec::new(),
            origin: None,
            settled: true,
            counted: Counters::default(),
            restarts_counted: 0,
        }
    }

    pub fn perform(&mut self, operation: Operation) {
        match operation {
            Operation::Register(id, address, change) => self.register(id, address, &change),
            Operation::Unregister(id) => {
                let was_there = self.registry.unregister(&id);
                assert_eq!(was_there, self.model.unregister(&id));
            }
            Operation::Lease(id) => self.lease(id),
            Operation::DropLease(index) => self.drop_lease(index),
            Operation::Reserve(target, query) => self.reserve(target, &query),
            Operation::Find(target, query) => self.find(target, &query),
            Operation::FindMany(target, query) => self.find_many(target, &query),
            Operation::RecordRtt(id, rtt) => {
                let taken = self.registry.record_rtt(&id, rtt);
                assert_eq!(taken, self.model.record_rtt(&id, rtt));
                self.settled &= !taken;
            }
            Operation::ForgetRtt(id) => {
                let is_known = self.registry.forget_rtt(&id);
                assert_eq!(is_known, self.model.forget_rtt(&id));
                self.settled &= !is_known;
            }
            Operation::ForgetRtts => {
                self.registry.forget_rtts();
                self.model.forget_rtts();
                self.settled = false;
            }
            Operation::ReportLoad(id, load) => {
                let taken = self.registry.report_load(&id, load);
                assert_eq!(taken, self.model.report_load(&id, load));
            }
            Operation::ReportLoadOfOthers(id, load) => {
                let taken = self.registry.report_load_of_others(&id, load);
                assert_eq!(taken, self.model.report_load_of_others(&id, load));
            }
            Operation::Renew(id) => {
                let renewed = self.registry.renew(&id).is_ok();
                assert_eq!(renewed, self.model.renew(self.now, &id));
            }
            Operation::Lift(id) => {
                let lifted = self.registry.lift(&id);
                assert_eq!(lifted, self.model.lift(&id));
            }
            Operation::SetDraining(id, draining) => {
                assert_eq!(self.registry.set_draining(&id, draining), Ok(()));
                self.model.set_draining(&id, draining);
            }
            // This node's own back-off shows in no explanation.
            Operation::ReportFailure(id, _) if self.settings.local == Some(id) => {}
            Operation::ReportFailure(id, fault) => {
                self.settle_circuits();
                let taken = self.registry.report_failure(&id, failure(fault));
                assert_eq!(taken, self.model.report_failure(&id, fault));
            }
            Operation::ReportSuccess(id) => {
                let taken = self.registry.report_success(&id);
                assert_eq!(taken, self.model.report_success(&id));
            }
            Operation::LeaseFails(index, fault) => self.lease_fails(index, fault),
            Operation::LeaseSucceeds(index) => {
                if let Some((lease, held)) = nth(&self.leases, index) {
                    assert_eq!(lease.succeeded(), self.model.lease_succeeded(held));
                }
            }
            Operation::ResetCircuit(id) => {
                let known = self.registry.reset_circuit(&id);
                assert_eq!(known, self.model.reset_circuit(&id));
            }
            Operation::Ban(id, duration) => {
                assert_eq!(self.registry.ban(&id, duration), Ok(()));
                self.model.ban(self.now, id, duration);
            }
            Operation::Unban(id) => {
                let was_banned = self.registry.unban(&id);
                assert_eq!(was_banned, self.model.unban(&id));
            }
            Operation::Maintain => self.maintain(),
            Operation::RegisterCrowd(capacity) => self.register_crowd(capacity),
            Operation::ChangeCrowd(one_in, wave) => crowd()
                .step_by(one_in)
                .for_each(|id| self.perform(change_of(wave, id))),
            Operation::Advance(step) => {
                let step = step.duration(&self.settings);
                self.clock.advance(step);
                self.now += step;
                // Every call reads the clock.
                self.model.maintain(self.now);
            }
        }
        // What has lapsed is ranked anew by the next pass.
        if self.model.take_lapsed() {
            self.maintain();
        }
    }

    // --- changes -------------------------------------------------------------------------------

    fn register(&mut self, id: NodeId, address: SocketAddr, change: &Change) {
        let outcome = if *change == Change::default() {
            self.registry.register(id, address)
        } else {
            let options = register_options(change);
            self.registry.register_with(id, address, &options)
        };
        let is_new = outcome == Ok(Registration::New);
        let expected = self.model.register(self.now, id, address, change, is_new);
        match (outcome, expected) {
            (Ok(Registration::New), Ok(Admission::New))
            | (Ok(Registration::Returned), Ok(Admission::Returned)) => {}
            (Ok(Registration::Renewed), Ok(Admission::Renewed)) => {
                self.settled &= change.latency.is_none();
            }
            (Err(RegisterError::Full { max, .. }), Err(reasons)) if reasons == [Refusal::Full] => {
                assert_eq!(max, self.settings.max_relays);
            }
            (Err(error), Err(reasons)) => {
                let reason = refusal(&error);
                assert!(reasons.contains(&reason), "{error:?}, not {reasons:?}");
            }
            (outcome, expected) => panic!("{outcome:?}, not {expected:?}"),
        }
    }

    fn register_crowd(&mut self, capacity: u32) {
        let change = Change {
            capacity: Some(capacity),
            ..Change::default()
        };
        let address = SocketAddr::from(([9, 9, 9, 9], 4_000));
        crowd().for_each(|id| self.register(id, address, &change));
    }

    fn lease(&mut self, id: NodeId) {
        match (self.registry.lease(&id), self.model.lease(&id)) {
            (Ok(lease), Ok(held)) => self.hold(lease, held),
            (Err(LeaseError::UnknownRelay), Err(reasons)) => assert_eq!(reasons, []),
            (Err(LeaseError::Banned), Err(reasons)) => {
                assert!(reasons.contains(&Obstacle::Banned), "{reasons:?}");
            }
            (Err(LeaseError::Draining), Err(reasons)) => {
                assert!(reasons.contains(&Obstacle::Draining), "{reasons:?}");
            }
            (Err(LeaseError::Full { capacity, .. }), Err(reasons)) => {
                assert!(reasons.contains(&Obstacle::Full), "{reasons:?}");
                assert_eq!(self.model.relay(&id).map(|r| r.capacity), Some(capacity));
            }
            (outcome, expected) => panic!("{outcome:?}, not {expected:?}"),
        }
    }

    fn reserve(&mut self, target: NodeId, query: &Query<NodeId>) {
        match self.registry.reserve(&target, &find_options(query)) {
            Ok(lease) => {
                let relay = lease.relay().node_id();
                self.check_choice(relay, &target, query);
                let held = self.model.lease(&relay).expect("an eligible relay");
                self.hold(lease, held);
                self.model.hand_out(&relay);
            }
            Err(error) => self.check_none(&error, &target, query),
        }
    }

    /// Whether the load told by a lease includes the lease itself is not promised.
    fn hold(&mut self, lease: Lease, held: Held<NodeId>) {
        let told = lease.relay();
        let record = self.model.relay(&held.id).expect("just leased");
        let after = record.load();
        let load = told.current_load();
        assert!(load == after || load + 1 == after, "{load}, not {after}");
        check_info(told, &held.id, record, load);
        self.leases.push((lease, held));
    }

    fn drop_lease(&mut self, index: usize) {
        if self.leases.is_empty() {
            return;
        }
        let (lease, held) = self.leases.swap_remove(index % self.leases.len());
        assert_eq!(lease.relay().node_id(), held.id);
        drop(lease);
        self.model.release(&held);
    }

    fn lease_fails(&mut self, index: usize, fault: Fault) {
        self.settle_circuits();
        let Some((lease, held)) = nth(&self.leases, index) else {
            return;
        };
        if self.settings.local == Some(held.id) {
            return;
        }
        let taken = lease.failed(failure(fault));
        assert_eq!(taken, self.model.lease_failed(held, fault));
    }

    /// Before it is judged how many back off: those past their deadline count until they are swept, and
    /// which back-offs are over is to be known.
    fn settle_circuits(&mut self) {
        self.maintain();
        self.check_circuits();
    }

    fn maintain(&mut self) {
        let expired = self.registry.maintain().expired as u64;
        self.model.maintain(self.now);
        let counters = self.model.counters();
        let due = counters.expirations - self.counted.expirations;
        assert!(expired <= due, "{expired} expired, of {due} due");
        self.counted = counters;
        self.restarts_counted = self.model.restarts();
        self.settled = true;
        self.check_stats();
    }

    // --- searches ------------------------------------------------------------------------------

    fn find(&mut self, target: NodeId, query: &Query<NodeId>) {
        let outcome = if *query == no_wishes() {
            self.registry.find_relay(&target)
        } else {
            let options = find_options(query);
            self.registry.find_relay_with(&target, &options)
        };
        match outcome {
            Ok(info) => {
                self.check_choice(info.node_id(), &target, query);
                self.check_relay(&info);
                self.model.hand_out(&info.node_id());
            }
            Err(error) => self.check_none(&error, &target, query),
        }
    }

    fn find_many(&mut self, target: NodeId, query: &Query<NodeId>) {
        let found = self.registry.find_relays(&target, &find_options(query));
        let eligible = self.model.eligible(&target, query);
        if eligible.is_empty() && query.max_results > 0 {
            return self.check_last_resort_in(&found, &target, query);
        }
        assert_eq!(
            found.len(),
            eligible.len().min(query.max_results),
            "{eligible:?}, not {found:?}\n{}",
            self.registry.explain(&target, &find_options(query)),
        );
        if let (1, [info]) = (query.max_results, &found[..]) {
            self.check_choice(info.node_id(), &target, query);
            self.check_relay(info);
            return self.model.hand_out(&info.node_id());
        }
        let scores: BTreeMap<NodeId, f64> = eligible.iter().copied().collect();
        let Some(first) = found.first().map(RelayInfo::node_id) else {
            return;
        };
        let others = self.model.listed_after(&first, &target, query);
        let expected = eligible.iter().take(1).chain(&others);
        let mut seen = Vec::new();
        for (info, (_, best)) in found.iter().zip(expected) {
            let id = info.node_id();
            assert!(!seen.contains(&id), "{id:?} twice");
            seen.push(id);
            let score = *scores.get(&id).expect("an eligible relay");
            if self.settled {
                assert!(
                    is_as_good(score, *best),
                    "{score} where {best} was to be had"
                );
            }
            self.check_relay(info);
        }
        self.model.hand_out(&first);
    }

    fn check_last_resort_in(
        &mut self,
        found: &[RelayInfo],
        target: &NodeId,
        query: &Query<NodeId>,
    ) {
        let last_resorts = self.model.last_resorts(target, query);
        // Those past their deadline count in the share that backs off until they are swept.
        let is_swept = self.departed_since_maintenance() == 0;
        assert!(found.len() == last_resorts.len().min(1) || (!is_swept && found.len() <= 1));
        for info in found {
            assert!(last_resorts.contains(&info.node_id()) || !is_swept);
            self.check_relay(info);
            self.model.hand_out(&info.node_id());
        }
    }

    fn check_choice(&self, relay: NodeId, target: &NodeId, query: &Query<NodeId>) {
        let eligible = self.model.eligible(target, query);
        if eligible.is_empty() {
            let last_resorts = self.model.last_resorts(target, query);
            let is_swept = self.departed_since_maintenance() == 0;
            return assert!(last_resorts.contains(&relay) || !is_swept, "not {relay:?}");
        }
        let chosen = eligible.iter().find(|(id, _)| *id == relay);
        let (_, score) = chosen.unwrap_or_else(|| panic!("{relay:?} is not eligible"));
        let (_, best) = eligible[0];
        let ties = eligible
            .iter()
            .filter(|(_, score)| is_as_good(*score, best));
        let mut expected = ties.map(|(id, _)| self.model.handed_out(id, target, query));
        if self.settled {
            assert!(
                expected.any(|id| id == relay),
                "{relay:?} with {score} where {best} was to be had"
            );
        }
    }

    /// Each live relay must be passed over once, for one of the reasons that hold. One that is past its
    /// deadline may count as it did before, also where it is judged how many back off, but no longer than
    /// to the next maintenance pass.
    fn check_none(&self, error: &FindError, target: &NodeId, query: &Query<NodeId>) {
        assert_eq!(self.model.eligible(target, query), []);
        if self.departed_since_maintenance() == 0 {
            assert_eq!(self.model.last_resorts(target, query), []);
        }
        let FindError::NoRelaysAvailable { rejections, .. } = error else {
            panic!("{error:?}");
        };
        let reasons: Vec<Vec<Obstacle>> = self
            .model
            .relays()
            .iter()
            .map(|(id, relay)| self.model.obstacles(id, relay, target, query))
            .collect();
        let departed = self.departed_since_maintenance() as usize;
        let live = rejections.total() - rejections.departed;
        assert!((reasons.len()..=reasons.len() + departed).contains(&live));
        for (obstacle, count) in counts(rejections) {
            let possible = reasons.iter().filter(|of_one| of_one.contains(&obstacle));
            let certain = reasons.iter().filter(|of_one| **of_one == [obstacle]);
            let bounds = certain.count()..=possible.count() + departed;
            assert!(
                bounds.contains(&count),
                "{count} {obstacle:?}, not {bounds:?}"
            );
        }
        assert!(rejections.departed <= departed, "{rejections:?}");
    }

    fn departed_since_maintenance(&self) -> u64 {
        let gone = |counters: Counters| counters.unregistrations + counters.expirations;
        let restarts = self.model.restarts() - self.restarts_counted;
        gone(self.model.counters()) - gone(self.counted) + restarts
    }

    // --- views ---------------------------------------------------------------------------------

    /// Membership, infos, the list and the count, for every node there is.
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

    /// Who is banned, and who is backing off: where the model does not know, an explanation tells it.
    fn check_circuits(&mut self) {
        let explanation = self.registry.explain(&stranger(), &FindOptions::new());
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

    fn check_relay(&mut self, info: &RelayInfo) {
        let id = info.node_id();
        let record = self.model.relay(&id).expect("a relay that is held");
        check_info(info, &id, record, record.load());
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

    /// Times of day are the clock's times and deadlines, counted from one origin.
    fn check_times(&mut self, info: &RelayInfo) {
        let record = self.model.relay(&info.node_id()).expect("just seen");
        let deadline = model::time_of(self.settings.tick, record.deadline);
        let expiry = info.expires_at();
        let origin = *self.origin.get_or_insert_with(|| expiry - deadline);
        assert_eq!(expiry, origin + deadline);
        let earliest = origin + record.registered.saturating_sub(self.settings.tick);
        let registered = earliest..=origin + record.registered;
        assert!(registered.contains(&info.registered_at()), "{info:?}");
    }

    /// Counters are exact after a maintenance pass; leases on departed relays may count or not.
    fn check_stats(&self) {
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
        let live = self.model.relays().values().map(|relay| relay.leases());
        let leases = live.sum::<u32>() as usize..=self.leases.len();
        assert!(
            leases.contains(&stats.leases),
            "{} of {leases:?}",
            stats.leases
        );
    }
}

fn check_info(info: &RelayInfo, id: &NodeId, record: &Record<SocketAddr>, load: u32) {
    assert_eq!(info.node_id(), *id);
    assert_eq!(info.endpoint().socket_addr(), Some(record.endpoint));
    assert_eq!(info.capacity(), record.capacity);
    assert_eq!(info.current_load(), load);
    assert_eq!(info.latency(), record.latency());
    assert_eq!(info.nat(), record.nat.map(nat_type));
    assert_eq!(info.is_draining(), record.draining);
}

fn is_as_good(score: f64, best: f64) -> bool {
    score <= best * (1.0 + TOLERANCE)
}

fn nth<T>(all: &[T], index: usize) -> Option<&T> {
    all.get(index.checked_rem(all.len())?)
}

/// The operation by which one of the crowd changes.
fn change_of(wave: Wave, id: NodeId) -> Operation {
    match wave {
        Wave::Fills => Operation::ReportLoad(id, 3),
        Wave::Empties => Operation::ReportLoad(id, 0),
        Wave::Drains(draining) => Operation::SetDraining(id, draining),
        Wave::Fails(fault) => Operation::ReportFailure(id, fault),
        Wave::Succeeds => Operation::ReportSuccess(id),
        Wave::Leaves => Operation::Unregister(id),
    }
}

fn counts(rejections: &Rejections) -> [(Obstacle, usize); 7] {
    [
        (Obstacle::Excluded, rejections.excluded),
        (Obstacle::Banned, rejections.banned),
        (Obstacle::BackingOff, rejections.backing_off),
        (Obstacle::Draining, rejections.draining),
        (Obstacle::Full, rejections.full),
        (Obstacle::TooFar, rejections.too_far),
        (Obstacle::Unmeasured, rejections.unmeasured),
    ]
}
