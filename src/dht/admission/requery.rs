//! Whom to ask again: relays that are known may have something new to say, or
//! have withdrawn.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Admission;
use crate::dht::backend::Now;

use crate::dht::retry::a_little_less;
use crate::relay::NodeId;

/// No relay is asked for again sooner, whatever the refresh.
const LEAST_WAIT: Duration = Duration::from_millis(100);

impl Admission {
    /// Who is to be asked again, whatever others say of it: it may have withdrawn.
    /// How that goes is to be [told](Self::asked).
    pub(in crate::dht) fn next_to_ask(&mut self, now: Duration) -> Option<NodeId> {
        let id = self.remote.first_to_ask(now)?;
        // Should it come to nothing, it is its turn again all the same.
        self.ask_later(&id, now, self.policy.ask_every / 2);
        Some(id)
    }

    /// Takes in that a relay was asked for, and whether enough answered to know
    /// its latest word.
    pub(in crate::dht) fn asked(&mut self, id: &NodeId, is_sure: bool, now: Now) {
        if is_sure {
            self.ask_in_time(id, now);
        } else {
            self.ask_later(id, now.at, self.policy.ask_every / 2);
        }
    }

    /// Has a relay asked for again before a refresh is over; when half of its
    /// record's time is, as there should be another by then.
    pub(super) fn ask_in_time(&mut self, id: &NodeId, now: Now) {
        let Some(entry) = self.remote.get(id) else {
            return;
        };
        let record = entry.record.record();
        let half = record.ttl() / 2;
        let wait = if entry.is_verified {
            let most = self.policy.ask_every.min(half * 3 / 4);
            let aging = record.issued_at().saturating_add(half);
            aging.saturating_sub(now.wall).clamp(most / 8, most)
        } else {
            half
        };
        self.ask_later(id, now.at, wait);
    }

    fn ask_later(&mut self, id: &NodeId, now: Duration, wait: Duration) {
        let wait = a_little_less(wait, &mut self.random).max(LEAST_WAIT);
        self.remote.ask_again(id, now.saturating_add(wait));
    }

    /// A relay that is here was named in this shard of the directory, if in any.
    pub(in crate::dht) fn note_shard(&mut self, id: &NodeId, shard: Option<u16>) {
        if let Some(entry) = self.remote.get_mut(id) {
            entry.shard = shard.or(entry.shard);
        }
    }

    /// A shard of the directory was read; who was in it before, and is not among
    /// those `seen`.
    pub(in crate::dht) fn listed(&mut self, shard: u16, seen: &BTreeSet<NodeId>) -> Vec<NodeId> {
        for id in seen {
            self.note_shard(id, Some(shard));
        }
        self.remote.missing(shard, seen)
    }
}
