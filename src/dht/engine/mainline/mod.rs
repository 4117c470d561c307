//! [`Mainline`]: an engine over BitTorrent's Mainline DHT.

mod block_on;
mod builder;
mod request;
mod shard;

use std::fmt;
use std::net::SocketAddrV4;
use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mainline::async_dht::AsyncDht;
use mainline::{Dht, MutableItem, SigningKey};

use super::slots::RequestSlots;
use super::{
    Answer, Candidate, CandidateSink, DhtError, Limits, Member, MemberSink, NO_SUCH_SHARD, Put,
    RelayDht, ShardPath, check_record,
};
use crate::dht::record::{Network, SignedRecord};
use crate::relay::NodeId;
use crate::sync::Ordering;
use crate::sync::unmodelled::{AtomicBool, thread};
use block_on::{NoResult, Pending, block_on};
use request::Request;
use shard::{MAX_MEMBERS, Shard, ShardRead, ShardUpdate, Step, Timestamp};

pub use builder::MainlineBuilder;

/// An engine over BitTorrent's Mainline DHT, on IPv4, through the [`mainline`]
/// crate.
///
/// A record is a mutable item of [BEP 44] under the relay's own key. Storage nodes
/// verify its signature and keep the record with the highest sequence. They evict
/// the least recently used items; items do not expire.
///
/// The directory is further items under a key that all relays of a network share. Each
/// lists up to 28 relays and is written with compare-and-swap. There are eight; an item
/// that is full divides into two, up to sixteen times. A node that knows the key can erase or
/// fill the directory, so it proves nothing about the relays that it lists. Relays join again at each
/// refresh, and when they find that they are not listed. By default the key is
/// derived from the tag of the network, which is public; a closed network sets
/// [a secret](MainlineBuilder::directory_secret).
///
/// At most four requests are in flight: with more, the answers overflow the buffer
/// of the socket. If the deadline of a request passes, or its reader ends it early,
/// then the request continues in the thread of the [`mainline`] crate and keeps its
/// slot until it has ended. If that thread ends, then all calls fail with
/// [`Closed`](DhtError::Closed). The crate reports that by panics; this engine
/// catches them, but the panic hook of the process still runs.
///
/// A node in [server mode](MainlineBuilder::server_mode) is a storage node too and
/// queries itself. So it needs answers of two nodes to know that another node
/// answered.
///
/// ```no_run
/// use relay_registry::dht::{Mainline, Network};
///
/// let dht = Mainline::builder(Network::new(b"my-app")?).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`mainline`]: https://docs.rs/mainline
/// [BEP 44]: https://www.bittorrent.org/beps/bep_0044.html
pub struct Mainline {
    dht: AsyncDht,
    network: Network,
    limits: Limits,
    directory_key: SigningKey,
    slots: RequestSlots,
    /// One slot: two writers in this process would overwrite each other's shard.
    directory_writer: RequestSlots,
    closed: AtomicBool,
}

/// This node, as its actor describes it.
struct LocalNode {
    address: SocketAddrV4,
    /// Whether it is in server mode.
    is_server: bool,
}

/// With eight requests in flight, a third of the packets were lost.
const MAX_IN_FLIGHT: usize = 4;

const SHARDS: u16 = 8;

/// How often a shard may divide. Eight shards hold 14 million relays then.
const DEFAULT_DEPTH: u8 = 16;

const FULL: DhtError = DhtError::Full { max: MAX_MEMBERS };

/// How often a shard is written if concurrent writers overwrite it.
const ATTEMPTS: u32 = 6;

/// How many of these attempts always use compare-and-swap. Later attempts use it only
/// if all nodes returned one version. If nodes store different versions, then a
/// compare-and-swap fails on some of them; a write with a higher sequence replaces
/// all versions.
const CAS_ATTEMPTS: u32 = 3;

impl Mainline {
    /// A builder for a node of the DHT that reads and writes records of `network`.
    pub fn builder(network: Network) -> MainlineBuilder {
        MainlineBuilder::new(network)
    }

