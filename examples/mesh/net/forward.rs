//! The methods of an engine that its wrappers here do not change.

/// Passes everything but reads on to `self.engine`. The wrapper has `get` and `members_at`.
macro_rules! forward_all_but_reads {
    () => {
        fn limits(&self) -> Limits {
            self.engine.limits()
        }

        fn put(&self, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
            self.engine.put(record, deadline)
        }

        fn join(
            &self,
            shard: u16,
            record: &SignedRecord,
            deadline: Instant,
        ) -> Result<Put, DhtError> {
            self.engine.join(shard, record, deadline)
        }

        fn leave(
            &self,
            shard: u16,
            tombstone: &SignedRecord,
            deadline: Instant,
        ) -> Result<Put, DhtError> {
            self.engine.leave(shard, tombstone, deadline)
        }

        fn members(
            &self,
            shard: u16,
            deadline: Instant,
            sink: &mut MemberSink<'_>,
        ) -> Result<Answer, DhtError> {
            self.members_at(ShardPath::root(shard), deadline, sink)
        }

        fn join_at(
            &self,
            path: ShardPath,
            record: &SignedRecord,
            deadline: Instant,
        ) -> Result<Put, DhtError> {
            self.engine.join_at(path, record, deadline)
        }

        fn leave_at(
            &self,
            path: ShardPath,
            tombstone: &SignedRecord,
            deadline: Instant,
        ) -> Result<Put, DhtError> {
            self.engine.leave_at(path, tombstone, deadline)
        }

        fn divide(&self, path: ShardPath, deadline: Instant) -> Result<Put, DhtError> {
            self.engine.divide(path, deadline)
        }

        fn changed(&self, deadline: Instant, sink: &mut ChangeSink<'_>) -> Result<(), DhtError> {
            self.engine.changed(deadline, sink)
        }
    };
}

pub(super) use forward_all_but_reads;
