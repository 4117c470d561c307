//! A thread that asks all that can be asked, holds leases, and looks at every
//! answer.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use parking_lot::Mutex;
use relay_registry::{
    FindError, FindOptions, Lease, LeaseError, PeerView, Registry, RelayInfo, Vivaldi,
};

use crate::ledger::{Ledger, Mark};
use crate::memory;
use crate::relays::{self, Announced, NEAR, PERMANENT, TRANSIENTS};
use crate::tally::Tally;

/// Leases that one thread holds at most.
pub const QUOTA: usize = 24;
/// Leases of one relay that are asked for at once: fewer than these.
const SNATCHED: usize = 12;
/// Leases that wait to be given back by another thread, at most.
pub const PILE: usize = 512;

/// A lease, and its entry in the ledger: struck out before the lease is given back,
/// and the ledger let go after that.
pub struct Held {
    _lease: Lease,
    relay: u32,
    announced: Announced,
    ledger: Arc<Ledger>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.ledger.gives_back(self.relay, self.announced);
    }
}

/// Leases to be given back on whatever thread takes them.
#[derive(Default)]
pub struct SharedLeases(Mutex<Vec<Held>>);

impl SharedLeases {
    fn add(&self, held: Held) {
        let mut shared = self.0.lock();
        if shared.len() < PILE {
            shared.push(held);
        }
    }

    /// Gives back up to so many; how many it did.
    pub fn give_back(&self, most: usize) -> usize {
        let mut shared = self.0.lock();
        let from = shared.len().saturating_sub(most);
        let taken = shared.split_off(from);
        drop(shared);
        taken.len()
    }
}

thread_local! {
    /// What a thread still holds when it ends.
    static LEFT_OVER: RefCell<Vec<Held>> = const { RefCell::new(Vec::new()) };
}

pub struct Client {
    ledger: Arc<Ledger>,
    registry: Registry,
    shared: Arc<SharedLeases>,
    held: VecDeque<Held>,
    rng: Rng,
    tally: Tally,
}

impl Client {
    pub fn new(
        ledger: Arc<Ledger>,
        registry: Registry,
        shared: Arc<SharedLeases>,
        seed: u64,
    ) -> Self {
        Self {
            ledger,
            registry,
            shared,
            held: VecDeque::with_capacity(QUOTA + 1),
            rng: Rng::with_seed(seed),
            tally: Tally::default(),
        }
    }

    /// Ends this thread's work: some leases go to the shared, others with the thread.
    pub fn finish(mut self) -> Tally {
        self.held.drain(..self.held.len() / 2).for_each(|held| {
            self.shared.add(held);
        });
        self.tally.teardowns += self.held.len() as u64;
        LEFT_OVER.with_borrow_mut(|left| left.extend(self.held.drain(..)));
        self.tally
    }

    /// Asks one thing.
    pub fn turn(&mut self) {
        match self.rng.u32(..1000) {
            0..380 => self.find(),
            380..620 => self.reserve(),
            620..720 => self.lease_by_name(),
            720..770 => self.find_several(),
            770..900 => self.request_record(),
            900..940 => self.count(),
            940..950 => self.list(),
            950..965 => self.explain(),
            965..990 => self.update_peer(),
            _ => self.read_gauges(),
        }
        while self.held.len() > QUOTA {
            self.let_go();
        }
    }

    fn let_go(&mut self) {
        if let Some(held) = self.held.pop_front() {
            if self.rng.bool() {
                self.shared.add(held);
            }
        }
    }

    fn any_relay(&mut self) -> u32 {
        self.rng.u32(..self.ledger.relays())
    }

    /// A target: a relay for one half, which must not be handed out then.
    fn target(&mut self) -> Option<u32> {
        self.rng.bool().then(|| self.any_relay())
    }

