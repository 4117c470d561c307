//! Which relays each tag has.

use crate::errors::SyncError;
use crate::limits::{MAX_TAG_LEN, MAX_TAGS};
use crate::relay::NodeId;
use crate::sync::random_hasher;
use std::collections::{BTreeMap, HashSet};

/// The relays of one tag: those that its calls registered or renewed, and that its last list had.
pub(super) type Members = HashSet<NodeId, ahash::RandomState>;

/// The relays of each tag that has any.
#[derive(Debug, Default)]
pub(super) struct Tags(BTreeMap<Box<str>, Members>);

pub(super) fn check_tag(tag: &str) -> Result<(), SyncError> {
    let (len, max) = (tag.len(), MAX_TAG_LEN);
    match (1..=max).contains(&len) && !tag.contains(char::is_control) {
        true => Ok(()),
        false => Err(SyncError::InvalidTag { len, max }),
    }
}

pub(super) fn no_members() -> Members {
    HashSet::with_hasher(random_hasher())
}

impl Tags {
    /// Whether a tag may have relays: it has some, or there are few enough others.
    pub(super) fn check_room(&self, tag: &str) -> Result<(), SyncError> {
        let (count, max) = (self.0.len() + 1, MAX_TAGS);
        match count <= max || self.0.contains_key(tag) {
            true => Ok(()),
            false => Err(SyncError::TooManyTags { count, max }),
        }
    }

    /// The relays of a tag, which has none from here on.
    pub(super) fn take(&mut self, tag: &str) -> Members {
        self.0.remove(tag).unwrap_or_else(no_members)
    }

    /// Sets the relays of a tag. One without relays is forgotten.
    pub(super) fn set(&mut self, tag: &str, members: Members) {
        if !members.is_empty() {
            self.0.insert(tag.into(), members);
        }
    }

    /// Whether any tag has a relay.
    pub(super) fn have(&self, id: &NodeId) -> bool {
        self.0.values().any(|members| members.contains(id))
    }
}
