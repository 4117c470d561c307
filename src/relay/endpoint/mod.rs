//! [`Endpoint`]: where a relay is dialled.

mod error;
mod hostname;
#[cfg(test)]
mod tests;

pub use error::EndpointError;

use crate::footprint::{Footprint, share_of};
use crate::relay::AddressPolicy;
use crate::relay::reach::{is_link_local_v6, is_public_ip, is_public_name, underscore_in};
use crate::sync::Arc;
use hostname::valid_name;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::vec;

/// Where a relay is dialled: an IP address or a DNS name, and a port.
///
/// As text it is `host:port`, with an IPv6 address in brackets and without a scheme.
/// [`Display`](fmt::Display) writes the one canonical spelling. Parsing also accepts other
/// spellings of an IPv6 address, upper-case letters in a name, and a dot at its end.
///
/// - An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`) *is* that IPv4 address. So no rule
///   about addresses can be evaded by another spelling.
/// - The scope of an IPv6 address has a meaning on one host only. It is refused in text and
///   dropped from a [`SocketAddr`].
/// - Port 0 is refused in text. A [`SocketAddr`] is converted whatever its port is, and
///   port 0 is refused when it is registered.
///
/// The order is: IPv4 addresses, IPv6 addresses, names; within each by host, then by port.
///
/// [`ToSocketAddrs`] asks the resolver of the operating system for a name, which may
/// block. A registry does not use it: it never resolves a name. If the registry's policy
/// is [`AddressPolicy::PublicOnly`], apply it to what the name resolves to.
///
/// An address is held inline. A name is shared, so a clone costs one reference count.
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
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint(Repr);

/// The port is repeated in each variant because it fits beside the tag there. As a field
/// of [`Endpoint`] it would cost another eight bytes. It comes last, for the order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Repr {
    V4 {
        ip: Ipv4Addr,
        port: u16,
    },
    /// Never an IPv4-mapped address.
    V6 {
        ip: Ipv6Addr,
        port: u16,
    },
    /// A valid hostname in lower case, without a dot at its end.
    Name {
        name: Arc<str>,
        port: u16,
    },
}