    fn options(&mut self) -> Asked {
        let target = self.target();
        let mut asked = Asked {
            target,
            excluded: Vec::new(),
            is_near: self.rng.u32(..8) == 0,
            options: FindOptions::new(),
        };
        if self.rng.u32(..4) == 0 {
            asked.excluded = (0..8).map(|_| self.any_relay()).collect();
            let ids = asked.excluded.iter().copied().map(relays::id);
            asked.options = asked.options.exclude(ids);
        }
        if asked.is_near {
            asked.options = asked.options.max_latency(NEAR);
        }
        if self.rng.u32(..16) == 0 {
            let preferred = self.any_relay();
            asked.options = asked.options.prefer(relays::id(preferred));
        }
        if self.rng.u32(..16) == 0 {
            let view = self.view();
            asked.options = asked.options.target_view(view);
        }
        asked
    }

    /// What some peer measured.
    fn view(&mut self) -> PeerView {
        let mut coordinates = Vivaldi::new();
        let mut view = PeerView::new();
        for _ in 0..PeerView::MAX_MEASURED {
            let relay = self.any_relay();
            let rtt = relays::rtt(relay, &mut self.rng);
            if let Some(place) = self.registry.relay_coordinate(&relays::id(relay)) {
                // An outlier is left out.
                let _ = coordinates.observe(&place, rtt);
            }
            match view.measured(relays::id(relay), rtt) {
                Ok(with) => view = with,
                Err(error) => self.ledger.fault(format!("a view was refused: {error}")),
            }
        }
        view.coordinate(coordinates.coordinate())
    }

    fn find(&mut self) {
        let asked = self.options();
        let mark = self.ledger.mark();
        let found = self
            .registry
            .find_relay_with(&asked.target_id(), &asked.options);
        self.tally.finds += 1;
        match found {
            Ok(info) => self.judge_hand_out(&info, &asked, &mark),
            Err(error) => self.judge_none(&error, &asked, &mark),
        }
    }

    fn reserve(&mut self) {
        let asked = self.options();
        let mark = self.ledger.mark();
        let reserved = self.registry.reserve(&asked.target_id(), &asked.options);
        self.tally.reservations += 1;
        match reserved {
            Ok(lease) => {
                let info = lease.relay().clone();
                self.take(lease);
                self.judge_hand_out(&info, &asked, &mark);
            }
            Err(error) => self.judge_none(&error, &asked, &mark),
        }
    }

    fn find_several(&mut self) {
        let mut asked = self.options();
        let most = self.rng.usize(..12);
        asked.options = asked.options.max_results(most);
        let mark = self.ledger.mark();
        let found = self
            .registry
            .find_relays(&asked.target_id(), &asked.options);
        self.tally.lists += 1;
        let distinct: BTreeSet<_> = found.iter().map(RelayInfo::node_id).collect();
        if found.len() > most || distinct.len() < found.len() {
            self.ledger
                .fault(format!("{} found of {most}: {distinct:?}", found.len()));
        }
        for info in &found {
            self.judge_hand_out(info, &asked, &mark);
        }
    }

    /// Asks for an explanation, and is held up in the middle of it: so long it keeps
    /// memory from being used again.
    pub fn explain_slowly(&mut self, stall: Duration) {
        memory::stall_after(self.rng.u32(1..4), stall);
        self.explain();
        self.tally.pinned_stalls += u64::from(memory::has_stalled());
    }

    /// Takes all that one relay has, or what will do.
    fn lease_by_name(&mut self) {
        let relay = self.any_relay();
        let wanted = self.rng.usize(1..SNATCHED);
        for _ in 0..wanted {
            if !self.lease_one(relay) {
                break;
            }
        }
    }

    fn lease_one(&mut self, relay: u32) -> bool {
        let mark = self.ledger.mark();
        match self.registry.lease(&relays::id(relay)) {
            Ok(lease) => {
                let info = lease.relay().clone();
                self.take(lease);
                self.judge(&info, &mark, "leased");
                true
            }
            Err(error) => {
                self.tally.lease_refused += 1;
                if error == LeaseError::UnknownRelay && self.ledger.is_held(relay, &mark) {
                    self.fault(relay, "unknown to lease, though held");
                }
                false
            }
        }
    }

