//! [`Events`]: a subscription to what changes.

use crate::events::event::Event;
use crate::events::log::{EventLog, Read};
use crate::events::wakers::{Registered, Waiting, waker_of_this_thread};
use crate::sync::{Arc, AtomicU64, park_timeout};
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The changes of a registry's relays since [`Registry::events`](crate::Registry::events) was
/// called, in order.
///
/// Events can be read by polling ([`try_recv`](Self::try_recv)), by a thread that waits
/// ([`recv`](Self::recv)) and by a task of any runtime ([`next`](Self::next)). Several threads
/// may read from one subscription; each event is then given to one of them.
///
/// A registry keeps its latest [`event_capacity`](crate::RegistryBuilder::event_capacity) events
/// for all subscribers together. A subscriber that falls further behind gets
/// [`Event::Missed`], and reads on with the oldest event that is kept. It never delays the
/// registry.
///
/// It may outlive the registry. Events that were published before [`close`](crate::Registry::close),
/// or before the last handle was dropped, can still be read; then it is
/// [closed](RecvError::Closed).
///
/// # A copy that follows the registry
///
/// First subscribe, then call [`relays`](crate::Registry::relays), then apply each event: insert
/// its [relay](Event::relay), and remove a relay that left or expired. After
/// [`Missed`](Event::Missed), call `relays` again, and read on. When all events are applied, the
/// copy has the relays that `relays` returns, but for what changes without an event: load, round
/// trip and position, the deadline, and what time alone changes (a deadline, ban or back-off
/// ends).
///
/// A thread calls [`recv`](Self::recv) for each event, and a task [`next`](Self::next). Either keeps
/// a handle to call `relays`, so the drop of the other handles does not end it:
/// [`close`](crate::Registry::close) does.
///
/// ```
/// use relay_registry::{Event, NodeId, Registry};
/// use std::collections::HashMap;
/// # use std::net::SocketAddr;
///
/// let registry = Registry::new();
/// # let endpoint = SocketAddr::from(([192, 0, 2, 1], 4433));
/// let events = registry.events();
/// let all = || registry.relays().into_iter().map(|relay| (relay.node_id(), relay));
/// let mut copy: HashMap<NodeId, _> = all().collect();
///
/// let [first, second] = [1, 2].map(|n| NodeId::from([n; 32]));
/// registry.register(first, endpoint)?;
/// registry.register(second, endpoint)?;
/// registry.unregister(&first);
///
/// while let Ok(event) = events.try_recv() {
///     match &event {
///         Event::Missed(_) => copy = all().collect(),
///         Event::Left { id, .. } | Event::Expired { id, .. } => _ = copy.remove(id),
///         _ => copy.extend(event.relay().map(|relay| (relay.node_id(), relay.clone()))),
///     }
/// }
/// assert!(copy.keys().eq([&second]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Events {
    log: Arc<EventLog>,
    /// The number of the first event that was not read.
    next: AtomicU64,
    /// The waker of a task that polls it as a stream.
    polled: Option<Registered>,
}

impl UnwindSafe for Events {}
impl RefUnwindSafe for Events {}

/// Why no event was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecvError {
    /// There was none yet.
    Empty,
    /// There will be none: the registry was closed, or its last handle dropped.
    Closed,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "no event yet",
            Self::Closed => "the registry was closed",
        })
    }
}

impl Error for RecvError {}

impl Events {
    pub(crate) fn new(log: Arc<EventLog>) -> Self {
        let next = AtomicU64::new(log.subscribe());
        Self {
            log,
            next,
            polled: None,
        }
    }

    /// The next event, if there is one. It takes the lock of the events for as long as it takes
    /// to copy one.
    ///
    /// # Errors
    ///
    /// [`Empty`](RecvError::Empty) or [`Closed`](RecvError::Closed).
    pub fn try_recv(&self) -> Result<Event, RecvError> {
        match self.log.read(&self.next) {
            Read::Event(event) => Ok(event),
            Read::Empty => Err(RecvError::Empty),
            Read::Closed => Err(RecvError::Closed),
        }
    }

    /// Waits for the next event, for `timeout` at most; [`Duration::MAX`] waits for as long as
    /// it takes.
    ///
    /// ```
    /// # use relay_registry::{Event, NodeId, RecvError, Registry};
    /// # use std::net::SocketAddr;
    /// # use std::time::Duration;
    /// let registry = Registry::new();
    /// let events = registry.events();
    /// let reader = std::thread::spawn(move || {
    ///     let joined = events.recv(Duration::from_secs(60));
    ///     assert!(matches!(joined, Ok(Event::Joined { .. })));
    ///     assert_eq!(events.recv(Duration::MAX), Err(RecvError::Closed));
    /// });
    /// registry.register(NodeId::from([1; 32]), SocketAddr::from(([192, 0, 2, 1], 4433)))?;
    /// registry.close();
    /// reader.join().unwrap();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Empty`](RecvError::Empty) after `timeout`, or [`Closed`](RecvError::Closed).
    pub fn recv(&self, timeout: Duration) -> Result<Event, RecvError> {
        let first = self.try_recv();
        if first != Err(RecvError::Empty) || timeout.is_zero() {
            return first;
        }
        let until = Instant::now().checked_add(timeout);
        let waker = waker_of_this_thread();
        let mut waiting = Waiting::new(self.log.wakers());
        loop {
            waiting.register(&waker);
            let received = self.try_recv();
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if received != Err(RecvError::Empty) || left == Some(Duration::ZERO) {
                return received;
            }
            park_timeout(left.unwrap_or(Duration::MAX));
        }
    }

    /// Waits for the next event, in a task of any runtime; `None` once it is closed. No event is
    /// lost if the future is dropped before it is ready.
    ///
    /// ```
    /// # use relay_registry::{Event, NodeId, Registry};
    /// # use std::net::SocketAddr;
    /// # pollster::block_on(async {
    /// let registry = Registry::new();
    /// let events = registry.events();
    /// registry.register(NodeId::from([1; 32]), SocketAddr::from(([192, 0, 2, 1], 4433)))?;
    /// registry.close();
    /// while let Some(event) = events.next().await {
    ///     assert!(matches!(event, Event::Joined { .. }));
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn next(&self) -> Option<Event> {
        let mut waiting = Waiting::new(self.log.wakers());
        poll_fn(|context| match self.poll_once() {
            Poll::Pending => {
                waiting.register(context.waker());
                self.poll_once()
            }
            ready => ready,
        })
        .await
    }

    /// Polls for the next event, as a stream does; `Ready(None)` once it is closed. The latest
    /// waker is woken.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        match self.poll_once() {
            Poll::Pending => {}
            ready => return ready,
        }
        self.polled = Some(self.log.wakers().register(context.waker(), self.polled));
        self.poll_once()
    }

    fn poll_once(&self) -> Poll<Option<Event>> {
        match self.try_recv() {
            Ok(event) => Poll::Ready(Some(event)),
            Err(RecvError::Closed) => Poll::Ready(None),
            Err(RecvError::Empty) => Poll::Pending,
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Some(polled) = self.polled.take() {
            self.log.wakers().unregister(polled);
        }
        self.log.unsubscribe();
    }
}

#[cfg(feature = "stream")]
impl futures_core::Stream for Events {
    type Item = Event;

    fn poll_next(self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        Events::poll_next(self.get_mut(), context)
    }
}
