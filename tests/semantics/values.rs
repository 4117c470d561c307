//! Properties of the public values: text forms, traits, and messages of errors.

use proptest::collection::vec;
use proptest::prelude::*;
use relay_registry::{
    AddressPolicy, AddressPolicyError, BuildError, CircuitState, Coordinate, Endpoint,
    EndpointError, Explanation, Failure, FindError, FindOptions, Host, Landmark, Lease, LeaseError,
    LegSource, Maintenance, MaintenanceReport, ManualClock, NatType, NodeId, NodeIdError, PeerView,
    RegisterError, RegisterOptions, Registration, Registry, RegistryBuilder, Rejections, RelayInfo,
    Stats, Verdict, Vivaldi,
};
use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::panic::{RefUnwindSafe, UnwindSafe, catch_unwind};
use std::time::Duration;

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

/// Text that is nearly an endpoint.
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
                | EndpointError::NotPublic
                | EndpointError::Underscore { .. }
                | EndpointError::PortInHost,
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

/// The auto traits that each public type has, with `Debug`.
fn shared<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + Debug>() {}

/// The traits of a value that can be a key.
fn key<T: Copy + Ord + Hash + Debug>() {}

fn error<T: Error + Clone + PartialEq + Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}

#[test]
fn public_types_have_the_common_traits() {
    shared::<Registry>();
    shared::<RegistryBuilder>();
    shared::<Lease>();
    shared::<RelayInfo>();
    shared::<RegisterOptions>();
    shared::<FindOptions>();
    shared::<PeerView>();
    shared::<Explanation>();
    shared::<Endpoint>();
    shared::<Coordinate>();
    shared::<Landmark>();
    shared::<Vivaldi>();
    shared::<ManualClock>();
    shared::<Stats>();
    shared::<MaintenanceReport>();
    shared::<Rejections>();
    key::<NodeId>();
    key::<Host<'static>>();
    key::<NatType>();
    key::<AddressPolicy>();
    key::<CircuitState>();
    key::<Failure>();
    key::<Registration>();
    key::<Maintenance>();
    key::<Verdict>();
    key::<LegSource>();
    error::<BuildError>();
    error::<RegisterError>();
    error::<FindError>();
    error::<LeaseError>();
    error::<EndpointError>();
    error::<NodeIdError>();
}

#[test]
fn a_registry_works_on_after_a_panic_beside_it() {
    let registry = Registry::new();
    let relay = NodeId::from([1; 32]);
    let endpoint = Endpoint::from((Ipv4Addr::new(192, 0, 2, 1), 443));
    registry.register(relay, endpoint).unwrap();
    let lease = registry.lease(&relay).unwrap();
    let panicked = catch_unwind(|| {
        assert!(registry.is_relay(&relay) && lease.relay().node_id() == relay);
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(panicked.is_err() && lease.succeeded() && registry.is_relay(&relay));
}

#[test]
fn displayed_values_honour_width_fill_and_precision() {
    let id = NodeId::from_bytes(&[0xc0, 0xff, 0xee]).unwrap();
    assert_eq!(
        format!("{id:*>8}|{id:<8}|{id:.4}"),
        "**c0ffee|c0ffee  |c0ff"
    );
    for (text, precise) in [
        ("192.0.2.1:443", "192.0"),
        ("[2001:db8::1]:443", "[2001"),
        ("relay.example:443", "relay"),
    ] {
        let endpoint: Endpoint = text.parse().unwrap();
        assert_eq!(format!("{endpoint:->20}"), format!("{text:->20}"));
        assert_eq!(format!("{endpoint:^20}"), format!("{text:^20}"));
        assert_eq!(format!("{endpoint:.5}"), precise);
    }
    fn padded(values: &[&dyn Display]) -> Vec<String> {
        values.iter().map(|value| format!("{value:>9}")).collect()
    }
    assert_eq!(
        padded(&[
            &CircuitState::Closed,
            &CircuitState::HalfOpen,
            &CircuitState::Open,
            &Failure::Refused,
            &Failure::TimedOut,
            &Registration::New,
            &Registration::Renewed,
            &Registration::Returned,
        ]),
        [
            "   closed",
            "half-open",
            "     open",
            "  refused",
            "timed out",
            "      new",
            "  renewed",
            " returned"
        ]
    );
}

#[test]
fn address_policies_are_parsed_as_they_are_written() {
    for (policy, text) in [
        (AddressPolicy::Any, "any"),
        (AddressPolicy::PublicOnly, "public-only"),
    ] {
        assert_eq!(policy.to_string(), text);
        assert_eq!(text.parse(), Ok(policy));
    }
    for text in ["", "Any", "public", "public-only "] {
        let refused: AddressPolicyError = text.parse::<AddressPolicy>().unwrap_err();
        let says = refused.to_string();
        assert_eq!(says, "an address policy is any or public-only", "{text:?}");
    }
}

#[test]
fn endpoints_are_made_of_addresses_and_resolve_to_them() {
    let ip = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let endpoint = Endpoint::from((IpAddr::V6(ip), 443));
    assert_eq!(endpoint, Endpoint::from((ip, 443)));
    assert_eq!(endpoint, Endpoint::from(SocketAddr::from((ip, 443))));
    let mapped = Endpoint::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), 443));
    assert_eq!(mapped, Endpoint::from((Ipv4Addr::LOCALHOST, 443)));
    let resolved: Vec<SocketAddr> = endpoint.to_socket_addrs().unwrap().collect();
    assert_eq!(resolved, [SocketAddr::from((ip, 443))]);
}

