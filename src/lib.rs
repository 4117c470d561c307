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
//! drop(lease); // and give it back
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it guarantees
//!
//! - **A relay that is handed out is live, has room and is allowed**: not
//!   expired, below its capacity, not draining, not the target, not this node,
//!   not excluded, within the latency asked for. It is handed out to every call
//!   that starts after its registration returned, and to none that starts after
//!   its departure or deadline.
//! - **Capacity is never exceeded** by [leases](Lease), under any interleaving.
//!   Dropping a lease gives its unit back once, wherever and whenever.
//! - **The bound on relays is strict**, renewals always succeed at it, and
//!   nobody is refused for a relay that is gone or one that never came.
//! - **"None" means none.** Sampling is for speed; a complete walk backs it, and
//!   [`FindError`] counts why each relay was passed over.
//! - **Membership is linearizable** for each id. A [`RelayInfo`]'s endpoint,
//!   capacity and expiry come from one registration. [`Registry::relays`] and
//!   [`Registry::relay_count`] are weakly consistent.
//! - **Memory is bounded** by the number of relays, whatever the churn, a
//!   stalled reader or a stopped maintenance thread.
//! - **No panics** on any input, and no unverified figure on the way: round
//!   trips and loads are judged before they count.
//!
//! # Concurrency
//!
//! Finding, reserving, releasing, looking up, renewing, measuring: all of it is
//! lock-free, allocates nothing and makes no system call of its own. Three things
//! beneath it may, and are bounded: a thread's first call sets up its handles;
//! every 128th call lends the epoch collector a hand with what departed, which
//! frees and sometimes allocates a small node; and to renew reads the monotonic
//! clock, which is no system call on common platforms. A find writes nothing that
//! threads share. New registrations
//! and departures are lock-free as well. Locks guard the housekeeping alone,
//! which no other operation waits for; see [`Maintenance`].
//!
//! # Performance
//!
//! Tables are sized once, so nothing is ever rehashed or copied to grow. A
//! look-up touches two cache lines. [`Registry::find_relay`] looks at about a
//! dozen relays, however many there are. The repository's `benches/` measure
//! these beside other maps, and its README says where they lose.
//!
//! # Limits
//!
//! - At most [`MAX_RELAYS`] relays of at most [`MAX_CAPACITY`] units, round
//!   trips of at most [`MAX_RTT`], ids of at most [`NodeId::MAX_LEN`] bytes.
//! - The leg from a relay to the target is not known to the registry yet; each
//!   counts as [`assumed_rtt`](RegistryBuilder::assumed_rtt). Nor does it learn
//!   from failures by itself: exclude what failed, or let it drain.
//! - Expiry is judged in [ticks](RegistryBuilder::tick), which only
//!   housekeeping and registrations advance.
//! - A thread that stalls *inside* a call holds up the reuse of memory. When
//!   that adds up to twice the relays held, new ones are refused as
//!   [`Backlogged`](RegisterError::Backlogged) until it goes on; look-ups and
//!   plain renewals are not affected.
//! - A lease keeps the memory of its registry's records (128 bytes for each
//!   there ever was at once) after the last handle was dropped.
//! - Choices among equals are drawn from `fastrand`'s generator of the calling
//!   thread: seed it to repeat a simulation.
//!
//! Nothing here opens a socket, and nothing is authenticated: who may register
//! a relay is for the embedder to decide before it calls.

#![deny(missing_docs, unsafe_op_in_unsafe_fn)]
#![warn(unreachable_pub)]

pub mod dht;

mod errors;
mod limits;
mod record;
mod registry;
mod relay;
mod rtt;
mod select;
mod sync;
mod table;
mod time;
mod wheel;

pub use errors::{
    BanError, BuildError, CoordinateError, FindError, LeaseError, ObserveError, PassedOver,
    PeerViewError, RegisterError,
};
pub use limits::{MAX_CAPACITY, MAX_RELAYS, MAX_RTT};
pub use record::Failure;
pub use registry::{
    Lease, Maintained, Maintenance, Registration, Registry, RegistryBuilder, Stats,
};
pub use relay::{
    AddressPolicy, CircuitState, Endpoint, EndpointError, Host, NatType, NatTypeError, NodeId,
    NodeIdError, RegisterOptions, RelayInfo,
};
pub use rtt::{Coordinate, Landmark, Vivaldi};
pub use select::{Explained, Explanation, FindOptions, LegSource, PeerView, Verdict};
pub use time::{Clock, ManualClock};
