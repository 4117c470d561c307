//! The case of engines that watch.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::Suite;
use crate::dht::engine::{Change, DhtError, RelayDht};
use crate::relay::NodeId;
use crate::sync::Arc;

impl Suite {
    /// An engine that [watches](crate::dht::Limits::watches) passes on that a relay published and
    /// withdrew, returns by the deadline if nothing changes, and stops at `Break`. For one that
    /// does not, [`changed`](RelayDht::changed) is [`DhtError::Unsupported`].
    pub fn changes_are_passed_on(&self) {
        if !self.writer.limits().watches {
            let mut sink = |_| ControlFlow::Continue(());
            let changed = self.reader.changed(self.deadline(), &mut sink);
            let is_unsupported = matches!(changed, Err(DhtError::Unsupported { .. }));
            assert!(
                is_unsupported,
                "changes of an engine without them: {changed:?}"
            );
            return;
        }
        // A handle sees changes from its first call on.
        self.changes();
        let relay = self.relay();
        let record = relay.first();
        self.store(&record);
        self.expect_change(&relay.id());
        self.store(&relay.withdraw(&record));
        self.expect_change(&relay.id());
        self.a_reader_of_changes_can_stop_early();
        let reader = Arc::clone(&self.reader);
        self.run_within_timeout("changed with little time", move || {
            let soon = Instant::now() + Duration::from_millis(2);
            let _ = reader.changed(soon, &mut |_| ControlFlow::Continue(()));
        });
    }

    fn a_reader_of_changes_can_stop_early(&self) {
        self.store(&self.relay().first());
        self.store(&self.relay().first());
        let calls = self.retry("changed and stop early", |by| {
            let mut calls = 0;
            let mut sink = |_| {
                calls += 1;
                ControlFlow::Break(())
            };
            self.reader.changed(by, &mut sink)?;
            Ok(calls)
        });
        let calls = calls.expect("a read of changes");
        assert!(calls <= 1, "the sink was called again after Break");
    }

    /// Checks that the reader sees a change of `relay`. Other relays may change, too.
    fn expect_change(&self, relay: &NodeId) {
        let end = self.deadline();
        while !self.changes().contains(&Change::Relay(*relay)) {
            assert!(
                Instant::now() < end,
                "a change of {relay} was not passed on"
            );
        }
    }

    fn changes(&self) -> Vec<Change> {
        let changes = self.retry("changed", |by| {
            let mut changes = Vec::new();
            let by = by.min(Instant::now() + Duration::from_millis(100));
            self.reader.changed(by, &mut |change| {
                changes.push(change);
                ControlFlow::Continue(())
            })?;
            Ok(changes)
        });
        changes.expect("a read of changes")
    }
}
