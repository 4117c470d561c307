//! What the operator says of relays: bans and draining.
//!
//! It is kept in the record of the relay, be it live or gone. Of an id that has no record,
//! one is made, which is gone from the start. How a word and a record that is about to be
//! forgotten see each other is said in [`table::departure`](crate::table).

use crate::errors::{BanError, OperatorError};
use crate::limits::MAX_UNHELD_WORDS;
use crate::registry::core::Core;
use crate::relay::NodeId;
use crate::sync::{epoch, yield_now};
use crate::table::record::{Circuit, State};
use crate::table::{CreateError, Placeholder, RecordRef};
use crate::time::{Tick, nanos};
use std::time::{Duration, SystemTime};

/// Why a word is not kept.
enum Refusal {
    TooMany,
    OutOfMemory,
}

impl Core {
    pub(super) fn set_draining(&self, relay: &NodeId, draining: bool) -> Result<(), OperatorError> {
        let say = |record: &RecordRef<'_>| record.set_draining(draining);
        let kept = match draining {
            true => self.say(relay, say, |circuit| Placeholder {
                circuit,
                is_draining: true,
            }),
            false => {
                self.change_each_record(relay, |record| {
                    say(record);
                    true
                });
                Ok(())
            }
        };
        kept.map_err(|refusal| match refusal {
            Refusal::TooMany => OperatorError::TooMany {
                max: MAX_UNHELD_WORDS,
            },
            Refusal::OutOfMemory => OperatorError::OutOfMemory,
        })
    }

    pub(super) fn ban(&self, relay: &NodeId, duration: Duration) -> Result<(), BanError> {
        let now = self.timeline.advance();
        let until = self
            .timeline
            .deadline(now, nanos(duration))
            .filter(|&until| until <= Circuit::LAST_TICK)
            .ok_or(BanError::TooLong { duration })?;
        if until <= now.tick {
            // A ban of no time takes the place of one that is in force.
            self.unban_at(relay, now.tick);
            return Ok(());
        }
        let banned = |circuit: Circuit| circuit.with_ban(until);
        let say = |record: &RecordRef<'_>| {
            record.change_circuit(banned);
        };
        let begin = |circuit| Placeholder {
            circuit: banned(circuit),
            is_draining: false,
        };
        self.say(relay, say, begin)
            .map_err(|refusal| match refusal {
                Refusal::TooMany => BanError::TooMany {
                    max: MAX_UNHELD_WORDS,
                },
                Refusal::OutOfMemory => BanError::OutOfMemory,
            })
    }

    pub(super) fn unban(&self, relay: &NodeId) -> bool {
        self.unban_at(relay, self.present())
    }

    fn unban_at(&self, relay: &NodeId, now: Tick) -> bool {
        self.change_each_record(relay, |record| {
            let was_banned = record.circuit().is_banned(now);
            record.change_circuit(|circuit| circuit.without_ban(now));
            was_banned
        })
    }

    pub(super) fn lift(&self, relay: &NodeId) -> bool {
        // Before anything changes, for it may panic.
        let now = self.present();
        let was_draining = self.change_each_record(relay, |record| {
            let was_draining = record.load().is_draining();
            record.set_draining(false);
            was_draining
        });
        self.unban_at(relay, now) | was_draining
    }

    pub(super) fn banned(&self) -> Vec<(NodeId, SystemTime)> {
        let now = self.present();
        let mut banned = Vec::new();
        self.for_each_known(|record| {
            if !record.word().is_known() {
                return;
            }
            let circuit = record.circuit();
            if circuit.is_banned(now) {
                let until = self.timeline.wall_time_of(circuit.until());
                banned.push((record.identity(), until));
            }
        });
        // A relay that restarts has two records for a moment.
        banned.sort_unstable_by_key(|(relay, _)| *relay);
        banned.dedup_by_key(|(relay, _)| *relay);
        banned
    }

    /// Says something of a relay; of an id that has no record, by having one `begin` so,
    /// with the circuit that it had.
    fn say(
        &self,
        relay: &NodeId,
        say: impl Fn(&RecordRef<'_>),
        begin: impl Fn(Circuit) -> Placeholder,
    ) -> Result<(), Refusal> {
        let hash = self.table.hash(relay);
        let mut has_made_room = false;
        loop {
            match self.say_of_known(relay, &say) {
                Some(((), State::Closing | State::Vacant)) => {
                    // It may be forgotten without regard to what was said.
                    yield_now();
                    continue;
                }
                Some(_) => return Ok(()),
                None => {}
            }
            let earned = self.circuit_history.of(relay);
            let known = begin(earned.unwrap_or(Circuit::CLOSED));
            let introduced = self
                .table
                .create_placeholder((relay, hash), known, &epoch::pin());
            match introduced {
                Ok(()) => return Ok(()),
                Err(CreateError::Overtaken) => {}
                Err(CreateError::TooMany) if has_made_room => return Err(Refusal::TooMany),
                Err(CreateError::TooMany) => {
                    // Words that were lifted may still be there to be forgotten.
                    self.take_in_surplus();
                    has_made_room = true;
                }
                Err(CreateError::Exhausted) => return Err(Refusal::OutOfMemory),
            }
        }
    }

    /// Changes something of a relay, if its id has a record, and of the record that takes
    /// that one's place meanwhile, for it may have been as before; whether `change` said so
    /// of any.
    pub(super) fn change_each_record(
        &self,
        relay: &NodeId,
        change: impl Fn(&RecordRef<'_>) -> bool,
    ) -> bool {
        let mut is_any = false;
        while let Some((is_so, state)) = self.say_of_known(relay, &change) {
            is_any |= is_so;
            if !matches!(state, State::Closing | State::Vacant) {
                break;
            }
            yield_now();
        }
        is_any
    }

    /// Says something of a relay whose id has a record, and what state that was in
    /// afterwards; `None` where it has none.
    fn say_of_known<R>(
        &self,
        relay: &NodeId,
        say: impl Fn(&RecordRef<'_>) -> R,
    ) -> Option<(R, State)> {
        let guard = epoch::pin();
        let hash = self.table.hash(relay);
        let record = self.table.find_known(hash, relay, &guard)?;
        let said = say(&record);
        // Either the thread that closes the record sees what was said, also where another
        // thread had said the same just before, or this one sees that it is closing.
        record.touch_load();
        let state = record.lifecycle().state();
        if state == State::Gone {
            self.table.reconsider(&record);
        }
        Some((said, state))
    }
}
