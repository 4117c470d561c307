//! Waiting for a relay: by a thread, or by a task.

use crate::errors::FindError;
use crate::events::waker_of_this_thread;
use crate::registry::Registry;
use crate::registry::find::Refusal;
use crate::registry::inner::Inner;
use crate::registry::lease::Lease;
use crate::relay::{NodeId, RelayInfo};
use crate::select::FindOptions;
use crate::sync::park_timeout;
use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

/// How long a thread that waits for a relay sleeps at most.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

impl Registry {
    /// As [`find_relay_with`](Self::find_relay_with), but waits until there is a relay. It needs
    /// no runtime, and no timer: to limit the wait, use the time-out of the runtime. If the
    /// future is dropped, nothing is left behind.
    ///
    /// It takes no unit of capacity: [`reserve_async`](Self::reserve_async) does.
    ///
    /// It searches again as soon as a relay is registered or learned, or changes what it
    /// announces; when draining, bans, tiers, costs or circuits change; and with each
    /// maintenance pass, for all else: units that are released, loads and round trips, back-offs
    /// that end. So it may be one [tick](crate::RegistryBuilder::tick) late; with
    /// [`Maintenance::Manual`](crate::Maintenance::Manual), until
    /// [`maintain`](Self::maintain) is called. Each such search costs what a find costs.
    ///
    /// ```
    /// # use relay_registry::{FindOptions, NodeId, Registry};
    /// # use std::net::SocketAddr;
    /// let registry = Registry::new();
    /// let relay = NodeId::from([1; 32]);
    /// let late = registry.clone();
    /// std::thread::spawn(move || late.register(relay, SocketAddr::from(([192, 0, 2, 1], 4433))));
    ///
    /// let (target, options) = (NodeId::from([9; 32]), FindOptions::new());
    /// let found = pollster::block_on(registry.find_relay_async(&target, &options))?;
    /// assert_eq!(found.node_id(), relay);
    /// # Ok::<(), relay_registry::FindError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// That of the last search, once the registry is [closed](Self::close).
    pub async fn find_relay_async(
        &self,
        target: &NodeId,
        options: &FindOptions,
    ) -> Result<RelayInfo, FindError> {
        let inner = self.inner();
        inner.relays.counters.count_find();
        let look = || inner.look_for_relay(target, options, Refusal::IsNoOutcome);
        inner.wait_until_found(look).await
    }

    /// As [`reserve`](Self::reserve), but waits until there is a relay with the units asked for.
    /// It is the same search as that of [`find_relay_async`](Self::find_relay_async), as often and
    /// at the same price, but it takes the units in the step that finds the relay: no other caller
    /// can be first. If the future is dropped, no unit was taken.
    ///
    /// A unit that is released is found by the next maintenance pass. Calls that wait have no order
    /// among themselves.
    ///
    /// ```
    /// # use relay_registry::{FindOptions, NodeId, RegisterOptions, Registry};
    /// # use std::net::SocketAddr;
    /// # use std::thread;
    /// let registry = Registry::new();
    /// let relay = SocketAddr::from(([192, 0, 2, 1], 4433));
    /// registry.register_with(NodeId::from([1; 32]), relay, &RegisterOptions::new().capacity(1))?;
    ///
    /// // The only unit is taken, for a while.
    /// let (target, options) = (NodeId::from([9; 32]), FindOptions::new());
    /// let first = registry.reserve(&target, &options)?;
    /// thread::spawn(move || drop(first));
    /// let second = pollster::block_on(registry.reserve_async(&target, &options))?;
    /// assert_eq!(second.relay().current_load(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// That of the last search, once the registry is [closed](Self::close).
    pub async fn reserve_async(
        &self,
        target: &NodeId,
        options: &FindOptions,
    ) -> Result<Lease, FindError> {
        let inner = self.inner();
        inner.relays.counters.count_reservation();
        let look = || inner.look_for_lease(target, options, Refusal::IsNoOutcome);
        inner.wait_until_found(look).await
    }
}

impl Inner {
    /// Searches until there is an answer, or the time is over. Counts as one find.
    pub(super) fn find_relay_wait(
        &self,
        target: &NodeId,
        options: &FindOptions,
        longest: Duration,
    ) -> Result<RelayInfo, FindError> {
        self.relays.counters.count_find();
        let found = self.wait_for_relay(target, options, longest);
        self.counted(found)
    }

    /// Looks, and looks again whenever something changed, until there is an answer or the registry
    /// is closed.
    async fn wait_until_found<T>(
        &self,
        look: impl Fn() -> Result<T, FindError>,
    ) -> Result<T, FindError> {
        if let Ok(first) = look() {
            return Ok(first);
        }
        let events = self.relays.events();
        let mut waiting = events.wait_for_relay();
        poll_fn(|context| {
            events.register_finder(&mut waiting, context.waker());
            let is_closed = events.is_closed();
            match look() {
                Err(_) if !is_closed => Poll::Pending,
                found => Poll::Ready(self.counted(found)),
            }
        })
        .await
    }

    /// Counts a refusal with which a call that waited ends.
    fn counted<T>(&self, found: Result<T, FindError>) -> Result<T, FindError> {
        if let Err(FindError::NoRelaysAvailable { rejections }) = &found {
            self.relays.counters.count_refusal(rejections);
        }
        found
    }

    fn wait_for_relay(
        &self,
        target: &NodeId,
        options: &FindOptions,
        longest: Duration,
    ) -> Result<RelayInfo, FindError> {
        let look = || self.look_for_relay(target, options, Refusal::IsNoOutcome);
        let first = look();
        if first.is_ok() || longest.is_zero() {
            return first;
        }
        let events = self.relays.events();
        let (mut waiting, waker) = (events.wait_for_relay(), waker_of_this_thread());
        let begun = Instant::now();
        loop {
            events.register_finder(&mut waiting, &waker);
            let found = look();
            let left = longest.saturating_sub(begun.elapsed());
            if found.is_ok() || left.is_zero() {
                return found;
            }
            park_timeout(left.min(POLL_INTERVAL));
        }
    }
}
