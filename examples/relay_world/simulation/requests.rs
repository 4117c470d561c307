//! Sessions: each asks a registry for a relay, and checks the answer.

use relay_registry::{Failure, Lease};

use super::choosing::Request;
use super::queue::micros;
use super::truth::Presence;
use super::{Event, Simulation, TICK};

const MEAN_SESSION: f64 = 60.0;

impl Simulation<'_> {
    pub(super) fn arrive(&mut self) {
        let up = self.relays.iter().filter(|relay| relay.is_up());
        let capacity: u32 = up.map(|relay| relay.capacity).sum();
        if capacity == 0 {
            // No relay is up: check again in a second.
            return self.after(1.0, Event::Arrive);
        }
        let gap = self.random(MEAN_SESSION / (self.args.load * f64::from(capacity)));
        self.after(gap, Event::Arrive);
        let home = self.rng.usize(..self.world.homes.len());
        let target = self
            .world
            .random_target(self.world.homes[home], &mut self.rng);
        // Drawn even if no relay is found, so that all rules see the same random numbers.
        let length = self.random(MEAN_SESSION);
        self.requests.made += 1;
        let mut request = Request {
            home,
            target,
            view: self.view_of(target),
            tried: Vec::new(),
        };
        match self.request(&mut request) {
            Some((relay, lease)) => self.start(&request, relay, lease, length),
            None => self.refuse(&request),
        }
    }

    /// Asks until a relay accepts the session, or none is left.
    fn request(&mut self, request: &mut Request) -> Option<(usize, Lease)> {
        for _ in 0..self.relays.len() {
            let lease = self.choose(request)?;
            self.requests.tries += 1;
            let id = lease.relay().node_id();
            if let Some(relay) = self.check(request, &lease) {
                let truth = &self.relays[relay];
                match truth.presence {
                    Presence::Up if !truth.is_full() => {
                        lease.succeeded();
                        return Some((relay, lease));
                    }
                    Presence::Up => {
                        self.requests.found_full += 1;
                        lease.failed(Failure::Refused);
                    }
                    Presence::Left | Presence::Down => {
                        self.requests.found_down += 1;
                        lease.failed(Failure::TimedOut);
                    }
                }
            }
            request.tried.push(id);
        }
        None
    }

    /// Checks a hand-out. Returns the relay; `None` if there is no such relay.
    fn check(&mut self, request: &Request, lease: &Lease) -> Option<usize> {
        let info = lease.relay();
        self.checks.handed_out += 1;
        self.checks.target += u64::from(info.node_id() == self.world.id(request.target));
        let Some(relay) = self.world.relay_of(&info.node_id()) else {
            self.checks.departed += 1;
            return None;
        };
        let own = self.sessions.own_leases(request.home, relay) + 1;
        let truth = &self.relays[relay];
        let exceeded = own > truth.capacity || info.current_load() > info.capacity();
        self.checks.capacity_exceeded += u64::from(exceeded);
        self.checks.departed += u64::from(truth.presence == Presence::Left);
        let deadline = truth.deadline.div_ceil(micros(TICK));
        let tick_read = self.shown / micros(TICK);
        self.checks.expired += u64::from(deadline < tick_read);
        Some(relay)
    }

    fn start(&mut self, request: &Request, relay: usize, lease: Lease, length: f64) {
        let session = self.sessions.open(request.home, relay, lease);
        self.relays[relay].take_session(self.now);
        self.trace.sessions[request.home][relay] += 1;
        self.after(length, Event::End(session));
        let stretch = self.stretch(request, relay);
        self.requests.stretches.extend(stretch);
    }

    fn refuse(&mut self, request: &Request) {
        self.requests.refused += 1;
        let mut relays = 0..self.relays.len();
        let failed = relays.any(|relay| self.would_serve(relay, request));
        self.requests.failed += u64::from(failed);
    }

    pub(super) fn end(&mut self, session: u64) {
        if let Some(session) = self.sessions.close(session) {
            self.relays[session.relay].end_session(self.now);
        }
    }

    /// The path through a relay divided by the shortest path through a relay that is up, whatever its
    /// load. `None` if round trips are missing.
    fn stretch(&self, request: &Request, relay: usize) -> Option<f32> {
        let (home, target) = (self.world.homes[request.home], request.target);
        let path = self.world.path_ms(home, relay, target)?;
        let itself = self.world.relay_at(target);
        let best = (0..self.relays.len())
            .filter(|&other| self.relays[other].is_up() && itself != Some(other))
            .filter_map(|other| self.world.path_ms(home, other, target))
            .min_by(f32::total_cmp)?;
        (best > 0.0).then_some(path / best)
    }
}
