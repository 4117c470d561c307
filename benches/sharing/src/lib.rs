//! What threads share while they use a registry, or a concurrent map, for different relays.
//!
//! The program `count` counts the cache lines that move between cores; the program `time` measures how
//! long calls take. Both run the same [operations]. `ci/sharing.sh` builds and runs them.

pub mod caches;
#[path = "../../instances/mod.rs"]
pub mod instances;
pub mod operations;
#[cfg(feature = "recorder")]
pub mod recorder;
