//! What a relay is: its id, its endpoint, and what it declares.

mod endpoint;
mod id;
mod info;
mod nat;
mod options;
mod reach;
mod rejection;

pub use endpoint::{Endpoint, EndpointError, Host};
pub use id::{NodeId, NodeIdError};
pub use info::{CircuitState, RelayInfo};
pub use nat::{AddressPolicy, AddressPolicyError, NatType, NatTypeError};
pub use options::RegisterOptions;
pub(crate) use rejection::Rejection;
