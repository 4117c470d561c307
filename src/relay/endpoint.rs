//! [`Endpoint`]: where a relay is dialled.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use super::AddressPolicy;
use super::reach::{is_private_ip, is_public_ip, is_public_name};

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
    /// section 2.1, within the limits of RFC 1035, section 2.3.4): labels of 1
    /// to 63 letters, digits and hyphens, with no hyphen at either end, and
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
        let is_public = match self.host() {
            Host::Ip(ip) => {
                names_one_host(ip)?;
                is_public_ip(ip)
            }
            Host::Name(name) => is_public_name(name),
        };
        match policy {
            AddressPolicy::PublicOnly if !is_public => Err(EndpointError::NotPublic),
            AddressPolicy::PublicOnly | AddressPolicy::Any => Ok(()),
        }
    }

    /// Whether the host is an IP address that means something only behind a
    /// NAT. A name is given the benefit of the doubt.
    pub(crate) fn is_private_address(&self) -> bool {
        matches!(self.host(), Host::Ip(ip) if is_private_ip(ip))
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

/// Refuses the addresses at which no policy can place a single host.
fn names_one_host(ip: IpAddr) -> Result<(), EndpointError> {
    if ip.is_unspecified() {
        Err(EndpointError::Unspecified)
    } else if ip.is_multicast() {
        Err(EndpointError::Multicast)
    } else if ip == Ipv4Addr::BROADCAST {
        Err(EndpointError::Broadcast)
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

/// The length of a name in text form: RFC 1035 allows 255 bytes on the wire, of
/// which the first length byte and the root label are not written.
const MAX_NAME_LEN: usize = 253;
const MAX_LABEL_LEN: usize = 63;

/// The name without the dot at its end, if it is a hostname.
fn valid_name(name: &str) -> Result<&str, EndpointError> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        return Err(EndpointError::EmptyHost);
    }
    if name.len() > MAX_NAME_LEN {
        return Err(EndpointError::NameTooLong { len: name.len() });
    }
    let (mut start, mut last) = (0, name);
    for label in name.split('.') {
        check_label(label, start)?;
        start += label.len() + 1;
        last = label;
    }
    if is_number(last) {
        return Err(EndpointError::NumericName);
    }
    Ok(name)
}

/// `start` is where the label starts in its name.
fn check_label(label: &str, start: usize) -> Result<(), EndpointError> {
    let bytes = label.as_bytes();
    let is_foreign = |byte: &u8| !byte.is_ascii_alphanumeric() && *byte != b'-';
    if let Some(at) = bytes.iter().position(is_foreign) {
        return Err(EndpointError::InvalidCharacter { index: start + at });
    }
    match bytes {
        [] => Err(EndpointError::EmptyLabel),
        _ if bytes.len() > MAX_LABEL_LEN => Err(EndpointError::LabelTooLong { len: bytes.len() }),
        [b'-', ..] => Err(EndpointError::HyphenAtEdge { index: start }),
        [.., b'-'] => Err(EndpointError::HyphenAtEdge {
            index: start + bytes.len() - 1,
        }),
        _ => Ok(()),
    }
}

/// Whether a name with this last label would be read as an IPv4 address: the
/// "ends in a number" rule of the WHATWG URL standard.
fn is_number(label: &str) -> bool {
    let hex = label
        .strip_prefix("0x")
        .or_else(|| label.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// Why text is not an [`Endpoint`], or a relay cannot be registered at one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointError {
    /// No `:port` follows the host.
    MissingPort,
    /// The port is not a decimal number from 1 to 65535.
    InvalidPort,
    /// The port is 0, which cannot be dialled.
    ZeroPort,
    /// There is more than one colon outside brackets: an IPv6 address must be
    /// put in brackets to be told from its port.
    UnbracketedIpv6,
    /// What follows the opening bracket is not an IPv6 address and a closing
    /// one. A scope (`%eth0`) is not part of an address.
    InvalidIpv6,
    /// There is nothing where the host should be.
    EmptyHost,
    /// The name is longer than 253 bytes.
    NameTooLong {
        /// Its length, without a dot at its end.
        len: usize,
    },
    /// Two dots follow each other, or one starts the name.
    EmptyLabel,
    /// A label, which is what stands between dots, is longer than 63 bytes.
    LabelTooLong {
        /// Its length.
        len: usize,
    },
    /// The name contains something other than ASCII letters, digits, hyphens
    /// and dots.
    InvalidCharacter {
        /// Where it starts, in bytes from the start of the name.
        index: usize,
    },
    /// A label starts or ends with a hyphen.
    HyphenAtEdge {
        /// Where the hyphen is, in bytes from the start of the name.
        index: usize,
    },
    /// The last label is a number, so the name is a malformed IPv4 address or
    /// would be taken for one.
    NumericName,
    /// At registration: the address is `0.0.0.0` or `::`, which stands for
    /// every address of the host that uses it. Register the one that peers
    /// dial.
    Unspecified,
    /// At registration: the address is a multicast group.
    Multicast,
    /// At registration: the address is the broadcast address.
    Broadcast,
    /// At registration: the host cannot be reached across the internet, and
    /// the policy is [`AddressPolicy::PublicOnly`].
    NotPublic,
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingPort => f.write_str("no port follows the host"),
            Self::InvalidPort => f.write_str("the port is not a number from 1 to 65535"),
            Self::ZeroPort => f.write_str("port 0 cannot be dialled"),
            Self::UnbracketedIpv6 => f.write_str("an IPv6 address must be put in brackets"),
            Self::InvalidIpv6 => f.write_str("no IPv6 address stands in the brackets"),
            Self::EmptyHost => f.write_str("the host is empty"),
            Self::NameTooLong { len } => {
                write!(f, "a name has at most {MAX_NAME_LEN} bytes, not {len}")
            }
            Self::EmptyLabel => f.write_str("a label of the name is empty"),
            Self::LabelTooLong { len } => write!(
                f,
                "a label of a name has at most {MAX_LABEL_LEN} bytes, not {len}"
            ),
            Self::InvalidCharacter { index } => write!(
                f,
                "a name has letters, digits, hyphens and dots only, not what is at byte {index}"
            ),
            Self::HyphenAtEdge { index } => write!(
                f,
                "no label of a name starts or ends with a hyphen, as at byte {index}"
            ),
            Self::NumericName => {
                f.write_str("a name cannot end in a number, and this is no IPv4 address")
            }
            Self::Unspecified => f.write_str("the unspecified address cannot be dialled"),
            Self::Multicast => f.write_str("a multicast address names no single host"),
            Self::Broadcast => f.write_str("the broadcast address names no single host"),
            Self::NotPublic => f.write_str("the host cannot be reached across the internet"),
        }
    }
}