    fn take(&mut self, lease: Lease) {
        let relay = relays::number(&lease.relay().node_id());
        let announced = relays::announced(lease.relay());
        self.tally.leases += 1;
        if relay < PERMANENT {
            return; // its capacity is without bound
        }
        self.ledger.took(relay, announced);
        self.held.push_back(Held {
            ledger: Arc::clone(&self.ledger),
            relay,
            announced,
            _lease: lease,
        });
    }

    fn request_record(&mut self) {
        let relay = self.any_relay();
        let id = relays::id(relay);
        let mark = self.ledger.mark();
        let is_there = if self.rng.bool() {
            self.registry.is_relay(&id)
        } else {
            let info = self.registry.relay(&id);
            if let Some(info) = &info {
                self.judge_terms(info);
                self.judge_load(info);
            }
            info.is_some()
        };
        self.tally.lookups += 1;
        self.judge_presence(relay, is_there, &mark);
    }

    fn count(&mut self) {
        let count = self.registry.relay_count();
        self.tally.listings += 1;
        if count > self.ledger.max_relays() {
            self.ledger
                .fault(format!("{count} relays, beyond the bound"));
        }
    }

    fn list(&mut self) {
        let mark = self.ledger.mark();
        let infos = self.registry.relays();
        self.tally.listings += 1;
        let listed: BTreeSet<_> = infos
            .iter()
            .map(|info| relays::number(&info.node_id()))
            .collect();
        if listed.len() < infos.len() {
            self.ledger.fault("a relay is listed twice".to_owned());
        }
        for info in &infos {
            self.judge_terms(info);
            self.judge_load(info);
        }
        for relay in 0..self.ledger.relays() {
            self.judge_presence(relay, listed.contains(&relay), &mark);
        }
    }

    fn explain(&mut self) {
        let asked = self.options();
        let mark = self.ledger.mark();
        let explanation = self.registry.explain(&asked.target_id(), &asked.options);
        self.tally.explanations += 1;
        for explained in explanation.relays() {
            let relay = relays::number(&explained.relay);
            if explained.verdict.is_handed_out() && relay < TRANSIENTS {
                self.judge_asked(relay, &asked);
                if let Some(why) = self.ledger.objection(relay, &mark) {
                    self.fault(relay, &format!("{:?} while {why}", explained.verdict));
                }
            }
        }
    }

    fn update_peer(&mut self) {
        let view = self.view();
        let peer = relays::id(self.any_relay());
        let learned = self.registry.update_peer(&peer, &view);
        self.tally.views += 1;
        let place = self.registry.coordinate();
        if learned > PeerView::MAX_MEASURED || !place.position().iter().all(|x| x.is_finite()) {
            self.ledger
                .fault(format!("learned {learned}, and is at {place:?}"));
        }
    }

    /// Gauges keep to their bounds whatever the churn.
    fn read_gauges(&mut self) {
        let stats = self.registry.stats();
        let permits = 2 * self.ledger.max_relays() + self.ledger.max_remembered() + 1024;
        let most = [
            (
                "awaiting reclamation",
                stats.awaiting_reclamation,
                // Of those kept, many may lose their last lease before housekeeping comes by.
                2 * permits + self.ledger.terms().max_kept,
            ),
            ("on the wheel", stats.wheel_len, 4 * permits),
            ("in the snapshot", stats.snapshot_len, 4 * permits),
            ("arrivals", stats.arrivals, 4 * permits),
            ("relays", stats.relays, self.ledger.max_relays()),
            ("remembered", stats.remembered, permits),
        ];
        for (what, is, most) in most {
            if is > most {
                self.ledger.fault(format!("{is} {what}, {most} at most"));
            }
        }
        let banned = self.registry.banned().len();
        if banned > self.ledger.relays() as usize {
            self.ledger.fault(format!("{banned} bans"));
        }
    }
}

/// What one search asks for.
struct Asked {
    target: Option<u32>,
    excluded: Vec<u32>,
    is_near: bool,
    options: FindOptions,
}

impl Asked {
    fn target_id(&self) -> relay_registry::NodeId {
        self.target.map_or_else(relays::non_relay, relays::id)
    }

