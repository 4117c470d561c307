//! A lock-free, in-process registry of relays for peers behind NATs.
//!
//! Peers that cannot reach each other directly meet at a *relay*. A node that
//! brokers such meetings must know, at every moment, which peers can relay, how
//! loaded each is, how far away, and which to use for this pair of peers now:
//! millions of times a second, while relays join, renew, fill up, fail and
//! expire. That is what a [`Registry`] is for.
//!
//! # Usage
//!
//! ```
//! use relay_registry::{Endpoint, FindOptions, NodeId, RegisterOptions, Registry};
//! use std::time::Duration;
//!
//! let registry = Registry::new(); // a handle: clone it, share it
//!
//! // A peer announces itself, and again before its TTL ends.
//! let relay = NodeId::from([7; 32]);
//! let endpoint: Endpoint = "relay.example:4433".parse()?;
//! registry.register_with(relay, endpoint, &RegisterOptions::new().capacity(250))?;
//!
//! // What is measured counts; what a relay says of its distance does not.
//! registry.record_rtt(&relay, Duration::from_millis(18));
//! registry.report_load(&relay, 40);
//!
//! // Which relay for this target, now? Take a unit of it, in one step.
//! let target = NodeId::from([9; 32]);
//! let lease = registry.reserve(&target, &FindOptions::new())?;
//! println!("meet at {}", lease.relay().endpoint());
//!
//! // Did it work? What fails is left alone for a while.
//! lease.succeeded(); // or failed(Failure::TimedOut)
//! drop(lease); // and give it back
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Choosing
//!
//! The best relay has the least `e / (1 - u^4)`: `e` the expected round trip from
//! the requester over the relay to the target, `u` the relay's utilisation.
//!
//! - **Both legs count.** What this node [measured](Registry::record_rtt) is exact,
//!   and so is what the peers [publish](PeerView) of the few relays near them.
//!   The rest is estimated between network [coordinates](Coordinate), where peers
//!   have one and the registry [learned](Registry::update_peer) where its relays are.
//!   What is not known is [assumed](RegistryBuilder::assumed_rtt), never zero; nor is
//!   what was not measured for [so long](RegistryBuilder::rtt_lifetime) known any more.
//!   A relay's own word counts for nothing.
//! - **Failures count.** [`Lease::failed`] and [`Registry::report_failure`] open a
//!   circuit breaker on the relay; it is handed out on trial after a back-off that grows,
//!   and trusted after a few successes of sessions that began after it failed. When
//!   all that would do have failed, the one that failed longest ago is a last resort
//!   rather than no answer; and when too many fail at once, it is taken for an
//!   outage of this node's own network, and held against none of them.
//! - **A relay in use is kept**, if the requester [says so](FindOptions::prefer),
//!   until another is clearly better.
//! - **Several results fail apart**: [`Registry::find_relays`] prefers standbys in
//!   other networks and [domains](RegisterOptions::failure_domain) where that
//!   costs little.
//! - **The operator has a hand in it**: [draining](Registry::set_draining) and
//!   [banning](Registry::ban) outlive renewals, and [`Registry::explain`] says for
//!   each relay why it would be handed out or not.
//!
//! On a measured matrix of 490 nodes, with relays that come, go and crash, the paths
//! so chosen are within 1.07 times the best at the median and 1.27 at the worst
//! tenth with a load of 0.6, where the nearest relay with room gives 1.18 and 1.92
//! and is saturated for 45 % of the time. The repository's ARCHITECTURE.md has
//! the tables, and the commands that make them.
//!
//! # Distribution
//!
//! With the feature `dht`, a registry can publish the relay that its node is, and learn
//! of relays that other nodes publish, through a distributed hash table: see [`dht`].
//! Engines are in the process (`dht::Memory`), over any raw Kademlia store (`dht::Kad`),
//! or BitTorrent's DHT (`dht::Mainline`, with the feature `mainline`). Others implement
//! the trait `dht::RelayDht`. Each record is signed by the relay that it describes. A
//! relay that is learned is handed out once your `dht::Probe` has reached it. Threads of
//! its own do all of that: no call on a registry waits for an engine, but for
//! [`Registry::find_relay_wait`].
//!
//! # What it guarantees
//!
//! - **A relay that is handed out is live, has room and is allowed**: not
//!   expired, below its capacity, not draining, not banned, not backing off after
//!   failures (but for a [last resort](RelayInfo::is_last_resort)), not the
//!   target, not this node, not excluded, within the latency asked for. It is handed out to every call
//!   that starts after its registration returned, and to none that starts after
//!   its departure. A deadline counts at once with [`Maintenance::Manual`], and within a
//!   tick with [`Maintenance::Thread`], plus what the scheduler adds.
//! - **Capacity is never exceeded** by [leases](Lease), under any interleaving. It is the
//!   relay's, and not one of its registrations': leases count against a relay that left or
//!   lapsed when it comes back, however late, unless it says that it
//!   [restarted](RegisterOptions::restarted).
//!   Dropping a lease gives its unit back once, wherever and whenever. No lease is
//!   refused while there is room, but for an instant [at which a capacity is
//!   lowered, or a relay leaves](Registry::lease).
//! - **Late is not gone.** A relay that registers again within its
//!   [grace](RegistryBuilder::return_grace) [keeps](Registration::Returned) its leases, load,
//!   round trips and circuit, and, if it had expired, what it announced. What
//!   the operator said of a relay ([draining](Registry::set_draining),
//!   [bans](Registry::ban)) holds until it is lifted, whatever the relay does.
//! - **The bound on relays is strict**, renewals always succeed at it, and
//!   no relay is refused for one that is gone or one that never came.
//! - **"None" means none.** A relay that is available throughout a call is found by
//!   it, whatever other threads do meanwhile; [`FindError`] counts why relays were
//!   passed over.
//! - **The best means the best.** What a call chooses has a score within 1/32 of the
//!   best, among all relays that will do, by the loads of that moment; within 1/512
//!   where there are at most 64. So it is with limits and exclusions as well. For a
//!   pair of peers it is within 5 %, by what the registry knows of the legs.
//! - **Membership is linearizable** for each id. A [`RelayInfo`]'s endpoint,
//!   capacity and expiry come from one registration. [`Registry::relays`] and
//!   [`Registry::relay_count`] are weakly consistent.
//! - **Memory is bounded** by [`max_relays`](RegistryBuilder::max_relays), whatever the
//!   churn, a stalled reader or a stopped maintenance thread; and there is a record for each
//!   absent relay that has a lease, a ban or draining.
//! - **No panics** on any input, and no unverified figure on the way: round
//!   trips and loads are judged before they count.
//!
//! What shows it, and how to see it again, is in [`evidence`].
//!
//! # Concurrency
//!
//! Finding, reserving, releasing, looking up, renewing, measuring, reporting: all of it is
//! lock-free, allocates nothing and makes no system call of its own. Three things
//! beneath it may, and are bounded: a thread's first call sets up its handles;
//! every 128th call lends the epoch collector a hand with what departed, which
//! frees and sometimes allocates a small node; and to renew reads the [`Clock`] (with
//! [`Maintenance::Manual`], so does every call), which by default is no system call on
//! common platforms. However much departed, the
//! collector's part is a few steps: the memory is given back by registrations, at
//! most 64 records and announcements each, and by maintenance. New registrations and
//! departures are lock-free as well, with one exception: a registration, or a call of
//! `set_draining`, `ban`, `unban` or `lift`, on a relay that another thread is just removing,
//! forgetting or bringing back waits until that thread has made its few steps.
//!
//! A find writes nothing that threads share, with two exceptions: it hands out a
//! relay on trial, or it comes upon one whose deadline or back-off is over and brings
//! what searches see of it up to date. What a lease, a report or a measurement
//! changes of a relay's rank among the others is written to a tree of summaries that
//! all finds read, as far up as it makes a difference. Locks guard the housekeeping,
//! which no other operation waits for (see [`Maintenance`]), and what is learned of
//! places, for which [`Registry::stats`], [`Registry::update_peer`] and the calls for coordinates
//! wait.
//!
//! # Performance
//!
//! Tables are sized once, so nothing is ever rehashed or copied to grow. A
//! look-up touches two cache lines. [`Registry::find_relay`] goes down a tree in which
//! each node has 16 children, to the best relay, and judges that one: three nodes for
//! 4,096 relays, five for a million. What it costs does not depend on how many relays
//! are full, failing, draining or gone, and an answer of "none" costs about as much.
//! Each relay that a call excludes, or that another thread takes first, costs one more
//! descent. A find for a pair of peers bounds the paths through all relays below a node
//! by where these are, and opens the nodes that may hold the best one. The repository's
//! `benches/` measure these beside other maps, and its BENCHMARKS.md says where they
//! lose.
//!
//! # Limits
//!
//! - At most [`MAX_RELAYS`] relays of at most [`MAX_CAPACITY`] units, round
//!   trips of at most [`MAX_RTT`], ids of at most [`NodeId::MAX_LEN`] bytes.
//! - Where targets tell nothing of themselves, the leg from a relay to each counts
//!   as [`assumed_rtt`](RegistryBuilder::assumed_rtt): half of the paths are then
//!   within 1.2 times the best, a tenth beyond 2.
//! - Legs that are estimated are off by some 7 % at the median, and by a third at the
//!   worst tenth. The more relays there are to choose from, the more that counts: with
//!   240 relays instead of 49, paths are within 1.11 and 1.38 times the best instead of
//!   1.07 and 1.27.
//! - Scores are compared by rank, in steps of 1/32 (of 1/512 where at most 64 relays
//!   are merged), and relays of one rank count as equal.
//! - What is learned of where a relay is counts in finds after the next housekeeping
//!   pass.
//! - Where many relays tie for a pair of peers, a find for it opens more nodes of the
//!   tree; after eight of them with relays, it is content with what is within 5 % of
//!   the best.
//! - An answer of "none" given while more than 16 other threads are in the middle of
//!   making relays available judges all relays.
//! - A registry's coordinates are in a frame of its own, shared with those peers
//!   that find themselves by [its relays](Registry::relay_coordinate). They are
//!   robust while fewer than half of what it [learns](Registry::update_peer) are lies:
//!   let no peer teach more often than others.
//! - What is told through a lease while its relay is gone is lost.
//! - The registry remembers up to `max_relays` absent relays, and at least 1,024. It forgets
//!   the longest absent first. It remembers the failures of up to 65,536 forgotten relays. A
//!   relay with leases is remembered until its last lease ends.
//! - Of relays that were never held, what the operator says is kept for 65,536; of those
//!   that were, for all, in a record of some 150 bytes each, until it is lifted or the ban
//!   ends: an embedder that drains or bans by itself lifts by itself. Nothing outlives the
//!   registry.
//! - Expiry is judged in [ticks](RegistryBuilder::tick). With
//!   [`Maintenance::Thread`] a thread advances the tick, and a relay is handed out for
//!   up to a tick after its deadline, and for as long as that thread is not run.
//! - A thread that stalls *inside* a call holds up the reuse of memory. When
//!   that adds up to more than twice the relays that may be held, new ones are refused as
//!   [`Backlogged`](RegisterError::Backlogged) until it goes on; look-ups and
//!   plain renewals are not affected.
//! - Ticks are counted up to 2^37: a registry with the shortest tick, of a millisecond,
//!   takes registrations for 4 years, one with the default tick for 400.
//! - A lease keeps the memory of its registry's records (128 bytes for each
//!   there ever was at once) after the last handle was dropped.
//! - Choices among equals are drawn from `fastrand`'s generator of the calling
//!   thread: seed it to repeat a simulation.
//!
//! A registry opens no socket, unless it is given the engine `dht::Mainline`. It resolves
//! no name: only [`Endpoint`]'s `ToSocketAddrs` does, which is for those that dial.
//! What is registered locally is not authenticated: who may register a relay is
//! for the embedder to decide before it calls. What comes through an engine is
//! signed, and `dht::threats` says what that defends against and what not.
//!
//! # Features
//!
//! - `dht`, on by default: the module [`dht`] and what the registry has for it. Without
//!   it there is no cryptography and no codec among the dependencies.
//! - `mainline`: `dht::Mainline`, an engine over BitTorrent's DHT. Implies `dht`.
//! - `conformance`, for tests of engines and of what uses them: `dht::conformance`, the
//!   suite that every engine passes; faults of `dht::Memory`; and `dht::RawMemory`, a raw
//!   Kademlia store. Implies `dht`.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(feature = "dht"), doc = "[`dht`]: #features")]
#![deny(missing_docs, unsafe_op_in_unsafe_fn)]
#![warn(missing_debug_implementations, unreachable_pub)]

#[cfg(feature = "dht")]
pub mod dht;

#[doc = include_str!("evidence.md")]
pub mod evidence {}

mod coordinates;
mod errors;
mod limits;
mod registry;
mod relay;
mod rtt;
mod select;
mod simd;
mod sync;
mod table;
mod time;
mod wheel;

pub use coordinates::{Coordinate, CoordinateError, Landmark, ObserveError, Vivaldi};
pub use errors::{
    BanError, FindError, LeaseError, OperatorError, PeerViewError, RegisterError, Rejections,
    RenewError,
};
pub use limits::{MAX_CAPACITY, MAX_RELAYS, MAX_RTT};
pub use registry::{
    BuildError, Lease, Maintenance, MaintenanceReport, Registration, Registry, RegistryBuilder,
    Stats,
};
pub use relay::{
    AddressPolicy, AddressPolicyError, CircuitState, Endpoint, EndpointError, Host, NatType,
    NatTypeError, NodeId, NodeIdError, RegisterOptions, RelayInfo,
};
pub use select::{Explained, Explanation, FindOptions, LegSource, PeerView, Verdict};
pub use table::record::Failure;
pub use time::{Clock, ManualClock};
