//! [`RawMemory`]: a raw Kademlia store within the process.

use std::collections::HashMap;
use std::ops::{ControlFlow, Range};
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::{RawKad, ValueSink};
use crate::dht::engine::{Answer, DhtError, Put};
use crate::sync::Arc;
use crate::sync::unmodelled::Mutex;

/// The number of nodes that store a value: `k` in the Kademlia paper.
const REPLICAS: usize = 20;

/// The maximum number of values of a node.
const MAX_VALUES: usize = 65_536;

/// A raw Kademlia store within the process, for tests and demonstrations.
///
/// A value is stored on the 20 nodes whose ids are closest to its key by XOR, as in
/// Maymounkov and Mazières, *Kademlia* (2002). Each node keeps the last write.
/// Clones are handles to the same nodes.
///
/// ```
/// use relay_registry::dht::{RawKad, RawMemory};
/// use std::ops::ControlFlow;
/// use std::time::{Duration, Instant};
///
/// let raw = RawMemory::new(50);
/// let deadline = Instant::now() + Duration::from_secs(1);
/// assert_eq!(raw.store([7; 32], b"anything", deadline)?.stored(), 20);
///
/// let mut found = Vec::new();
/// raw.find_value([7; 32], deadline, &mut |value| {
///     found.push(value.to_vec());
///     ControlFlow::Break(())
/// })?;
/// assert_eq!(found, [b"anything"]);
/// # Ok::<(), relay_registry::dht::DhtError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RawMemory(Arc<[Node]>);

type Values = HashMap<[u8; 32], Box<[u8]>>;

#[derive(Debug)]
struct Node {
    id: [u8; 32],
    /// `None` while the node is stopped.
    values: Mutex<Option<Values>>,
}

impl RawMemory {
    /// A store of `nodes` nodes, clamped to 1 to 1,000.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        Self(
            (0..nodes.clamp(1, 1_000))
                .map(|index| Node {
                    id: Sha256::digest(index.to_be_bytes()).into(),
                    values: Mutex::new(Some(HashMap::new())),
                })
                .collect(),
        )
    }

    /// The number of nodes, stopped ones included.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.0.len()
    }

    /// Stops the nodes with these indices. Their values are lost.
    pub fn stop(&self, nodes: Range<usize>) {
        for node in self.0.iter().take(nodes.end).skip(nodes.start) {
            *node.values.lock() = None;
        }
    }

    /// Starts the stopped nodes among those with these indices. They are empty.
    pub fn start(&self, nodes: Range<usize>) {
        for node in self.0.iter().take(nodes.end).skip(nodes.start) {
            node.values.lock().get_or_insert_with(HashMap::new);
        }
    }

    /// The nodes closest to `key`, nearest first.
    fn closest(&self, key: [u8; 32]) -> Vec<&Node> {
        let mut nodes: Vec<&Node> = self.0.iter().collect();
        nodes.sort_by_key(|node| distance(node.id, key));
        nodes.truncate(REPLICAS);
        nodes
    }
}

impl Node {
    /// Stores `value`; returns whether the node did.
    fn store(&self, key: [u8; 32], value: &[u8]) -> bool {
        let mut values = self.values.lock();
        let Some(values) = &mut *values else {
            return false;
        };
        let has_room = values.len() < MAX_VALUES || values.contains_key(&key);
        if has_room {
            values.insert(key, value.into());
        }
        has_room
    }

    /// The value under `key`, if there is one; `None` if the node does not answer.
    fn find(&self, key: [u8; 32]) -> Option<Option<Box<[u8]>>> {
        self.values
            .lock()
            .as_ref()
            .map(|values| values.get(&key).cloned())
    }
}

impl RawKad for RawMemory {
    fn max_value(&self) -> usize {
        1 << 16
    }

    fn store(&self, key: [u8; 32], value: &[u8], deadline: Instant) -> Result<Put, DhtError> {
        let (size, max) = (value.len(), self.max_value());
        if size > max {
            return Err(DhtError::TooLarge { size, max });
        }
        check_deadline(deadline)?;
        let closest = self.closest(key);
        let stored = closest.iter().filter(|node| node.store(key, value)).count();
        match stored {
            0 => Err(DhtError::Unreachable),
            _ => Ok(Put::new(closest.len() as u32, stored as u32)),
        }
    }

    fn find_value(
        &self,
        key: [u8; 32],
        deadline: Instant,
        sink: &mut ValueSink<'_>,
    ) -> Result<Answer, DhtError> {
        check_deadline(deadline)?;
        let (mut asked, mut answered) = (0, 0);
        for node in self.closest(key) {
            asked += 1;
            let Some(value) = node.find(key) else {
                continue;
            };
            answered += 1;
            let flow = value.map_or(ControlFlow::Continue(()), |value| sink(&value));
            if flow.is_break() {
                return Ok(Answer::partial(asked, answered));
            }
        }
        Ok(if answered > asked / 2 {
            Answer::complete(asked, answered)
        } else {
            Answer::partial(asked, answered)
        })
    }
}

fn check_deadline(deadline: Instant) -> Result<(), DhtError> {
    if deadline <= Instant::now() {
        return Err(DhtError::Timeout);
    }
    Ok(())
}

fn distance(a: [u8; 32], b: [u8; 32]) -> [u8; 32] {
    std::array::from_fn(|at| a[at] ^ b[at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn found(raw: &RawMemory, key: [u8; 32]) -> (usize, Result<Answer, DhtError>) {
        let mut found = 0;
        let answer = raw.find_value(key, soon(), &mut |_| {
            found += 1;
            ControlFlow::Continue(())
        });
        (found, answer)
    }

    #[test]
    fn a_stopped_node_loses_its_values_and_the_others_answer() {
        let raw = RawMemory::new(20);
        assert_eq!(raw.store([1; 32], b"value", soon()), Ok(Put::new(20, 20)));
        raw.stop(0..9);
        assert_eq!(found(&raw, [1; 32]), (11, Ok(Answer::complete(20, 11))));
        raw.start(0..9);
        assert_eq!(found(&raw, [1; 32]), (11, Ok(Answer::complete(20, 20))));
        raw.stop(0..20);
        assert_eq!(found(&raw, [1; 32]), (0, Ok(Answer::unreachable(20))));
        assert_eq!(
            raw.store([1; 32], b"value", soon()),
            Err(DhtError::Unreachable)
        );
    }

    #[test]
    fn a_value_is_stored_on_the_nodes_closest_to_its_key() {
        let raw = RawMemory::new(100);
        assert_eq!(raw.store([1; 32], b"value", soon()), Ok(Put::new(20, 20)));
        let holders = raw.0.iter().filter(|node| node.find([1; 32]) != Some(None));
        let farthest = holders.map(|node| distance(node.id, [1; 32])).max();
        let closer = |node: &&Node| Some(distance(node.id, [1; 32])) <= farthest;
        assert_eq!(raw.0.iter().filter(closer).count(), 20);
    }
}
