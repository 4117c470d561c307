//! What callers observe of relays: round trips, loads, failures and successes; and how they
//! have the registry forget them.

use crate::coordinates::Coordinate;
use crate::registry::inner::Inner;
use crate::registry::reputation::{record_failure, record_success};
use crate::relay::NodeId;
use crate::rtt::sane_micros;
use crate::select::PeerView;
use crate::table::record::{Circuit, Failure, Source};
use crate::time::Tick;
use std::cell::Cell;
use std::time::Duration;

impl Inner {
    pub(super) fn record_rtt(&self, relay: &NodeId, rtt: Duration) -> bool {
        self.record_rtt_at(relay, rtt, self.relays.present())
    }

    pub(super) fn record_rtt_at(&self, relay: &NodeId, rtt: Duration, now: Tick) -> bool {
        let relays = &self.relays;
        sane_micros(rtt).is_some_and(|micros| {
            relays.with_live(relay, now, |record| {
                let update = record.record_rtt(relays.timeline.nanos_of(now), micros);
                relays.schedule_lapse(&record, update);
                self.coordinates.buffer_rtt(record.handle(), micros);
            })
        })
    }

    pub(super) fn forget_rtt(&self, relay: &NodeId) -> bool {
        let now = self.relays.present();
        let is_known = Cell::new(false);
        // Gone relays, too: they return with their round trips.
        let is_live = self.relays.update_each_record(relay, |record| {
            self.relays.forget_rtt_of(record, now);
            is_known.set(true);
            record.lifecycle().is_live_at(now)
        });
        if is_known.get() {
            // Without a pin: this waits for another thread.
            self.probes.forget(relay);
        }
        is_live
    }

    pub(super) fn forget_rtts(&self) {
        let relays = &self.relays;
        let now = relays.present();
        // Those that are gone, too: they would return with what was measured.
        relays.reputation.reset_rtts(|| {
            relays.for_each_known(|record| relays.forget_rtt_of(&record, now));
        });
        self.probes.forget_all();
    }

    pub(super) fn due_for_probe(&self, max: usize) -> Vec<NodeId> {
        self.probes.next_due(&self.relays, max)
    }

    pub(super) fn relay_coordinate(&self, relay: &NodeId) -> Option<Coordinate> {
        self.coordinates.of_relay(&self.relays, relay)
    }

    /// Remembers the view of a peer, and learns from it where relays are.
    pub(super) fn update_peer(&self, peer: &NodeId, view: &PeerView) -> usize {
        let now = self.relays.present();
        match view.is_empty() {
            false => self
                .peers
                .remember(peer, view, self.peer_deadline(now), now),
            true => _ = self.peers.forget(peer, now),
        }
        self.coordinates.update_peer(&self.relays, peer, view, now)
    }

    /// Until when a view counts that came at this tick, or before the next one.
    pub(super) fn peer_deadline(&self, now: Tick) -> Tick {
        let ticks = self
            .peers
            .ttl_nanos()
            .div_ceil(self.relays.timeline.tick_nanos());
        Tick(now.0.saturating_add(ticks).saturating_add(1))
    }

    pub(super) fn forget_peer(&self, peer: &NodeId) -> bool {
        let now = self.relays.present();
        self.peers.forget(peer, now)
    }

    pub(super) fn report_load(&self, relay: &NodeId, total: u32) -> bool {
        let now = self.relays.present();
        self.relays
            .with_live(relay, now, |record| record.report_load(total))
    }

    pub(super) fn report_load_of_others(&self, relay: &NodeId, load: u32) -> bool {
        let now = self.relays.present();
        self.relays
            .with_live(relay, now, |record| record.report_load_of_others(load))
    }

    pub(super) fn report_failure(&self, relay: &NodeId, failure: Failure) -> bool {
        let _wakes = self.relays.wake_guard();
        let now = self.relays.present();
        self.relays.with_live(relay, now, |record| {
            record_failure(&record, failure, Source::Id);
        })
    }

    pub(super) fn report_success(&self, relay: &NodeId) -> bool {
        let _wakes = self.relays.wake_guard();
        let now = self.relays.present();
        self.relays
            .with_live(relay, now, |record| record_success(&record, Source::Id))
    }

    pub(super) fn reset_circuit(&self, relay: &NodeId) -> bool {
        let _wakes = self.relays.wake_guard();
        let now = self.relays.present();
        let is_known = self.relays.update_each_record(relay, |record| {
            let was_failing = record.circuit().is_penalised();
            record.change_circuit(Circuit::with_reset);
            was_failing || record.lifecycle().is_live_at(now)
        });
        // After the records: one that is being forgotten saves its circuit.
        self.relays.reputation.discard(relay) | is_known
    }

    pub(super) fn reset_circuits(&self) {
        let _wakes = self.relays.wake_guard();
        let relays = &self.relays;
        relays.publication().context.outage.end();
        relays.reputation.reset_circuits(|| {
            relays.for_each_known(|record| {
                record.change_circuit(Circuit::with_reset);
            });
            // After the records: one that is being forgotten saves its circuit.
            relays.reputation.discard_all();
        });
    }
}
