//! What the DHT remembers, as entries of a save.

use super::{DhtHandle, DhtMemory};
use crate::dht::{SavedMemory, SavedSequence};
use crate::registry::inner::Inner;
use crate::registry::persistence::Saved;
use crate::registry::persistence::fields::{EntryWriter, FieldError, Fields, Kind};
use crate::relay::NodeId;
use std::io;
use std::time::Duration;

const KEY: u64 = 1;
const SEQUENCE: u64 = 2;
const SIGNATURE: u64 = 3;
const IS_WITHDRAWN: u64 = 4;
const WAS_VERIFIED: u64 = 5;
const FLOORS: u64 = 1;
const RECORD: u64 = 1;
const WAS_REGISTERED: u64 = 2;

/// How many are copied under one lock.
const AT_ONCE: usize = 256;

impl DhtHandle {
    /// What the DHT remembers, also once it has ended.
    pub(in crate::registry) fn memory(&self) -> DhtMemory {
        DhtMemory(
            self.distribution()
                .map(|distribution| distribution.memory()),
        )
    }

    /// Takes over what was saved: how many sequences are remembered, and how many relays are
    /// candidates.
    pub(in crate::registry) fn restore(&self, saved: &Saved, inner: &Inner) -> (usize, usize) {
        let distribution = self.distribution();
        distribution.map_or((0, 0), |distribution| distribution.restore(saved, inner))
    }
}

impl DhtMemory {
    /// Calls `put` with one entry after another. No lock is held then.
    pub(in crate::registry) fn save(
        &self,
        mut put: impl FnMut(Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(memory) = &self.0 else {
            return Ok(());
        };
        if let Some((own, sequence)) = memory.own_sequence() {
            let mut entry = EntryWriter::new(Kind::OwnSequence);
            entry.put_bytes(KEY, own.as_bytes());
            entry.put(SEQUENCE, sequence);
            put(entry.finish())?;
        }
        if let Some(floors) = memory.floors() {
            let mut entry = EntryWriter::new(Kind::SequenceFloors);
            entry.put_list(FLOORS, floors);
            put(entry.finish())?;
        }
        // Before those of removed relays, so that one which is removed meanwhile is not missed.
        let mut last = None;
        loop {
            let some = memory.some_remote_after(last, AT_ONCE);
            let Some(end) = some.last() else {
                break;
            };
            last = Some(end.record.node_id());
            for remote in some {
                put(sequence_entry(
                    &SavedSequence::of(&remote.record),
                    remote.was_verified,
                ))?;
                let mut entry = EntryWriter::new(Kind::SignedRecord);
                entry.put_bytes(RECORD, &remote.record.encode());
                entry.put_flag(WAS_REGISTERED, remote.is_verified);
                put(entry.finish())?;
            }
        }
        for verified in [true, false] {
            let mut last = None;
            loop {
                let some = memory.some_departed_after(verified, last, AT_ONCE);
                let Some(end) = some.last() else {
                    break;
                };
                last = Some(end.key);
                for sequence in some {
                    put(sequence_entry(&sequence, verified))?;
                }
            }
        }
        Ok(())
    }
}

fn sequence_entry(saved: &SavedSequence, was_verified: bool) -> Vec<u8> {
    let SavedSequence {
        key,
        sequence,
        withdrawn,
        signature,
    } = saved;
    let mut entry = EntryWriter::new(Kind::Sequence);
    entry.put_bytes(KEY, key);
    entry.put(SEQUENCE, *sequence);
    entry.put_bytes(SIGNATURE, signature);
    entry.put_flag(IS_WITHDRAWN, *withdrawn);
    entry.put_flag(WAS_VERIFIED, was_verified);
    entry.finish()
}

/// Checks that an entry of one of these kinds can be decoded.
pub(in crate::registry) fn check_saved(kind: Kind, fields: &Fields<'_>) -> Result<(), FieldError> {
    match kind {
        Kind::OwnSequence => own_sequence(fields).map(drop),
        Kind::Sequence => sequence(fields).map(drop),
        Kind::SequenceFloors => floors(fields).map(drop),
        Kind::SignedRecord => record(fields).map(drop),
        _ => Ok(()),
    }
}

fn own_sequence(fields: &Fields<'_>) -> Result<(NodeId, u64), FieldError> {
    let id = NodeId::from_bytes(fields.bytes(KEY)?);
    let id = id.map_err(|_| FieldError::Field(KEY))?;
    Ok((id, fields.required(SEQUENCE)?))
}

fn sequence(fields: &Fields<'_>) -> Result<(bool, SavedSequence), FieldError> {
    let saved = SavedSequence {
        key: array(fields, KEY)?,
        sequence: fields.required(SEQUENCE)?,
        withdrawn: fields.flag(IS_WITHDRAWN)?,
        signature: array(fields, SIGNATURE)?,
    };
    Ok((fields.flag(WAS_VERIFIED)?, saved))
}

fn array<const N: usize>(fields: &Fields<'_>, key: u64) -> Result<[u8; N], FieldError> {
    Fields::checked(key, fields.bytes(key)?.try_into().ok())
}

fn floors(fields: &Fields<'_>) -> Result<[u64; 2], FieldError> {
    Fields::checked(FLOORS, fields.list(FLOORS)?.try_into().ok())
}

fn record<'a>(fields: &Fields<'a>) -> Result<(bool, &'a [u8]), FieldError> {
    Ok((fields.flag(WAS_REGISTERED)?, fields.bytes(RECORD)?))
}

/// Each entry was checked when it was read.
impl SavedMemory for Saved {
    fn wall(&self) -> Duration {
        self.wall()
    }

    fn own_sequence(&self) -> Option<(NodeId, u64)> {
        let mut found = self.of_kind(Kind::OwnSequence);
        found.find_map(|(_, fields)| own_sequence(&fields).ok())
    }

    fn for_each_sequence(&self, visit: &mut dyn FnMut(bool, SavedSequence)) {
        for (_, fields) in self.of_kind(Kind::Sequence) {
            if let Ok((was_verified, saved)) = sequence(&fields) {
                visit(was_verified, saved);
            }
        }
    }

    fn floors(&self) -> Option<[u64; 2]> {
        let mut found = self.of_kind(Kind::SequenceFloors);
        found.find_map(|(_, fields)| floors(&fields).ok())
    }

    fn for_each_record(&self, visit: &mut dyn FnMut(bool, &[u8]) -> bool) {
        for (_, fields) in self.of_kind(Kind::SignedRecord) {
            if record(&fields).is_ok_and(|(was_registered, bytes)| !visit(was_registered, bytes)) {
                return;
            }
        }
    }
}
