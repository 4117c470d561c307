//! Churn: relays start and stop, and report to the registries.

use std::time::Duration;

use relay_registry::RegisterOptions;

use super::peers::MEAN_QUEUEING;
use super::queue::micros;
use super::truth::Presence;
use super::{Event, Simulation, TTL};
use crate::error::Failure;
use crate::world::endpoint;

const RENEW_EVERY: f64 = 20.0;
const MEAN_STAY: f64 = 600.0;
const MEAN_ABSENCE: f64 = 90.0;
const PORT: u16 = 4000;

impl Simulation<'_> {
    pub(super) fn join(&mut self, relay: usize) -> Result<(), Failure> {
        self.churn.joined += 1;
        self.relays[relay].come_up(self.now);
        let stay = self.relays[relay].stay;
        let length = self.random(MEAN_STAY);
        self.after(length, Event::Go(relay, stay));
        self.renew(relay)?;
        self.report(relay);
        Ok(())
    }

    /// Registers with every registry. Each of them measures the round trip.
    pub(super) fn renew(&mut self, relay: usize) -> Result<(), Failure> {
        let id = self.world.relay_id(relay);
        let options = RegisterOptions::new().capacity(self.relays[relay].capacity);
        for home in 0..self.registries.len() {
            let registration = self.registries[home]
                .register_with(id, endpoint(relay, PORT), &options)
                .map_err(Failure::registry)?;
            self.sessions.registered(home, relay, registration);
            self.measure(home, relay);
        }
        self.shown = self.now;
        self.relays[relay].deadline = self.now + micros(TTL);
        let stay = self.relays[relay].stay;
        self.after(RENEW_EVERY, Event::Renew(relay, stay));
        Ok(())
    }

    fn measure(&mut self, home: usize, relay: usize) {
        let queueing = Duration::from_secs_f64(self.random(MEAN_QUEUEING));
        if let Some(rtt) = self.world.measured(self.world.homes[home], relay) {
            self.registries[home].record_rtt(&self.world.relay_id(relay), rtt + queueing);
        }
    }

    pub(super) fn report(&mut self, relay: usize) {
        let load = self.relays[relay].load();
        for registry in &self.registries {
            registry.report_load(&self.world.relay_id(relay), load);
        }
        let stay = self.relays[relay].stay;
        self.after(self.args.report_interval, Event::Report(relay, stay));
    }

    pub(super) fn go(&mut self, relay: usize) {
        if self.rng.bool() {
            self.leave(relay);
        } else {
            self.lapse(relay);
        }
        let absence = self.random(MEAN_ABSENCE);
        self.after(absence, Event::Join(relay));
    }

    fn leave(&mut self, relay: usize) {
        self.churn.left += 1;
        self.relays[relay].go(self.now, Presence::Left);
        for registry in &self.registries {
            registry.unregister(&self.world.relay_id(relay));
        }
    }

    fn lapse(&mut self, relay: usize) {
        self.churn.lapsed += 1;
        self.relays[relay].go(self.now, Presence::Down);
        for session in self.sessions.on(relay) {
            self.end(session);
        }
    }
}
