//! Engines that break a rule, which the suite sees.

use relay_registry::NodeId;
use relay_registry::dht::{
    Answer, Candidate, CandidateSink, DhtError, Limits, MemberSink, Memory, Network, Put, RelayDht,
    ShardPath, SignedRecord, conformance,
};
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Instant;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wrong {
    Nothing,
    /// A handle compares sequences only with what it wrote itself.
    ComparesOwnWrites,
    /// All shards below a root are one.
    SharesMembers,
}

type Records = Arc<Mutex<HashMap<NodeId, SignedRecord>>>;

struct Mutant {
    wrong: Wrong,
    memory: Memory,
    records: Records,
    written: Mutex<HashMap<NodeId, SignedRecord>>,
    marks: Arc<Mutex<HashSet<ShardPath>>>,
}

impl RelayDht for Mutant {
    fn limits(&self) -> Limits {
        self.memory.limits()
    }

    fn put(&self, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        if self.wrong != Wrong::ComparesOwnWrites {
            return self.memory.put(record, deadline);
        }
        let (size, max) = (record.value().len(), self.limits().max_value);
        if size > max {
            return Err(DhtError::TooLarge { size, max });
        }
        let mut written = self.written.lock().unwrap();
        if let Some(last) = written.get(&record.node_id()) {
            if last.sequence() > record.sequence() {
                let stored = Some(last.sequence());
                return Err(DhtError::Superseded { stored });
            }
            if last.sequence() == record.sequence() && last != record {
                return Err(DhtError::Conflict);
            }
        }
        written.insert(record.node_id(), record.clone());
        let mut records = self.records.lock().unwrap();
        records.insert(record.node_id(), record.clone());
        Ok(Put::new(1, 1))
    }

    fn get(
        &self,
        node: &NodeId,
        newer_than: Option<u64>,
        deadline: Instant,
        sink: &mut CandidateSink<'_>,
    ) -> Result<Answer, DhtError> {
        if self.wrong != Wrong::ComparesOwnWrites {
            return self.memory.get(node, newer_than, deadline, sink);
        }
        let record = self.records.lock().unwrap().get(node).cloned();
        let is_ended = record.is_some_and(|record| {
            let is_news = newer_than.is_none_or(|bound| record.sequence() > bound);
            is_news && sink(Candidate::Encoded(&record.encode())).is_break()
        });
        match is_ended {
            true => Ok(Answer::partial(1, 1)),
            false => Ok(Answer::complete(1, 1)),
        }
    }

    fn join(&self, shard: u16, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        self.join_at(ShardPath::root(shard), record, deadline)
    }

    fn leave(&self, shard: u16, gone: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        self.leave_at(ShardPath::root(shard), gone, deadline)
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
        match self.wrong {
            Wrong::SharesMembers => {
                if !path.is_within(&self.limits()) {
                    return Err(DhtError::Unsupported { what: "such shard" });
                }
                if self.marks.lock().unwrap().contains(&path) {
                    return Err(DhtError::Full { max: 1_000 });
                }
                let put = self.memory.join(path.shard(), record, deadline)?;
                Ok(put.with_members(put.members().max(1) as usize, 1_000))
            }
            _ => self.memory.join_at(path, record, deadline),
        }
    }

    fn leave_at(
        &self,
        path: ShardPath,
        gone: &SignedRecord,
        deadline: Instant,
    ) -> Result<Put, DhtError> {
        match self.wrong {
            Wrong::SharesMembers => self.memory.leave(path.shard(), gone, deadline),
            _ => self.memory.leave_at(path, gone, deadline),
        }
    }

    fn members_at(
        &self,
        path: ShardPath,
        deadline: Instant,
        sink: &mut MemberSink<'_>,
    ) -> Result<Answer, DhtError> {
        match self.wrong {
            Wrong::SharesMembers => {
                let answer = self.memory.members(path.shard(), deadline, sink)?;
                let is_divided = self.marks.lock().unwrap().contains(&path);
                Ok(answer.with_divided(is_divided))
            }
            _ => self.memory.members_at(path, deadline, sink),
        }
    }

    fn divide(&self, path: ShardPath, deadline: Instant) -> Result<Put, DhtError> {
        if self.wrong != Wrong::SharesMembers {
            return self.memory.divide(path, deadline);
        }
        match path
            .child(false)
            .is_some_and(|child| child.is_within(&self.limits()))
        {
            true => {
                self.marks.lock().unwrap().insert(path);
                Ok(Put::new(1, 1))
            }
            false => Err(DhtError::Unsupported { what: "such shard" }),
        }
    }
}

fn conforms(wrong: Wrong) -> Result<(), String> {
    let limits = Memory::new().limits();
    let depth = if wrong == Wrong::SharesMembers {
        limits.max_depth
    } else {
        0
    };
    let memory = Memory::builder().limits(limits.dividing(depth)).build();
    let (records, marks) = (Records::default(), Arc::default());
    let make = || Mutant {
        wrong,
        memory: memory.connect(),
        records: Arc::clone(&records),
        written: Mutex::default(),
        marks: Arc::clone(&marks),
    };
    let suite = conformance::Suite::new(make, &Network::default());
    let result = catch_unwind(AssertUnwindSafe(|| suite.check()));
    result.map_err(|panic| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(_) => "another panic".to_owned(),
    })
}

#[test]
fn an_engine_that_compares_sequences_only_with_its_own_writes_does_not_conform() {
    assert_eq!(conforms(Wrong::Nothing), Ok(()));
    let result = conforms(Wrong::ComparesOwnWrites);
    assert!(result.is_err_and(|reason| reason.contains("superseded")));
}

#[test]
fn an_engine_whose_shards_below_a_root_are_one_does_not_conform() {
    let result = conforms(Wrong::SharesMembers);
    assert!(result.is_err_and(|reason| reason.contains("should not be listed")));
}
