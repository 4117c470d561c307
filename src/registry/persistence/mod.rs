//! State that outlives the process: a registry is saved, and another one goes on from there.
//!
//! The rest of the registry uses two types of this module: [`SaveSetup`] has what the builder was
//! told, and [`Saver`] saves. Without the feature they are empty, so that no caller needs a `cfg`.
//!
//! | what | where |
//! |---|---|
//! | bytes: entries, checksum | `container`, `fields` |
//! | what is in an entry | `relay_entry`, `knowledge_entries`, and the DHT's own in `dht_bridge` |
//! | reading all of a registry | `save` |
//! | what becomes of times | `saved` |
//! | filling a registry | `restore`, `restore_knowledge` |
//! | files, intervals, the end | `file`, `saver` |

#[cfg(feature = "persistence")]
mod container;
#[cfg(feature = "persistence")]
pub(in crate::registry) mod fields;
#[cfg(feature = "persistence")]
mod file;
#[cfg(all(test, feature = "persistence", not(relay_loom)))]
mod kill_tests;
#[cfg(feature = "persistence")]
mod knowledge_entries;
#[cfg(feature = "persistence")]
mod methods;
#[cfg(feature = "persistence")]
mod relay_entry;
#[cfg(feature = "persistence")]
mod report;
#[cfg(feature = "persistence")]
mod restore;
#[cfg(feature = "persistence")]
mod restore_knowledge;
#[cfg(feature = "persistence")]
mod save;
#[cfg(feature = "persistence")]
mod saved;
#[cfg(feature = "persistence")]
mod saver;
#[cfg(feature = "persistence")]
mod setup;
#[cfg(not(feature = "persistence"))]
mod without;

#[cfg(feature = "persistence")]
pub use report::RestoreReport;
#[cfg(all(feature = "persistence", feature = "dht"))]
pub(in crate::registry) use saved::Saved;
#[cfg(not(feature = "persistence"))]
pub(in crate::registry) use without::{SaveSetup, Saver};
#[cfg(feature = "persistence")]
pub(in crate::registry) use {saver::Saver, setup::SaveSetup};
