//! The decisions of [`Behaviour`](super::Behaviour), without a network and without a clock:
//! events come in with the time at which they happened, and [`Action`]s go out.

mod choice;
mod slot;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::ListenOpts;
use libp2p::{Multiaddr, PeerId};
use relay_registry::{Failure, NodeId, Registry, RelayInfo};

use self::slot::{Phase, Slot};
use super::{Config, Event, Lost};
use crate::ids::peer_of;

/// What the swarm must do.
#[derive(Debug)]
pub(super) enum Action {
    /// Listen on a circuit address: the relay client of libp2p asks for the reservation.
    Listen(ListenOpts),
    /// Stop to listen.
    Remove(ListenerId),
    /// Close all connections to a relay that answers no pings.
    Disconnect(PeerId),
    /// Report an event.
    Report(Event),
}

/// The most attempts that are abandoned and not yet ended. With more, no attempt begins until one
/// was ended by force.
const MAX_ABANDONED: usize = 8;

/// So many attempts in a row may fail before the next one waits.
const FREE_FAILURES: u32 = 3;

/// A reservation that is lost sooner is a failed attempt: a relay that accepts and breaks off would
/// else be asked without end.
const MIN_HELD: Duration = Duration::from_secs(10);

/// See the module's description.
#[derive(Debug)]
pub(super) struct Reservations {
    registry: Registry,
    config: Config,
    slots: Vec<Slot>,
    home: Option<NodeId>,
    /// Lost reservations that were not replaced yet.
    losses: VecDeque<(PeerId, Instant)>,
    /// Attempts that failed since a reservation last lasted.
    failures: u32,
    /// No attempt begins before.
    paused_until: Instant,
    next_look: Instant,
    lacks_relays: bool,
    /// Whether any ping was answered: else the embedder does not pass pings on.
    are_pings_seen: bool,
    actions: VecDeque<Action>,
}

impl Reservations {
    pub(super) fn new(registry: Registry, config: Config, now: Instant) -> Self {
        Self {
            registry,
            config,
            slots: Vec::new(),
            home: None,
            losses: VecDeque::new(),
            failures: 0,
            paused_until: now,
            next_look: now,
            lacks_relays: false,
            are_pings_seen: false,
            actions: VecDeque::new(),
        }
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The next thing to do, if there is one.
    pub(super) fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub(super) fn home(&self) -> Option<PeerId> {
        self.home.as_ref().and_then(peer_of)
    }

    /// The relays that hold a reservation, the home first.
    pub(super) fn held(&self) -> Vec<PeerId> {
        let held = self.slots.iter().filter(|slot| slot.is_held());
        let mut held: Vec<_> = held
            .map(|slot| (Some(slot.node) != self.home, slot.relay))
            .collect();
        held.sort_by_key(|(is_standby, _)| *is_standby);
        held.into_iter().map(|(_, relay)| relay).collect()
    }

    /// When [`advance`](Self::advance) must be called, if no event comes before.
    pub(super) fn deadline(&self) -> Instant {
        let ends = self
            .slots
            .iter()
            .filter_map(|slot| self.end_of_patience(slot));
        ends.fold(self.next_look, Instant::min)
    }

    /// When a relay has taken too long to accept, or to answer a ping.
    fn end_of_patience(&self, slot: &Slot) -> Option<Instant> {
        match slot.phase {
            Phase::Pending { since, .. } => Some(since + self.config.reservation_timeout),
            Phase::Held if self.are_pings_seen => Some(slot.answered? + self.config.max_silence),
            _ => None,
        }
    }

    /// Does what is due at `now`.
    pub(super) fn advance(&mut self, now: Instant) {
        for at in 0..self.slots.len() {
            match self.end_of_patience(&self.slots[at]) {
                Some(end) if end <= now && self.slots[at].is_pending() => self.abandon(at, now),
                Some(end) if end <= now => self.disconnect(at, now, end),
                _ => {}
            }
        }
        if now >= self.next_look {
            self.look(now);
        }
    }

    /// A relay accepted the reservation of this listener, which has an address now. Renewals
    /// report the address again.
    pub(super) fn on_accepted(&mut self, listener: ListenerId, address: &Multiaddr, now: Instant) {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.listener == listener) else {
            return;
        };
        slot.answered = slot.answered.and(Some(now));
        match std::mem::replace(&mut slot.phase, Phase::Held) {
            Phase::Pending { lease, .. } => {
                lease.succeeded();
            }
            Phase::Held => {
                self.registry.report_success(&slot.node);
                return;
            }
            // Another relay was asked meanwhile. This one may still be needed.
            Phase::Abandoned => {}
            Phase::Closing => {
                slot.phase = Phase::Closing;
                return;
            }
        }
        slot.held_since = Some(now);
        let (node, relay) = (slot.node, slot.relay);
        self.lacks_relays = false;
        self.report(Event::ReservationAccepted {
            relay,
            address: address.clone(),
        });
        if let Some((lost, since)) = self.losses.pop_front() {
            let after = now.saturating_duration_since(since);
            self.report(Event::Replaced {
                lost,
                by: relay,
                after,
            });
        }
        if self.home.is_none() {
            self.set_home(Some(node));
        }
        self.look(now);
    }

