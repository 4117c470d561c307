//! The records that the attacker offers: its nodes answer with them.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use relay_registry::NodeId;

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A relay's id with another endpoint, signed by another key.
    WrongSignature,
    /// The record of one relay under the id of another.
    Foreign,
    /// Random bytes.
    Garbage,
    /// A valid record with 50,000 bytes after it.
    Huge,
    /// Random bytes with a valid signature of the attacker.
    SignedGarbage,
    /// The attacker's own record, issued one hour in the future.
    Future,
    /// The attacker's own record, expired.
    Expired,
    /// The attacker's own record, with the address of another relay.
    Impostor,
    /// A record that its relay has since replaced.
    Replay,
}

impl Kind {
    pub const ALL: [Self; 9] = [
        Self::WrongSignature,
        Self::Foreign,
        Self::Garbage,
        Self::Huge,
        Self::SignedGarbage,
        Self::Future,
        Self::Expired,
        Self::Impostor,
        Self::Replay,
    ];

    pub fn is_forged(self) -> bool {
        self != Self::Replay
    }
}

/// One record, offered as the record of the node `under`.
#[derive(Clone, Debug)]
pub struct AttackRecord {
    pub kind: Kind,
    pub under: NodeId,
    /// In the form that `SignedRecord::encode` writes, or random bytes.
    pub bytes: Arc<[u8]>,
}

/// The attacker adds records; its nodes offer them in their answers.
#[derive(Default)]
pub struct AttackRecords {
    current: Mutex<Arc<[AttackRecord]>>,
    offers: [AtomicU64; Kind::ALL.len()],
}

/// How many records one answer has at most. With more, the reader would stop before it has judged any.
const MAX_PER_ANSWER: usize = 48;

impl AttackRecords {
    fn replace(&self, records: Vec<AttackRecord>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = records.into();
    }

    pub fn retain_kinds(&self, is_kept: impl Fn(Kind) -> bool) {
        let kept = self.current();
        self.replace(
            kept.iter()
                .filter(|record| is_kept(record.kind))
                .cloned()
                .collect(),
        );
    }

    pub fn add(&self, records: Vec<AttackRecord>) {
        self.replace(self.current().iter().cloned().chain(records).collect());
    }

    /// The ids under which there are records.
    pub fn node_ids(&self) -> BTreeSet<NodeId> {
        self.current().iter().map(|record| record.under).collect()
    }

    fn current(&self) -> Arc<[AttackRecord]> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Offers the records of the selected ids in random order, until the reader stops.
    pub fn offer(
        &self,
        is_selected: impl Fn(&NodeId) -> bool,
        mut offer: impl FnMut(&AttackRecord) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let current = self.current();
        let mut chosen: Vec<&AttackRecord> = (current.iter())
            .filter(|record| is_selected(&record.under))
            .collect();
        fastrand::shuffle(&mut chosen);
        chosen.truncate(MAX_PER_ANSWER);
        chosen.into_iter().try_for_each(|record| {
            self.count(record.kind);
            offer(record)
        })
    }

    /// Counts one record that was offered.
    pub fn count(&self, kind: Kind) {
        self.offers[kind as usize].fetch_add(1, Relaxed);
    }

    /// How many records of the selected kinds were offered.
    pub fn offered(&self, is_counted: impl Fn(Kind) -> bool) -> u64 {
        Kind::ALL
            .into_iter()
            .filter(|kind| is_counted(*kind))
            .map(|kind| self.offers[kind as usize].load(Relaxed))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_records_of_selected_ids_are_offered_and_counted() {
        let [one, other] = [1, 2].map(|n| NodeId::from([n; 32]));
        let record = |kind, under| AttackRecord {
            kind,
            under,
            bytes: [7].into(),
        };
        let records = AttackRecords::default();
        records.add(vec![
            record(Kind::Garbage, one),
            record(Kind::Replay, one),
            record(Kind::Huge, other),
        ]);
        let mut kinds = Vec::new();
        let flow = records.offer(
            |under| *under == one,
            |record| {
                kinds.push(record.kind);
                ControlFlow::Continue(())
            },
        );
        kinds.sort();
        assert_eq!(kinds, [Kind::Garbage, Kind::Replay]);
        assert!(flow.is_continue());
        assert_eq!(records.offered(Kind::is_forged), 1);
        assert_eq!(records.offered(|_| true), 2);
        let stopped = records.offer(|_| true, |_| ControlFlow::Break(()));
        assert!(stopped.is_break());
        assert_eq!(records.offered(|_| true), 3);
    }
}
