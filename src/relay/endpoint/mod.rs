//! [`Endpoint`]: where a relay is dialled.

mod error;
mod hostname;
#[cfg(test)]
mod tests;

pub use error::EndpointError;

use crate::relay::AddressPolicy;
use crate::relay::reach::{is_link_local_v6, is_public_ip, is_public_name};
use crate::sync::Arc;
use hostname::valid_name;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Where a relay is dialled: an IP address or a DNS name, and a port.
///
/// As text it is `host:port`, with an IPv6 address in brackets. Each endpoint
/// has one spelling, the one that [`Display`](fmt::Display) writes; parsing
/// also accepts other spellings of an IPv6 address, upper-case letters in a
/// name, and the dot that may end one.
///
/// - An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`) *is* that IPv4 address,
///   so no rule about addresses can be evaded by the way one is written.
/// - An IPv6 scope means something on one host only. It is refused in text and
///   dropped from a [`SocketAddr`].
/// - Port 0 is refused in text. A [`SocketAddr`] is converted whatever its
///   port, and port 0 refused when it is registered.
///
/// Addresses are held inline; a name is shared, so a clone of it costs one
/// reference count.
///
/// ```
/// use std::net::SocketAddr;
/// use relay_registry::{Endpoint, Host};
///
/// let named: Endpoint = "Relay.Example.COM:443".parse()?;
/// assert_eq!(named.host(), Host::Name("relay.example.com"));
/// assert_eq!(named.port(), 443);
/// assert_eq!(named.socket_addr(), None);
///
/// let addr: SocketAddr = "[2001:db8::1]:443".parse().unwrap();
/// assert_eq!(Endpoint::from(addr), "[2001:db8::1]:443".parse()?);
/// # Ok::<(), relay_registry::EndpointError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint(Repr);

/// The port is repeated in each variant because there it fits beside the tag;
/// as a field of [`Endpoint`] it would cost another eight bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    V4 {
        port: u16,
        ip: Ipv4Addr,
    },
    /// Never an IPv4-mapped address.
    V6 {
        port: u16,
        ip: Ipv6Addr,
    },
    /// A valid hostname in lower case, without a dot at its end.
    Name {
        port: u16,
        name: Arc<str>,
    },
}

impl Endpoint {
    /// Makes an endpoint of a DNS name.
    ///
    /// The name obeys the rules for hostnames (RFC 952, relaxed by RFC 1123,
    /// section 2.1, within the limits of RFC 1035, section 2.3.4), but for
    /// underscores, which some resolvable names have: labels of 1 to 63 letters,
    /// digits, hyphens and underscores, with no hyphen at either end, and
    /// 253 bytes in all. It is folded to lower case and a single dot at its end
    /// removed. An internationalised name is given in its ASCII form
    /// (`xn--…`).
    ///
    /// A name that ends in a number is refused: resolvers would take it for an
    /// IPv4 address, some even for one that looks nothing like it (`0x7f.1` is
    /// loopback). For a real address use `From<SocketAddr>` or parse it.
    ///
    /// # Errors
    ///
    /// [`EndpointError::ZeroPort`], or what is wrong with the name.
    ///
    /// ```
    /// use relay_registry::{Endpoint, EndpointError};
    ///
    /// let endpoint = Endpoint::from_name("relay.example.com.", 443)?;
    /// assert_eq!(endpoint.to_string(), "relay.example.com:443");
    ///
    /// let refused = Endpoint::from_name("192.0.2.256", 443);
    /// assert_eq!(refused, Err(EndpointError::NumericName));
    /// # Ok::<(), EndpointError>(())
    /// ```
    pub fn from_name(name: &str, port: u16) -> Result<Self, EndpointError> {
        if port == 0 {
            return Err(EndpointError::ZeroPort);
        }
        let name = valid_name(name)?.to_ascii_lowercase().into();
        Ok(Self(Repr::Name { port, name }))
    }

