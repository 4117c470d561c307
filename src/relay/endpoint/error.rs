//! Why there is no endpoint, or none for a relay.

use std::error::Error;
use std::fmt;

/// The length of a name in text form: RFC 1035 allows 255 bytes on the wire, of
/// which the first length byte and the root label are not written.
pub(super) const MAX_NAME_LEN: usize = 253;
pub(super) const MAX_LABEL_LEN: usize = 63;

/// Why text is not an [`Endpoint`](super::Endpoint), or a relay cannot be registered at one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointError {
    /// No `:port` follows the host.
    MissingPort,
    /// The port is not a decimal number from 1 to 65535.
    InvalidPort,
    /// The port is 0, which cannot be dialled.
    ZeroPort,
    /// A scheme is before the host, as in `https://relay.example:443` or
    /// `turn:relay.example:3478`. Leave it out.
    Scheme,
    /// There is more than one colon outside brackets. Put an IPv6 address in brackets, to
    /// tell it from its port.
    UnbracketedIpv6,
    /// The brackets do not hold an IPv6 address, or are not closed; or a host with several
    /// colons is none. A scope (`%eth0`) is not part of an address.
    InvalidIpv6,
    /// The host that [`Endpoint::new`](super::Endpoint::new) got ends with a port. Give the
    /// host alone, or parse the whole text.
    PortInHost,
    /// The host is missing.
    EmptyHost,
    /// The name is longer than 253 bytes.
    NameTooLong {
        /// Its length, without a dot at its end.
        len: usize,
    },
    /// The name starts with a dot, or has two dots in a row.
    EmptyLabel,
    /// A label, which is a part between dots, is longer than 63 bytes.
    LabelTooLong {
        /// Its length.
        len: usize,
    },
    /// The name contains something other than ASCII letters, digits, hyphens,
    /// underscores and dots.
    InvalidCharacter {
        /// Where that starts, in bytes from the start of the name.
        index: usize,
    },
    /// A label starts or ends with a hyphen.
    HyphenAtEdge {
        /// Where the hyphen is, in bytes from the start of the name.
        index: usize,
    },
    /// The last label is a number, so the name is a malformed IPv4 address, or resolvers
    /// take it for one.
    NumericName,
    /// At registration: the address is `0.0.0.0` or `::`, which means every address of the
    /// host that uses it. Register the one that peers dial.
    Unspecified,
    /// At registration: the address is a multicast group.
    Multicast,
    /// At registration: the address is the broadcast address.
    Broadcast,
    /// At registration: the address is a link-local one of IPv6, which cannot be
    /// dialled without the zone that it is used in (RFC 4007, section 6).
    LinkLocal,
    /// At registration: the host cannot be reached across the internet, and
    /// the policy is [`AddressPolicy::PublicOnly`](crate::AddressPolicy::PublicOnly).
    NotPublic,
    /// At registration: the name has an underscore, so it is that of a service and not of a
    /// host (RFC 8552), and the policy is
    /// [`AddressPolicy::PublicOnly`](crate::AddressPolicy::PublicOnly). Register the name of a
    /// host.
    Underscore {
        /// Where the first one is, in bytes from the start of the name.
        index: usize,
    },
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingPort => {
                f.write_str("no port follows the host: an endpoint is written host:port")
            }
            Self::Scheme => f.write_str(
                "an endpoint is written host:port, without a scheme such as https:// or turn:",
            ),
            Self::InvalidPort => f.write_str("the port is not a number from 1 to 65535"),
            Self::ZeroPort => f.write_str("port 0 cannot be dialled"),
            Self::UnbracketedIpv6 => {
                f.write_str("an IPv6 address is written in brackets, as in [2001:db8::1]:443")
            }
            Self::InvalidIpv6 => f.write_str(
                "an IPv6 address is expected, as in 2001:db8::1, without a scope such as %eth0",
            ),
            Self::PortInHost => f.write_str("a port follows the host, which is given without it"),
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
                "a name has letters, digits, hyphens, underscores and dots only, \
                 not what is at byte {index}"
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
            Self::LinkLocal => {
                f.write_str("a link-local IPv6 address cannot be dialled without its zone")
            }
            Self::NotPublic => f.write_str("the host cannot be reached across the internet"),
            Self::Underscore { index } => write!(
                f,
                "the name has an underscore at byte {index}, which no public name of a host has"
            ),
        }
    }
}

impl Error for EndpointError {}
