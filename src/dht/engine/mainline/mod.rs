//! [`Mainline`]: BitTorrent's DHT.

mod block_on;
mod builder;
mod directory;
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
    RelayDht,
};
use crate::dht::record::{Network, SignedRecord};
use crate::relay::NodeId;
use crate::sync::Ordering;
use crate::sync::unmodelled::{AtomicBool, thread};
use block_on::{NoResult, Pending, block_on};
use directory::{Directory, Stamp};
use request::Request;
use shard::Shard;

pub use builder::MainlineBuilder;

/// BitTorrent's Mainline DHT as an engine, over IPv4, through the [`mainline`]
/// crate.
///
/// A record is a mutable item of [BEP 44] under the relay's own key, so storage
/// nodes check its signature and keep its highest sequence. The directory is
/// eight more items under a key that all relays of a network share, each with up
/// to 28 relays (224 in all), written with compare-and-swap. Anybody who knows
/// that key can blank or fill it: it is a hint, and relays rejoin at every
/// refresh, and when they find themselves left out. Its default is derived from
/// the tag of the network, which is public; closed networks set
/// [a secret](MainlineBuilder::directory_secret).
///
/// It sends at most four requests at once, for the nodes' answers overrun the
/// socket beyond that. A request that outlived its deadline, or whose reader had
/// enough, runs on in the crate's own thread and keeps its turn until it has
/// ended. Should that thread die, this is [`Closed`](DhtError::Closed); the
/// panics by which the crate says so are caught, though the process's panic hook
/// sees them.
///
/// Storage nodes forget what was least recently used, and never by time. A node
/// in [server mode](MainlineBuilder::server_mode) is one of them and asks itself
/// as well, so it needs two others to tell an answer from its own.
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
    directory: SigningKey,
    slots: RequestSlots,
    /// Who writes the directory: two at once would overwrite each other, and of
    /// those elsewhere there are enough.
    directory_turn: RequestSlots,
    closed: AtomicBool,
}

/// What the actor says of its own node.
struct LocalNode {
    address: SocketAddrV4,
    /// Whether it answers requests.
    serves: bool,
}

/// At eight at once a third of the packets was lost.
const MAX_IN_FLIGHT: usize = 4;

const SHARDS: u16 = 8;

/// How often a shard is written that others write at the same time.
const ATTEMPTS: u32 = 6;

/// How many of these compare and swap in any case. Where nodes hold different
/// versions none that is named is theirs, and only a later sequence brings them
/// together.
const COMPARING_ATTEMPTS: u32 = 3;

impl Mainline {
    /// To join the DHT with the records of `network`.
    pub fn builder(network: Network) -> MainlineBuilder {
        MainlineBuilder::new(network)
    }

    fn over(dht: Dht, network: Network, limits: Limits, directory: SigningKey) -> Self {
        Self {
            dht: dht.as_async(),
            network,
            limits,
            directory,
            slots: RequestSlots::new(limits.max_in_flight),
            directory_turn: RequestSlots::new(1),
            closed: AtomicBool::new(false),
        }
    }

