//! The answers that a client checks.

use std::time::Duration;

use relay_registry::{FindError, RelayInfo};

use super::{Asked, Client, Held};
use crate::ledger::Mark;
use crate::relays::{self, NEAR, PERMANENT, TRANSIENTS};

impl Client {
    pub(super) fn fault(&self, relay: u32, what: &str) {
        self.ledger
            .fault(format!("{}: {what}", relays::name(relay)));
    }

    /// Of an answer with so many relays at most.
    pub(super) fn check_hand_out(
        &mut self,
        info: &RelayInfo,
        asked: &Asked,
        mark: &Mark,
        most: usize,
    ) {
        let relay = relays::number(&info.node_id());
        if relays::is_in_reserve(relay) && self.certainly_eligible(asked, mark) >= most {
            let tier = info.tier();
            self.fault(relay, &format!("of tier {tier}, with others of tier 0"));
        }
        self.check(info, mark, "handed out");
        self.check_asked(relay, asked);
        // After a jump of the clock, a measurement may be too old. A relay that left and returned during
        // the call may have been forgotten.
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

    pub(super) fn check_asked(&self, relay: u32, asked: &Asked) {
        if asked.rules_out(relay) || relay == relays::local(&self.ledger) {
            self.fault(
                relay,
                "handed out: target, requester, this node or not asked for",
            );
        }
    }

    pub(super) fn check(&mut self, info: &RelayInfo, mark: &Mark, what: &str) {
        let relay = relays::number(&info.node_id());
        self.check_announcement(info);
        self.tally.checked += 1;
        if relay >= TRANSIENTS && self.ledger.settings().has_transients {
            return;
        }
        if relay >= self.ledger.relays() {
            self.fault(relay, "no such relay");
        } else if let Some(why) = self.ledger.objection(relay, mark) {
            self.fault(relay, &format!("{what} while {why}"));
        }
    }

    /// Endpoint, capacity and payload are of one registration, and the labels are those of the relay.
    pub(super) fn check_announcement(&self, info: &RelayInfo) {
        let relay = relays::number(&info.node_id());
        let capacity_index = relays::announced(info).capacity_index;
        if relays::capacity(relay, capacity_index) != Some(info.capacity()) {
            self.fault(relay, &format!("torn: {info:?}"));
        }
        let payload = relays::payload(relay, info.endpoint().port());
        if info.payload() != payload.as_ref().map(|bytes| &bytes[..]) {
            self.fault(relay, &format!("payload {:?}: {info:?}", info.payload()));
        }
        let labels = relays::labels(relay).iter();
        if !labels.copied().all(|label| info.has_label(label)) {
            self.fault(relay, &format!("lost labels: {info:?}"));
        }
        if relays::is_in_reserve(relay) && info.tier() == 0 {
            self.fault(relay, "in tier 0");
        }
    }

    /// The load of a relay includes the leases of this thread, whatever was reported.
    pub(super) fn check_load(&self, info: &RelayInfo) {
        let (relay, incarnation) = (
            relays::number(&info.node_id()),
            relays::announced(info).incarnation,
        );
        let is_of_it =
            |held: &&Held| held.relay == relay && held.announced.incarnation == incarnation;
        let own = self.held.iter().filter(is_of_it);
        let own = own.map(|held| held.units).sum::<u32>();
        if info.current_load() < own {
            let load = info.current_load();
            self.fault(relay, &format!("load {load}, with {own} units held"));
        }
    }

    pub(super) fn check_presence(&mut self, relay: u32, is_there: bool, mark: &Mark) {
        self.tally.checked += 1;
        if is_there && self.ledger.is_absent(relay, mark) {
            self.fault(relay, "held, though absent");
        }
        if !is_there && self.ledger.is_held(relay, mark) {
            self.fault(relay, "absent, though held");
        }
    }

    /// No relay was found: then all permanent relays are excluded or too far.
    pub(super) fn check_none(&mut self, error: &FindError, asked: &Asked, mark: &Mark) {
        self.tally.found_none += 1;
        if self.certainly_eligible(asked, mark) > 0 {
            self.ledger
                .fault(format!("no relay found, though there is one: {error}"));
        }
    }

    /// How many permanent relays were certainly eligible during the whole call. They are of tier 0.
    fn certainly_eligible(&self, asked: &Asked, mark: &Mark) -> usize {
        let will_do = |relay: &u32| {
            let is_usable = self.ledger.account(*relay).usable.was_certain_at(mark);
            is_usable && !asked.rules_out(*relay) && self.ledger.is_held(*relay, mark)
        };
        match asked.is_near {
            true => 0,
            false => (0..PERMANENT).filter(will_do).count(),
        }
    }
}