    fn from_parts(dht: Dht, network: Network, limits: Limits, directory_key: SigningKey) -> Self {
        Self {
            dht: dht.as_async(),
            network,
            limits,
            directory_key,
            slots: RequestSlots::new(limits.max_in_flight),
            directory_writer: RequestSlots::new(1),
            closed: AtomicBool::new(false),
        }
    }

    /// The local address of this node, which other nodes can bootstrap from.
    ///
    /// # Errors
    ///
    /// [`DhtError::Timeout`] if the actor does not answer by `deadline`,
    /// [`DhtError::Closed`] if its thread has ended.
    pub fn local_addr(&self, deadline: Instant) -> Result<SocketAddrV4, DhtError> {
        self.node(deadline).map(|node| node.address)
    }

    fn node(&self, deadline: Instant) -> Result<LocalNode, DhtError> {
        self.check_open()?;
        let dht = self.dht.clone();
        let mut node: Pending<_> = Box::pin(async move {
            let info = dht.info().await;
            LocalNode {
                address: info.local_addr(),
                is_server: info.server_mode(),
            }
        });
        match block_on(deadline, |context| node.as_mut().poll(context)) {
            Ok(node) => Ok(node),
            Err(NoResult::TimedOut) => Err(DhtError::Timeout),
            Err(NoResult::Panicked) => Err(self.close()),
        }
    }

    fn check_open(&self) -> Result<(), DhtError> {
        // Relaxed: the flag publishes no other data.
        if self.closed.load(Ordering::Relaxed) {
            return Err(DhtError::Closed);
        }
        Ok(())
    }

    /// Remembers that the thread of the actor has ended, so that later calls do not
    /// panic again.
    fn close(&self) -> DhtError {
        self.closed.store(true, Ordering::Relaxed);
        DhtError::Closed
    }

    /// Fails if a newer record is stored, or another one with the same sequence.
    /// Storage nodes accept a second value under one sequence and would then disagree.
    /// The write that follows goes to the nodes that this lookup found.
    fn check_newest(request: &mut Request<'_>, record: &SignedRecord) -> Result<(), DhtError> {
        let sequence = as_seq(record.sequence());
        let mut result = Ok(());
        let older = Some(sequence - 1);
        let answer = request.lookup(record.public_key(), record.salt(), older, |item| {
            if item.seq() > sequence {
                result = Err(DhtError::Superseded {
                    stored: u64::try_from(item.seq()).ok(),
                });
            } else if item.seq() == sequence && item.value() != record.value() {
                result = result.clone().and(Err(DhtError::Conflict));
            }
            ControlFlow::Continue(())
        })?;
        // No other node would store the record.
        if answer.answered() == 0 {
            return Err(request.no_answer_error());
        }
        result
    }

    /// Writes the membership of the relay of `record` to a shard.
    fn update_membership(
        &self,
        path: ShardPath,
        record: &SignedRecord,
        update: ShardUpdate,
        deadline: Instant,
    ) -> Result<Put, DhtError> {
        check_record(record, &self.network, &self.limits)?;
        self.update_shard(path, record.public_key(), update, deadline)
    }

