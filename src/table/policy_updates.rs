//! Changes of policies: with an announcement, and by the operator.

use crate::sync::epoch;
use crate::table::Table;
use crate::table::record::{Announcement, Policy, PolicyWord};
use crate::table::record_ref::RecordRef;
use crate::table::snapshot::Context;
use crate::table::store::{Exhausted, Store};
use crate::time::Tick;

impl Store {
    /// Sets the policy of a record that is private to this thread.
    pub(super) fn begin_policy(
        &self,
        index: u32,
        word: PolicyWord,
        arrived_at: Option<Tick>,
    ) -> Result<(), Exhausted> {
        if let Some(policy) = self.policy_for(index, word, arrived_at)? {
            self.publication.context.expect_tier(word.tier());
            policy.begin(word, arrived_at);
        }
        Ok(())
    }

    /// The policy of a record, if it has one or needs one for this.
    fn policy_for(
        &self,
        index: u32,
        word: PolicyWord,
        arrived_at: Option<Tick>,
    ) -> Result<Option<&Policy>, Exhausted> {
        match word == PolicyWord::default() && arrived_at.is_none() {
            true => Ok(self.policy(index)),
            false => self.ensure_policy(index).map(Some).ok_or(Exhausted),
        }
    }
}

/// How many records are visited under one pin.
const PER_PIN: u32 = 1024;

impl Table {
    /// Makes the filters active that finds asked for; whether there were any. The next merge
    /// makes forests for them.
    pub(crate) fn activate_filters(&self) -> bool {
        let filters = &self.store.publication.context.filters;
        let installed = filters.install_wanted();
        if installed == 0 {
            return false;
        }
        for (_, shard) in self.store.shards.iter() {
            shard.admission.touch();
            // What was admitted before is live from here on.
            self.help_unfinished(shard, &epoch::pin());
        }
        let high_water = self.store.high_water();
        for start in (0..high_water).step_by(PER_PIN as usize) {
            let guard = epoch::pin();
            for index in start..high_water.min(start + PER_PIN) {
                if let Some(record) = self.record_at(index, &guard) {
                    record.copy_announced();
                }
            }
        }
        filters.activate(installed);
        self.store.publication.mark_unsorted();
        true
    }
}

impl RecordRef<'_> {
    /// Makes room for what a relay announces, and for its slow start.
    pub(super) fn prepare_policy(
        &self,
        announced: PolicyWord,
        arrived_at: Option<Tick>,
    ) -> Result<(), Exhausted> {
        let policy = self.store.policy_for(self.index, announced, arrived_at);
        policy.map(drop)
    }

    /// Sets what a relay announces that comes back, and begins its slow start, if it has one;
    /// before it is admitted, and after room was [made](Self::prepare_policy).
    pub(super) fn begin_return(&self, announced: PolicyWord, arrived_at: Option<Tick>) {
        if let Some(policy) = self.store.policy(self.index) {
            let context = &self.publication().context;
            let announced = |word: PolicyWord| word.with_announced(announced);
            policy.change(announced, |tier| context.expect_tier(tier));
            if arrived_at.is_some() {
                policy.ramp_up_from(arrived_at);
            }
        }
    }

    /// When the relay arrived, if it started slowly.
    pub(crate) fn arrived_at(&self) -> Option<Tick> {
        self.store.policy(self.index)?.arrived_at()
    }

    /// Brings the leaves of a relay that starts slowly up to date; when to do that again.
    pub(crate) fn continue_slow_start(&self, now: Tick) -> Option<Tick> {
        let arrived_at = self.arrived_at()?;
        let settings = &self.publication().context.settings;
        let next = settings.next_step_of_slow_start(arrived_at, now);
        // At the first visit, the leaf is new.
        if now > arrived_at {
            self.refresh(false);
        }
        next
    }

    /// Changes tier or cost. The leaves of the relay are recomputed also if another thread has
    /// just made the same change, since it may not have got there yet.
    pub(crate) fn change_policy(
        &self,
        next: impl Fn(PolicyWord) -> PolicyWord,
    ) -> Result<(), Exhausted> {
        if self.store.policy(self.index).is_none() && next(PolicyWord::default()).is_default() {
            return Ok(());
        }
        let policy = self.store.ensure_policy(self.index).ok_or(Exhausted)?;
        if self.apply_policy(policy, next) {
            self.publish_updated();
        }
        Ok(())
    }

    /// Whether that changed anything.
    fn apply_policy(&self, policy: &Policy, next: impl Fn(PolicyWord) -> PolicyWord) -> bool {
        let context: &Context = &self.publication().context;
        let _pending = self.begin_pending();
        let has_changed = policy.change(next, |tier| {
            context.expect_tier(tier);
            context.expect_tier_move();
        });
        self.refresh(true);
        has_changed
    }

    /// Copies what is announced of the policy, if it differs; whether it did. See
    /// [`copy_announced`](Self::copy_announced).
    ///
    /// The word is read before the filters are: if another thread has computed a new filter,
    /// this one knows it, too.
    pub(super) fn copy_policy(&self, announcement: &Announcement) -> bool {
        let current = self.policy_word();
        let announced = self.announced_policy(announcement);
        let announced = |word: PolicyWord| word.with_announced(announced);
        if announced(current) == current {
            return false;
        }
        let Some(policy) = self.store.ensure_policy(self.index) else {
            // For tier and cost, `prepare_policy` made room.
            self.publication().context.filters.give_up();
            return false;
        };
        self.apply_policy(policy, announced);
        true
    }

    /// What follows from an announcement.
    pub(super) fn announced_policy(&self, announcement: &Announcement) -> PolicyWord {
        PolicyWord::announced(announcement, &self.publication().context.filters)
    }
}
