//! Which addresses and names can be reached across the internet: one answer for
//! [`NatType::PublicIp`](crate::NatType::PublicIp) and
//! [`AddressPolicy::PublicOnly`](crate::AddressPolicy::PublicOnly).

mod addresses;
mod names;

pub(super) use addresses::{is_link_local_v6, is_public_ip};
pub(super) use names::{is_public_name, underscore_in};