    /// A listener closed, or could not be opened.
    pub(super) fn on_closed(&mut self, listener: ListenerId, reason: Lost, now: Instant) {
        let Some(at) = self.slots.iter().position(|slot| slot.listener == listener) else {
            return;
        };
        let slot = self.slots.swap_remove(at);
        let (node, relay) = (slot.node, slot.relay);
        match slot.phase {
            Phase::Pending { lease, .. } => {
                lease.failed(reason.failure());
                drop(lease);
                self.report(Event::ReservationFailed { relay, reason });
                self.count_failure(now);
            }
            Phase::Held => {
                self.registry.report_failure(&node, reason.failure());
                self.report(Event::ReservationLost { relay, reason });
                self.count_loss(slot.held_since, now);
                self.on_lost(node, relay, now);
            }
            Phase::Abandoned | Phase::Closing => {}
        }
        self.look(now);
    }

    /// A peer answered a ping.
    pub(super) fn on_answer(&mut self, peer: &PeerId, now: Instant) {
        self.are_pings_seen = true;
        self.expect_answers(peer, Some(now));
    }

    /// A peer does not speak the ping protocol, so its silence means nothing.
    pub(super) fn on_no_pings(&mut self, peer: &PeerId) {
        self.expect_answers(peer, None);
    }

    fn expect_answers(&mut self, peer: &PeerId, since: Option<Instant>) {
        for slot in self.slots.iter_mut().filter(|slot| slot.relay == *peer) {
            slot.answered = since;
        }
    }

    fn on_lost(&mut self, node: NodeId, relay: PeerId, now: Instant) {
        self.losses.push_back((relay, now));
        self.losses.truncate(Config::MAX_RESERVATIONS);
        if self.home == Some(node) {
            // A standby takes over at once: peers reach this node there already.
            let standby = self.slots.iter().find(|slot| slot.is_held());
            self.set_home(standby.map(|slot| slot.node));
        }
    }

    fn count_loss(&mut self, held_since: Option<Instant>, now: Instant) {
        let lasted = held_since.map(|since| now.saturating_duration_since(since));
        match lasted.is_some_and(|lasted| lasted >= MIN_HELD) {
            true => self.failures = 0,
            false => self.count_failure(now),
        }
    }

    /// The first failures in a row cost no wait: a dead relay must be replaced at once.
    fn count_failure(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if self.failures > FREE_FAILURES {
            let doublings = (self.failures - FREE_FAILURES - 1).min(16);
            let wait = self.config.min_retry.saturating_mul(1 << doublings);
            self.paused_until = now + wait.min(self.config.max_retry);
        }
    }

    /// Stops to wait for a relay that takes too long.
    fn abandon(&mut self, at: usize, now: Instant) {
        let slot = &mut self.slots[at];
        let relay = slot.relay;
        if let Phase::Pending { lease, .. } = std::mem::replace(&mut slot.phase, Phase::Abandoned) {
            lease.failed(Lost::TimedOut.failure());
        }
        self.report(Event::ReservationFailed {
            relay,
            reason: Lost::TimedOut,
        });
        self.count_failure(now);
        self.next_look = now;
    }

