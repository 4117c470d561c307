//! Why a registry could not do what it was asked. What is wrong with a value
//! stands beside the value.

mod ban;
mod build;
mod find;
mod lease;
mod operator;
mod register;
mod renew;
mod view;

pub use ban::BanError;
pub use build::BuildError;
pub use find::{FindError, Rejections};
pub use lease::LeaseError;
pub use operator::OperatorError;
pub use register::RegisterError;
pub use renew::RenewError;
pub use view::PeerViewError;
