//! Records and a snapshot of them without a table, for models and tests.

use super::base::MergedRelay;
use super::context::SelectionSettings;
use super::publication::Publication;
use crate::sync::{Zeroable, epoch};
use crate::table::record::Second;
use crate::table::record::{
    Extra, Handle, Lifecycle, Load, Parts, Policies, Record, State, Subject,
};
use crate::table::shards::ShardId;
use crate::time::{Tick, Timeline};
use std::convert::Infallible;

/// Relays with indices from 0 on, each in its first life.
pub(super) struct Relays {
    records: Box<[(Record, Extra)]>,
    policies: Policies,
    pub(super) publication: Publication,
}

impl Relays {
    /// Live relays that have not arrived yet.
    pub(super) fn new(count: usize, capacity: u32) -> Self {
        let vacant = |_| (Record::vacant(), Extra::vacant());
        let records: Box<[_]> = (0..count).map(vacant).collect();
        for (index, (record, extra)) in records.iter().enumerate() {
            record.begin(extra, &[index as u8; 32].into(), capacity, None);
            record.set_lifecycle(Lifecycle::live(Tick(9), 0));
        }
        Self {
            records,
            policies: Policies::new(),
            publication: Publication::new(
                1,
                SelectionSettings::FOR_TESTS,
                Timeline::for_tests(),
                crate::events::EventLog::for_tests(),
            ),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn parts(&self, index: usize) -> Parts<'_> {
        let (record, extra) = &self.records[index];
        Parts {
            record,
            extra,
            policies: &self.policies,
            index: index as u32,
        }
    }

    pub(super) fn subject(&self, index: usize) -> Subject<'_> {
        self.parts(index).with_handle(Handle {
            index: index as u32,
            generation: 0,
        })
    }

    pub(super) fn arrive(&self, index: usize) {
        let subject = self.subject(index);
        let relay = (subject.handle, ShardId::FIRST);
        self.publication.append(relay, subject.extra, &epoch::pin());
        self.publication.refresh(&subject, true);
    }

    /// A relay arrives as a registration has it arrive: it is staged, appended, and made live.
    #[cfg(relay_loom)]
    pub(super) fn arrive_staged(&self, index: usize) {
        let (subject, guard) = (self.subject(index), epoch::pin());
        let staged = Lifecycle::staged(Tick(9), 0);
        subject.record.set_lifecycle(staged);
        let arrival =
            self.publication
                .append((subject.handle, ShardId::FIRST), subject.extra, &guard);
        let is_live = subject.record.transition(staged, staged.admitted());
        assert!(is_live);
        self.publication.refresh_arrival(&arrival, &subject);
    }

    /// A relay departs, by the steps of a departure that concern its leaves.
    #[cfg(relay_loom)]
    pub(super) fn depart(&self, index: usize) {
        let (subject, guard) = (self.subject(index), epoch::pin());
        let word = subject.record.lifecycle();
        assert!(subject.record.transition(word, word.departing()));
        subject.record.set_flags(Load::CLOSED);
        subject.record.end_generation();
        self.publication.take_out(&subject, ShardId::FIRST, &guard);
    }

    /// Changes the round trip to a relay.
    pub(super) fn change_rtt(&self, index: usize, micros: u32) {
        let subject = self.subject(index);
        let Subject { record, extra, .. } = subject;
        record.add_seed(extra, 0, micros, Second::FIRST);
        record.refresh_rtt(extra, Second::FIRST, &mut || {});
        self.publication.refresh(&subject, true);
    }

    pub(super) fn merge(&self) {
        self.merge_by(|index| 1 + index % 7);
    }

    /// Merges by the round trip that `own_micros` reads for each index.
    pub(super) fn merge_by(&self, own_micros: impl Fn(u32) -> u32) {
        let subject = |relay: Handle| self.subject(relay.index as usize);
        let describe = |relay: Handle| {
            let is_gone = subject(relay).record.lifecycle().state() == State::Vacant;
            (!is_gone).then(|| MergedRelay {
                relay,
                own_micros: own_micros(relay.index),
                position: None,
            })
        };
        let mut merger = self.publication.merger();
        self.publication
            .merge(&mut merger, &epoch::pin(), describe, subject);
    }

    /// Moves a relay to another tier.
    pub(super) fn change_tier(&self, index: usize, tier: u8) {
        let (subject, context) = (self.subject(index), &self.publication.context);
        context.expect_tier(tier);
        let _pending = self.publication.begin_pending(index as u32);
        context.expect_tier_move();
        self.set_tier(index, tier);
        self.publication.refresh(&subject, true);
    }

    /// Changes the policy, and not the leaf.
    pub(super) fn set_tier(&self, index: usize, tier: u8) {
        let policy = self.policies.ensure(index as u32, self.len() as u32);
        let policy = policy.expect("there is memory");
        policy.change(|word| word.with_tier(Some(tier)), |_| ());
    }

    /// Changes the load word, and not the leaf.
    pub(super) fn change_load(&self, index: usize, next: impl Fn(Load) -> Load) -> (Load, Load) {
        let record = self.subject(index).record;
        let Ok(change) = record.update_load(|load| Ok::<_, Infallible>(next(load)));
        change
    }
}
