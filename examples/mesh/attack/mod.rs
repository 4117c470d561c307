//! The attacker. It has read the relays' records and has keys and an address of its own. It runs some
//! nodes of the DHT, and can write to the other nodes as any node can.

mod attacker;
mod forgery;
mod records;
mod scenario;

pub use attacker::Attacker;
#[cfg(test)]
pub use forgery::announced;
pub use records::{AttackRecord, AttackRecords, Kind};
pub use scenario::AttackScenario;