    fn rules_out(&self, relay: u32) -> bool {
        self.target == Some(relay) || self.excluded.contains(&relay)
    }
}

/// What is judged.
impl Client {
    fn fault(&self, relay: u32, what: &str) {
        self.ledger
            .fault(format!("{}: {what}", relays::name(relay)));
    }

    fn judge_hand_out(&mut self, info: &RelayInfo, asked: &Asked, mark: &Mark) {
        let relay = relays::number(&info.node_id());
        self.judge(info, mark, "handed out");
        self.judge_asked(relay, asked);
        // When the clock jumps, what was measured may be too old from one moment to the next;
        // and a relay that left and came back during the call may have been forgotten.
        let stayed = relay < TRANSIENTS && self.ledger.is_held(relay, mark);
        let may_be_forgotten = self.ledger.may_have_jumped(mark) || !stayed;
        let is_far = |rtt: Option<Duration>| rtt.map_or(!may_be_forgotten, |rtt| rtt > NEAR);
        if asked.is_near && is_far(info.latency()) {
            self.fault(relay, &format!("too far: {:?}", info.latency()));
        }
        if relay < TRANSIENTS && !info.is_last_resort() && self.ledger.is_failing(relay, mark) {
            self.fault(relay, "handed out while it backs off");
        }
    }

    fn judge_asked(&self, relay: u32, asked: &Asked) {
        if asked.rules_out(relay) || relay == relays::local(&self.ledger) {
            self.fault(relay, "handed out: the target, this node or excluded");
        }
    }

    fn judge(&mut self, info: &RelayInfo, mark: &Mark, what: &str) {
        let relay = relays::number(&info.node_id());
        self.judge_terms(info);
        self.tally.checked += 1;
        if relay >= TRANSIENTS && self.ledger.terms().has_passers {
            return;
        }
        if relay >= self.ledger.relays() {
            self.fault(relay, "no such relay");
        } else if let Some(why) = self.ledger.objection(relay, mark) {
            self.fault(relay, &format!("{what} while {why}"));
        }
    }

    /// Endpoint and capacity come from one registration.
    fn judge_terms(&self, info: &RelayInfo) {
        let relay = relays::number(&info.node_id());
        let terms = relays::announced(info).terms;
        if relays::capacity(relay, terms) != Some(info.capacity()) {
            self.fault(relay, &format!("torn: {info:?}"));
        }
    }

    /// A relay carries what this thread has leased of it, whatever was reported and when.
    fn judge_load(&self, info: &RelayInfo) {
        let (relay, life) = (
            relays::number(&info.node_id()),
            relays::announced(info).life,
        );
        let is_of_it = |held: &&Held| held.relay == relay && held.announced.life == life;
        let own = self.held.iter().filter(is_of_it).count();
        if (info.current_load() as usize) < own {
            let load = info.current_load();
            self.fault(relay, &format!("load {load}, with {own} leases held"));
        }
    }

    fn judge_presence(&mut self, relay: u32, is_there: bool, mark: &Mark) {
        self.tally.checked += 1;
        if is_there && self.ledger.is_absent(relay, mark) {
            self.fault(relay, "there, though absent");
        }
        if !is_there && self.ledger.is_held(relay, mark) {
            self.fault(relay, "not there, though held");
        }
    }

    /// Nothing was found: but some relay always will do, unless all of those are
    /// ruled out or too far.
    fn judge_none(&mut self, error: &FindError, asked: &Asked, mark: &Mark) {
        self.tally.found_none += 1;
        let will_do = |relay| {
            let is_usable = self.ledger.account(relay).usable.stood_at(mark);
            is_usable && !asked.rules_out(relay) && self.ledger.is_held(relay, mark)
        };
        if !asked.is_near && (0..PERMANENT).any(will_do) {
            self.ledger
                .fault(format!("none, though there is one: {error}"));
        }
    }
}

/// Gives back what others hold, now and then.
pub fn give_back(shared: &SharedLeases, rng: &mut Rng) -> usize {
    std::thread::sleep(Duration::from_micros(rng.u64(..2_000)));
    shared.give_back(rng.usize(1..64))
}
