//! Which relays to reserve at: the home first, the others in other failure domains.

use std::time::Instant;

use relay_registry::{CircuitState, FindOptions, NodeId, RelayInfo};

use super::slot::{Phase, Slot};
use super::{Action, Reservations};
use crate::autorelay::{Config, Event};

impl Reservations {
    /// Whether a relay other than `taken` does not back off. If this node has a reservation,
    /// then the others can wait: a find would hand out a relay that backs off as a last resort,
    /// and so begin its trial.
    pub(super) fn has_relay_except(&self, taken: &[NodeId]) -> bool {
        let is_usable = |relay: &RelayInfo| {
            relay.circuit() != CircuitState::Open
                && !relay.is_draining()
                && !relay.is_banned()
                && !taken.contains(&relay.node_id())
        };
        self.registry.relays().iter().any(is_usable)
    }

    /// The best relay other than `taken`, and in another failure domain if there is one.
    pub(super) fn find(
        &self,
        taken: &[NodeId],
        domains: &[String],
        preferred: Option<NodeId>,
    ) -> Option<RelayInfo> {
        let mut options = self.config.options.clone().exclude(taken.iter().copied());
        if let Some(relay) = preferred {
            let Config {
                move_gain,
                move_share,
                ..
            } = self.config;
            options = options.prefer(relay).prefer_with(move_gain, move_share);
        }
        let elsewhere = options.clone().exclude_domains(domains);
        let find = |options: &FindOptions| self.registry.find_home_relay(options).ok();
        // A relay that backs off is no reason to leave the failure domains.
        find(&elsewhere)
            .filter(|relay| domains.is_empty() || !relay.is_last_resort())
            .or_else(|| find(&options))
    }

    /// Compares what is held with what would be chosen now.
    pub(super) fn review(&mut self, now: Instant) {
        let mut wanted: Vec<RelayInfo> = Vec::new();
        for role in 0..self.config.reservations {
            let taken: Vec<_> = wanted.iter().map(RelayInfo::node_id).collect();
            let domains: Vec<_> = wanted
                .iter()
                .filter_map(RelayInfo::failure_domain)
                .collect();
            let domains: Vec<_> = domains.into_iter().map(str::to_owned).collect();
            let preferred = match role {
                0 => self.home,
                _ => self.held_except(&taken),
            };
            let unavailable = self.slots.iter().filter(|slot| !slot.is_active());
            let excluded: Vec<_> = taken
                .iter()
                .copied()
                .chain(unavailable.map(|slot| slot.node))
                .collect();
            match self.find(&excluded, &domains, preferred) {
                Some(relay) => wanted.push(relay),
                None => return,
            }
        }
        self.change_to(&wanted, now);
    }

    /// Makes the missing reservations before it gives up the others.
    fn change_to(&mut self, wanted: &[RelayInfo], now: Instant) {
        let is_held =
            |slots: &[Slot], node| slots.iter().any(|slot| slot.node == node && slot.is_held());
        let mut are_all_held = true;
        for relay in wanted {
            if !is_held(&self.slots, relay.node_id()) {
                are_all_held = false;
                // A failing relay is no improvement.
                if !relay.is_last_resort() {
                    self.attempt(relay, now);
                }
            }
        }
        if !are_all_held {
            return;
        }
        self.set_home(wanted.first().map(RelayInfo::node_id));
        for slot in self.slots.iter_mut().filter(|slot| slot.is_held()) {
            if !wanted.iter().any(|relay| relay.node_id() == slot.node) {
                slot.phase = Phase::Closing;
                let relay = slot.relay;
                self.actions.push_back(Action::Remove(slot.listener));
                let released = Event::ReservationReleased { relay };
                self.actions.push_back(Action::Report(released));
            }
        }
    }

    /// A relay with a reservation that is not among `taken`.
    fn held_except(&self, taken: &[NodeId]) -> Option<NodeId> {
        let mut held = self.slots.iter().filter(|slot| slot.is_held());
        held.find(|slot| !taken.contains(&slot.node))
            .map(|slot| slot.node)
    }
}
