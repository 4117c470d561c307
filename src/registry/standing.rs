//! How a relay that is there stands: measured, banned.

use crate::errors::BanError;
use crate::record::Lifecycle;
use crate::registry::core::Core;
use crate::relay::NodeId;
use crate::rtt::sane_micros;
use crate::sync::epoch;
use crate::time::nanos;
use std::time::{Duration, SystemTime};

impl Core {
    pub(super) fn record_rtt(&self, relay: &NodeId, rtt: Duration) -> bool {
        sane_micros(rtt).is_some_and(|micros| {
            self.with_live(relay, |record| {
                if record.record_rtt(self.timeline.elapsed_nanos(), micros) {
                    self.publication().note_reordering();
                }
                self.geography.probed(record.handle(), micros);
            })
        })
    }

    pub(super) fn ban(&self, relay: &NodeId, duration: Duration) -> Result<(), BanError> {
        let now = self.timeline.advance();
        let until = self
            .timeline
            .deadline(now, nanos(duration))
            .filter(|&until| until <= Lifecycle::LAST_DEADLINE)
            .ok_or(BanError::TooLong { duration })?;
        self.bans.insert(*relay, until, now.tick)?;
        self.see_registrations();
        self.enforce_ban(relay);
        Ok(())
    }

    pub(super) fn unban(&self, relay: &NodeId) -> bool {
        let was_banned = self.bans.remove(relay, self.timeline.tick());
        self.see_registrations();
        self.enforce_ban(relay);
        was_banned
    }

    pub(super) fn banned(&self) -> Vec<(NodeId, SystemTime)> {
        let bans = self.bans.all(self.timeline.tick()).into_iter();
        bans.map(|(relay, until)| (relay, self.timeline.wall_time_of(until)))
            .collect()
    }

    /// Brings the record of a relay in line with what is decided about it.
    ///
    /// Whoever stores last looks once more, so the two agree as soon as nobody
    /// is inside here.
    pub(super) fn enforce_ban(&self, relay: &NodeId) {
        let guard = epoch::pin();
        let now = self.timeline.tick();
        let mut enforced = None;
        while let Some(record) = self.table.find(relay, &guard) {
            let word = record.lifecycle();
            if word.is_live() && !word.is_live_at(now) {
                // It keeps what it had earned by its deadline.
                self.expire(record, word);
                continue;
            }
            let until = self.bans.until(relay, now);
            if enforced == Some(until) {
                return;
            }
            record.change_circuit(|circuit| match until {
                Some(until) => circuit.with_ban(until),
                None => circuit.without_ban(now),
            });
            enforced = Some(until);
            // The next look at the bans comes after what was stored.
            self.see_registrations();
        }
    }
}
