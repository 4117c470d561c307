//! The list of a call: read to its end before anything is locked or changed.

use super::SourceRelay;
use crate::errors::SyncError;
use crate::relay::NodeId;
use crate::sync::random_hasher;
use std::collections::HashMap;
use std::time::Duration;

/// The entries of a list, each id once.
pub(super) struct List {
    pub(super) entries: Vec<SourceRelay>,
    /// Where each id is among the entries.
    positions: HashMap<NodeId, usize, ahash::RandomState>,
    /// Which entries replaced an earlier one.
    is_repeated: Vec<bool>,
}

impl List {
    /// Reads up to `max` entries. An iterator that has more is not read to its end.
    pub(super) fn read<R: Into<SourceRelay>>(
        relays: impl IntoIterator<Item = R>,
        max: usize,
    ) -> Result<Self, SyncError> {
        let mut list = Self {
            entries: Vec::new(),
            positions: HashMap::with_hasher(random_hasher()),
            is_repeated: Vec::new(),
        };
        let mut relays = relays.into_iter();
        let mut count = 0;
        while let Some(relay) = relays.next() {
            count += 1;
            if count > max {
                let count = relays.size_hint().0.saturating_add(count);
                return Err(SyncError::TooManyRelays { count, max });
            }
            list.push(relay.into());
        }
        Ok(list)
    }

    /// Adds an entry, in the place of an earlier one of the same id.
    fn push(&mut self, relay: SourceRelay) {
        let end = self.entries.len();
        let at = *self.positions.entry(relay.id).or_insert(end);
        if at == end {
            self.entries.push(relay);
            self.is_repeated.push(false);
        } else {
            self.entries[at] = relay;
            self.is_repeated[at] = true;
        }
    }

    /// An entry says all of its relay: one without a TTL has the default one.
    pub(super) fn set_default_ttl(&mut self, ttl: Duration) {
        for relay in &mut self.entries {
            relay.options.ttl.get_or_insert(ttl);
        }
    }

    /// The ids that were listed more than once.
    pub(super) fn duplicates(&self) -> Vec<NodeId> {
        let repeated = self.entries.iter().zip(&self.is_repeated);
        let repeated = repeated.filter(|(_, is_repeated)| **is_repeated);
        repeated.map(|(relay, _)| relay.id).collect()
    }

    pub(super) fn has(&self, id: &NodeId) -> bool {
        self.positions.contains_key(id)
    }
}
