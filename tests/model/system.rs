//! The registry and its model: each operation is applied to both, and the answers are compared.

mod checks;
mod home;
mod views;

use super::conversions::*;
use super::operation::{Operation, Wave, crowd, non_relay, unconditional};
use super::{
    Admission, Change, Counters, Fault, Filter, Held, Model, Obstacle, Query, Refusal, Settings,
};
use checks::check_info;
use relay_registry::{
    AddressPolicy, BanError, Endpoint, Lease, LeaseError, Maintenance, ManualClock, NodeId,
    OperatorError, RegisterError, Registration, Registry,
};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

pub struct System {
    settings: Settings<NodeId>,
    clock: ManualClock,
    /// Since the registry was built.
    now: Duration,
    registry: Registry,
    model: Model<NodeId, Endpoint>,
    leases: Vec<(Lease, Held<NodeId>)>,
    /// The time of day at the clock's origin, by the first relay that was read.
    origin: Option<SystemTime>,
    /// Ranks need no maintenance pass, so the order must be exact. What is measured counts at once.
    settled: bool,
    /// The model's counters at the last maintenance pass.
    counted: Counters,
    restarts_counted: u64,
    crowd: usize,
}

impl System {
    /// `None` if the settings are invalid, and were refused.
    pub fn new(settings: Settings<NodeId>) -> Option<Self> {
        let clock = ManualClock::new();
        clock.advance(settings.clock_starts_at);
        let mut builder = Registry::builder()
            .max_relays(settings.max_relays)
            .ttl(settings.ttl)
            .tick(settings.tick)
            .assumed_rtt(settings.assumed_rtt)
            .rtt_lifetime(settings.rtt_lifetime)
            .max_ejected_share(settings.max_ejected_share)
            .max_peers(settings.max_peers)
            .slow_start(settings.slow_start)
            .peer_ttl(settings.peer_ttl)
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
        let registry = builder.build();
        let is_valid = settings.are_valid();
        assert_eq!(registry.is_ok(), is_valid, "{:?}", registry.err());
        Some(Self {
            model: Model::new(settings.clone()),
            registry: registry.ok()?,
            settings,
            clock,
            now: Duration::ZERO,
            leases: Vec::new(),
            origin: None,
            settled: true,
            counted: Counters::default(),
            restarts_counted: 0,
            crowd: 0,
        })
    }

    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    pub fn perform(&mut self, operation: Operation) {
        match operation {
            Operation::Register(id, endpoint, change) => self.register(id, &endpoint, &change),
            Operation::Unregister(id) => {
                let was_there = self.registry.unregister(&id);
                assert_eq!(was_there, self.model.unregister(&id));
            }
            Operation::Lease(id, units) => self.lease(id, units),
            Operation::DropLease(index) => self.drop_lease(index),
            Operation::Reserve(target, query) => self.reserve(target, &query),
            Operation::Find(target, query) => self.find(target, &query),
            Operation::FindMany(target, query) => self.find_many(target, &query),
            Operation::FindHome(query) => self.find_home(&query),
            Operation::RecordRtt(id, rtt) => {
                let taken = self.registry.record_rtt(&id, rtt);
                assert_eq!(taken, self.model.record_rtt(&id, rtt));
            }
            Operation::ForgetRtt(id) => {
                let is_known = self.registry.forget_rtt(&id);
                assert_eq!(is_known, self.model.forget_rtt(&id));
            }
            Operation::ForgetRtts => {
                self.registry.forget_rtts();
                self.model.forget_rtts();
            }
            Operation::DueForProbe(max) => {
                let due = self.registry.due_for_probe(max);
                assert!(due.len() <= max, "{due:?}");
                assert!(
                    due.iter().all(|id| self.model.relay(id).is_some()),
                    "{due:?}"
                );
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
            Operation::SetTier(id, tier) => {
                assert_eq!(self.registry.set_tier(&id, tier), Ok(()));
                self.model.set_tier(id, tier);
            }
            Operation::SetCost(id, cost) => {
                let taken = match self.registry.set_cost(&id, cost) {
                    Ok(()) => true,
                    Err(OperatorError::InvalidCost { .. }) => false,
                    Err(error) => panic!("{error}"),
                };
                assert_eq!(taken, self.model.set_cost(id, cost), "{cost}");
            }
            Operation::UpdatePeer(peer, view) => {
                // A view without a coordinate teaches nothing.
                assert_eq!(self.registry.update_peer(&peer, peer_view(&view)), 0);
                self.model.update_peer(peer, view);
            }
            Operation::ForgetPeer(peer) => {
                let was_known = self.registry.forget_peer(&peer);
                assert_eq!(was_known, self.model.forget_peer(&peer));
            }
            // An explanation does not show whether the local node is backing off.
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
                let is_countable = self.model.ban(self.now, id, duration);
                match self.registry.ban(&id, duration) {
                    Ok(()) => assert!(is_countable, "{duration:?}"),
                    Err(BanError::TooLong { .. }) => assert!(!is_countable, "{duration:?}"),
                    Err(error) => panic!("{error}"),
                }
            }
            Operation::Unban(id) => {
                let was_banned = self.registry.unban(&id);
                assert_eq!(was_banned, self.model.unban(&id));
            }
            Operation::Maintain => self.maintain(),
            Operation::UseUpFilters => self.use_up_filters(),
            Operation::RegisterCrowd { size, capacity } => self.register_crowd(size, capacity),
            Operation::ChangeCrowd(one_in, wave) => crowd(self.crowd)
                .step_by(one_in)
                .for_each(|id| self.perform(change_of(wave, id))),
            Operation::Advance(step) => {
                let step = step.duration(&self.settings);
                self.clock.advance(step);
                self.now = self.settings.after(self.now, step);
                // The ranks of newcomers wait for the next pass.
                self.settled &= self.settings.slow_start.is_zero();
                // Every call reads the clock.
                self.model.maintain(self.now);
            }
        }
        // The next pass ranks relays whose round trip has lapsed.
        if self.model.take_lapsed() {
            self.maintain();
        }
    }

