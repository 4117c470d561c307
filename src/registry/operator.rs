//! The operator settings of relays: bans, draining, tiers and costs.
//!
//! A setting is kept in the record of the relay, live or gone. For an id without a record, a
//! placeholder is made, which is gone from the start. For how an operator setting and a
//! thread that forgets the record see each other, see `table/departure.rs`.

use crate::errors::{BanError, OperatorError};
use crate::limits::{MAX_COST, MAX_PLACEHOLDERS, MIN_COST};
use crate::registry::inner::Inner;
use crate::registry::register::MAX_ATTEMPTS;
use crate::relay::{Cost, NodeId};
use crate::sync::{epoch, yield_now};
use crate::table::record::{Circuit, PolicyWord, State};
use crate::table::{CreateError, Exhausted, Placeholder, RecordRef};
use crate::time::{Tick, nanos};
use std::time::{Duration, SystemTime};

/// Why an operator setting is not kept.
enum NotKept {
    TooMany,
    OutOfMemory,
    Backlogged { awaiting_reclamation: usize },
}

impl NotKept {
    /// There is no record for a placeholder, while so many await reclamation.
    const fn without_room(awaiting_reclamation: usize) -> Self {
        match awaiting_reclamation {
            0 => Self::OutOfMemory,
            _ => Self::Backlogged {
                awaiting_reclamation,
            },
        }
    }
}

impl From<NotKept> for OperatorError {
    fn from(error: NotKept) -> Self {
        match error {
            NotKept::TooMany => Self::TooMany {
                max: MAX_PLACEHOLDERS,
            },
            NotKept::OutOfMemory => Self::OutOfMemory,
            NotKept::Backlogged {
                awaiting_reclamation,
            } => Self::Backlogged {
                awaiting_reclamation,
            },
        }
    }
}

impl From<NotKept> for BanError {
    fn from(error: NotKept) -> Self {
        match error {
            NotKept::TooMany => Self::TooMany {
                max: MAX_PLACEHOLDERS,
            },
            NotKept::OutOfMemory => Self::OutOfMemory,
            NotKept::Backlogged {
                awaiting_reclamation,
            } => Self::Backlogged {
                awaiting_reclamation,
            },
        }
    }
}

impl Inner {
    pub(super) fn set_draining(&self, relay: &NodeId, draining: bool) -> Result<(), OperatorError> {
        let _wakes = self.relays.wake_guard();
        let update = |record: &RecordRef<'_>| {
            record.set_draining(draining);
            Ok(())
        };
        let begin = |circuit| Placeholder {
            is_draining: true,
            ..Placeholder::new(circuit)
        };
        let kept = match draining {
            true => self.update_or_create(relay, update, begin),
            false => {
                self.relays
                    .update_each_record(relay, |record| update(record).is_ok());
                Ok(())
            }
        };
        self.link.notify_change(relay);
        Ok(kept?)
    }

    pub(super) fn set_tier(&self, relay: &NodeId, tier: u8) -> Result<(), OperatorError> {
        self.set_policy(relay, |word| word.with_tier(Some(tier)))
    }

    pub(super) fn set_cost(&self, relay: &NodeId, factor: f64) -> Result<(), OperatorError> {
        let cost = Cost::new(factor).ok_or(OperatorError::InvalidCost {
            cost: factor,
            min: MIN_COST,
            max: MAX_COST,
        })?;
        self.set_policy(relay, |word| word.with_cost(Some(cost)))
    }

    fn set_policy(
        &self,
        relay: &NodeId,
        next: impl Fn(PolicyWord) -> PolicyWord,
    ) -> Result<(), OperatorError> {
        let _wakes = self.relays.wake_guard();
        let begin = |circuit| Placeholder {
            policy: next(PolicyWord::default()),
            ..Placeholder::new(circuit)
        };
        self.update_or_create(relay, |record| record.change_policy(&next), begin)?;
        Ok(())
    }

    pub(super) fn ban(&self, relay: &NodeId, duration: Duration) -> Result<(), BanError> {
        let _wakes = self.relays.wake_guard();
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
            Ok(())
        };
        let begin = |circuit| Placeholder::new(banned(circuit));
        Ok(self.update_or_create(relay, update, begin)?)
    }

    pub(super) fn unban(&self, relay: &NodeId) -> bool {
        let _wakes = self.relays.wake_guard();
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
        let _wakes = self.relays.wake_guard();
        // Before anything changes: the clock is the embedder's and may panic.
        let now = self.relays.present();
        let was_draining = self.relays.update_each_record(relay, |record| {
            let was_draining = record.load().is_draining();
            record.set_draining(false);
            was_draining
        });
        let had_policy = self.relays.update_each_record(relay, |record| {
            let had_policy = record.policy_word().has_operator_setting();
            // It needs no memory: what the record has stays, or there is none.
            let _ = record.change_policy(PolicyWord::without_operator);
            had_policy
        });
        let lifted = self.unban_at(relay, now) | was_draining | had_policy;
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
        update: impl Fn(&RecordRef<'_>) -> Result<(), Exhausted>,
        begin: impl Fn(Circuit) -> Placeholder,
    ) -> Result<(), NotKept> {
        let table = &self.relays.table;
        let hash = table.hash(relay);
        let mut has_forgotten_excess = false;
        let mut attempts_left = MAX_ATTEMPTS;
        loop {
            match self.relays.update_record(relay, &update) {
                Some((Err(Exhausted), _)) => return Err(NotKept::OutOfMemory),
                Some((Ok(()), State::Closing | State::Vacant)) => {
                    // The thread that closes it may not have seen this update: repeat it.
                    yield_now();
                    continue;
                }
                Some((Ok(()), _)) => return Ok(()),
                None => {}
            }
            let saved = self.relays.reputation.saved(relay);
            let known = begin(saved.unwrap_or(Circuit::CLOSED));
            // Nothing is pinned afterwards: a thread that makes room must not be.
            let created = table.create_placeholder((relay, hash), known, &epoch::pin());
            match created {
                Ok(()) => {
                    let publish = |record: &RecordRef<'_>| record.publish_operator_settings();
                    self.relays.update_record(relay, publish);
                    return Ok(());
                }
                Err(CreateError::Overtaken) => {}
                Err(CreateError::TooMany) if has_forgotten_excess => return Err(NotKept::TooMany),
                Err(CreateError::TooMany) => {
                    // Placeholders whose setting was lifted may still await removal.
                    self.expiry.forget_excess(&self.relays);
                    has_forgotten_excess = true;
                }
                Err(CreateError::Exhausted) if attempts_left > 0 => {
                    self.make_room();
                    attempts_left -= 1;
                }
                Err(CreateError::Exhausted) => return Err(NotKept::without_room(table.backlog())),
            }
        }
    }
}
