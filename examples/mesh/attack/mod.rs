//! The attacker: has read what relays said, has keys and an address of its own,
//! runs some nodes of the DHT, and may write to the others as anyone may.

mod arsenal;
mod attacker;
mod forgery;

pub use arsenal::{Arsenal, Kind, Shot};
pub use attacker::Attacker;
