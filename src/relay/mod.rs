//! What a relay is: its id, its endpoint, and what it declares.

mod cost;
mod details;
mod endpoint;
mod filter;
mod id;
mod info;
mod label;
mod nat;
mod options;
mod reach;
mod rejection;

pub(crate) use cost::Cost;
#[cfg(feature = "dht")]
pub(crate) use details::further_endpoints;
pub(crate) use details::{DetailOptions, Details};
pub use endpoint::{Endpoint, EndpointError, Host};
pub(crate) use filter::Filter;
pub use filter::IpFamily;
pub use id::{NodeId, NodeIdError};
pub(crate) use info::AskedAt;
pub use info::{CircuitState, RelayInfo};
pub(crate) use label::Label;
pub use nat::{AddressPolicy, AddressPolicyError, NatType, NatTypeError};
pub use options::RegisterOptions;
pub(crate) use rejection::Rejection;
