//! The DHT of this run, and the ways into it.

mod infiltrated;
mod kad;
#[cfg(feature = "mainline")]
mod mainline;
mod memory;

use std::sync::Arc;

use relay_registry::NodeId;
use relay_registry::dht::RelayDht;

use crate::args::{Args, Engine};
use crate::attack::Arsenal;
use crate::error::Failure;
use crate::intervals::Intervals;

/// A DHT, of which the attacker runs a few nodes beside all the others.
pub trait Net: Sync {
    /// A way in for one who knows the bootstrap address and nothing else.
    fn join(&self) -> Result<Arc<dyn RelayDht>, Failure>;

    /// The attacker's nodes begin to answer.
    fn infiltrate(&mut self) -> Result<(), Failure>;

    /// Writes these bytes to where the record of `node` is, past the engine:
    /// whether that is possible, and if so, whether they were taken.
    fn store_raw(&self, node: &NodeId, bytes: &[u8]) -> Option<bool>;

    /// Half of the honest nodes die, and what they stored with them; how many
    /// that are.
    fn kill_half(&mut self) -> usize;
}

/// Starts the DHT that the arguments ask for. What is in the arsenal is what the
/// attacker's nodes answer.
pub fn start(
    args: &Args,
    intervals: Intervals,
    arsenal: Arc<Arsenal>,
) -> Result<Box<dyn Net>, Failure> {
    Ok(match args.engine {
        Engine::Memory => Box::new(memory::MemoryNet::start(
            args.nodes, intervals, args.seed, arsenal,
        )),
        Engine::Kad => Box::new(kad::KadNet::start(args.nodes, intervals.network, arsenal)),
        #[cfg(feature = "mainline")]
        Engine::Mainline => Box::new(mainline::MainlineNet::start(
            args.nodes, intervals, arsenal,
        )?),
        #[cfg(not(feature = "mainline"))]
        Engine::Mainline => {
            let what = "this program was built without the feature mainline".to_owned();
            return Err(Failure::Usage(what));
        }
    })
}
