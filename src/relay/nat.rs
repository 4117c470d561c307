//! How a relay's network treats those who call it: [`NatType`] and
//! [`AddressPolicy`].

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// What kind of address translation a peer sits behind.
///
/// The names are those of RFC 3489, section 5. RFC 4787 describes the same
/// behaviours more finely, but the coarse names decide the one question asked
/// here: can a stranger reach the peer unasked?
///
/// ```
/// use relay_registry::NatType;
///
/// let nat: NatType = "full-cone".parse()?;
/// assert!(nat.can_relay());
/// assert!(!NatType::Symmetric.can_relay());
/// # Ok::<(), relay_registry::NatTypeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NatType {
    /// No translation: the peer holds a public address itself. A relay that says so is
    /// refused at an address or a name that [`AddressPolicy::PublicOnly`] refuses.
    PublicIp,
    /// One mapping for all, open to anyone who knows it.
    FullCone,
    /// One mapping for all, open to addresses the peer has written to.
    RestrictedCone,
    /// One mapping for all, open to addresses and ports the peer has written
    /// to.
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

    /// Whether a peer behind this can serve as a relay: anyone must be able to
    /// reach it without having been written to first.
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

/// The text names no [`NatType`].
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
/// A name is judged as a name. What it resolves to is known only to whoever
/// dials it, who must apply the policy again to that address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressPolicy {
    /// Any address, private and loopback ones included: for private networks
    /// and for relays that the embedder itself vouches for.
    #[default]
    Any,
    /// Only addresses reachable across the internet, as the IANA
    /// special-purpose address registries (RFC 6890) have it, and names that
    /// can lead anybody to the same host: for relays that strangers name.
    ///
    /// Of what IANA calls globally reachable, blocks for anycast are refused: they lead
    /// to the nearest server of some service, such as AS112, and to no particular relay.
    /// An address for NAT64 (`64:ff9b::/96`) is judged as the IPv4 address in it; those of
    /// 6to4 and Teredo are refused. So are names of a single label, with an underscore,
    /// and in special-use domains (RFC 6761): `.alt`, `.arpa`, `.internal`,
    /// `.invalid`, `.local`, `.localhost`, `.onion` and `.test`.
    PublicOnly,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_peers_open_to_strangers_can_relay() {
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
