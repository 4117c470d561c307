//! A lock-free, in-process registry of relays for peers behind NATs.
//!
//! Peers that cannot reach each other directly meet at a *relay*. A node that
//! brokers such meetings asks for each connection attempt: which relay, for
//! this pair of peers, now? A [`Registry`] answers that millions of times a
//! second, while relays join, renew, fill up, fail and expire.
//!
//! # Usage
//!
//! ```
//! use relay_registry::{Endpoint, FindOptions, NodeId, RegisterOptions, Registry};
//! use std::time::Duration;
//!
//! let registry = Registry::new(); // a handle: clone it, share it
//!
//! // A relay announces itself, and again before its TTL ends.
//! let relay = NodeId::from([7; 32]);
//! let endpoint: Endpoint = "relay.example:4433".parse()?;
//! registry.register_with(relay, endpoint, &RegisterOptions::new().capacity(250))?;
//!
//! // What this node measured, and the load that the relay reported.
//! registry.record_rtt(&relay, Duration::from_millis(18));
//! registry.report_load(&relay, 40);
//!
//! // Choose a relay for a target, and take a unit of its capacity.
//! let target = NodeId::from([9; 32]);
//! let lease = registry.reserve(&target, &FindOptions::new())?;
//! println!("meet at {}", lease.relay().endpoint());
//!
//! // Report the outcome, and return the unit.
//! lease.succeeded(); // or failed(Failure::TimedOut)
//! drop(lease);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A broker finds relays for two peers elsewhere. It gives what they say of themselves to the
//! registry, which remembers it, and then names the two:
//!
//! ```
//! # use relay_registry::{Endpoint, FindOptions, NodeId, PeerView, Registry};
//! # use std::time::Duration;
//! # let registry = Registry::new();
//! # let relay = NodeId::from([7; 32]);
//! # registry.register(relay, "relay.example:4433".parse::<Endpoint>()?)?;
//! # let [a, b] = [8, 9].map(|n| NodeId::from([n; 32]));
//! # let view_of_a = PeerView::new().measured(relay, Duration::from_millis(5))?;
//! # let view_of_b = PeerView::new().measured(relay, Duration::from_millis(9))?;
//! registry.update_peer(&a, view_of_a);
//! registry.update_peer(&b, view_of_b);
//! let relay = registry.find_relay_with(&b, &FindOptions::new().requester(a))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A peer that others will call finds a relay for itself by [`Registry::find_home_relay`]. The
//! [quick start](guide::quick_start) shows all three kinds of node, and which call belongs to which
//! event.
//!
//! # Guide
//!
//! | page | read it when |
//! |---|---|
//! | [quick start](guide::quick_start) | you embed the registry for the first time: a broker, a peer, a home relay |
//! | [tokio](guide::tokio) | your node runs in tokio or another runtime |
//! | [choosing](guide::choosing) | you want to know which relay a call gets, and why |
//! | [operating](guide::operating) | your service runs: what to watch, how to drain a relay, what to do in an outage |
//! | [distribution](guide::distribution) | relays are published and learned through a DHT, or you write an engine |
//! | [tuning](guide::tuning) | the defaults do not fit |
//! | [persistence](guide::persistence) | a restart should forget nothing |
//! | [cookbook](guide::cookbook) | you have a question that others had before you |
//! | [errors](guide::errors) | a call returned an error |
//! | [serialised form](guide::serialised_form) | you read or write the types by the feature `serde` |
//!
//! # How a relay is chosen
//!
//! The best relay has the lowest `cost * e / (1 - u^4)`, where `e` is the expected round
//! trip from the requester over the relay to the target, `u` the relay's utilisation,
//! and the [cost](RegisterOptions::cost) 1 unless it or the operator says otherwise. A leg is
//! [measured](Registry::record_rtt) by this node, [published](PeerView) by a peer, estimated, or
//! assumed. Relays that [failed](Registry::report_failure) lately are left out.
//! [`Registry::explain`] shows the parts of each score. [Choosing](guide::choosing) has the rules and
//! the figures, and the words for the [search trees](guide::choosing#search-trees).
//!
//! # Distribution
//!
//! A registry can publish the relay that its node is, and learn of others, through a distributed hash
//! table, a Redis server, or an engine of yours: the module [`dht`]. A learned relay is handed out only after a [probe] of yours succeeded.
//! See [distribution](guide::distribution).
//!
//! # Events
//!
//! [`Registry::events`] tells any number of subscribers of every change of membership and standing:
//! relays that join, leave, expire, change, drain, are banned, or whose circuits open and close. A
//! copy that [follows the events](Events#a-copy-that-follows-the-registry) has what
//! [`Registry::relays`] has. A slow subscriber delays nothing: it is told how many events it
//! [missed](Event::Missed).
//!
//! # Figures and logs
//!
//! [`Registry::stats`] has all figures, and [`Stats::visit`] gives them to any system of metrics. The
//! features `metrics`, `serde` and `tracing` do it for those crates. See [operating](guide::operating).
//!
//! # Across a restart
//!
//! With the feature `persistence`, a service restores from the file to which it saves:
//! [`RegistryBuilder::restore_from`], then [`RegistryBuilder::save_to`] with the same path. See
//! [persistence](guide::persistence).
//!
//! # Guarantees
//!
//! [`evidence`] lists what shows each of them.
//!
//! - **Eligible.** A relay that is handed out is live, has the units asked for free, is not
//!   draining, not banned, not backing off (except as a
//!   [last resort](RelayInfo::is_last_resort)), not the target, not the
//!   [requester](FindOptions::requester), not this node, not excluded by id or failure
//!   domain, within the latency asked for, with the labels and of the family asked for,
//!   and of the lowest [tier](RegisterOptions::tier) that has any such relay. (A list is
//!   filled from higher tiers when the lower ones have too few.) It is a candidate for
//!   every call that starts after its registration returned, and for none that starts after
//!   its departure. A deadline counts at once with [`Maintenance::Manual`]. With
//!   [`Maintenance::Thread`] it counts within a tick, plus what the scheduler adds.
//! - **Capacity is never exceeded** by [leases](Lease), under any interleaving.
//!   Leases belong to the relay, not to one of its registrations: they count when it
//!   comes back, however late, unless it [restarted](RegisterOptions::restarted). A
//!   lease takes [all its units](FindOptions::units) or none, and returns them once,
//!   when it is dropped. No lease is refused while there is room,
//!   except at the instant at which [a capacity is lowered or a relay
//!   leaves](Registry::lease).
//! - **Late is not gone.** A relay that registers again within its
//!   [grace](RegistryBuilder::return_grace) [keeps](Registration::Returned) its
//!   leases, load, round trips and circuit and, if it had expired, what it announced.
//!   Draining, bans, and the operator's tiers and costs hold until they are
//!   [lifted](Registry::lift).
//! - **The bound on relays is strict.** At the bound, renewals succeed, and no relay
//!   is refused for one that is gone or one that was never admitted.
//! - **"None" means none.** A relay that is eligible throughout a call is found.
//!   [`FindError`] counts the reasons.
//! - **The best means the best.** The score of an answer is within 1/32 of the best
//!   among all eligible relays of its tier, by the loads of that moment, with limits and
//!   exclusions as well; within 1/512 where at most 64 relays are
//!   [merged](guide::choosing#search-trees); within 5 % for a pair of peers, by what the registry
//!   knows of the legs. For a [home](Registry::find_home_relay) it is within 3.4 %, and
//!   within 0.4 % where at most 64 relays are merged.
//! - **Membership is linearizable** per id, but for a relay that
//!   [restarts](RegisterOptions::restarted) while it has leases: it is absent while that
//!   call moves it to another record. Endpoint, capacity and expiry of a
//!   [`RelayInfo`] come from one registration. [`Registry::relays`] and
//!   [`Registry::relay_count`] are weakly consistent.
//! - **Memory is bounded** by [`max_relays`](RegistryBuilder::max_relays), whatever
//!   the churn, a stalled reader or a stopped maintenance thread, plus one record for
//!   each absent relay that has a lease or a setting of the operator. Views of peers are
//!   bounded by [`max_peers`](RegistryBuilder::max_peers).
//! - **No panics** on any input. Round trips and loads are checked before they count.
//!
//! # Concurrency
//!
//! Finding, reserving, releasing, looking up, renewing, measuring and reporting are
//! lock-free. They allocate nothing and make no system call of their own, with these
//! exceptions, all of which are bounded:
//!
//! - A thread's first call sets up its handles.
//! - Every 128th call helps the epoch collector, which frees and sometimes allocates a
//!   small node.
//! - A renewal reads the [`Clock`], as does every call with [`Maintenance::Manual`]. The
//!   default clock makes no system call on common platforms.
//! - A renewal that changes what its relay announced may allocate.
//! - In each part of the [search trees](guide::choosing#search-trees), the first failure or ban
//!   allocates memory, and so does the first relay of each [tier](RegisterOptions::tier)
//!   above 0. (What calls for [several units](FindOptions::units) and for
//!   [labels](FindOptions::require) need, maintenance allocates.)
//!
//! Memory is reclaimed by maintenance, and by registrations, at most 64 records and
//! announcements each.
//!
//! New registrations and departures are lock-free, with four exceptions:
//!
//! - A registration waits for a few steps of another thread that is removing, forgetting or
//!   bringing back the same relay. So does a call of `set_draining`, `set_tier`,
//!   `set_cost`, `ban`, `unban`, `lift`, `forget_rtt` or `reset_circuit`.
//! - A registration that sets [labels](RegisterOptions::labels) takes a lock that only such
//!   registrations take, unless it renews a relay, changes nothing and gives no latency.
//!   The thread that has the lock may visit all records, up to 8 times.
//! - With [`one_id_per_endpoint`](RegistryBuilder::one_id_per_endpoint), each registration
//!   takes a lock, unless it renews a relay, changes nothing and gives no latency.
//! - While there is a [subscription](Registry::events), a call that changes the membership or the
//!   standing of a relay takes the lock of the events, for as long as it takes to copy a
//!   [`RelayInfo`]. A report that opens or closes a circuit is such a change, such as
//!   [`Lease::failed`], or the third [`Lease::succeeded`].
//!
//! Finds, leases, plain renewals, loads and round trips take no lock in any case. At its end, a call
//! that changes membership or standing wakes what waits for an event or for a relay. Only if anything
//! waits, it takes a lock for that.
//!
//! A find writes no shared memory, with five exceptions: it hands out a relay on
//! trial; it meets a relay whose summary is out of date (its deadline, back-off or
//! round trip is over, or a change is under way) and updates that; it asks for a
//! [filter](FindOptions::require) or a number of [units](FindOptions::units) that
//! maintenance does not know yet; with [`Maintenance::Manual`], it is the first call to
//! see a new tick; or more than 128 threads of the process use registries, so that those
//! beyond count their calls in one place. A lease, a report or
//! a measurement that changes a relay's rank writes to a tree of summaries that all finds
//! read. Locks guard maintenance, for which no other operation waits (see
//! [`Maintenance`]), and coordinates and changes of peers' views, for which
//! [`Registry::stats`], [`Registry::update_peer`] and the coordinate calls wait. A find reads the
//! view of a peer without a lock.
//!
//! # Limits
//!
//! - At most [`MAX_RELAYS`] relays of at most [`MAX_CAPACITY`] units, round trips of
//!   at most [`MAX_RTT`], ids of at most [`NodeId::MAX_LEN`] bytes, views of at most
//!   [`MAX_PEERS`] peers.
//! - If targets publish nothing, the leg to each counts as
//!   [`assumed_rtt`](RegistryBuilder::assumed_rtt). Half of the paths are then within
//!   1.2 times the best; a tenth are beyond 2.
//! - Estimated legs are off by some 7 % at the median, and by a third at the 90th
//!   percentile. The more relays, the more that counts: with 240 relays instead of 49,
//!   paths are 1.11 and 1.38 times the best instead of 1.07 and 1.27.
//! - Relays whose scores are within 1/32 of each other count as equal (1/512 where at
//!   most 64 relays are [merged](guide::choosing#search-trees)).
//! - A learned position counts after the next maintenance pass.
//! - If many relays tie for a pair of peers, a find accepts one within 5 % of the best
//!   after it has opened eight nodes with relays.
//! - While more than 16 other threads are making relays eligible at one moment, a find
//!   that returns "none" checks all relays.
//! - Coordinates are in a frame of the registry's own, shared with peers that locate
//!   themselves by [its relays](Registry::relay_coordinate). They are robust while
//!   fewer than half of what the registry [learns](Registry::update_peer) are lies:
//!   call `update_peer` equally often for each peer.
//! - What is reported through a lease while its relay is gone is lost.
//! - Up to `max_relays` gone relays are remembered, at least 1,024, and [a few
//!   more](RegistryBuilder::return_grace) for a while; the longest gone are forgotten first, to
//!   within a maintenance pass. The failures of up to 65,536 forgotten relays are remembered. A
//!   relay with leases is remembered until its last lease ends.
//! - A relay has up to 8 labels of 32 bytes, 8 further endpoints and 512 bytes of payload.
//!   Local relays have up to 64 different labels together.
//! - The first 16 different [filters](FindOptions::require) by label and family have search
//!   trees, for as long as the registry lives, and these only after a maintenance pass: do not
//!   build filters from what peers send. Until then, and for any other filter or excluded [failure
//!   domain](FindOptions::exclude_domains), each relay that does not pass and would have been
//!   chosen costs one more look at a relay.
//! - Each tier and each filter takes [memory](guide::choosing#search-trees) for trees of its own.
//! - Settings of the operator (draining, bans, tiers, costs) are kept for up to 65,536 ids
//!   that were never registered, and for all that were, in a record of some 150 bytes each,
//!   until they are lifted or the ban ends. An embedder that bans automatically must lift
//!   automatically.
//! - State is persisted only if the embedder asks for it, and most of it: [`Registry::save`] says
//!   what is, and what is not.
//! - Expiry is checked in [ticks](RegistryBuilder::tick). With
//!   [`Maintenance::Thread`], a relay is handed out for up to a tick after its
//!   deadline, and for as long as that thread does not run.
//! - A thread that stalls *inside* a call, or gets no processor there, holds up the reuse of
//!   memory. If the relays that are live, those that are gone and remembered, and the records
//!   that wait for that thread are `2 n + max(n, 1024) + 1024` together, where `n` is
//!   [`max_relays`](RegistryBuilder::max_relays), new relays and operator settings of ids
//!   without a record are refused as [`Backlogged`](RegisterError::Backlogged) until it
//!   continues. Look-ups and plain renewals are not affected.
//! - Ticks are counted up to 2^37: 4 years of the shortest tick, a millisecond, and 400
//!   of the default tick. After that no registration is accepted.
//! - Up to 64 [sources](Registry::sync_source) have relays. Their ids are remembered in about 80
//!   bytes each, beside the bound on memory.
//! - A lease keeps memory of its registry after the last handle was dropped: 200 bytes for
//!   each record that was ever in use at once, and the last search tree.
//! - Choices among equals, and the lengths of back-offs, are drawn from `fastrand`'s
//!   generator of the calling thread. A thread keeps a draw for up to 64 calls. So to
//!   repeat a simulation, run it in a new thread and seed the generator there.
//! - Local registrations are not authenticated: the embedder decides who may register.
//!   Learned records are signed; `dht::threats` says what that defends against.
//! - Nothing opens a socket, except the engines `dht::Mainline` and `dht::Redis`. Nothing
//!   resolves a name, except these and [`Endpoint`]'s `ToSocketAddrs`, which is for peers that
//!   dial.
//!
//! # Features
//!
//! Off unless said otherwise.
//!
//! - `dht`, on by default: the module [`dht`] and what the registry has for it. Without
//!   it and `persistence` there is no cryptography and no codec among the dependencies.
//! - `persistence`, on by default: [`Registry::save`], [`RegistryBuilder::restore`] and what
//!   belongs to them. It needs a codec and a hash, which `dht` needs, too.
//! - `mainline`: `dht::Mainline`, an engine over BitTorrent's DHT. Implies `dht`.
//! - `redis`: `dht::Redis`, an engine over a Redis server. Implies `dht`.
//! - `redis-tls`: TLS to the Redis server, by the operating system's library, OpenSSL on Linux.
//!   Implies `redis`.
//! - `conformance`, for tests of engines and of what uses them: `dht::conformance`, the
//!   suite that every engine passes; faults of `dht::Memory`; and `dht::RawMemory`, a raw
//!   Kademlia store. Implies `dht`.
//! - `stream`: [`Events`] is a `futures_core::Stream`.
//! - `metrics`: the figures of [`Stats`] go to the recorder of the crate `metrics`, described
//!   and named by the conventions of Prometheus; see `RegistryBuilder::metrics_interval`.
//!   [`Stats::visit`] has them for any other system, without this feature.
//! - `serde`: types can be written and read in any format that the crate `serde` has; see
//!   [serialised form](guide::serialised_form).
//! - `tracing`: spans and events for the subscribers of the crate `tracing`; see
//!   [operating](guide::operating).

