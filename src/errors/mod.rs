//! Why a registry could not do what it was asked. What is wrong with a value
//! stands beside the value.

mod ban;
mod build;
mod find;
mod lease;
mod register;
mod view;

pub use ban::BanError;
pub use build::BuildError;
pub use find::{FindError, PassedOver};
pub use lease::LeaseError;
pub use register::RegisterError;
pub use view::PeerViewError;
