//! Properties of the values that cross the crate's border as text.

use std::net::{IpAddr, SocketAddr};

use proptest::collection::vec;
use proptest::prelude::*;
use relay_registry::{Endpoint, EndpointError, Host, NatType, NodeId, NodeIdError};

fn node_id() -> impl Strategy<Value = NodeId> {
    vec(any::<u8>(), 1..=NodeId::MAX_LEN).prop_map(|bytes| NodeId::from_bytes(&bytes).unwrap())
}

/// A hostname in lower case whose last label starts with a letter, and so is no
/// number.
fn name() -> impl Strategy<Value = String> {
    let label = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
    let last = "[a-z]([a-z0-9-]{0,20}[a-z0-9])?";
    (vec(label, 0..=3), last).prop_map(|(labels, last)| [labels, vec![last]].concat().join("."))
}

fn socket_addr() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), 1..=u16::MAX).prop_map(SocketAddr::from)
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    prop_oneof![
        socket_addr().prop_map(Endpoint::from),
        (name(), 1..=u16::MAX).prop_map(|(name, port)| Endpoint::from_name(&name, port).unwrap()),
    ]
}

/// Text that comes close to being an endpoint.
fn near_endpoint() -> impl Strategy<Value = String> {
    "[\\[\\]:.%0-9a-fxXg_ é-]{0,40}"
}

proptest! {
    #[test]
    fn ids_round_trip(id in node_id()) {
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        prop_assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        prop_assert_eq!(NodeId::from_bytes(id.as_bytes()), Ok(id));
    }

    #[test]
    fn ids_compare_as_their_bytes(a in node_id(), b in node_id(), cut in 1..=NodeId::MAX_LEN) {
        prop_assert_eq!(a.cmp(&b), a.as_bytes().cmp(b.as_bytes()));
        let prefix = &a.as_bytes()[..cut.min(a.as_bytes().len())];
        let prefix = NodeId::from_bytes(prefix).unwrap();
        prop_assert_eq!(a.cmp(&prefix), a.as_bytes().cmp(prefix.as_bytes()));
    }

    #[test]
    fn any_bytes_make_an_id_or_say_why_not(bytes in vec(any::<u8>(), 0..=130)) {
        let len = bytes.len();
        match NodeId::from_bytes(&bytes) {
            Ok(id) => prop_assert_eq!(id.as_bytes(), bytes),
            Err(NodeIdError::Empty) => prop_assert_eq!(len, 0),
            Err(NodeIdError::TooLong { len: said }) => {
                prop_assert!(len > NodeId::MAX_LEN);
                prop_assert_eq!(said, len);
            }
            Err(other) => prop_assert!(false, "{other} is about text"),
        }
    }

    #[test]
    fn any_text_is_an_id_or_says_why_not(
        text in prop_oneof![any::<String>(), "[0-9a-fA-F]{0,140}", "[0-9a-g]{0,8}"]
    ) {
        match text.parse::<NodeId>() {
            Ok(id) => prop_assert_eq!(id.to_string(), text.to_lowercase()),
            Err(NodeIdError::Empty) => prop_assert!(text.is_empty()),
            Err(NodeIdError::OddLength { len }) => {
                prop_assert_eq!(len, text.len());
                prop_assert_eq!(len % 2, 1);
            }
            Err(NodeIdError::TooLong { len }) => {
                prop_assert!(len > NodeId::MAX_LEN);
                prop_assert_eq!(len * 2, text.len());
            }
            Err(NodeIdError::InvalidDigit { index }) => {
                let (valid, rest) = text.split_at(index);
                prop_assert!(valid.chars().all(|c| c.is_ascii_hexdigit()));
                prop_assert!(!rest.starts_with(|c: char| c.is_ascii_hexdigit()));
            }
            Err(other) => prop_assert!(false, "unforeseen: {other}"),
        }
    }

    #[test]
    fn endpoints_round_trip(endpoint in endpoint()) {
        prop_assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
    }

    #[test]
    fn names_ignore_case_and_the_dot_at_their_end(name in name(), port in 1..=u16::MAX) {
        let plain = Endpoint::from_name(&name, port).unwrap();
        prop_assert_eq!(plain.host(), Host::Name(&name));
        let shouted = format!("{}.", name.to_uppercase());
        prop_assert_eq!(Endpoint::from_name(&shouted, port).unwrap(), plain);
    }

    #[test]
    fn socket_addresses_survive_in_canonical_form(addr in socket_addr()) {
        let canonical = SocketAddr::new(addr.ip().to_canonical(), addr.port());
        prop_assert_eq!(Endpoint::from(addr).socket_addr(), Some(canonical));
    }

    #[test]
    fn any_text_is_an_endpoint_or_says_why_not(
        text in prop_oneof![any::<String>(), near_endpoint(), "[a-f0-9.-]{1,9}:[0-9]{1,6}"]
    ) {
        match text.parse::<Endpoint>() {
            Ok(endpoint) => prop_assert_eq!(endpoint.to_string().parse(), Ok(endpoint)),
            Err(
                EndpointError::Unspecified
                | EndpointError::Multicast
                | EndpointError::Broadcast
                | EndpointError::NotPublic,
            ) => prop_assert!(false, "addresses are not judged by the parser"),
            Err(EndpointError::InvalidCharacter { index }) => {
                let is_allowed = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
                prop_assert!(index < text.len() && !text[index..].starts_with(is_allowed));
            }
            Err(EndpointError::HyphenAtEdge { index }) => {
                prop_assert!(text[index..].starts_with('-'));
            }
            Err(reason) => prop_assert!(!reason.to_string().is_empty()),
        }
    }

    /// Whatever the parser takes for an address the standard library does too,
    /// and the other way round.
    #[test]
    fn addresses_are_read_as_std_reads_them(
        text in prop_oneof!["[0-9]{1,3}(\\.[0-9]{1,3}){3}:[1-9][0-9]{0,4}",
                            "\\[[0-9a-f:]{2,39}\\]:[1-9][0-9]{0,4}"]
    ) {
        let ours = text.parse::<Endpoint>().ok().and_then(|e| e.socket_addr());
        let theirs = text.parse::<SocketAddr>().ok();
        prop_assert_eq!(ours, theirs.map(|a| SocketAddr::new(a.ip().to_canonical(), a.port())));
    }

    #[test]
    fn any_text_is_a_nat_type_or_not(text in any::<String>()) {
        if let Ok(nat) = text.parse::<NatType>() {
            prop_assert_eq!(nat.to_string(), text);
        }
    }
}