#[test]
fn endpoints_are_ordered_by_kind_then_host_then_port() {
    let sorted = [
        "9.9.9.9:9",
        "10.0.0.1:1",
        "10.0.0.1:2",
        "[2001:db8::1]:3",
        "[2001:db8::2]:1",
        "a.example:2",
        "b.example:1",
    ];
    let endpoints: BTreeSet<Endpoint> = sorted.iter().rev().map(|e| e.parse().unwrap()).collect();
    let texts: Vec<String> = endpoints.iter().map(Endpoint::to_string).collect();
    assert_eq!(texts, sorted);
}

#[test]
fn an_endpoint_with_a_scheme_says_that_none_is_wanted() {
    for text in [
        "https://a:1",
        "https://a",
        "turn:a:1",
        "turns:relay.example:5349?transport=tcp",
        "stun:192.0.2.1:3478",
        "turn:[2001:db8::1]:3478",
        "a://b",
        "coap+tcp:a:1",
    ] {
        let refused = text.parse::<Endpoint>();
        assert_eq!(refused, Err(EndpointError::Scheme), "{text}");
    }
    for text in ["2001:db8::1:443", "fe80::1:443", "::1", "cafe:1:2"] {
        let refused = text.parse::<Endpoint>();
        assert_eq!(refused, Err(EndpointError::UnbracketedIpv6), "{text}");
    }
    assert!(
        EndpointError::Scheme
            .to_string()
            .contains("without a scheme")
    );
}

#[test]
fn messages_name_the_value_the_bound_and_the_cause() {
    let build = |builder: RegistryBuilder| builder.build().unwrap_err().to_string();
    let builder = || Registry::builder().tick(Duration::from_millis(100));
    let millis = Duration::from_millis;
    assert_eq!(
        build(builder().ttl(millis(5))),
        "the TTL is 5ms, shorter than the tick of 100ms"
    );
    assert_eq!(
        build(builder().ttl(Duration::MAX)),
        "the TTL is 18446744073709551615.999999999s, longer than the \
         6871947673.499999999s that ticks can count"
    );
    assert_eq!(
        build(builder().max_relays(0)),
        "max_relays is 0, not 1 to 8000000"
    );
    assert_eq!(
        build(builder().back_off(millis(2), millis(1))),
        "the shortest back-off is 2ms, longer than the longest of 1ms"
    );
    let registry = builder().build().unwrap();
    let register = |endpoint: Endpoint, options: &RegisterOptions| {
        let refused = registry.register_with(NodeId::from([1; 32]), endpoint, options);
        refused.unwrap_err().to_string()
    };
    let at = |port| Endpoint::from((Ipv4Addr::new(192, 0, 2, 1), port));
    assert_eq!(
        register(at(443), &RegisterOptions::new().ttl(millis(5))),
        "the TTL is 5ms, shorter than the tick of 100ms"
    );
    assert_eq!(
        register(at(0), &RegisterOptions::new()),
        "the endpoint is not acceptable: port 0 cannot be dialled"
    );
}
