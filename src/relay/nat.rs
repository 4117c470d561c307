//! Which peers can be reached from the internet: [`NatType`] and [`AddressPolicy`].

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// The kind of address translation in front of a peer.
///
/// The names are those of RFC 3489, section 5. RFC 4787 describes the same behaviours in
/// more detail, but these names decide the one question that matters here: do unsolicited
/// packets reach the peer?
///
/// The order is from the most open to the least.
///
/// ```
/// use relay_registry::NatType;
///
/// let nat: NatType = "full-cone".parse()?;
/// assert!(nat.can_relay());
/// assert!(!NatType::Symmetric.can_relay());
/// # Ok::<(), relay_registry::NatTypeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NatType {
    /// No translation: the peer has a public address itself. A relay that declares this is
    /// refused at an address or a name that [`AddressPolicy::PublicOnly`] refuses.
    PublicIp,
    /// One mapping for all destinations, which admits packets from any address.
    FullCone,
    /// One mapping for all destinations, which admits packets from addresses that the peer
    /// has sent to.
    RestrictedCone,
    /// One mapping for all destinations, which admits packets from addresses and ports
    /// that the peer has sent to.
    PortRestrictedCone,
    /// A separate mapping for each destination.
    Symmetric,
}

impl NatType {
    const ALL: [Self; 5] = [
        Self::PublicIp,
        Self::FullCone,
        Self::RestrictedCone,
        Self::PortRestrictedCone,
        Self::Symmetric,
    ];

    /// Whether a peer behind this can serve as a relay: packets from an address that the
    /// peer has not sent to must reach it.
    #[must_use]
    pub const fn can_relay(self) -> bool {
        matches!(self, Self::PublicIp | Self::FullCone)
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::PublicIp => "public-ip",
            Self::FullCone => "full-cone",
            Self::RestrictedCone => "restricted-cone",
            Self::PortRestrictedCone => "port-restricted-cone",
            Self::Symmetric => "symmetric",
        }
    }
}

impl fmt::Display for NatType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for NatType {
    type Err = NatTypeError;

    /// Parses exactly what [`Display`](fmt::Display) writes, such as
    /// `full-cone`.
    fn from_str(text: &str) -> Result<Self, NatTypeError> {
        Self::ALL
            .into_iter()
            .find(|nat| nat.as_str() == text)
            .ok_or(NatTypeError)
    }
}

/// The text is not a [`NatType`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatTypeError;

impl fmt::Display for NatTypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a NAT type is one of public-ip, full-cone, restricted-cone, \
             port-restricted-cone and symmetric",
        )
    }
}

impl Error for NatTypeError {}

/// Which endpoints a registry admits.
///
/// Port 0, addresses that name no single host (unspecified, multicast, broadcast) and
/// link-local IPv6 addresses, which cannot be dialled without a zone, are refused under
/// either policy.
///
/// The registry does not resolve names. A peer that dials a name must apply the policy to
/// the address that it resolves to.
///
/// As text it is `any` or `public-only`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AddressPolicy {
    /// Any address, private and loopback ones included: for private networks, and for
    /// relays that the embedder trusts.
    #[default]
    Any,
    /// Only addresses that are globally reachable according to the IANA special-purpose
    /// address registries (RFC 6890), and names that mean the same host everywhere: for
    /// relays that untrusted peers name.
    ///
    /// Anycast blocks are refused although IANA calls them globally reachable: they lead
    /// to the nearest server of some service, such as AS112, and to no particular relay.
    /// An address for NAT64 (`64:ff9b::/96`) counts as the IPv4 address in it. Addresses of
    /// 6to4 and Teredo are refused. So are names of a single label, names with an
    /// underscore, and names in special-use domains (RFC 6761): `.alt`, `.arpa`,
    /// `.internal`, `.invalid`, `.local`, `.localhost`, `.onion` and `.test`.
    PublicOnly,
}

impl AddressPolicy {
    const ALL: [Self; 2] = [Self::Any, Self::PublicOnly];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::PublicOnly => "public-only",
        }
    }
}

impl fmt::Display for AddressPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for AddressPolicy {
    type Err = AddressPolicyError;

    /// Parses exactly what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, AddressPolicyError> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.as_str() == text)
            .ok_or(AddressPolicyError)
    }
}

/// The text is not an [`AddressPolicy`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddressPolicyError;

impl fmt::Display for AddressPolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address policy is any or public-only")
    }
}

impl Error for AddressPolicyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_peers_that_unsolicited_packets_reach_can_relay() {
        let able: Vec<_> = NatType::ALL.into_iter().filter(|n| n.can_relay()).collect();
        assert_eq!(able, [NatType::PublicIp, NatType::FullCone]);
    }

    #[test]
    fn text_round_trips() {
        for nat in NatType::ALL {
            assert_eq!(nat.to_string().parse(), Ok(nat));
        }
        assert_eq!(
            NatType::ALL.map(|nat| nat.to_string()),
            [
                "public-ip",
                "full-cone",
                "restricted-cone",
                "port-restricted-cone",
                "symmetric"
            ]
        );
        assert_eq!(format!("{:>10}", NatType::FullCone), " full-cone");
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "Full-Cone", "full_cone", " symmetric", "cone"] {
            assert_eq!(text.parse::<NatType>(), Err(NatTypeError), "{text:?}");
        }
        assert!(NatTypeError.to_string().contains("full-cone"));
    }

    #[test]
    fn any_address_is_the_default_policy() {
        assert_eq!(AddressPolicy::default(), AddressPolicy::Any);
    }
}
