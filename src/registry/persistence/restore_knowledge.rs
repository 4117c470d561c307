//! Restoring positions, and the views of peers.

use super::fields::Kind;
use super::knowledge_entries::{decode_own_position, decode_position, decode_view};
use super::restore::Restoration;

impl Restoration<'_> {
    pub(super) fn restore_positions(&mut self) {
        let (saved, report) = (self.saved, &mut self.report);
        let mut own = saved.of_kind(Kind::OwnPosition);
        let own = own.find_map(|(_, fields)| decode_own_position(&fields).ok());
        let Some(own) = own else {
            return;
        };
        self.inner.coordinates.restore(&self.inner.relays, |map| {
            map.restore_own(own);
            for (_, fields) in saved.of_kind(Kind::RelayPosition) {
                if let Ok((relay, landmark)) = decode_position(&fields) {
                    map.restore(relay, landmark);
                    report.positions += 1;
                }
            }
        });
    }

    pub(super) fn restore_views(&mut self) {
        let now = self.now.tick;
        let latest = self.inner.peer_deadline(now);
        for (_, fields) in self.saved.of_kind(Kind::PeerView) {
            let Ok((peer, view, until)) = decode_view(&fields) else {
                continue;
            };
            let until = self.shift.tick(until).min(latest);
            if until > now {
                self.inner.peers.remember(&peer, &view, until, now);
                self.report.peers += 1;
            }
        }
    }
}
