//! What changes of the relays, told to subscribers; and what waits for a change.
//!
//! # The order of events
//!
//! A thread changes a relay first, and then *publishes* that: it takes the lock of the
//! [log](log::EventLog), reads under it what the relay is now, and appends an event that says
//! so. So an event may tell of more than the change that it is named after, but never of less.
//! Of one relay:
//!
//! - The last event tells of all changes. The thread that made the last one read the relay
//!   after that, and no later event can have been read earlier.
//! - A departure is published while the relay is departing: before it can come back, and by the
//!   one thread that has it depart. So a relay that is live is never gone by the last event.
//!
//! A thread that changes a relay looks for subscribers afterwards, and a subscriber reads
//! all relays after it has subscribed. Each executes a sequentially consistent fence between
//! the two steps. A thread that has a relay join or depart needs none: it changes the lifecycle by
//! a sequentially consistent compare-and-swap, and then looks
//! [in order](crate::sync::LoadInOrder). So of any change either the subscriber sees the result,
//! or the thread sees the subscriber.
//!
//! A plain renewal publishes nothing, with one exception: a thread that lists all relays after
//! the deadline may have left out the relay, which a renewal from before then postpones. Of the
//! two, either the listing sees the renewal, or the renewal sees that the deadline had passed, and
//! publishes the relay. See [`settled_at`](crate::table::ObservedRecord::settled_at).
//!
//! # What it costs
//!
//! Without subscribers: a fence and a load, or the load alone, for calls that change membership or
//! standing. Finds, leases, plain renewals, loads and round trips publish nothing. With subscribers such a call
//! also takes the lock of the log, for as long as it takes to copy a
//! [`RelayInfo`](crate::RelayInfo). A subscriber that reads slowly delays no other thread.
//!
//! # Wakers
//!
//! A waker is the embedder's code. A thread that publishes may be pinned; so it only marks
//! that there is something to wake for. The public operation that it is in holds a
//! [`WakeGuard`], which is dropped last, when the thread is not pinned any more.

mod event;
mod latch;
mod log;
#[cfg(all(test, relay_loom))]
mod models;
mod subscription;
mod wakers;

pub use event::Event;
pub use subscription::{Events, RecvError};

pub(crate) use latch::{Latch, Running};
pub(crate) use log::{EventLog, WakeGuard};
pub(crate) use wakers::waker_of_this_thread;
