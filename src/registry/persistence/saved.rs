//! A save that was read and checked, and how its times become those of the registry that is
//! built.
//!
//! A restored registry counts its time on from the saved one: what it counts from is the time
//! of the save, and what has passed since by the calendar. So the age of a round trip, the time
//! since a failure and the time of a registration are what they would be had the registry gone
//! on, and so is what remains of a deadline. If that were more than an eighth of the ticks that
//! can be counted, it counts from less, and what is older than that counts as that old. What it
//! counts less is whole windows of the round trips.

use super::container::{self, Entries};
use super::fields::{FieldError, Fields, Kind};
use super::relay_entry::RelayEntry;
use super::save::{ELAPSED, WALL};
use super::{RestoreReport, knowledge_entries};
use crate::errors::RestoreError;
use crate::registry::dht_bridge;
use crate::table::record::Lifecycle;
use crate::time::{Tick, nanos};
use std::io::Read;
use std::time::Duration;

/// A shift by a multiple of this leaves the slices of the windows of round trips as they are.
const STEP: u64 = 100 * 1_000_000_000;

/// A save whose entries can all be decoded.
pub(in crate::registry) struct Saved {
    entries: Entries,
    /// When it was made, in nanoseconds since the Unix epoch, and of the registry's time.
    wall: u64,
    elapsed: u64,
}

/// How the times of a save become those of the registry.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shift {
    /// What has passed since the save.
    pub(super) between: u64,
    /// What the registry counts from.
    pub(super) base: u64,
    /// What is subtracted from each time.
    earlier: u64,
    tick_nanos: u64,
}

impl Saved {
    pub(super) fn read(reader: impl Read) -> Result<Self, RestoreError> {
        let entries = container::read(reader)?;
        let mut times = None;
        for (number, (_, entry)) in (0..).zip(entries.iter()) {
            let checked = check(entry, number == 0);
            let header = checked.map_err(|error| error.of_entry(number))?;
            times = times.or(header);
        }
        let (wall, elapsed) = times.ok_or(RestoreError::InvalidField { entry: 0, key: 0 })?;
        Ok(Self {
            entries,
            wall,
            elapsed,
        })
    }

    /// The fields of the entries of a kind, each with where it is.
    pub(in crate::registry) fn of_kind(
        &self,
        kind: Kind,
    ) -> impl Iterator<Item = (usize, Fields<'_>)> {
        let decode = |(at, entry)| Some((at, Fields::new(entry).ok()?));
        let entries = self.entries.iter().filter_map(decode);
        entries.filter(move |(_, fields)| matches!(fields.kind(), Ok(Some(found)) if found == kind))
    }

    /// The relay that is there.
    pub(super) fn relay_at(&self, at: usize) -> Option<RelayEntry> {
        let fields = Fields::new(self.entries.at(at)).ok()?;
        RelayEntry::decode(&fields).ok()
    }

    /// When it was made, since the Unix epoch.
    #[cfg(feature = "dht")]
    pub(in crate::registry) fn wall(&self) -> Duration {
        Duration::from_nanos(self.wall)
    }

    /// The shift for a registry that begins at this time since the Unix epoch. A calendar that
    /// went back counts as one that stood still.
    pub(super) fn shift(&self, wall: Duration, tick: Duration) -> Shift {
        let tick_nanos = nanos(tick).max(1);
        let between = nanos(wall).saturating_sub(self.wall);
        let whole = self.elapsed.saturating_add(between);
        let most = (Lifecycle::LAST_DEADLINE.0 / 8).saturating_mul(tick_nanos);
        let excess = whole.saturating_sub(most).div_ceil(STEP);
        let earlier = excess.saturating_mul(STEP).min(whole);
        Shift {
            between,
            base: whole - earlier,
            earlier,
            tick_nanos,
        }
    }
}

impl Shift {
    /// A time of the saved registry as one of this registry, if it has that.
    pub(super) fn nanos(&self, saved: u64) -> Option<u64> {
        saved.checked_sub(self.earlier)
    }

    /// The first tick by which that time has come.
    pub(super) fn tick(&self, saved: u64) -> Tick {
        Tick(self.nanos(saved).unwrap_or(0).div_ceil(self.tick_nanos))
    }

    pub(super) fn report(&self) -> RestoreReport {
        RestoreReport {
            elapsed: Duration::from_nanos(self.between),
            ..RestoreReport::default()
        }
    }
}

/// Checks that an entry of a kind that is known can be decoded, and that the first one alone is
/// the header; the times of that.
fn check(entry: &[u8], is_first: bool) -> Result<Option<(u64, u64)>, FieldError> {
    let fields = Fields::new(entry)?;
    let kind = fields.kind()?;
    if (kind == Some(Kind::Header)) != is_first {
        return Err(FieldError::Field(0));
    }
    let Some(kind) = kind else {
        return Ok(None);
    };
    match kind {
        Kind::Header => {
            return Ok(Some((fields.required(WALL)?, fields.required(ELAPSED)?)));
        }
        Kind::Relay => _ = RelayEntry::decode(&fields)?,
        Kind::OwnPosition => _ = knowledge_entries::decode_own_position(&fields)?,
        Kind::RelayPosition => _ = knowledge_entries::decode_position(&fields)?,
        Kind::PeerView => _ = knowledge_entries::decode_view(&fields)?,
        Kind::OwnSequence | Kind::Sequence | Kind::SequenceFloors | Kind::SignedRecord => {
            dht_bridge::check_saved(kind, &fields)?;
        }
    }
    Ok(None)
}
