//! placeholder

#![deny(missing_docs, unsafe_op_in_unsafe_fn)]
#![warn(unreachable_pub)]

mod errors;
mod limits;
mod record;
mod registry;
mod relay;
mod rtt;
mod select;
mod sync;
mod table;
mod time;
mod wheel;

pub use errors::{BuildError, FindError, LeaseError, PassedOver, RegisterError};
pub use limits::{MAX_CAPACITY, MAX_RELAYS, MAX_RTT};
pub use registry::{
    Lease, Maintained, Maintenance, Registration, Registry, RegistryBuilder, Stats,
};
pub use relay::{
    AddressPolicy, Endpoint, EndpointError, Host, NatType, NatTypeError, NodeId, NodeIdError,
    RegisterOptions, RelayInfo,
};
pub use select::FindOptions;
pub use time::{Clock, ManualClock};