#![cfg_attr(docsrs, feature(doc_cfg))]
// Where the links lead. The empty line ends the list above.
#![doc = ""]
#![cfg_attr(feature = "dht", doc = "[probe]: dht::Probe")]
#![cfg_attr(not(feature = "dht"), doc = "[`dht`]: #features")]
#![cfg_attr(not(feature = "dht"), doc = "[probe]: #features")]
#![cfg_attr(not(feature = "persistence"), doc = "[`Registry::save`]: #features")]
#![cfg_attr(
    not(feature = "persistence"),
    doc = "[`RegistryBuilder::restore`]: #features",
    doc = "[`RegistryBuilder::restore_from`]: #features",
    doc = "[`RegistryBuilder::save_to`]: #features"
)]
#![deny(missing_docs, unsafe_op_in_unsafe_fn)]
#![warn(missing_debug_implementations, unreachable_pub)]

#[cfg(feature = "dht")]
pub mod dht;

#[doc = include_str!("evidence.md")]
pub mod evidence {}

pub mod guide;

#[cfg(any(feature = "dht", feature = "persistence"))]
mod cbor;
mod coordinates;
mod errors;
mod events;
mod footprint;
mod limits;
mod panics;
mod registry;
mod relay;
mod rtt;
mod select;
#[cfg(feature = "serde")]
mod serde_impls;
mod simd;
mod sync;
mod table;
mod time;
mod trace;
mod wheel;

