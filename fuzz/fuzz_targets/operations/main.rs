//! Sequences of operations on a small registry, each compared with what a
//! plain model says it must do, and all that can be asked afterwards as well.
#![no_main]

mod model;
mod operations;

use libfuzzer_sys::fuzz_target;
use model::{Model, Outcome, is_countable, is_sane, nanos};
use operations::{Address, Asked, Case, Declared, Operation, Peer, Setup};
use relay_registry::{
    AddressPolicy, FindError, Lease, LeaseError, Maintenance, ManualClock, NodeId, Registration,
    Registry, RelayInfo,
};
use std::time::Duration;

fuzz_target!(|case: Case| {
    if let Some(mut system) = System::build(&case.setup) {
        for operation in &case.operations {
            system.step(operation);
            system.check();
        }
        system.finish();
    }
});

struct System {
    registry: Registry,
    clock: ManualClock,
    /// What the clock says, in nanoseconds, and said when it was built.
    time: u64,
    origin: u64,
    model: Model,
    leases: Vec<(Lease, u64)>,
    counts: Counts,
}

/// Operations by what they came to.
#[derive(Default)]
struct Counts {
    registrations: u64,
    renewals: u64,
    refused: u64,
    unregistrations: u64,
}

impl System {
    /// `None` when the setup is to be refused, and was.
    fn build(setup: &Setup) -> Option<Self> {
        let tick = setup.tick.duration(Duration::from_millis(1));
        let ttl = setup.ttl.duration(tick);
        let crowd: Vec<_> = setup.crowd.relays().collect();
        let few = usize::from(setup.max_relays % 17);
        let max_relays = if few == 0 { 0 } else { few + crowd.len() };
        let mut model = Model::new(max_relays, ttl, tick);
        model.local = setup.local.map(Peer::id);
        if setup.public_only {
            model.policy = AddressPolicy::PublicOnly;
        }
        model.return_grace = setup.return_grace.map(|grace| grace.duration(tick));
        if let Some(assumed_rtt) = setup.assumed_rtt {
            model.assumed_rtt = assumed_rtt.duration(tick);
        }
        let clock = ManualClock::new();
        clock.advance(setup.clock_starts_at.duration(tick));
        let origin = nanos(setup.clock_starts_at.duration(tick));
        let mut builder = Registry::builder()
            .max_relays(model.max_relays)
            .ttl(ttl)
            .tick(tick)
            .maintenance(Maintenance::Manual)
            .clock(clock.clone())
            .address_policy(model.policy)
            .assumed_rtt(model.assumed_rtt);
        if let Some(grace) = model.return_grace {
            builder = builder.return_grace(grace);
        }
        if let Some(local) = model.local {
            builder = builder.local_id(local);
        }
        let is_valid = model.max_relays > 0
            && tick >= Duration::from_millis(1)
            && is_countable(ttl, tick)
            && is_sane(model.assumed_rtt)
            && !model.assumed_rtt.is_zero();
        let registry = builder.build();
        assert_eq!(registry.is_ok(), is_valid, "{:?}", registry.err());
        let mut system = Self {
            registry: registry.ok()?,
            clock,
            time: origin,
            origin,
            model,
            leases: Vec::new(),
            counts: Counts::default(),
        };
        for (id, declared, load) in crowd {
            system.register(id, Address::Public(1), &declared);
            system.report_load(&id, load);
        }
        if setup.is_crowd_merged {
            system.maintain();
        }
        Some(system)
    }

