//! A client: it calls every query, holds leases, and checks every answer.

mod asked;
mod checks;

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use parking_lot::Mutex;
use relay_registry::{Lease, LeaseError, PeerView, Registry, RelayInfo, Vivaldi};

use crate::ledger::Ledger;
use crate::memory;
use crate::relays::{self, Announced, PERMANENT, TRANSIENTS};

use crate::tally::Tally;

use asked::{Asked, MAX_UNITS};

/// How many leases one client holds at most.
pub const MAX_HELD: usize = 24;
/// A client takes fewer leases than this of one relay at once.
const MAX_LEASES_AT_ONCE: usize = 12;
/// How many leases wait to be released by another thread at most.
pub const MAX_SHARED: usize = 512;

/// A lease and its entry in the ledger. Dropping removes the entry, releases the lease, then drops the
/// ledger.
pub struct Held {
    _lease: Lease,
    relay: u32,
    announced: Announced,
    units: u32,
    ledger: Arc<Ledger>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.ledger
            .remove_lease(self.relay, self.announced, self.units);
    }
}

/// Leases that any thread may release.
#[derive(Default)]
pub struct SharedLeases(Mutex<Vec<Held>>);

impl SharedLeases {
    fn add(&self, held: Held) {
        let mut shared = self.0.lock();
        if shared.len() < MAX_SHARED {
            shared.push(held);
        }
    }

    /// Releases up to `most` leases, and returns how many.
    pub fn release(&self, most: usize) -> usize {
        let mut shared = self.0.lock();
        let from = shared.len().saturating_sub(most);
        let taken = shared.split_off(from);
        drop(shared);
        taken.len()
    }
}

