//! The answers that an owner checks.

use std::time::Duration;

use relay_registry::{
    CircuitState, Endpoint, FindError, FindOptions, NatType, RegisterError, RegisterOptions,
    Registration, RelayInfo,
};

use super::{Owner, TICK, TTL};
use crate::ledger::{Mark, micros};
use crate::relays;

/// How much shorter a long grace can be after an expiry: until the relay is swept, each call that reads it
/// moves its deadline back by a tick.
const GRACE_SLACK: Duration = Duration::from_secs(60);

impl Owner<'_> {
    /// A relay is remembered within its grace, and not beyond it.
    pub(super) fn check_return(&self, index: usize, registration: Registration, mark: &Mark) {
        let Some(gone) = self.owned[index].gone else {
            return;
        };
        let grace = micros(self.ledger.settings().grace.unwrap_or(TTL));
        let slack = match gone.lapsed {
            true => micros(GRACE_SLACK),
            false => micros(2 * TICK),
        };
        let is_certain = self.ledger.now().saturating_add(slack) < gone.from.saturating_add(grace);
        if registration == Registration::New && is_certain && self.ledger.remembers_all() {
            self.fault(index, format_args!("forgotten within its grace"));
        }
        let over = gone.by.saturating_add(grace);
        if registration == Registration::Returned
            && mark.seen() >= over.saturating_add(micros(2 * TICK))
        {
            self.fault(index, format_args!("remembered beyond its grace"));
        }
    }

    /// A refusal changes nothing, unless a held relay restarts: then it has left.
    pub(super) fn check_refusal(&mut self, index: usize, restarted: bool, error: &RegisterError) {
        let account = self.account(index);
        let is_there = self.registry.is_relay(&relays::id(self.owned[index].relay));
        if !is_there && self.ledger.now() < account.expires_from() {
            if !restarted {
                self.fault(index, format_args!("taken away by a refusal: {error}"));
            }
            self.tally.displaced += 1;
            self.owned[index].gone = None;
            self.become_absent(index);
        } else if matches!(error, RegisterError::Backlogged { .. }) {
            if restarted {
                account.held.enter(self.ledger);
            }
        } else {
            self.fault(index, format_args!("not renewed: {error}"));
        }
    }

    /// An invalid registration must be refused, and change nothing.
    pub(super) fn register_invalid(&mut self, index: usize) {
        let id = relays::id(self.owned[index].relay);
        let endpoint = relays::endpoint(self.owned[index].relay, self.owned[index].announced);
        let options = RegisterOptions::new();
        let multicast = Endpoint::from(std::net::SocketAddr::from(([224, 0, 0, 1], 9)));
        let (endpoint, options) = match self.rng.u32(..5) {
            0 => (endpoint, options.capacity(0)),
            1 => (endpoint, options.ttl(TICK / 2)),
            2 => (endpoint, options.nat(NatType::Symmetric)),
            3 => (endpoint, options.latency(2 * relay_registry::MAX_RTT)),
            _ => (multicast, options),
        };
        let outcome = self.registry.register_with(id, endpoint, &options);
        self.tally.registered(&outcome);
        self.tally.invalid += 1;
        if let Ok(registration) = outcome {
            self.fault(
                index,
                format_args!("{registration:?} for an invalid registration"),
            );
        }
    }

    /// Options that exclude all relays but this one.
    fn only(&self, index: usize) -> FindOptions {
        let only = self.owned[index].relay;
        let others = (0..self.ledger.relays()).filter(|relay| *relay != only);
        FindOptions::new().exclude(others.map(relays::id))
    }

    pub(super) fn expect_to_find(&mut self, index: usize) {
        let mark = self.ledger.mark();
        let relay = self.owned[index].relay;
        let is_local = relay == relays::local(self.ledger);
        // Its failures outlive its absence, and only its owner reports any.
        let circuit = self.circuit(index);
        let is_closed = circuit.is_none_or(|circuit| circuit == CircuitState::Closed);
        if !is_closed && !self.owned[index].has_failed {
            self.fault(index, format_args!("{circuit:?} though it never failed"));
        }
        let found = self
            .registry
            .find_relay_with(&relays::non_relay(), &self.only(index));
        self.tally.visibility += 1;
        let objection = self.ledger.objection(relay, &mark);
        if let Err(FindError::NoRelaysAvailable { rejections, .. }) = &found {
            let is_free = !is_local && self.account(index).free.was_certain_at(&mark);
            if is_free && is_closed && self.ledger.is_held(relay, &mark) {
                self.fault(
                    index,
                    format_args!("not found after it was registered: {rejections:?}"),
                );
            }
        } else if is_it(relay, &found) && (is_local || objection.is_some()) {
            self.fault(
                index,
                format_args!("found though it is the local node, or {objection:?}"),
            );
        }
    }

    pub(super) fn expect_not_to_find(&mut self, index: usize) {
        let found = self
            .registry
            .find_relay_with(&relays::non_relay(), &self.only(index));
        self.tally.visibility += 1;
        if is_it(self.owned[index].relay, &found) {
            self.fault(index, format_args!("found after it had left"));
        }
    }
}

/// Whether this relay was found, and not a transient.
fn is_it(relay: u32, found: &Result<RelayInfo, FindError>) -> bool {
    let found = found.as_ref().map(RelayInfo::node_id);
    found.is_ok_and(|id| id == relays::id(relay))
}
