//! What a record says of its relay, as a copy.

use crate::relay::{AskedAt, RelayInfo};
use crate::table::record::{Announcement, Circuit};
use crate::table::record_ref::LiveRecord;
use crate::time::Tick;

impl LiveRecord<'_> {
    /// What the record says at `now`. `circuit` was read from it before.
    ///
    /// Inlined, so that it is written where the caller wants it.
    #[inline(always)]
    pub(crate) fn describe(&self, circuit: Circuit, last_resort: bool, now: Tick) -> RelayInfo {
        let &Announcement {
            ref endpoint,
            capacity,
            nat,
            origin: _,
            ttl_nanos,
            registered_at,
            // The policy has them, and what the operator says.
            tier: _,
            cost: _,
            ref details,
        } = self.announcement();
        let (tier, cost) = self.tier_and_cost();
        // What may call a function comes first: it is then not held beside what is to be dropped.
        let coordinate = self.publication().position_of(|| self.handle());
        let load = self.load();
        let elapsed_nanos = self.nanos_of(now);
        let measurement = self.measurement(elapsed_nanos);
        RelayInfo {
            node_id: self.identity(),
            capacity,
            current_load: load.total(),
            rtt_micros: measurement.map(|it| it.micros),
            rtt_second: measurement.map_or(0, |it| it.latest.number()),
            origin: self.publication().context.watch.wall_origin(),
            registered_at,
            expires_at: self.nanos_of(self.word().deadline()),
            asked_at: AskedAt(elapsed_nanos),
            ttl_nanos,
            tier,
            cost,
            coordinate,
            nat,
            draining: load.is_draining(),
            banned: circuit.is_banned(now),
            circuit: circuit.public_state(now),
            last_resort,
            endpoint: endpoint.clone(),
            details: details.clone(),
        }
    }
}