impl Error for EndpointError {}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV6;

    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        text.parse().unwrap()
    }

    fn refusal(text: &str) -> EndpointError {
        text.parse::<Endpoint>().unwrap_err()
    }

    fn name_refusal(name: &str) -> EndpointError {
        Endpoint::from_name(name, 1).unwrap_err()
    }

    /// A name of `len` bytes, of labels as long as they may be.
    fn name_of(len: usize) -> String {
        let mut name = "a".repeat(len);
        for dot in (MAX_LABEL_LEN..len - 1).step_by(MAX_LABEL_LEN + 1) {
            name.replace_range(dot..=dot, ".");
        }
        name
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn takes_three_words() {
        assert_eq!(size_of::<Endpoint>(), 24);
        assert_eq!(size_of::<Option<Endpoint>>(), 24);
    }

    #[test]
    fn each_kind_shows_its_parts() {
        let v4 = endpoint("192.0.2.1:80");
        assert_eq!(v4.host(), Host::Ip([192, 0, 2, 1].into()));
        assert_eq!(v4.port(), 80);
        assert_eq!(v4.socket_addr(), "192.0.2.1:80".parse().ok());

        let v6 = endpoint("[2001:db8::1]:65535");
        assert_eq!(v6.host().to_string(), "2001:db8::1");
        assert_eq!(v6.port(), 65535);
        assert_eq!(v6.socket_addr(), "[2001:db8::1]:65535".parse().ok());

        let name = endpoint("relay.example.com:1");
        assert_eq!(name.host(), Host::Name("relay.example.com"));
        assert_eq!(name.host().to_string(), "relay.example.com");
        assert_eq!(name.port(), 1);
        assert_eq!(name.socket_addr(), None);
    }

    #[test]
    fn each_endpoint_has_one_spelling() {
        for (given, written) in [
            ("192.0.2.1:80", "192.0.2.1:80"),
            ("[2001:DB8:0:0::1]:80", "[2001:db8::1]:80"),
            ("[::ffff:192.0.2.1]:80", "192.0.2.1:80"),
            ("[::ffff:c000:201]:80", "192.0.2.1:80"),
            ("Relay.EXAMPLE.com.:80", "relay.example.com:80"),
            ("localhost:80", "localhost:80"),
        ] {
            assert_eq!(endpoint(given).to_string(), written);
            assert_eq!(endpoint(given), endpoint(written));
        }
        let shown = format!("{:?}", endpoint("192.0.2.1:80"));
        assert_eq!(shown, "Endpoint(192.0.2.1:80)");
    }

    #[test]
    fn different_endpoints_differ() {
        let all = [
            "192.0.2.1:80",
            "192.0.2.1:81",
            "192.0.2.2:80",
            "[2001:db8::1]:80",
            "[::192.0.2.1]:80",
            "a.example:80",
            "b.example:80",
        ];
        for (i, a) in all.iter().enumerate() {
            for b in &all[i + 1..] {
                assert_ne!(endpoint(a), endpoint(b));
            }
        }
    }

    #[test]
    fn mapped_addresses_are_ipv4_from_sockets_too() {
        let mapped: SocketAddr = "[::ffff:10.0.0.1]:80".parse().unwrap();
        assert_eq!(Endpoint::from(mapped), endpoint("10.0.0.1:80"));
    }

    #[test]
    fn scopes_are_dropped_from_sockets_and_refused_in_text() {
        let ip = "fe80::1".parse().unwrap();
        let scoped = SocketAddr::V6(SocketAddrV6::new(ip, 80, 7, 3));
        assert_eq!(Endpoint::from(scoped), endpoint("[fe80::1]:80"));
        for text in ["[fe80::1%3]:80", "[fe80::1%eth0]:80"] {
            assert_eq!(refusal(text), EndpointError::InvalidIpv6);
        }
    }

    #[test]
    fn ports_have_one_spelling() {
        for text in [
            "a",
            "",
            "192.0.2.1",
            "a:",
            "192.0.2.1:",
            "[::1]",
            "[::1]:",
            "[::1]80",
        ] {
            assert_eq!(refusal(text), EndpointError::MissingPort, "{text:?}");
        }
        for port in [
            "00",
            "080",
            "+80",
            "-1",
            " 80",
            "80 ",
            "8x",
            "0x50",
            "65536",
            "99999999999",
            "٣",
        ] {
            for host in ["a", "192.0.2.1", "[::1]"] {
                let text = format!("{host}:{port}");
                assert_eq!(refusal(&text), EndpointError::InvalidPort, "{text:?}");
            }
        }
        assert_eq!(refusal("a:0"), EndpointError::ZeroPort);
        assert_eq!(Endpoint::from_name("a", 0), Err(EndpointError::ZeroPort));
    }

    #[test]
    fn ipv6_stands_in_brackets() {
        for text in ["::1", "::1:80", "2001:db8::1:80", "a:b:80", "::"] {
            assert_eq!(refusal(text), EndpointError::UnbracketedIpv6, "{text:?}");
        }
        for text in [
            "[",
            "[]:80",
            "[::1",
            "[::1:80",
            "[192.0.2.1]:80",
            "[a]:80",
            "[[::1]]:80",
        ] {
            assert_eq!(refusal(text), EndpointError::InvalidIpv6, "{text:?}");
        }
    }

    #[test]
    fn ipv4_is_strict() {
        for host in [
            "192.0.2",
            "192.0.2.256",
            "192.0.2.01",
            "192.0.2.1.",
            "1.2.3.4.5",
            "0x7f.1",
            "127.0x1",
            "a.0x",
            "a.0XfF",
            "1",
            "0x7f000001",
            "a.b.1",
        ] {
            let text = format!("{host}:80");
            assert_eq!(refusal(&text), EndpointError::NumericName, "{host}");
            assert_eq!(name_refusal(host), EndpointError::NumericName, "{host}");
        }
        assert_eq!(name_refusal("192.0.2.1"), EndpointError::NumericName);
    }

    #[test]
    fn hostnames_are_accepted() {
        for name in [
            "a",
            "a.b",
            "3com.example",
            "1.2.3.a",
            "a-b",
            "a--b",
            "xn--bcher-kva.example",
            "0xg",
            "a.0x1g",
            "x0",
        ] {
            assert_eq!(
                Endpoint::from_name(name, 1).unwrap().host(),
                Host::Name(name)
            );
        }
    }

    #[test]
    fn lengths_are_those_of_rfc_1035() {
        assert!(Endpoint::from_name(&name_of(253), 1).is_ok());
        assert!(Endpoint::from_name(&format!("{}.", name_of(253)), 1).is_ok());
        let long = EndpointError::NameTooLong { len: 254 };
        assert_eq!(name_refusal(&name_of(254)), long);
        assert_eq!(name_refusal(&format!("{}.", name_of(254))), long);

        assert!(Endpoint::from_name(&"a".repeat(63), 1).is_ok());
        let long = EndpointError::LabelTooLong { len: 64 };
        assert_eq!(name_refusal(&format!("b.{}", "a".repeat(64))), long);
    }

    #[test]
    fn malformed_names_are_refused_with_their_reason() {
        for text in [":80", ".:80"] {
            assert_eq!(refusal(text), EndpointError::EmptyHost);
        }
        assert_eq!(name_refusal(""), EndpointError::EmptyHost);
        for name in ["..", ".a", "a..b", "a.."] {
            assert_eq!(name_refusal(name), EndpointError::EmptyLabel, "{name}");
        }
        for (name, index) in [
            ("a_b", 1),
            ("ab.c d", 4),
            ("a.bücher", 3),
            ("a/b", 1),
            ("a%b", 1),
            ("user@a", 4),
            ("a\0", 1),
            ("[::1]", 0),
            (" a", 0),
        ] {
            let refused = EndpointError::InvalidCharacter { index };
            assert_eq!(name_refusal(name), refused, "{name}");
        }
        for (name, index) in [("-a", 0), ("a-", 1), ("a.-b", 2), ("a.b-.c", 3), ("-", 0)] {
            let refused = EndpointError::HyphenAtEdge { index };
            assert_eq!(name_refusal(name), refused, "{name}");
        }
    }

    #[test]
    fn what_names_no_single_host_is_refused_under_any_policy() {
        for policy in [AddressPolicy::Any, AddressPolicy::PublicOnly] {
            let check = |text| endpoint(text).check(policy);
            for text in ["0.0.0.0:1", "[::]:1", "[::ffff:0.0.0.0]:1"] {
                assert_eq!(check(text), Err(EndpointError::Unspecified));
            }
            for text in [
                "224.0.0.1:1",
                "239.255.255.255:1",
                "[ff02::1]:1",
                "[::ffff:224.0.0.1]:1",
            ] {
                assert_eq!(check(text), Err(EndpointError::Multicast));
            }
            for text in ["255.255.255.255:1", "[::ffff:255.255.255.255]:1"] {
                assert_eq!(check(text), Err(EndpointError::Broadcast));
            }
            let zero = Endpoint::from(SocketAddr::from(([8, 8, 8, 8], 0)));
            assert_eq!(zero.check(policy), Err(EndpointError::ZeroPort));
        }
    }

    #[test]
    fn only_the_public_policy_refuses_private_hosts() {
        for text in [
            "10.0.0.1:1",
            "127.0.0.1:1",
            "[::ffff:10.0.0.1]:1",
            "[::1]:1",
            "[fd00::1]:1",
            "localhost:1",
            "printer.local:1",
            "relay:1",
        ] {
            let private = endpoint(text);
            assert_eq!(private.check(AddressPolicy::Any), Ok(()), "{text}");
            let refused = private.check(AddressPolicy::PublicOnly);
            assert_eq!(refused, Err(EndpointError::NotPublic), "{text}");
        }
        for text in ["8.8.8.8:1", "[2606:4700::1]:1", "relay.example.com:1"] {
            assert_eq!(endpoint(text).check(AddressPolicy::PublicOnly), Ok(()));
        }
    }

    #[test]
    fn a_private_address_is_an_address() {
        for text in ["192.168.0.1:1", "[fe80::1]:1", "100.64.0.1:1"] {
            assert!(endpoint(text).is_private_address(), "{text}");
        }
        for text in ["8.8.8.8:1", "[2606:4700::1]:1", "localhost:1"] {
            assert!(!endpoint(text).is_private_address(), "{text}");
        }
    }

    #[test]
    fn a_clone_shares_its_name() {
        let (Repr::Name { name: a, .. }, Repr::Name { name: b, .. }) = ({
            let named = endpoint("relay.example.com:1");
            (named.clone().0, named.0)
        }) else {
            panic!("a name was given");
        };
        assert!(Arc::ptr_eq(&a, &b));
    }

    #[test]
    fn errors_explain_themselves() {
        for (error, says) in [
            (refusal("a"), "no port follows the host"),
            (refusal("a:x"), "the port is not a number from 1 to 65535"),
            (refusal("a:0"), "port 0 cannot be dialled"),
            (refusal("::1"), "an IPv6 address must be put in brackets"),
            (refusal("[a]:1"), "no IPv6 address stands in the brackets"),
            (refusal(":1"), "the host is empty"),
            (
                name_refusal(&name_of(254)),
                "a name has at most 253 bytes, not 254",
            ),
            (refusal("a..b:1"), "a label of the name is empty"),
            (
                name_refusal(&"a".repeat(64)),
                "a label of a name has at most 63 bytes, not 64",
            ),
            (
                refusal("a_b:1"),
                "a name has letters, digits, hyphens and dots only, not what is at byte 1",
            ),
            (
                refusal("a-:1"),
                "no label of a name starts or ends with a hyphen, as at byte 1",
            ),
            (
                refusal("1.2:1"),
                "a name cannot end in a number, and this is no IPv4 address",
            ),
            (
                EndpointError::Unspecified,
                "the unspecified address cannot be dialled",
            ),
            (
                EndpointError::Multicast,
                "a multicast address names no single host",
            ),
            (
                EndpointError::Broadcast,
                "the broadcast address names no single host",
            ),
            (
                EndpointError::NotPublic,
                "the host cannot be reached across the internet",
            ),
        ] {
            assert_eq!(error.to_string(), says);
        }
    }
}
