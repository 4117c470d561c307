//! The DHT of this run.

mod counted;
mod forward;
mod infiltrated;
mod kad;
#[cfg(feature = "mainline")]
mod mainline;
mod memory;
#[cfg(all(feature = "redis", unix))]
mod redis;

use std::sync::Arc;

use relay_registry::NodeId;
use relay_registry::dht::RelayDht;

use crate::args::{Args, Engine};
use crate::attack::AttackRecords;
use crate::error::Failure;
use crate::intervals::Intervals;

pub use counted::Counted;

/// A DHT in which the attacker runs a few of the nodes, or answers before them.
pub trait Net: Sync {
    /// An engine for a node that knows the bootstrap address only.
    fn join(&self) -> Result<Arc<dyn RelayDht>, Failure>;

    /// How many engines all relays share. Each has a thread, and writes while the others do.
    fn writers(&self) -> usize {
        8
    }

    /// Starts the attacker's nodes.
    fn infiltrate(&mut self) -> Result<(), Failure>;

    /// Writes bytes in place of the record of `node`, without the engine. Returns whether they were
    /// stored; `None` if this DHT has no such way.
    fn store_raw(&self, node: &NodeId, bytes: &[u8]) -> Option<bool>;

    /// Stops half of the honest nodes, with what they stored. Returns how many. A single server is
    /// killed, and starts again with nothing in it.
    fn kill_half(&mut self) -> Result<usize, Failure>;
}

/// Starts the DHT that the arguments select. The attacker's nodes answer with the attack records.
pub fn start(
    args: &Args,
    intervals: Intervals,
    attack_records: Arc<AttackRecords>,
) -> Result<Box<dyn Net>, Failure> {
    Ok(match args.engine {
        Engine::Memory => Box::new(memory::MemoryNet::start(
            args.nodes,
            intervals,
            args.seed,
            attack_records,
        )),
        Engine::Kad => Box::new(kad::KadNet::start(
            args.nodes,
            intervals.network,
            attack_records,
        )),
        #[cfg(feature = "mainline")]
        Engine::Mainline => Box::new(mainline::MainlineNet::start(
            args.nodes,
            intervals,
            attack_records,
        )?),
        #[cfg(all(feature = "redis", unix))]
        Engine::Redis => Box::new(redis::RedisNet::start(intervals, attack_records)?),
        #[allow(unreachable_patterns, reason = "with all features there is no other")]
        engine => return Err(Failure::Usage(engine.is_missing())),
    })
}