    fn step(&mut self, operation: &Operation) {
        let Self {
            registry, model, ..
        } = self;
        let tick = model.tick_len;
        match *operation {
            Operation::Register(peer, address, ref declared) => {
                self.register(peer.id(), address, declared);
            }
            Operation::Unregister(peer) => {
                let was_there = model.unregister(&peer.id());
                assert_eq!(registry.unregister(&peer.id()), was_there);
                self.counts.unregistrations += u64::from(was_there);
            }
            Operation::Lease(peer) => self.lease(&peer.id()),
            Operation::Release(which) => {
                if !self.leases.is_empty() {
                    let which = usize::from(which) % self.leases.len();
                    let (lease, life) = self.leases.swap_remove(which);
                    model.release(&lease.relay().node_id(), life);
                }
            }
            Operation::Reserve(target, ref asked) => self.reserve(&target.id(), asked),
            Operation::Find(target, ref asked) => {
                let found = registry.find_relay_with(&target.id(), &asked.options(tick));
                self.judge(&target.id(), asked, &found);
            }
            Operation::FindSome(target, ref asked) => self.find_some(&target.id(), asked),
            Operation::RecordRtt(peer, rtt) => assert_eq!(
                registry.record_rtt(&peer.id(), rtt.duration(tick)),
                model.record_rtt(&peer.id(), rtt.duration(tick))
            ),
            Operation::ForgetRtt(peer) => assert_eq!(
                registry.forget_rtt(&peer.id()),
                model.forget_rtt(&peer.id())
            ),
            Operation::ForgetRtts => {
                registry.forget_rtts();
                model.forget_rtts();
            }
            Operation::DueForProbe(max) => {
                let due = registry.due_for_probe(max.into());
                assert!(due.len() <= max.into() && due.iter().all(|id| registry.is_relay(id)));
            }
            Operation::ReportLoad(peer, load) => self.report_load(&peer.id(), load.into()),
            Operation::ReportAnyLoad(peer, load) => self.report_load(&peer.id(), load),
            Operation::ReportLoadOfOthers(peer, load) => assert_eq!(
                registry.report_load_of_others(&peer.id(), load.into()),
                model.report_load_of_others(&peer.id(), load.into())
            ),
            Operation::Renew(peer) => {
                let is_renewed = model.renew(&peer.id());
                assert_eq!(registry.renew(&peer.id()).is_ok(), is_renewed);
                self.counts.renewals += u64::from(is_renewed);
            }
            Operation::Lift(peer) => assert_eq!(
                registry.lift(&peer.id()),
                model.set_draining(&peer.id(), false)
            ),
            Operation::SetDraining(peer, draining) => {
                assert_eq!(registry.set_draining(&peer.id(), draining), Ok(()));
                model.set_draining(&peer.id(), draining);
            }
            Operation::Maintain => self.maintain(),
            Operation::Advance(by) => {
                self.clock.advance(by.duration(tick));
                self.time = self.time.saturating_add(nanos(by.duration(tick)));
                model.now = self.time - self.origin;
                // Every call reads the clock.
                model.raise_tick();
            }
        }
        // What has lapsed is ranked anew by the next pass.
        if self.model.has_lapsed {
            self.maintain();
        }
    }

    fn register(&mut self, id: NodeId, address: Address, declared: &Declared) {
        let options = declared.options(self.model.tick_len);
        let result = self
            .registry
            .register_with(id, address.endpoint(), &options);
        let is_new = result == Ok(Registration::New);
        let expected = self.model.register(id, address, declared, is_new);
        let outcome = Outcome::from(result);
        assert_eq!(outcome, expected);
        match outcome {
            Outcome::Done(Registration::New | Registration::Returned) => {
                self.counts.registrations += 1;
            }
            Outcome::Done(Registration::Renewed) => self.counts.renewals += 1,
            _ => self.counts.refused += 1,
        }
    }

    fn report_load(&mut self, id: &NodeId, load: u32) {
        let is_known = self.model.report_load(id, load);
        assert_eq!(self.registry.report_load(id, load), is_known);
    }

    fn lease(&mut self, id: &NodeId) {
        let leased = self.registry.lease(id);
        if self.model.is_full(id) {
            let capacity = self.registry.relay(id).map(|relay| relay.capacity());
            match leased {
                Err(LeaseError::Full { capacity: said, .. }) => assert_eq!(Some(said), capacity),
                other => panic!("{other:?} of a full relay"),
            }
            return;
        }
        match (leased, self.model.lease(id)) {
            (Ok(lease), Ok(life)) => self.leases.push((lease, life)),
            (Err(error), Err(expected)) => assert_eq!(error, expected),
            (leased, expected) => panic!("{leased:?}, but {expected:?}"),
        }
    }

    fn reserve(&mut self, target: &NodeId, asked: &Asked) {
        let reserved = self
            .registry
            .reserve(target, &asked.options(self.model.tick_len));
        let relay = match &reserved {
            Ok(lease) => Ok(lease.relay().clone()),
            Err(error) => Err(error.clone()),
        };
        self.judge(target, asked, &relay);
        if let Ok(lease) = reserved {
            let life = self.model.lease(&lease.relay().node_id());
            self.leases.push((lease, life.expect("it was eligible")));
        }
    }

