//! Round trips: measured, told, forgotten.

use crate::registry::core::Core;
use crate::relay::NodeId;
use crate::rtt::sane_micros;
use crate::table::RecordRef;
use crate::table::record::RttUpdate;
use crate::time::Tick;
use std::cell::Cell;
use std::time::Duration;

impl Core {
    pub(super) fn record_rtt(&self, relay: &NodeId, rtt: Duration, now: Tick) -> bool {
        sane_micros(rtt).is_some_and(|micros| {
            self.with_live(relay, now, |record| {
                let settled = record.record_rtt(self.timeline.nanos_of(now), micros);
                self.await_lapse(&record, settled);
                self.coordinates.buffer_rtt(record.handle(), micros);
            })
        })
    }

    /// Takes in what a renewal says of the round trip.
    pub(super) fn seed_rtt(&self, record: &RecordRef<'_>, told_at: u64, micros: u32) {
        let settled = record.seed_rtt(told_at, micros);
        self.await_lapse(record, settled);
    }

    pub(super) fn forget_rtt(&self, relay: &NodeId) -> bool {
        let now = self.present();
        let forgotten = Cell::new(None);
        // Also of one that is gone, for it would come back with what was measured.
        let is_live = self.change_each_record(relay, |record| {
            self.forget_rtt_of(record, now);
            forgotten.set(Some(record.handle()));
            record.lifecycle().is_live_at(now)
        });
        // Without a pin: this waits for another thread.
        forgotten
            .get()
            .inspect(|&handle| self.probes.forget(handle));
        is_live
    }

    pub(super) fn forget_rtts(&self) {
        let now = self.present();
        // Those that are gone, too: they would come back with what was measured.
        self.resets.of_rtts(|| {
            self.for_each_known(|record| self.forget_rtt_of(&record, now));
        });
        self.probes.forget_all();
    }

    pub(super) fn forget_rtt_of(&self, record: &RecordRef<'_>, now: Tick) {
        let settled = record.forget_rtt(self.timeline.nanos_of(now));
        self.await_lapse(record, settled);
    }

    /// Tells the wheel of a relay that counts as measured from now on, where it would come
    /// by too late to see that lapse.
    ///
    /// The wheel has the relay at its deadline or before. It looks at what was measured
    /// whenever it comes by, so it knows of every later lapse.
    fn await_lapse(&self, record: &RecordRef<'_>, settled: RttUpdate) {
        if settled != RttUpdate::Begun {
            return;
        }
        let lapse = record.lapse(self.timeline.tick());
        if lapse.is_some_and(|lapse| lapse < record.lifecycle().deadline()) {
            self.table.announce_to_wheel(record);
        }
    }
}
