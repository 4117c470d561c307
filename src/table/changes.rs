//! Publishes what changed of a relay; see [`events`](crate::events).

use crate::events::{Event, EventLog};
use crate::relay::{CircuitState, NodeId, RelayInfo};
use crate::sync::Arc;
use crate::table::departure::Closing;
use crate::table::record::{Circuit, CircuitChange, Origin};
use crate::table::record_ref::RecordRef;
use crate::time::Tick;

/// How a relay departs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Departure {
    Left,
    Expired,
}

/// A relay that is being described, under the lock of the log.
struct Described {
    id: NodeId,
    tick: u64,
    relay: Option<RelayInfo>,
}

impl RecordRef<'_> {
    pub(crate) fn events(&self) -> &Arc<EventLog> {
        &self.publication().context.events
    }

    /// Publishes that the relay was admitted which was registered at this moment.
    #[inline]
    pub(crate) fn publish_joined(&self, registered_at: u64, returned: bool) {
        let joined = || self.joined(registered_at, returned);
        // In order after the transition that made it live.
        self.events().publish_in_order(joined);
    }

    /// The same for a relay that returned in its record, of which more may have changed since it is
    /// live.
    pub(crate) fn publish_returned(&self, registered_at: u64, returned: bool) {
        let joined = || self.joined(registered_at, returned);
        self.events().publish(joined);
    }

    fn joined(&self, registered_at: u64, returned: bool) -> Option<Event> {
        let announcement = self.observe_live()?.announcement();
        // If it left and came back since, that is published by another thread.
        let is_the_same = announcement.registered_at == registered_at;
        let learned = announcement.origin == Origin::Learned;
        let Described { id, tick, relay } = self.described();
        is_the_same.then_some(Event::Joined {
            id,
            tick,
            relay: relay?,
            returned,
            learned,
        })
    }

    /// Publishes that what the relay announces has changed, or what the operator says of it.
    #[inline]
    pub(crate) fn publish_updated(&self) {
        self.events().publish(|| {
            let Described { id, tick, relay } = self.described();
            let relay = relay?;
            Some(Event::Updated { id, tick, relay })
        });
    }

    /// Publishes that draining began or was lifted, unless another thread changed it since.
    pub(super) fn publish_draining(&self, draining: bool) {
        self.events().publish(|| {
            let Described { id, tick, relay } = self.described();
            (self.load().is_draining() == draining).then_some(Event::Draining {
                id,
                tick,
                draining,
                relay,
            })
        });
    }

    /// Publishes how the circuit has changed, if it opened or closed, and whether a ban began,
    /// changed or was lifted.
    pub(super) fn publish_circuit(&self, CircuitChange { before, after }: CircuitChange) {
        let now = self.publication().context.now();
        if before.banned_until(now) != after.banned_until(now) {
            self.publish_ban();
        }
        let opened_or_closed = before.is_failing() != after.is_failing();
        let is_open = |circuit: Circuit| circuit.public_state(now) == CircuitState::Open;
        // By the circuits alone, where it matters: a short back-off may be over by now.
        if opened_or_closed || (is_open(after) && !is_open(before)) {
            self.publish_circuit_state();
        }
    }

    /// Publishes the ban as it is now: the last event tells of the last change.
    fn publish_ban(&self) {
        self.events().publish(|| {
            let watch = &self.publication().context.watch;
            let until = self.circuit().banned_until(watch.tick());
            let Described { id, tick, relay } = self.described();
            Some(Event::Banned {
                id,
                tick,
                until: until.map(|until| watch.wall_time_of(until)),
                relay,
            })
        });
    }

    /// Publishes the circuit as it is now. One that opened may be on trial already.
    fn publish_circuit_state(&self) {
        self.events().publish(|| {
            let is_failing = self.circuit().is_failing();
            let Described { id, tick, relay } = self.described();
            Some(match is_failing {
                true => Event::CircuitOpened { id, tick, relay },
                false => Event::CircuitClosed { id, tick, relay },
            })
        });
    }

    /// Publishes the draining and the ban that a new placeholder begins with.
    pub(crate) fn publish_operator_settings(&self) {
        if self.load().is_draining() {
            self.publish_draining(true);
        }
        if self.circuit().is_banned(self.publication().context.now()) {
            self.publish_ban();
        }
    }

    fn described(&self) -> Described {
        let now = self.publication().context.now();
        let describe = |live: super::LiveRecord<'_>| live.describe(live.circuit(), false, now);
        Described {
            id: self.identity(),
            tick: now.0,
            relay: self.observe_live().map(describe),
        }
    }
}

impl Closing<'_> {
    /// Publishes that the relay departed: before it can come back.
    #[inline]
    pub(crate) fn publish_departed(&self, departure: Departure) {
        let record = self.record();
        // In order after the transition by which it departs.
        record.events().publish_in_order(|| {
            let Tick(tick) = record.publication().context.now();
            let id = record.identity();
            Some(match departure {
                Departure::Left => Event::Left { id, tick },
                Departure::Expired => Event::Expired { id, tick },
            })
        });
    }
}