    /// A relay that may be handed out, the best if the order is fresh; or none
    /// if there is none, and a reason for each.
    fn judge(&self, target: &NodeId, asked: &Asked, found: &Result<RelayInfo, FindError>) {
        let eligible = self.model.eligible(target, asked);
        match found {
            Ok(relay) => {
                let place = eligible.iter().find(|(_, id)| *id == relay.node_id());
                let &(score, _) = place.unwrap_or_else(|| panic!("{relay:?} is not eligible"));
                if self.model.is_sorted {
                    assert!(
                        self.is_no_worse(score, eligible[0].0, asked),
                        "{relay:?} of {eligible:?}"
                    );
                }
            }
            Err(FindError::NoRelaysAvailable { rejections, .. }) => {
                assert_eq!(eligible, [], "{rejections:?}");
                // Those past their deadline count as before until they are swept.
                let live = rejections.total() - rejections.departed;
                assert!(live >= self.model.relays.len(), "{rejections:?}");
            }
            Err(other) => panic!("{other}"),
        }
    }

    /// The best few, best first, each once.
    fn find_some(&self, target: &NodeId, asked: &Asked) {
        let eligible = self.model.eligible(target, asked);
        let found = self
            .registry
            .find_relays(target, &asked.options(self.model.tick_len));
        assert_eq!(found.len(), eligible.len().min(asked.max_results.into()));
        let mut scores = Vec::new();
        let mut rest = eligible.clone();
        for relay in &found {
            let place = rest.iter().position(|(_, id)| *id == relay.node_id());
            let place = place.unwrap_or_else(|| panic!("{relay:?} twice, or not eligible"));
            scores.push(rest.remove(place).0);
        }
        assert!(
            scores.is_sorted_by(|&a, &b| self.is_no_worse(a, b, asked)),
            "{scores:?}"
        );
        if self.model.is_sorted {
            for (&score, &(best, _)) in scores.iter().zip(&eligible) {
                assert!(
                    self.is_no_worse(score, best, asked),
                    "{scores:?} of {eligible:?}"
                );
            }
        }
    }

    /// As far as the registry tells scores apart: of few relays by a 512th, of many by a
    /// 32nd, and those of paths between two peers by a 20th. It reckons in single
    /// precision.
    fn is_no_worse(&self, score: f64, other: f64, asked: &Asked) -> bool {
        const FEW: usize = 64;
        let told_apart = match (asked.pair(), self.model.max_relays) {
            (Some(_), _) => 0.05,
            (None, ..=FEW) => 1.0 / 512.0,
            (None, _) => 1.0 / 32.0,
        };
        score <= other * (1.0 + told_apart) * 1.000_1
    }

    fn maintain(&mut self) {
        self.model.raise_tick();
        self.model.is_sorted = true;
        self.model.has_lapsed = false;
        self.registry.maintain();
        let live = self.model.relays.len();
        let stats = self.registry.stats();
        assert_eq!(stats.expirations, self.model.expired);
        assert_eq!((stats.snapshot_len, stats.arrivals), (live, 0));
        // Places of relays that left may remain, one for each record at most.
        let records = 3 * self.model.max_relays + 2048;
        assert!((live..=records).contains(&stats.wheel_len), "{stats:?}");
    }

    fn check(&mut self) {
        for id in Peer::all() {
            let info = self.registry.relay(&id);
            assert_eq!(self.registry.is_relay(&id), info.is_some());
            self.model.compare(&id, info.as_ref());
        }
        assert_eq!(self.registry.relay_count(), self.model.relays.len());
        let mut listed: Vec<_> = self
            .registry
            .relays()
            .iter()
            .map(RelayInfo::node_id)
            .collect();
        listed.sort();
        assert!(listed.iter().eq(self.model.relays.keys()), "{listed:?}");
    }

    /// The totals add up; leases may outlive the registry.
    fn finish(self) {
        let stats = self.registry.stats();
        assert_eq!(stats.registrations, self.counts.registrations);
        assert_eq!(stats.renewals, self.counts.renewals);
        assert_eq!(stats.refused, self.counts.refused);
        assert_eq!(stats.unregistrations, self.counts.unregistrations);
        assert_eq!(stats.leases, self.leases.len());
        drop(self.registry);
        drop(self.leases);
    }
}