    /// Writes a change to a shard, for the relay with this key.
    ///
    /// After a write the shard is read again. A join is repeated until the newest
    /// version has the entry: a relay that read before the write may have overwritten
    /// it. A leave is repeated until no node lists the relay: readers merge the
    /// versions of all nodes.
    fn update_shard(
        &self,
        path: ShardPath,
        key: &[u8; 32],
        update: ShardUpdate,
        deadline: Instant,
    ) -> Result<Put, DhtError> {
        let salt = self.shard_salt(path)?;
        let may_divide = self.check_divides(path).is_ok();
        let _directory_writer = self.directory_writer.acquire(deadline)?;
        let mut request = Request::start(self, deadline)?;
        let mut written: Option<(Shard, Put)> = None;
        for attempt in 0..ATTEMPTS {
            let read_at = Instant::now();
            let is_last = attempt + 1 == ATTEMPTS;
            let mut read = self.read_shard(&mut request, &salt, key)?;
            let answered = read.answered;
            if update == ShardUpdate::Join && may_divide && is_last_sequence(read.newest_sequence) {
                return Err(FULL);
            }
            let last = written.take();
            let before = last.as_ref().map(|(shard, _)| shard);
            let step = read.next_step(update, key, before, is_last, may_divide);
            let (forced, then_full) = match step {
                Step::Done { members } => {
                    let put = last.map_or_else(|| Put::new(answered, answered), |(_, put)| put);
                    return Ok(put.with_members(members, MAX_MEMBERS));
                }
                Step::Full => return Err(FULL),
                Step::Write { forced } => (forced, false),
                Step::Divide => (false, true),
            };
            let newest = read.newest_sequence;
            let uses_cas = attempt < CAS_ATTEMPTS || read.versions == 1;
            let cas = newest.filter(|_| uses_cas && !forced);
            let item = self.shard_item(&read.merged, newest, &salt)?;
            match request.store(item, cas) {
                Ok(_) if then_full => return Err(FULL),
                Ok(put) => written = Some((read.merged, put)),
                Err(DhtError::Conflict | DhtError::Superseded { .. }) => {
                    back_off(attempt, read_at.elapsed(), request.deadline());
                }
                Err(error) => return Err(error),
            }
        }
        Err(DhtError::Conflict)
    }

    /// Reads all versions of a shard. `key` is this relay.
    fn read_shard(
        &self,
        request: &mut Request<'_>,
        salt: &[u8],
        key: &[u8; 32],
    ) -> Result<ShardRead, DhtError> {
        let mut read = ShardRead::new(self.empty_shard());
        let answer = request.lookup(&self.directory_public_key(), salt, None, |item| {
            read.add(item, key);
            ControlFlow::Continue(())
        })?;
        // A write without a read would erase the entries of other relays.
        if answer.answered() == 0 {
            return Err(request.no_answer_error());
        }
        read.answered = answer.answered();
        Ok(read)
    }

    /// The item of `shard`, with a sequence above `newest`.
    fn shard_item(
        &self,
        shard: &Shard,
        newest: Option<i64>,
        salt: &[u8],
    ) -> Result<MutableItem, DhtError> {
        let next = newest.unwrap_or(0).checked_add(1);
        let next =
            next.ok_or_else(|| DhtError::rejected("the sequences of the shard are exhausted"))?;
        let now = i64::try_from(since_epoch().as_micros()).unwrap_or(i64::MAX);
        Ok(MutableItem::new(
            self.directory_key.clone(),
            &shard.encode(),
            next.max(now),
            Some(salt),
        ))
    }

    fn empty_shard(&self) -> Shard {
        Shard::new(Timestamp::from_unix(since_epoch()), self.limits.refresh * 2)
    }

    fn directory_public_key(&self) -> [u8; 32] {
        self.directory_key.verifying_key().to_bytes()
    }

    /// The salt of a shard: that of the network, `/`, and the shard's path.
    fn shard_salt(&self, path: ShardPath) -> Result<Vec<u8>, DhtError> {
        self.check_path(path)?;
        let mut salt = self.network.salt().to_vec();
        salt.extend_from_slice(format!("/{path}").as_bytes());
        Ok(salt)
    }

    fn check_path(&self, path: ShardPath) -> Result<(), DhtError> {
        match path.is_within(&self.limits) {
            true => Ok(()),
            false => Err(NO_SUCH_SHARD),
        }
    }

    /// Fails if the shard can have no children.
    fn check_divides(&self, path: ShardPath) -> Result<(), DhtError> {
        self.check_path(path.child(false).ok_or(NO_SUCH_SHARD)?)
    }
}

impl RelayDht for Mainline {
    fn limits(&self) -> Limits {
        self.limits
    }

