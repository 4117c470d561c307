//! The operator settings of relays: bans and draining.
//!
//! A setting is kept in the record of the relay, live or gone. For an id without a record, a
//! placeholder is made, which is gone from the start. For how an operator setting and a
//! thread that forgets the record see each other, see `table/departure.rs`.

use crate::errors::{BanError, OperatorError};
use crate::limits::MAX_PLACEHOLDERS;
use crate::registry::inner::Inner;
use crate::relay::NodeId;
use crate::sync::{epoch, yield_now};
use crate::table::record::{Circuit, State};
use crate::table::{CreateError, Placeholder, RecordRef};
use crate::time::{Tick, nanos};
use std::time::{Duration, SystemTime};

/// Why an operator setting is not kept.
enum NotKept {
    TooMany,
    OutOfMemory,
}

impl Inner {
    pub(super) fn set_draining(&self, relay: &NodeId, draining: bool) -> Result<(), OperatorError> {
        let update = |record: &RecordRef<'_>| record.set_draining(draining);
        let kept = match draining {
            true => self.update_or_create(relay, update, |circuit| Placeholder {
                circuit,
                is_draining: true,
            }),
            false => {
                self.relays.update_each_record(relay, |record| {
                    update(record);
                    true
                });
                Ok(())
            }
        };
        self.link.notify_change(relay);
        kept.map_err(|error| match error {
            NotKept::TooMany => OperatorError::TooMany {
                max: MAX_PLACEHOLDERS,
            },
            NotKept::OutOfMemory => OperatorError::OutOfMemory,
        })
    }

    pub(super) fn ban(&self, relay: &NodeId, duration: Duration) -> Result<(), BanError> {
        let banned = self.ban_for(relay, duration);
        self.link.notify_change(relay);
        banned
    }

    fn ban_for(&self, relay: &NodeId, duration: Duration) -> Result<(), BanError> {
        let timeline = &self.relays.timeline;
        let now = timeline.advance();
        let until = timeline
            .deadline(now, nanos(duration))
            .filter(|&until| until <= Circuit::LAST_TICK)
            .ok_or_else(|| BanError::TooLong {
                duration,
                max: timeline.until(Circuit::LAST_TICK, now),
            })?;
        if until <= now.tick {
            // A ban of no duration lifts one that is in force.
            self.unban_at(relay, now.tick);
            return Ok(());
        }
        let banned = |circuit: Circuit| circuit.with_ban(until);
        let update = |record: &RecordRef<'_>| {
            record.change_circuit(banned);
        };
        let begin = |circuit| Placeholder {
            circuit: banned(circuit),
            is_draining: false,
        };
        self.update_or_create(relay, update, begin)
            .map_err(|error| match error {
                NotKept::TooMany => BanError::TooMany {
                    max: MAX_PLACEHOLDERS,
                },
                NotKept::OutOfMemory => BanError::OutOfMemory,
            })
    }

    pub(super) fn unban(&self, relay: &NodeId) -> bool {
        let unbanned = self.unban_at(relay, self.relays.present());
        self.link.notify_change(relay);
        unbanned
    }

    fn unban_at(&self, relay: &NodeId, now: Tick) -> bool {
        self.relays.update_each_record(relay, |record| {
            let was_banned = record.circuit().is_banned(now);
            record.change_circuit(|circuit| circuit.without_ban(now));
            was_banned
        })
    }

    pub(super) fn lift(&self, relay: &NodeId) -> bool {
        // Before anything changes: the clock is the embedder's and may panic.
        let now = self.relays.present();
        let was_draining = self.relays.update_each_record(relay, |record| {
            let was_draining = record.load().is_draining();
            record.set_draining(false);
            was_draining
        });
        let lifted = self.unban_at(relay, now) | was_draining;
        self.link.notify_change(relay);
        lifted
    }

    pub(super) fn banned(&self) -> Vec<(NodeId, SystemTime)> {
        let now = self.relays.present();
        let mut banned = Vec::new();
        self.relays.for_each_known(|record| {
            if !record.word().is_known() {
                return;
            }
            let circuit = record.circuit();
            if circuit.is_banned(now) {
                let until = self.relays.timeline.wall_time_of(circuit.until());
                banned.push((record.identity(), until));
            }
        });
        // A relay that restarts has two records for a moment.
        banned.sort_unstable_by_key(|(relay, _)| *relay);
        banned.dedup_by_key(|(relay, _)| *relay);
        banned
    }

    /// Updates the record of a relay; for an id without a record, makes the one that `begin`
    /// describes, given the circuit that was saved.
    fn update_or_create(
        &self,
        relay: &NodeId,
        update: impl Fn(&RecordRef<'_>),
        begin: impl Fn(Circuit) -> Placeholder,
    ) -> Result<(), NotKept> {
        let table = &self.relays.table;
        let hash = table.hash(relay);
        let mut has_forgotten_excess = false;
        loop {
            match self.relays.update_record(relay, &update) {
                Some(((), State::Closing | State::Vacant)) => {
                    // The thread that closes it may not have seen this update: repeat it.
                    yield_now();
                    continue;
                }
                Some(_) => return Ok(()),
                None => {}
            }
            let saved = self.relays.reputation.saved(relay);
            let known = begin(saved.unwrap_or(Circuit::CLOSED));
            match table.create_placeholder((relay, hash), known, &epoch::pin()) {
                Ok(()) => return Ok(()),
                Err(CreateError::Overtaken) => {}
                Err(CreateError::TooMany) if has_forgotten_excess => return Err(NotKept::TooMany),
                Err(CreateError::TooMany) => {
                    // Placeholders whose setting was lifted may still await removal.
                    self.expiry.forget_excess(&self.relays);
                    has_forgotten_excess = true;
                }
                Err(CreateError::Exhausted) => return Err(NotKept::OutOfMemory),
            }
        }
    }
}
