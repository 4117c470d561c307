//! [`Redis`]: an engine over a Redis server.

mod builder;
mod connection;
mod failure;
mod keys;
mod pool;
mod reply;
mod resolver;
mod resp;
mod sample;
mod scripts;
mod stream;
#[cfg(feature = "redis-tls")]
mod tls;
mod url;
mod watch;

use std::fmt;
use std::time::Instant;

use ::redis::{Value, cmd};

use super::slots::RequestSlots;
use super::{
    Answer, Candidate, CandidateSink, ChangeSink, DhtError, Limits, MemberSink, NO_CHANGES,
    NO_SUCH_SHARD, Put, RelayDht, check_record,
};
use crate::dht::record::{MAX_RECORD_LEN, Network, SignedRecord};
use crate::relay::NodeId;
use connection::{Request, Server, malformed};
use failure::{Failure, dht_error, is_unknown_script, is_wrong_type};
use keys::Keys;
use pool::{Pool, Reply};
use reply::{Listed, Written, can_be_record, sequence_of, unwritten, written};
use sample::SampleStart;
use scripts::{Script, Scripts};
use watch::Watcher;

pub use builder::RedisBuilder;
#[cfg(feature = "redis-tls")]
pub use tls::{RedisTls, RedisTlsBuilder, RedisTlsError};
pub use url::RedisUrlError;

#[doc = include_str!("layout.md")]
pub struct Redis {
    pool: Pool,
    watcher: Watcher,
    slots: RequestSlots,
    scripts: Scripts,
    network: Network,
    keys: Keys,
    limits: Limits,
    /// The maximum number of members of a shard; 0 for none.
    max_members: u32,
    sample_start: SampleStart,
}

/// How many members are read at once, with their records. Of a shard with more, a node reads some.
const MAX_MEMBERS: usize = 256;

/// The maximum length of a reply with members, in bytes: of each, 64 digits, a record, and the
/// lengths of both.
const MAX_MEMBERS_REPLY: usize = MAX_MEMBERS * (64 + MAX_RECORD_LEN + 20) + 1_024;

/// The maximum length of a reply with one record, in bytes.
const MAX_RECORD_REPLY: usize = 4_096;

/// How often a record is written over bytes that are no record of its relay.
const ATTEMPTS: u32 = 4;

impl Redis {
    /// A builder for an engine that reads and writes records of `network`.
    pub fn builder(network: Network) -> RedisBuilder {
        RedisBuilder::new(network)
    }

    fn from_parts(
        server: Server,
        network: Network,
        keys: Keys,
        limits: Limits,
        max_members: u32,
    ) -> Self {
        Self {
            pool: Pool::new(server),
            watcher: Watcher::default(),
            slots: RequestSlots::new(limits.max_in_flight),
            scripts: Scripts::new(),
            network,
            keys,
            limits,
            max_members,
            sample_start: SampleStart::new(),
        }
    }

    fn check_shard(&self, shard: u16) -> Result<(), DhtError> {
        if shard < self.limits.shards {
            Ok(())
        } else {
            Err(NO_SUCH_SHARD)
        }
    }

    /// Runs a script by its hash, and with its code if the server does not know it, as after a
    /// restart.
    fn run(
        &self,
        script: &Script,
        keys: &[&str],
        args: &[&[u8]],
        max_reply: usize,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        let reply = self
            .pool
            .call(&script.by_hash(keys, args, max_reply), deadline)?;
        match &reply.value {
            Value::ServerError(error) if is_unknown_script(error) => self
                .pool
                .call(&script.in_full(keys, args, max_reply), deadline),
            _ => Ok(reply),
        }
    }

    fn write(
        &self,
        script: &Script,
        keys: &[&str],
        args: &[&[u8]],
        deadline: Instant,
    ) -> Result<Written, DhtError> {
        let reply = self.run(script, keys, args, MAX_RECORD_REPLY, deadline)?;
        written(reply.value)
    }

    /// The result of a script that returned the `stored` bytes, because they have the sequence of
    /// `record` or a higher one: `error` if they are a record of the relay, given its sequence.
    /// If they are none, then they may be replaced.
    fn judge(
        &self,
        record: &SignedRecord,
        stored: &[u8],
        error: impl FnOnce(u64) -> DhtError,
    ) -> Result<(), DhtError> {
        match SignedRecord::decode(stored, &self.network) {
            Ok(other) if other.node_id() == record.node_id() => Err(error(other.sequence())),
            _ => Ok(()),
        }
    }

    /// Runs a script that joins or leaves a shard.
    fn update_shard(
        &self,
        script: &Script,
        shard: u16,
        record: &SignedRecord,
        args: &[&[u8]],
        deadline: Instant,
    ) -> Result<Put, DhtError> {
        self.check_shard(shard)?;
        check_record(record, &self.network, &self.limits)?;
        let _slot = self.slots.acquire(deadline)?;
        let (node, sequence) = (record.node_id(), record.sequence().to_be_bytes());
        let (shard, stored) = (self.keys.shard(shard), self.keys.record(&node));
        let member = node.to_string();
        let args = [&[member.as_bytes(), &sequence], args].concat();
        match self.write(script, &[&shard, &stored], &args, deadline)? {
            Written::Stored => Ok(Put::new(1, 1)),
            Written::Full => Err(DhtError::Full {
                max: usize::try_from(self.max_members).unwrap_or(usize::MAX),
            }),
            // What is stored was not read: its sequence may be made up.
            Written::Superseded(_) => Err(DhtError::Superseded { stored: None }),
            Written::Conflict(_) => Err(DhtError::Conflict),
            Written::Ended => Err(ended()),
        }
    }
}