    fn network(&self) -> Option<Network> {
        Some(self.network)
    }

    fn put(&self, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        check_record(record, &self.network, &self.limits)?;
        let mut request = Request::start(self, deadline)?;
        Self::check_newest(&mut request, record)?;
        let item = MutableItem::new_signed_unchecked(
            *record.public_key(),
            *record.signature(),
            record.value(),
            as_seq(record.sequence()),
            Some(record.salt()),
        );
        request.store(item, None)
    }

    fn get(
        &self,
        node: &NodeId,
        newer_than: Option<u64>,
        deadline: Instant,
        sink: &mut CandidateSink<'_>,
    ) -> Result<Answer, DhtError> {
        let Ok(public_key) = <&[u8; 32]>::try_from(node.as_bytes()) else {
            return Err(DhtError::Unsupported {
                what: "records of ids that are not public keys",
            });
        };
        let mut request = Request::start(self, deadline)?;
        let newer_than = newer_than.map(as_seq);
        request.lookup(public_key, self.network.salt(), newer_than, |item| {
            sink(Candidate::Bep44 {
                public_key: item.key(),
                value: item.value(),
                sequence: item.seq(),
                signature: item.signature(),
            })
        })
    }

    fn join(&self, shard: u16, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        self.join_at(ShardPath::root(shard), record, deadline)
    }

    fn leave(
        &self,
        shard: u16,
        tombstone: &SignedRecord,
        deadline: Instant,
    ) -> Result<Put, DhtError> {
        self.leave_at(ShardPath::root(shard), tombstone, deadline)
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
        self.update_membership(path, record, ShardUpdate::Join, deadline)
    }

    fn leave_at(
        &self,
        path: ShardPath,
        tombstone: &SignedRecord,
        deadline: Instant,
    ) -> Result<Put, DhtError> {
        self.update_membership(path, tombstone, ShardUpdate::Leave, deadline)
    }

    fn members_at(
        &self,
        path: ShardPath,
        deadline: Instant,
        sink: &mut MemberSink<'_>,
    ) -> Result<Answer, DhtError> {
        let salt = self.shard_salt(path)?;
        let mut request = Request::start(self, deadline)?;
        let mut members = self.empty_shard();
        let mut newest = None;
        let answer = request.lookup(&self.directory_public_key(), &salt, None, |item| {
            let mut flow = ControlFlow::Continue(());
            newest = newest.max(Some(item.seq()));
            members.merge(item.value(), |key| {
                if flow.is_continue() {
                    flow = sink(Member {
                        node: NodeId::from(key),
                        record: None,
                    });
                }
            });
            flow
        })?;
        let is_used_up = is_last_sequence(newest) && self.check_divides(path).is_ok();
        Ok(answer.with_divided(members.is_divided() || is_used_up))
    }

    fn divide(&self, path: ShardPath, deadline: Instant) -> Result<Put, DhtError> {
        self.check_divides(path)?;
        // The mark is no relay's.
        self.update_shard(path, &[0; 32], ShardUpdate::Divide, deadline)
    }
}

impl fmt::Debug for Mainline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mainline")
            .field("network", &self.network)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// A record's sequence as `seq` of BEP 44; it is at most 2^63 - 1.
fn as_seq(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

/// Whether no item can replace the one with this sequence. Anyone who knows the key of the directory
/// can write such an item. The shard then counts as divided, so that relays are listed below it.
fn is_last_sequence(sequence: Option<i64>) -> bool {
    sequence == Some(i64::MAX)
}

fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Waits for a random time, so that writers that collided do not collide again. The
/// maximum is 1, 2 or 4 times the duration of `attempt`, from its read to its write,
/// and at most half of the time left.
fn back_off(attempt: u32, duration: Duration, deadline: Instant) {
    let left = deadline.saturating_duration_since(Instant::now());
    let max = duration.saturating_mul(1 << attempt.min(2)).min(left / 2);
    thread::sleep(max.mul_f64(fastrand::f64()));
}