#[cfg(feature = "persistence")]
pub use cbor::CborError;
pub use coordinates::{Coordinate, CoordinateError, Landmark, ObserveError, Vivaldi};
#[cfg(feature = "persistence")]
pub use errors::RestoreError;
pub use errors::{
    BanError, FindError, LabelScope, LeaseError, OperatorError, PeerViewError, RegisterError,
    Rejections, RenewError, SyncError,
};
pub use events::{Event, Events, RecvError};
pub use limits::{MAX_CAPACITY, MAX_PEERS, MAX_RELAYS, MAX_RTT};
#[cfg(feature = "persistence")]
pub use registry::RestoreReport;
pub use registry::{
    BuildError, Lease, Maintenance, MaintenanceReport, MemoryStats, Metric, MetricKind, MetricUnit,
    Refusals, Registration, Registry, RegistryBuilder, RelayStates, SourceRelay, Stats, SyncReport,
};
pub use relay::{
    AddressPolicy, AddressPolicyError, CircuitState, Endpoint, EndpointError, Host, IpFamily,
    NatType, NatTypeError, NodeId, NodeIdError, RegisterOptions, RelayInfo,
};
pub use select::{
    Explained, Explanation, FindOptions, LegSource, PeerView, PeerViewDecodeError, Verdict,
};
pub use table::record::Failure;
pub use time::{Clock, ManualClock};

// Its examples are compiled and run with the tests. One of them saves.
#[cfg(all(doctest, feature = "persistence"))]
#[doc = include_str!("../README.md")]
struct Readme;
