//! Changes of policies: with an announcement, and by the operator.

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
            self.publication().context.expect_tier(announced.tier());
            policy.change(|word| word.with_announced(announced));
            if arrived_at.is_some() {
                policy.ramp_up_from(arrived_at);
            }
        }
    }

    /// Brings the leaves of a relay that starts slowly up to date; when to do that again.
    pub(crate) fn continue_slow_start(&self, now: Tick) -> Option<Tick> {
        let arrived_at = self.store.policy(self.index)?.arrived_at()?;
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
        self.apply_policy(policy, next);
        Ok(())
    }

    fn apply_policy(&self, policy: &Policy, next: impl Fn(PolicyWord) -> PolicyWord) {
        let context: &Context = &self.publication().context;
        context.expect_tier(next(policy.word()).tier());
        let _pending = self.begin_pending();
        context.expect_tier_move();
        policy.change(next);
        self.refresh(true);
    }

    /// Copies the announced tier and cost to the policy, if they differ; whether they did. See
    /// [`copy_announced`](Self::copy_announced).
    pub(super) fn copy_policy(&self, announcement: &Announcement) -> bool {
        let announced = PolicyWord::announced(announcement);
        let announced = |word: PolicyWord| word.with_announced(announced);
        // Without one, the announcement needs none: `prepare_policy` made room.
        let policy = self.store.policy(self.index);
        let Some(policy) = policy.filter(|it| announced(it.word()) != it.word()) else {
            return false;
        };
        self.apply_policy(policy, announced);
        true
    }
}
