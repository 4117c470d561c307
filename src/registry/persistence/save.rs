//! Saving: what a registry knows is written, entry after entry.
//!
//! Records are visited a thousand under one pin, as for every visit of all. Their entries are
//! gathered meanwhile, and written afterwards: the writer is the embedder's code, and may take
//! long. What is behind a lock is copied in the same way, some at a time. So a save holds up no
//! other call for long, and needs little memory beside the list of the ids that have a position
//! or a view.
//!
//! A save is no moment's picture of all relays together. Each entry is what its relay was at some
//! moment during the save. A relay that is registered throughout is in it. If relays arrived
//! meanwhile, the records that are new are visited, too, so one that moved to another record is in
//! it as well, perhaps twice.

use super::container::SaveWriter;
use super::fields::{EntryWriter, Kind};
use super::{knowledge_entries, relay_entry};
use crate::registry::dht_bridge::DhtMemory;
use crate::registry::inner::Inner;
use crate::sync::Mutex;
use crate::table::ObservedRecord;
use crate::table::record::State;
use crate::time::{Clock, Moment, nanos};
use std::cell::RefCell;
use std::io::{self, Write};

pub(super) const WALL: u64 = 1;
pub(super) const ELAPSED: u64 = 2;

/// How many positions are read under one lock.
const AT_ONCE: usize = 256;

/// How often records are visited because a relay arrived meanwhile: one that restarts moves to
/// another record, and may have moved from one that is yet to be visited to one that was.
const MAX_VISITS: usize = 4;

/// Which records were visited.
#[derive(Default)]
struct SeenRecords {
    /// Of the record at each index, the generation that was seen live or gone, and which of these;
    /// zero if neither was.
    seen: Vec<u64>,
}

impl SeenRecords {
    /// Whether a record is to be saved: it was not seen before in this generation, live or gone.
    fn note(&mut self, record: &ObservedRecord<'_>) -> bool {
        let handle = record.handle();
        let index = handle.index as usize;
        if self.seen.len() <= index {
            self.seen.resize(index + 1, 0);
        }
        let generation = (u64::from(handle.generation) + 1) << 1;
        match record.word().state() {
            State::Live => self.replace(index, generation | 1),
            State::Gone => self.replace(index, generation),
            // It is about to become one of these. What the operator said of it is saved.
            State::Vacant
            | State::Staged
            | State::Departing
            | State::Closing
            | State::Returning => true,
        }
    }

    fn replace(&mut self, index: usize, seen: u64) -> bool {
        std::mem::replace(&mut self.seen[index], seen) != seen
    }
}

/// When a save begins, by both clocks.
#[derive(Clone, Copy)]
pub(super) struct SavedAt {
    now: Moment,
    /// Nanoseconds since the Unix epoch.
    wall: u64,
}

impl SavedAt {
    /// Reads both clocks. The caller is not pinned, and holds no lock: they are the embedder's.
    pub(super) fn read(inner: &Inner, wall_clock: &dyn Clock) -> Self {
        Self {
            now: inner.relays.timeline.advance(),
            wall: nanos(wall_clock.now()),
        }
    }
}

impl Inner {
    /// Writes all that is saved. The caller is not pinned, and holds no lock that another call
    /// waits for.
    pub(super) fn save(&self, out: impl Write, at: SavedAt, dht: &DhtMemory) -> io::Result<()> {
        let mut writer = SaveWriter::new(out);
        let mut header = EntryWriter::new(Kind::Header);
        header.put(WALL, at.wall);
        header.put(ELAPSED, at.now.nanos);
        writer.push(&header.finish());
        self.save_relays(&mut writer, at.now)?;
        self.save_positions(&mut writer)?;
        self.save_views(&mut writer, at.now)?;
        dht.save(|entry| {
            writer.push(&entry);
            writer.write_if_much()
        })?;
        writer.finish()
    }

    fn save_relays<W: Write>(&self, writer: &mut SaveWriter<W>, now: Moment) -> io::Result<()> {
        // Not borrowed twice: a visit and a write take turns.
        let writer = RefCell::new(writer);
        let relays = &self.relays;
        let mut seen = SeenRecords::default();
        for _ in 0..MAX_VISITS {
            let before = relays.publication().progress();
            relays.for_each_known_in_turns(
                |record| {
                    if seen.note(&record) {
                        let entry = relay_entry::encode(relays, &record, now.tick);
                        entry
                            .into_iter()
                            .for_each(|it| writer.borrow_mut().push(&it));
                    }
                },
                || writer.borrow_mut().write_if_much(),
            )?;
            if relays.publication().progress() == before {
                break;
            }
        }
        Ok(())
    }

    fn save_positions<W: Write>(&self, writer: &mut SaveWriter<W>) -> io::Result<()> {
        let Some(map) = self.coordinates.if_enabled() else {
            return Ok(());
        };
        let (own, relays) = {
            let map = map.lock();
            (map.vivaldi().clone(), map.relays())
        };
        writer.push(&knowledge_entries::encode_own_position(&own));
        for some in relays.chunks(AT_ONCE) {
            let locked = Mutex::lock(map);
            for relay in some {
                if let Some(landmark) = locked.landmark(relay) {
                    writer.push(&knowledge_entries::encode_position(relay, landmark));
                }
            }
            drop(locked);
            writer.write_if_much()?;
        }
        Ok(())
    }

    fn save_views<W: Write>(&self, writer: &mut SaveWriter<W>, now: Moment) -> io::Result<()> {
        for peer in self.peers.oldest_first() {
            if let Some((view, until)) = self.peers.view_until(&peer, now.tick) {
                let until = self.relays.timeline.nanos_of(until);
                writer.push(&knowledge_entries::encode_view(&peer, &view, until));
                writer.write_if_much()?;
            }
        }
        Ok(())
    }
}