    fn register(&mut self, id: NodeId, endpoint: &Endpoint, change: &Change<Endpoint>) {
        let outcome = if *change == Change::default() {
            self.registry.register(id, endpoint.clone())
        } else {
            let options = register_options(change);
            self.registry.register_with(id, endpoint.clone(), &options)
        };
        let is_new = outcome == Ok(Registration::New);
        let expected = self
            .model
            .register(self.now, id, endpoint.clone(), change, is_new);
        match (outcome, expected) {
            (Ok(Registration::New), Ok(Admission::New))
            | (Ok(Registration::Returned), Ok(Admission::Returned))
            | (Ok(Registration::Renewed), Ok(Admission::Renewed)) => {}
            (Err(RegisterError::Full { max, .. }), Err(reasons))
                if reasons.contains(&Refusal::Full) =>
            {
                assert_eq!(max, self.settings.max_relays);
            }
            (Err(error), Err(reasons)) => {
                let reason = refusal(&error);
                assert!(reasons.contains(&reason), "{error:?}, not {reasons:?}");
            }
            (outcome, expected) => panic!("{outcome:?}, not {expected:?}"),
        }
    }

    fn register_crowd(&mut self, size: usize, capacity: u32) {
        self.crowd = size;
        let change = Change {
            capacity: Some(capacity),
            ..Change::default()
        };
        let endpoint = Endpoint::from(SocketAddr::from(([9, 9, 9, 9], 4_000)));
        crowd(size).for_each(|id| self.register(id, &endpoint, &change));
    }

    fn lease(&mut self, id: NodeId, units: u32) {
        let outcome = match units {
            1 => self.registry.lease(&id),
            _ => self.registry.lease_units(&id, units),
        };
        match (outcome, self.model.lease(&id, units)) {
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
        let call = self.call(target, query);
        match self.registry.reserve(&target, &find_options(query)) {
            Ok(lease) => {
                let relay = lease.relay().node_id();
                self.check_choice(lease.relay(), &call);
                let held = self
                    .model
                    .lease(&relay, query.units)
                    .expect("an eligible relay");
                self.hold(lease, held);
                self.model.hand_out(&relay);
            }
            Err(error) => self.check_none(&error, &call),
        }
    }

    /// Whether the load that a lease shows includes the lease itself is not promised.
    fn hold(&mut self, lease: Lease, held: Held<NodeId>) {
        let shown = lease.relay();
        assert_eq!(lease.units(), held.units);
        let record = self.model.relay(&held.id).expect("just leased");
        let after = record.load();
        let load = shown.current_load();
        assert!(
            load == after || load + held.units == after,
            "{load}, not {after}"
        );
        let rank = self.model.rank(&held.id, record);
        check_info(shown, &held.id, record, (rank, load));
        self.leases.push((lease, held));
    }

    fn use_up_filters(&mut self) {
        for n in 0..20 {
            let filter = Filter {
                require: [format!("unused-{n}")].into(),
                ..Filter::default()
            };
            let query = Query {
                filter,
                ..unconditional()
            };
            self.find(non_relay(), &query);
        }
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

    /// Prepares the count of backing-off relays: relays past their deadline count until they are swept, and
    /// the model must know which back-offs are over.
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
}

fn nth<T>(all: &[T], index: usize) -> Option<&T> {
    all.get(index.checked_rem(all.len())?)
}

/// The operation that changes one node of the crowd.
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