thread_local! {
    /// The leases that a thread holds when it exits.
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
            held: VecDeque::with_capacity(MAX_HELD + 1),
            rng: Rng::with_seed(seed),
            tally: Tally::default(),
        }
    }

    /// Half of the leases become shared; the others are released when the thread exits.
    pub fn finish(mut self) -> Tally {
        self.held.drain(..self.held.len() / 2).for_each(|held| {
            self.shared.add(held);
        });
        self.tally.released_at_thread_exit += self.held.len() as u64;
        LEFT_OVER.with_borrow_mut(|left| left.extend(self.held.drain(..)));
        self.tally
    }

    /// Makes one call.
    pub fn step(&mut self) {
        match self.rng.u32(..1000) {
            0..340 => self.find(),
            340..380 => self.find_home(),
            380..620 => self.reserve(),
            620..720 => self.lease_by_name(),
            720..770 => self.find_several(),
            770..900 => self.request_record(),
            900..940 => self.count(),
            940..950 => self.list(),
            950..965 => self.explain(),
            965..985 => self.update_peer(),
            985..990 => self.forget_peer(),
            _ => self.read_gauges(),
        }
        while self.held.len() > MAX_HELD {
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

    fn asked(&mut self) -> Asked {
        let mut asked = Asked::any(&self.ledger, &mut self.rng);
        if self.rng.u32(..16) == 0 {
            let view = self.view();
            asked.options = asked.options.target_view(view);
        }
        asked
    }

    /// A view of some peer.
    fn view(&mut self) -> PeerView {
        let mut coordinates = Vivaldi::new();
        let mut view = PeerView::new();
        for _ in 0..PeerView::MAX_MEASURED {
            let relay = self.any_relay();
            let rtt = relays::rtt(relay, &mut self.rng);
            if let Some(place) = self.registry.relay_coordinate(&relays::id(relay)) {
                // Outliers are ignored.
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
        let asked = self.asked();
        let mark = self.ledger.mark();
        let found = self
            .registry
            .find_relay_with(&asked.target_id(), &asked.options);
        self.tally.finds += 1;
        match found {
            Ok(info) => self.check_hand_out(&info, &asked, &mark, 1),
            Err(error) => self.check_none(&error, &asked, &mark),
        }
    }

    fn find_home(&mut self) {
        let asked = self.asked().for_home();
        let mark = self.ledger.mark();
        let found = self.registry.find_home_relay(&asked.options);
        self.tally.homes += 1;
        match found {
            Ok(info) => self.check_hand_out(&info, &asked, &mark, 1),
            Err(error) => self.check_none(&error, &asked, &mark),
        }
    }

    fn reserve(&mut self) {
        let asked = self.asked();
        let mark = self.ledger.mark();
        let reserved = self.registry.reserve(&asked.target_id(), &asked.options);
        self.tally.reservations += 1;
        match reserved {
            Ok(lease) => {
                let info = lease.relay().clone();
                self.take(lease);
                self.check_hand_out(&info, &asked, &mark, 1);
            }
            Err(error) => self.check_none(&error, &asked, &mark),
        }
    }

    fn find_several(&mut self) {
        let mut asked = self.asked();
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
            self.check_hand_out(info, &asked, &mark, most);
        }
    }

    /// Asks for an explanation, and stalls inside the call. Meanwhile no memory can be reclaimed.
    pub fn explain_slowly(&mut self, stall: Duration) {
        memory::stall_after(self.rng.u32(1..4), stall);
        self.explain();
        self.tally.pinned_stalls += u64::from(memory::has_stalled());
    }

    /// Takes some leases on one relay, or all that are free.
    fn lease_by_name(&mut self) {
        let relay = self.any_relay();
        let wanted = self.rng.usize(1..MAX_LEASES_AT_ONCE);
        for _ in 0..wanted {
            if !self.lease_one(relay) {
                break;
            }
        }
    }

    fn lease_one(&mut self, relay: u32) -> bool {
        let mark = self.ledger.mark();
        let units = 1 + self.rng.u32(..MAX_UNITS);
        match self.registry.lease_units(&relays::id(relay), units) {
            Ok(lease) => {
                let info = lease.relay().clone();
                self.take(lease);
                self.check(&info, &mark, "leased");
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
            return; // It is never full, so it has no counts.
        }
        let units = lease.units();
        self.ledger.add_lease(relay, announced, units);
        self.held.push_back(Held {
            ledger: Arc::clone(&self.ledger),
            relay,
            announced,
            units,
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
                self.check_announcement(info);
                self.check_load(info);
            }
            info.is_some()
        };
        self.tally.lookups += 1;
        self.check_presence(relay, is_there, &mark);
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
            self.check_announcement(info);
            self.check_load(info);
        }
        for relay in 0..self.ledger.relays() {
            self.check_presence(relay, listed.contains(&relay), &mark);
        }
    }

    fn explain(&mut self) {
        let asked = self.asked();
        let mark = self.ledger.mark();
        let explanation = self.registry.explain(&asked.target_id(), &asked.options);
        self.tally.explanations += 1;
        for explained in explanation.relays() {
            let relay = relays::number(&explained.relay);
            if explained.verdict.is_handed_out() && relay < TRANSIENTS {
                self.check_asked(relay, &asked);
                if let Some(why) = self.ledger.objection(relay, &mark) {
                    self.fault(relay, &format!("{:?} while {why}", explained.verdict));
                }
            }
        }
    }

    fn update_peer(&mut self) {
        let view = self.view();
        let peer = relays::id(self.any_peer());
        let learned = self.registry.update_peer(&peer, view);
        self.tally.views += 1;
        let place = self.registry.coordinate();
        if learned > PeerView::MAX_MEASURED || !place.position().iter().all(|x| x.is_finite()) {
            self.ledger
                .fault(format!("learned {learned}, and is at {place:?}"));
        }
    }

    fn forget_peer(&mut self) {
        let peer = relays::id(self.any_peer());
        self.tally.forgotten_peers += u64::from(self.registry.forget_peer(&peer));
    }

    /// A relay, or a node that is none.
    fn any_peer(&mut self) -> u32 {
        match self.rng.bool() {
            true => self.any_relay(),
            false => relays::peer(&mut self.rng),
        }
    }

    /// Gauges stay within their bounds, whatever the churn.
    fn read_gauges(&mut self) {
        let stats = self.registry.stats();
        let permits = 2 * self.ledger.max_relays() + self.ledger.max_remembered() + 1024;
        let most = [
            (
                "awaiting reclamation",
                stats.awaiting_reclamation,
                // Many kept relays may lose their last lease before the next maintenance pass.
                2 * permits + self.ledger.settings().max_kept,
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

/// Waits up to 2 ms, then releases some shared leases.
pub fn release_shared(shared: &SharedLeases, rng: &mut Rng) -> usize {
    std::thread::sleep(Duration::from_micros(rng.u64(..2_000)));
    shared.release(rng.usize(1..64))
}