    /// Closes the connection to a relay that answers no pings. This ends the reservation: a relay
    /// that vanished without a word closes no connection itself.
    fn disconnect(&mut self, at: usize, now: Instant, due: Instant) {
        let slot = &mut self.slots[at];
        // If this process was stopped meanwhile, then it has heard of nothing.
        if now.saturating_duration_since(due) > self.config.max_silence / 4 {
            slot.answered = Some(now);
            return;
        }
        // Not again until it answers.
        slot.answered = None;
        self.actions.push_back(Action::Disconnect(slot.relay));
    }

    /// Begins the attempts that are missing. If none is, then reviews the choice.
    fn look(&mut self, now: Instant) {
        let active = self.slots.iter().filter(|slot| slot.is_active()).count();
        let missing = self.config.reservations.saturating_sub(active);
        if missing > 0 && now < self.paused_until {
            self.next_look = self.paused_until;
            return;
        }
        for _ in 0..missing {
            if !self.attempt_another(now) {
                self.next_look = now + self.config.min_retry;
                self.report_lack();
                return;
            }
        }
        self.next_look = now + self.config.review_interval;
        if !self.slots.iter().any(Slot::is_pending) {
            self.review(now);
        }
    }

    /// Asks a further relay for a reservation. False if none is eligible.
    fn attempt_another(&mut self, now: Instant) -> bool {
        let taken: Vec<_> = self.slots.iter().map(|slot| slot.node).collect();
        let active = self.slots.iter().filter(|slot| slot.is_active());
        let domains: Vec<_> = active.filter_map(|slot| slot.domain.clone()).collect();
        if self.slots.iter().any(Slot::is_held) && !self.has_relay_except(&taken) {
            return false;
        }
        self.find(&taken, &domains, None)
            .is_some_and(|relay| self.attempt(&relay, now))
    }

    /// Asks a relay for a reservation. False if that cannot be done now.
    fn attempt(&mut self, relay: &RelayInfo, now: Instant) -> bool {
        let node = relay.node_id();
        if !self.has_room_for_attempt() {
            return false;
        }
        let Ok(lease) = self.registry.lease(&node) else {
            return false;
        };
        let Some((peer, address)) = peer_of(&node).zip((self.config.address)(relay)) else {
            lease.failed(Failure::Refused);
            self.count_failure(now);
            return false;
        };
        let opts = ListenOpts::new(address.with(Protocol::P2pCircuit));
        self.slots.push(Slot {
            node,
            relay: peer,
            domain: relay.failure_domain().map(str::to_owned),
            listener: opts.listener_id(),
            phase: Phase::Pending {
                since: now,
                lease: Box::new(lease),
            },
            answered: Some(now),
            held_since: None,
        });
        self.actions.push_back(Action::Listen(opts));
        true
    }

    /// Whether few enough attempts are abandoned. If not, then one of them ends soon: the connection
    /// to its relay is closed, which else ends when libp2p gives up, after a minute.
    fn has_room_for_attempt(&mut self) -> bool {
        let slots = self.slots.iter_mut();
        let abandoned: Vec<_> = slots.filter(|slot| slot.is_abandoned()).collect();
        if abandoned.len() < MAX_ABANDONED {
            return true;
        }
        // Not the same one again.
        if let Some(slot) = abandoned.into_iter().find(|slot| slot.answered.is_some()) {
            slot.answered = None;
            self.actions.push_back(Action::Disconnect(slot.relay));
        }
        false
    }

    fn set_home(&mut self, home: Option<NodeId>) {
        if self.home == home {
            return;
        }
        let from = self.home.as_ref().and_then(peer_of);
        self.home = home;
        let to = self.home.as_ref().and_then(peer_of);
        self.report(Event::HomeChanged { from, to });
    }

    fn report_lack(&mut self) {
        if std::mem::replace(&mut self.lacks_relays, true) {
            return;
        }
        self.report(Event::NoRelay {
            held: self.held().len(),
            wanted: self.config.reservations,
        });
    }

    fn report(&mut self, event: Event) {
        self.actions.push_back(Action::Report(event));
    }
}

#[cfg(test)]
mod tests;
