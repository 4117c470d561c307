//! What many nodes say to one write.

use super::node::{Room, WriteReply};
use super::{DhtError, Put};

/// What the nodes said to a write.
#[derive(Default)]
pub(super) struct ReplyTally {
    stored: u32,
    newest: Option<u64>,
    conflict: bool,
    full: bool,
}

impl ReplyTally {
    pub(super) fn count(&mut self, reply: WriteReply) {
        match reply {
            WriteReply::Stored => self.stored += 1,
            WriteReply::Superseded(stored) => self.newest = self.newest.max(Some(stored)),
            WriteReply::Conflict => self.conflict = true,
            WriteReply::Full => self.full = true,
        }
    }

    /// A single node that knows better outweighs those that do not.
    pub(super) fn sum_up(self, asked: usize, room: Room) -> Result<Put, DhtError> {
        match self {
            Self {
                newest: Some(_), ..
            } => Err(DhtError::Superseded {
                stored: self.newest,
            }),
            Self { conflict: true, .. } => Err(DhtError::Conflict),
            Self { stored: 1.., .. } => Ok(Put::new(
                u32::try_from(asked).unwrap_or(u32::MAX),
                self.stored,
            )),
            Self { full: true, .. } => Err(DhtError::Full { max: room.members }),
            _ => Err(DhtError::Unreachable),
        }
    }
}
