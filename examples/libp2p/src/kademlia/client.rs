//! [`KademliaClient`]: the raw store that the registry's threads call.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use libp2p::kad::RecordKey;
use relay_registry::dht::{Answer, DhtError, Put, RawKad, ValueSink};
use thiserror::Error;

use super::{MAX_VALUE_LEN, Progress, Report, Request};

/// The maximum number of requests in flight.
const MAX_IN_FLIGHT: usize = 8;

/// The maximum number of values of one read that wait for the reader. There are some 20
/// storage nodes, and each sends one.
const MAX_WAITING: usize = 64;

/// Passes a request to the task of the swarm.
type SendRequest = dyn Fn(Request) -> Result<(), SendError> + Send + Sync;

/// Why a request was not passed to the task of the swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SendError {
    /// Too many requests wait there.
    #[error("too many requests wait")]
    Full,
    /// The task has ended.
    #[error("the node has ended")]
    Closed,
}

/// The raw store of [`Kad`](relay_registry::dht::Kad) over libp2p's Kademlia.
///
/// Its methods block the calling thread until the query ends, at most until the deadline. So
/// they must not be called on the task of the swarm. Clones are handles to the same node.
#[derive(Clone)]
pub struct KademliaClient {
    send: Arc<SendRequest>,
    refresh: Duration,
}

impl KademliaClient {
    /// A client that passes its requests to `send`, which does not block.
    ///
    /// `refresh` is how often records are written again, so that storage nodes that came later
    /// have them.
    pub fn new(
        send: impl Fn(Request) -> Result<(), SendError> + Send + Sync + 'static,
        refresh: Duration,
    ) -> Self {
        Self {
            send: Arc::new(send),
            refresh,
        }
    }

    /// Sends a request, and returns what reports its progress.
    fn request(
        &self,
        deadline: Instant,
        request: impl FnOnce(Report) -> Request,
    ) -> Result<Receiver<Progress>, DhtError> {
        if deadline <= Instant::now() {
            return Err(DhtError::Timeout);
        }
        let (sender, receiver) = sync_channel(MAX_WAITING);
        // A reader that has gone, or is that far behind, ends the query.
        let report: Report = Box::new(move |progress| match sender.try_send(progress) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        });
        match (self.send)(request(report)) {
            Ok(()) => Ok(receiver),
            Err(SendError::Closed) => Err(DhtError::Closed),
            Err(SendError::Full) => Err(DhtError::Busy {
                max_in_flight: MAX_IN_FLIGHT,
            }),
        }
    }
}

impl RawKad for KademliaClient {
    fn max_value(&self) -> usize {
        MAX_VALUE_LEN
    }

    fn max_in_flight(&self) -> usize {
        MAX_IN_FLIGHT
    }

    fn refresh(&self) -> Duration {
        self.refresh
    }

    fn store(&self, key: [u8; 32], value: &[u8], deadline: Instant) -> Result<Put, DhtError> {
        let (size, max) = (value.len(), MAX_VALUE_LEN);
        if size > max {
            return Err(DhtError::TooLarge { size, max });
        }
        let progress = self.request(deadline, |report| Request::Store {
            key: RecordKey::new(&key),
            value: value.to_vec(),
            deadline,
            report,
        })?;
        match receive(&progress, deadline) {
            Ok(Progress::Done { asked, answered }) if answered > 0 => Ok(Put::new(asked, answered)),
            Ok(_) => Err(DhtError::Unreachable),
            Err(RecvTimeoutError::Timeout) => Err(DhtError::Timeout),
            Err(RecvTimeoutError::Disconnected) => Err(DhtError::Closed),
        }
    }

    /// A node that answers without a value counts as well. The answer is complete if more than
    /// half of the nodes that were asked answered, as those nearest to the key are asked.
    fn find_value(
        &self,
        key: [u8; 32],
        deadline: Instant,
        sink: &mut ValueSink<'_>,
    ) -> Result<Answer, DhtError> {
        let progress = self.request(deadline, |report| Request::Find {
            key: RecordKey::new(&key),
            deadline,
            report,
        })?;
        let mut found = 0;
        loop {
            match receive(&progress, deadline) {
                Ok(Progress::Value(value)) => {
                    found += 1;
                    if sink(&value).is_break() {
                        return Ok(Answer::partial(found, found));
                    }
                }
                Ok(Progress::Done { asked, answered }) if answered > asked / 2 => {
                    return Ok(Answer::complete(asked, answered));
                }
                Ok(Progress::Done { asked, answered }) => {
                    return Ok(Answer::partial(asked, answered));
                }
                Err(RecvTimeoutError::Timeout) => return Ok(Answer::partial(found, found)),
                Err(RecvTimeoutError::Disconnected) => return Err(DhtError::Closed),
            }
        }
    }
}

fn receive(progress: &Receiver<Progress>, deadline: Instant) -> Result<Progress, RecvTimeoutError> {
    progress.recv_timeout(deadline.saturating_duration_since(Instant::now()))
}

impl fmt::Debug for KademliaClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KademliaClient")
            .field("refresh", &self.refresh)
            .finish_non_exhaustive()
    }
}