    fn from_ip(ip: IpAddr, port: u16) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V4(ip) => Repr::V4 { port, ip },
            IpAddr::V6(ip) => Repr::V6 { port, ip },
        })
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> Host<'_> {
        match &self.0 {
            Repr::V4 { ip, .. } => Host::Ip(IpAddr::V4(*ip)),
            Repr::V6 { ip, .. } => Host::Ip(IpAddr::V6(*ip)),
            Repr::Name { name, .. } => Host::Name(name),
        }
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        match self.0 {
            Repr::V4 { port, .. } | Repr::V6 { port, .. } | Repr::Name { port, .. } => port,
        }
    }

    /// The address to dial, or `None` for a name, which must be resolved first.
    #[must_use]
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self.host() {
            Host::Ip(ip) => Some(SocketAddr::new(ip, self.port())),
            Host::Name(_) => None,
        }
    }

    /// Whether a relay may be registered at this endpoint under `policy`.
    pub(crate) fn check(&self, policy: AddressPolicy) -> Result<(), EndpointError> {
        if self.port() == 0 {
            return Err(EndpointError::ZeroPort);
        }
        if let Host::Ip(ip) = self.host() {
            can_be_dialled(ip)?;
        }
        match policy {
            AddressPolicy::PublicOnly if !self.is_public() => Err(EndpointError::NotPublic),
            AddressPolicy::PublicOnly | AddressPolicy::Any => Ok(()),
        }
    }

    /// Whether the host can be reached across the internet, as far as its address or its
    /// name tells.
    pub(crate) fn is_public(&self) -> bool {
        match self.host() {
            Host::Ip(ip) => is_public_ip(ip),
            Host::Name(name) => is_public_name(name),
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(addr: SocketAddr) -> Self {
        Self::from_ip(addr.ip(), addr.port())
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// Parses `host:port`. An IPv4 address has four decimal parts without
    /// leading zeros; an IPv6 address stands in brackets; anything else is
    /// judged as a name. The port is 1 to 65535 in decimal digits, without a
    /// sign or leading zeros.
    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if let Some(rest) = text.strip_prefix('[') {
            let (ip, rest) = rest.split_once(']').ok_or(EndpointError::InvalidIpv6)?;
            let ip: Ipv6Addr = ip.parse().map_err(|_| EndpointError::InvalidIpv6)?;
            let port = rest.strip_prefix(':').ok_or(EndpointError::MissingPort)?;
            return Ok(Self::from_ip(ip.into(), parse_port(port)?));
        }
        let (host, port) = text.split_once(':').ok_or(EndpointError::MissingPort)?;
        if port.contains(':') {
            return Err(EndpointError::UnbracketedIpv6);
        }
        let port = parse_port(port)?;
        match host.parse::<Ipv4Addr>() {
            Ok(ip) => Ok(Self::from_ip(ip.into(), port)),
            Err(_) => Self::from_name(host, port),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::V4 { port, ip } => write!(f, "{ip}:{port}"),
            Repr::V6 { port, ip } => write!(f, "[{ip}]:{port}"),
            Repr::Name { port, name } => write!(f, "{name}:{port}"),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

/// The host of an [`Endpoint`].
///
/// Displays as a bare host: an IPv6 address without brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// An IP address; never an IPv4-mapped IPv6 one.
    Ip(IpAddr),
    /// A DNS name, in lower case and without a dot at its end.
    Name(&'a str),
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// Refuses the addresses at which no peer can dial a single host, whatever its network.
fn can_be_dialled(ip: IpAddr) -> Result<(), EndpointError> {
    if ip.is_unspecified() {
        Err(EndpointError::Unspecified)
    } else if ip.is_multicast() {
        Err(EndpointError::Multicast)
    } else if ip == Ipv4Addr::BROADCAST {
        Err(EndpointError::Broadcast)
    } else if is_link_local_v6(ip) {
        Err(EndpointError::LinkLocal)
    } else {
        Ok(())
    }
}

/// Parses a port in the one spelling that [`Endpoint`] writes.
fn parse_port(text: &str) -> Result<u16, EndpointError> {
    match text.as_bytes() {
        [] => Err(EndpointError::MissingPort),
        [b'0'] => Err(EndpointError::ZeroPort),
        // Only the first character can be a sign or a superfluous zero.
        [b'1'..=b'9', ..] => text.parse().map_err(|_| EndpointError::InvalidPort),
        _ => Err(EndpointError::InvalidPort),
    }
}