impl Endpoint {
    /// Makes an endpoint of a host, which is an IP address or a DNS name, and a port.
    ///
    /// An IPv6 address may be in brackets, and is written without a scope (`%eth0`). A host
    /// that is no address is read as by [`from_name`](Self::from_name). Nothing is resolved.
    ///
    /// # Errors
    ///
    /// [`EndpointError::ZeroPort`]; [`EndpointError::InvalidIpv6`], where there are brackets or
    /// several colons; [`EndpointError::PortInHost`] or [`EndpointError::Scheme`], if the host
    /// has a port after it or a scheme before it; or what is wrong with the name.
    ///
    /// ```
    /// use relay_registry::{Endpoint, EndpointError};
    ///
    /// for (host, text) in [
    ///     ("192.0.2.1", "192.0.2.1:443"),
    ///     ("2001:db8::1", "[2001:db8::1]:443"),
    ///     ("[2001:db8::1]", "[2001:db8::1]:443"),
    ///     ("Relay.Example.com", "relay.example.com:443"),
    /// ] {
    ///     assert_eq!(Endpoint::new(host, 443)?.to_string(), text);
    /// }
    /// let refused = Endpoint::new("relay.example.com:443", 443);
    /// assert_eq!(refused, Err(EndpointError::PortInHost));
    /// # Ok::<(), EndpointError>(())
    /// ```
    pub fn new(host: &str, port: u16) -> Result<Self, EndpointError> {
        if port == 0 {
            return Err(EndpointError::ZeroPort);
        }
        if let Some(rest) = host.strip_prefix('[') {
            let (ip, rest) = split_brackets(rest)?;
            return match rest {
                "" => Ok(Self::from_ip(ip.into(), port)),
                rest if rest.starts_with(':') => Err(EndpointError::PortInHost),
                _ => Err(EndpointError::InvalidIpv6),
            };
        }
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(Self::from_ip(ip, port));
        }
        match host.split_once(':') {
            Some((before, after)) if is_scheme(before, after) => Err(EndpointError::Scheme),
            Some((_, after)) if after.contains(':') => Err(EndpointError::InvalidIpv6),
            Some(_) => Err(EndpointError::PortInHost),
            None => Self::from_name(host, port),
        }
    }

    /// Makes an endpoint of a DNS name.
    ///
    /// The name follows the rules for hostnames (RFC 952, relaxed by RFC 1123, section 2.1,
    /// within the limits of RFC 1035, section 2.3.4), and may have underscores, which some
    /// resolvable names have. Its labels are 1 to 63 letters, digits, hyphens and
    /// underscores, with no hyphen at either end, and it has at most 253 bytes. It is
    /// folded to lower case, and a single dot at its end is removed. Give an
    /// internationalised name in its ASCII form (`xn--…`).
    ///
    /// A name that ends in a number is refused, because resolvers take it for an IPv4
    /// address: `0x7f.1` is loopback. For an address use [`new`](Self::new).
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
        Ok(Self(Repr::Name { name, port }))
    }

    fn from_ip(ip: IpAddr, port: u16) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V4(ip) => Repr::V4 { ip, port },
            IpAddr::V6(ip) => Repr::V6 { ip, port },
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

    /// Whether another endpoint has the same host.
    #[inline]
    pub(crate) fn shares_host_with(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Repr::V4 { ip, .. }, Repr::V4 { ip: other, .. }) => ip == other,
            (Repr::V6 { ip, .. }, Repr::V6 { ip: other, .. }) => ip == other,
            (Repr::Name { name, .. }, Repr::Name { name: other, .. }) => name == other,
            _ => false,
        }
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        match self.0 {
            Repr::V4 { port, .. } | Repr::V6 { port, .. } | Repr::Name { port, .. } => port,
        }
    }

    /// The address to dial. `None` for a name, which must be resolved first.
    #[must_use]
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self.host() {
            Host::Ip(ip) => Some(SocketAddr::new(ip, self.port())),
            Host::Name(_) => None,
        }
    }

    /// Of what it points to: a share of its name.
    pub(crate) fn footprint(&self) -> Footprint {
        match &self.0 {
            Repr::Name { name, port: _ } => share_of(name),
            Repr::V4 { .. } | Repr::V6 { .. } => Footprint::default(),
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
            AddressPolicy::PublicOnly => self.check_public(),
            AddressPolicy::Any => Ok(()),
        }
    }

    /// Whether the address or the name is one that can be reached across the internet.
    pub(crate) fn is_public(&self) -> bool {
        self.check_public().is_ok()
    }

    /// The same, and why not.
    fn check_public(&self) -> Result<(), EndpointError> {
        let is_public = match self.host() {
            Host::Ip(ip) => is_public_ip(ip),
            Host::Name(name) => match underscore_in(name) {
                Some(index) => return Err(EndpointError::Underscore { index }),
                None => is_public_name(name),
            },
        };
        match is_public {
            true => Ok(()),
            false => Err(EndpointError::NotPublic),
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(addr: SocketAddr) -> Self {
        Self::from_ip(addr.ip(), addr.port())
    }
}

/// Whatever the port is: port 0 is refused when the endpoint is registered.
impl<I: Into<IpAddr>> From<(I, u16)> for Endpoint {
    fn from((ip, port): (I, u16)) -> Self {
        Self::from_ip(ip.into(), port)
    }
}

impl ToSocketAddrs for Endpoint {
    type Iter = vec::IntoIter<SocketAddr>;

    /// The address, or what the operating system resolves the name to. That may block.
    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        match self.host() {
            Host::Ip(ip) => Ok(vec![SocketAddr::new(ip, self.port())].into_iter()),
            Host::Name(name) => (name, self.port()).to_socket_addrs(),
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// Parses `host:port`. An IPv4 address has four decimal parts without leading zeros.
    /// An IPv6 address is in brackets. Anything else is parsed as a name. The port is 1 to
    /// 65535 in decimal digits, without a sign or leading zeros. There is no scheme.
    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if let Some(rest) = text.strip_prefix('[') {
            let (ip, rest) = split_brackets(rest)?;
            let port = rest.strip_prefix(':').ok_or(EndpointError::MissingPort)?;
            return Ok(Self::from_ip(ip.into(), parse_port(port)?));
        }
        let (host, port) = text.split_once(':').ok_or(EndpointError::MissingPort)?;
        if is_scheme(host, port) {
            return Err(EndpointError::Scheme);
        }
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
            // As the standard library writes them, width and precision included.
            Repr::V4 { ip, port } => SocketAddr::from((*ip, *port)).fmt(f),
            Repr::V6 { ip, port } => SocketAddr::from((*ip, *port)).fmt(f),
            Repr::Name { name, port } if f.width().is_some() || f.precision().is_some() => {
                f.pad(&format!("{name}:{port}"))
            }
            Repr::Name { name, port } => write!(f, "{name}:{port}"),
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// Refuses addresses at which no peer can dial a single host, on any network.
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

/// Whether what is before the first colon is a scheme (RFC 3986, section 3.1), and not a
/// host before a port or the first group of an IPv6 address.
fn is_scheme(before: &str, after: &str) -> bool {
    let is_scheme_char = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let is_group = before.len() <= 4 && before.bytes().all(|byte| byte.is_ascii_hexdigit());
    before.starts_with(|first: char| first.is_ascii_alphabetic())
        && before.bytes().all(is_scheme_char)
        && (after.starts_with("//") || after.contains(':') && !is_group)
}

/// The IPv6 address before a closing bracket, and what follows that.
fn split_brackets(opened: &str) -> Result<(Ipv6Addr, &str), EndpointError> {
    let (ip, rest) = opened.split_once(']').ok_or(EndpointError::InvalidIpv6)?;
    let ip = ip.parse().map_err(|_| EndpointError::InvalidIpv6)?;
    Ok((ip, rest))
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