    /// The address that this node listens on, which others can bootstrap from.
    ///
    /// # Errors
    ///
    /// [`DhtError::Timeout`] and [`DhtError::Closed`].
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
                serves: info.server_mode(),
            }
        });
        match block_on(deadline, |context| node.as_mut().poll(context)) {
            Ok(node) => Ok(node),
            Err(NoResult::Late) => Err(DhtError::Timeout),
            Err(NoResult::Dead) => Err(self.close()),
        }
    }

    fn check_open(&self) -> Result<(), DhtError> {
        // Relaxed: the flag is all there is to see.
        if self.closed.load(Ordering::Relaxed) {
            return Err(DhtError::Closed);
        }
        Ok(())
    }

    /// Remembers that the actor is dead: whatever is asked of it panics, and
    /// once is enough.
    fn close(&self) -> DhtError {
        self.closed.store(true, Ordering::Relaxed);
        DhtError::Closed
    }

    /// A bad signature or a long value would come back as silence; the first
    /// cannot be in a [`SignedRecord`].
    fn check(&self, record: &SignedRecord) -> Result<(), DhtError> {
        let (size, max) = (record.value().len(), self.limits.max_value);
        if size > max {
            return Err(DhtError::TooLarge { size, max });
        }
        if *record.network() != self.network {
            return Err(DhtError::Unsupported {
                what: "records of another network",
            });
        }
        Ok(())
    }

    /// Nodes would accept a second value under one sequence, and the network
    /// would split over it; so look first. The write that follows goes to the
    /// nodes that were found by this.
    fn check_newest(request: &mut Request<'_>, record: &SignedRecord) -> Result<(), DhtError> {
        let sequence = as_seq(record.sequence());
        let mut verdict = Ok(());
        let older = Some(sequence - 1);
        let answer = request.lookup(record.public_key(), record.salt(), older, |item| {
            if item.seq() > sequence {
                verdict = Err(DhtError::Superseded {
                    stored: u64::try_from(item.seq()).ok(),
                });
            } else if item.seq() == sequence && item.value() != record.value() {
                verdict = verdict.clone().and(Err(DhtError::Conflict));
            }
            ControlFlow::Continue(())
        })?;
        // Nobody but this node would store it.
        if answer.answered() == 0 {
            return Err(request.unanswered());
        }
        verdict
    }

    /// Brings a word on a relay into a shard, until the newest version has it: who
    /// read before it was written may be about to write without it. That one left
    /// is brought to all nodes: readers list whom any of them lists.
    fn enlist(
        &self,
        shard: u16,
        record: &SignedRecord,
        left: bool,
        deadline: Instant,
    ) -> Result<Put, DhtError> {
        self.check(record)?;
        let salt = self.salt_of(shard)?;
        let key = record.public_key();
        let _directory_turn = self.directory_turn.take(deadline)?;
        let mut request = Request::start(self, deadline)?;
        let mut written: Option<(Directory, Put)> = None;
        for attempt in 0..ATTEMPTS {
            let begun = Instant::now();
            let is_last = attempt + 1 == ATTEMPTS;
            let mut shard = self.read_shard(&mut request, &salt, key)?;
            let answered = shard.answered;
            let has_left = left && shard.merged.has_left(key);
            // One that lies may list it for ever, or leave it out.
            if has_left && (!shard.is_listed || is_last) {
                return Ok(Put::new(answered, answered));
            }
            match written.take() {
                Some((wanted, put)) if !left && shard.agrees(&wanted, key, is_last) => {
                    return Ok(put);
                }
                None if !left && shard.newest.is_fresh(key) => {
                    return Ok(Put::new(answered, answered));
                }
                _ => shard.merged.set(*key, left)?,
            }
            let newest = shard.newest_sequence;
            let is_compared = attempt < COMPARING_ATTEMPTS || shard.versions == 1;
            let cas = newest.filter(|_| is_compared && !has_left);
            let item = self.shard_item(&shard.merged, newest, &salt)?;
            match request.store(item, cas) {
                Ok(put) => written = Some((shard.merged, put)),
                Err(DhtError::Conflict | DhtError::Superseded { .. }) => {
                    pause(attempt, begun.elapsed(), request.deadline());
                }
                Err(error) => return Err(error),
            }
        }
        Err(DhtError::Conflict)
    }

    /// Reads all versions of a shard, for what they say of `key`.
    fn read_shard(
        &self,
        request: &mut Request<'_>,
        salt: &[u8],
        key: &[u8; 32],
    ) -> Result<Shard, DhtError> {
        let mut shard = Shard::new(self.vacant_directory());
        let answer = request.lookup(&self.directory_key(), salt, None, |item| {
            shard.take_in(item, key);
            ControlFlow::Continue(())
        })?;
        // To write without having read would wipe what is there.
        if answer.answered() == 0 {
            return Err(request.unanswered());
        }
        shard.answered = answer.answered();
        Ok(shard)
    }

    fn shard_item(
        &self,
        directory: &Directory,
        newest: Option<i64>,
        salt: &[u8],
    ) -> Result<MutableItem, DhtError> {
        let after = newest.unwrap_or(0).checked_add(1);
        let after = after.ok_or_else(|| DhtError::rejected("someone used up all sequences"))?;
        let now = i64::try_from(since_epoch().as_micros()).unwrap_or(i64::MAX);
        Ok(MutableItem::new(
            self.directory.clone(),
            &directory.encode(),
            after.max(now),
            Some(salt),
        ))
    }

    fn vacant_directory(&self) -> Directory {
        Directory::new(Stamp::of(since_epoch()), self.limits.refresh * 2)
    }

    fn directory_key(&self) -> [u8; 32] {
        self.directory.verifying_key().to_bytes()
    }

    /// The salt of a shard: that of the network and the shard's number.
    fn salt_of(&self, shard: u16) -> Result<Vec<u8>, DhtError> {
        if shard >= self.limits.shards {
            return Err(NO_SUCH_SHARD);
        }
        let mut salt = self.network.salt().to_vec();
        salt.extend_from_slice(format!("/{shard}").as_bytes());
        Ok(salt)
    }
}

impl RelayDht for Mainline {
    fn limits(&self) -> Limits {
        self.limits
    }

    fn put(&self, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        self.check(record)?;
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
                what: "ids that are no public keys",
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
        self.enlist(shard, record, false, deadline)
    }

    fn leave(
        &self,
        shard: u16,
        tombstone: &SignedRecord,
        deadline: Instant,
    ) -> Result<Put, DhtError> {
        self.enlist(shard, tombstone, true, deadline)
    }

    fn members(
        &self,
        shard: u16,
        deadline: Instant,
        sink: &mut MemberSink<'_>,
    ) -> Result<Answer, DhtError> {
        let salt = self.salt_of(shard)?;
        let mut request = Request::start(self, deadline)?;
        let mut directory = self.vacant_directory();
        request.lookup(&self.directory_key(), &salt, None, |item| {
            let mut flow = ControlFlow::Continue(());
            directory.merge(item.value(), |key| {
                if flow.is_continue() {
                    flow = sink(Member {
                        node: NodeId::from(key),
                        record: None,
                    });
                }
            });
            flow
        })
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

/// BEP 44 counts in 63 bits, and a record's sequence fits.
fn as_seq(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Waits a random while, so that those who wrote at once do not again: the more
/// of them there are, the more often `round`, from reading to writing, must fit.
fn pause(attempt: u32, round: Duration, deadline: Instant) {
    let left = deadline.saturating_duration_since(Instant::now());
    let longest = round.saturating_mul(1 << attempt.min(2)).min(left / 2);
    thread::sleep(longest.mul_f64(fastrand::f64()));
}