impl RelayDht for Redis {
    fn limits(&self) -> Limits {
        self.limits
    }

    fn network(&self) -> Option<Network> {
        Some(self.network)
    }

    fn put(&self, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        check_record(record, &self.network, &self.limits)?;
        let _slot = self.slots.acquire(deadline)?;
        let (key, encoded) = (self.keys.record(&record.node_id()), record.encode());
        let (ends_at, changes) = (ends_at(record), self.keys.changes());
        let node = record.node_id().to_string();
        let mut worthless = Vec::new();
        for _ in 0..ATTEMPTS {
            let args = [
                &encoded,
                ends_at.as_bytes(),
                &worthless,
                changes.as_bytes(),
                node.as_bytes(),
            ];
            match self.write(&self.scripts.put, &[&key], &args, deadline)? {
                Written::Stored => return Ok(Put::new(1, 1)),
                Written::Full => return Err(unwritten()),
                Written::Ended => return Err(ended()),
                Written::Superseded(stored) => {
                    let superseded = |sequence| DhtError::Superseded {
                        stored: Some(sequence),
                    };
                    self.judge(record, &stored, superseded)?;
                    worthless = stored;
                }
                Written::Conflict(stored) => {
                    self.judge(record, &stored, |_| DhtError::Conflict)?;
                    worthless = stored;
                }
            }
        }
        // Someone writes bytes that are no records, faster than this.
        Err(DhtError::Conflict)
    }

    fn get(
        &self,
        node: &NodeId,
        newer_than: Option<u64>,
        deadline: Instant,
        sink: &mut CandidateSink<'_>,
    ) -> Result<Answer, DhtError> {
        let _slot = self.slots.acquire(deadline)?;
        let mut command = cmd("GETRANGE");
        // A byte more than a record can have tells that it is none.
        command
            .arg(self.keys.record(node))
            .arg(0)
            .arg(MAX_RECORD_LEN);
        let request = Request::new(&command, MAX_RECORD_REPLY);
        let reply = match self.pool.call(&request, deadline) {
            Ok(reply) => reply,
            Err(failure) => return unanswered(failure),
        };
        let value = match reply.value {
            Value::BulkString(bytes) => bytes,
            Value::ServerError(error) if is_wrong_type(&error) => Vec::new(),
            Value::ServerError(error) => return Err(dht_error(&error)),
            _ => return Err(malformed("it did not return a string").into()),
        };
        let is_news = newer_than.is_none_or(|bound| sequence_of(&value) > Some(bound));
        if is_news && can_be_record(&value) && sink(Candidate::Encoded(&value)).is_break() {
            return Ok(Answer::partial(1, 1));
        }
        Ok(answered(reply.is_of_primary))
    }

    fn join(&self, shard: u16, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        let (ends_at, max) = (ends_at(record), self.max_members.to_string());
        let args = [ends_at.as_bytes(), max.as_bytes()];
        self.update_shard(&self.scripts.join, shard, record, &args, deadline)
    }

    fn leave(
        &self,
        shard: u16,
        tombstone: &SignedRecord,
        deadline: Instant,
    ) -> Result<Put, DhtError> {
        self.update_shard(&self.scripts.leave, shard, tombstone, &[], deadline)
    }

    fn members(
        &self,
        shard: u16,
        deadline: Instant,
        sink: &mut MemberSink<'_>,
    ) -> Result<Answer, DhtError> {
        self.check_shard(shard)?;
        let _slot = self.slots.acquire(deadline)?;
        let (shard, records) = (self.keys.shard(shard), self.keys.records());
        let (start, max) = (self.sample_start.get().to_string(), MAX_MEMBERS.to_string());
        let args = [start.as_bytes(), max.as_bytes(), records.as_bytes()];
        let script = &self.scripts.members;
        let reply = match self.run(script, &[&shard], &args, MAX_MEMBERS_REPLY, deadline) {
            Ok(reply) => reply,
            Err(failure) => return unanswered(failure),
        };
        let listed = Listed::of(reply.value)?;
        if listed.pass_on(sink).is_break() || !listed.is_all {
            return Ok(Answer::partial(1, 1));
        }
        Ok(answered(reply.is_of_primary))
    }

    fn changed(&self, deadline: Instant, sink: &mut ChangeSink<'_>) -> Result<(), DhtError> {
        if !self.limits.watches {
            return Err(NO_CHANGES);
        }
        let (server, channel) = (self.pool.server(), self.keys.changes());
        Ok(self.watcher.wait(server, &channel, deadline, sink)?)
    }
}

/// The result of a read that has no reply.
fn unanswered(failure: Failure) -> Result<Answer, DhtError> {
    match failure {
        Failure::Answered(error) => Err(error),
        Failure::TimedOut | Failure::Unreachable | Failure::Closed => Ok(Answer::unreachable(1)),
    }
}

/// The result of a read to its end. A replica may lag behind, so it proves no absence.
fn answered(is_of_primary: bool) -> Answer {
    if is_of_primary {
        Answer::complete(1, 1)
    } else {
        Answer::partial(1, 1)
    }
}

/// When a record ends, in milliseconds since 1970.
fn ends_at(record: &SignedRecord) -> String {
    record.record().expires_at().as_millis().to_string()
}

fn ended() -> DhtError {
    DhtError::rejected("the record has expired by the server's clock")
}

/// Does not show the password.
impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("server", self.pool.server())
            .field("network", &self.network)
            .field("prefix", &self.keys.prefix())
            .field("limits", &self.limits)
            .field("max_members", &self.max_members)
            .finish_non_exhaustive()
    }
}
