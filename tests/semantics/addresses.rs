//! Rule 10: which endpoints and NAT types are accepted.

use crate::assert_is;
use crate::common::*;
use relay_registry::{
    AddressPolicy, Endpoint, EndpointError, NatType, RegisterError, RegisterOptions, Registration,
};
use std::net::SocketAddr;

const NOT_PUBLIC: [&str; 19] = [
    "10.1.2.3:4000",
    "172.16.0.1:4000",
    "172.31.255.254:4000",
    "192.168.1.1:4000",
    "127.0.0.1:4000",
    "169.254.10.10:4000",
    "100.64.0.1:4000",
    "[::1]:4000",
    "[fc00::1]:4000",
    "[fd12:3456::1]:4000",
    "[::ffff:192.168.1.1]:4000",
    // Reserved, of a protocol, for benchmarks and for documentation.
    "0.1.2.3:4000",
    "240.0.0.1:4000",
    "192.0.0.4:4000",
    "198.18.0.1:4000",
    "203.0.113.7:4000",
    "[2001:db8::1]:4000",
    // With a private address within, and servers of other services.
    "[2002:a00:1::1]:4000",
    "192.31.196.1:4000",
];

const PUBLIC: [&str; 8] = [
    "9.9.9.9:4000",
    "172.15.0.1:4000",
    "172.32.0.1:4000",
    "100.63.255.255:4000",
    "100.128.0.1:4000",
    "11.0.0.1:65535",
    "[2620:fe::fe]:4000",
    "[::ffff:9.9.9.9]:1",
];

const NOT_PUBLIC_NAMES: [&str; 10] = [
    "relay:4000",
    "localhost:4000",
    "printer.local:4000",
    "nas.home.arpa:4000",
    "relay.internal:4000",
    "relay.onion:4000",
    "relay.test:4000",
    "relay.invalid:4000",
    "relay.alt:4000",
    "_relay.example.net:4000",
];

const NAMED: [&str; 4] = [
    "relay.example.net:4000",
    "a.b:1",
    "xn--bcher-kva.example:4000",
    "9.example:4000",
];

fn public_only() -> World {
    world_with(|builder| builder.address_policy(AddressPolicy::PublicOnly))
}

/// The outcome of registering relay 1 at a socket address, without parsing.
fn register(
    world: &World,
    address: &str,
    options: &RegisterOptions,
) -> Result<Registration, RegisterError> {
    let address: SocketAddr = address.parse().expect("a socket address");
    world.unregister(&id(1));
    world.register_with(id(1), address, options)
}

fn fault(world: &World, address: &str) -> Option<EndpointError> {
    match register(world, address, &options()) {
        Err(RegisterError::InvalidEndpoint(error)) => {
            assert!(!world.has(1), "{address} was refused and is held");
            Some(error)
        }
        Ok(Registration::New | Registration::Returned) => None,
        other => panic!("{address}: {other:?}"),
    }
}

#[test]
fn s10_addresses_no_one_can_be_reached_at_are_always_refused() {
    for world in [world(), public_only()] {
        for address in ["9.9.9.9:0", "[2620:fe::fe]:0", "127.0.0.1:0"] {
            assert_is!(fault(&world, address), Some(EndpointError::ZeroPort));
        }
        for address in ["0.0.0.0:4000", "[::]:4000", "[::ffff:0.0.0.0]:4000"] {
            assert_is!(fault(&world, address), Some(EndpointError::Unspecified));
        }
        for address in [
            "224.0.0.1:4000",
            "239.255.255.255:4000",
            "[ff02::1]:4000",
            "[ff0e::1]:4000",
            "[::ffff:224.0.0.1]:4000",
        ] {
            assert_is!(fault(&world, address), Some(EndpointError::Multicast));
        }
        for address in ["255.255.255.255:4000", "[::ffff:255.255.255.255]:4000"] {
            assert_is!(fault(&world, address), Some(EndpointError::Broadcast));
        }
        for address in ["[fe80::1]:4000", "[febf:ffff::1]:4000"] {
            assert_is!(fault(&world, address), Some(EndpointError::LinkLocal));
        }
        assert_eq!(world.relay_count(), 0);
    }
}

#[test]
fn s10_any_is_the_default_and_admits_private_and_loopback_addresses() {
    assert_eq!(AddressPolicy::default(), AddressPolicy::Any);
    let world = world();
    for address in NOT_PUBLIC.iter().chain(&PUBLIC) {
        assert_is!(fault(&world, address), None);
    }
}

#[test]
fn s10_public_only_admits_public_addresses_only() {
    let world = public_only();
    for address in NOT_PUBLIC {
        assert_is!(fault(&world, address), Some(EndpointError::NotPublic));
    }
    for address in PUBLIC {
        assert_is!(fault(&world, address), None);
    }
}

#[test]
fn s10_a_renewal_obeys_the_address_rules() {
    let world = public_only();
    world.join(1);
    let private: SocketAddr = ([192, 168, 0, 1], 4_000).into();
    assert_is!(
        world.register(id(1), private),
        Err(RegisterError::InvalidEndpoint(EndpointError::NotPublic))
    );
    assert_eq!(world.info(1).endpoint(), &endpoint(1));
}

#[test]
fn s10_well_formed_names_are_admitted_under_either_policy() {
    for world in [world(), public_only()] {
        for (n, name) in NAMED.into_iter().enumerate() {
            let named: Endpoint = name.parse().expect("a well-formed name");
            let n = n as u32;
            assert_eq!(world.register(id(n), named.clone()), Ok(Registration::New));
            assert_eq!(world.info(n).endpoint(), &named);
            assert_eq!(world.info(n).endpoint().socket_addr(), None);
        }
    }
}

#[test]
fn s10_malformed_names_are_refused_before_they_get_to_a_registry() {
    let long_label = "a".repeat(64);
    let long_name = ["abcdefg"; 40].join(".");
    assert_is!(Endpoint::from_name("", 1), Err(EndpointError::EmptyHost));
    assert_is!(
        Endpoint::from_name("a..b", 1),
        Err(EndpointError::EmptyLabel)
    );
    assert_is!(Endpoint::from_name(".a", 1), Err(EndpointError::EmptyLabel));
    assert_is!(
        Endpoint::from_name(&long_label, 1),
        Err(EndpointError::LabelTooLong { .. })
    );
    assert_is!(
        Endpoint::from_name(&long_name, 1),
        Err(EndpointError::NameTooLong { .. })
    );
    for name in ["a b", "a+b.example", "a/b", "b\u{fc}cher.example", "a\0b"] {
        assert_is!(
            Endpoint::from_name(name, 1),
            Err(EndpointError::InvalidCharacter { .. })
        );
    }
    for name in ["-a.example", "a-.example", "a.-b"] {
        assert_is!(
            Endpoint::from_name(name, 1),
            Err(EndpointError::HyphenAtEdge { .. })
        );
    }
    for name in ["256.1.1.1", "1.2.3", "relay.7"] {
        assert_is!(
            Endpoint::from_name(name, 1),
            Err(EndpointError::NumericName)
        );
    }
    assert_is!(
        Endpoint::from_name("relay.example", 0),
        Err(EndpointError::ZeroPort)
    );
}

#[test]
fn s10_malformed_endpoints_are_refused_before_they_get_to_a_registry() {
    let parse = |text: &str| text.parse::<Endpoint>();
    assert_is!(parse("relay.example"), Err(EndpointError::MissingPort));
    assert_is!(parse("9.9.9.9:"), Err(EndpointError::MissingPort));
    for text in ["9.9.9.9:65536", "9.9.9.9:x", "9.9.9.9:-1"] {
        assert_is!(parse(text), Err(EndpointError::InvalidPort));
    }
    for text in ["9.9.9.9:0", "[::1]:0", "relay.example:0"] {
        assert_is!(parse(text), Err(EndpointError::ZeroPort));
    }
    assert_is!(
        parse("2620:fe::fe:4000"),
        Err(EndpointError::UnbracketedIpv6)
    );
    assert_is!(
        parse("[2620:fe::xyz]:4000"),
        Err(EndpointError::InvalidIpv6)
    );
    assert_is!(parse(":4000"), Err(EndpointError::EmptyHost));
}

#[test]
fn s10_peers_behind_closed_nats_are_refused() {
    let world = world();
    for closed in [
        NatType::RestrictedCone,
        NatType::PortRestrictedCone,
        NatType::Symmetric,
    ] {
        for address in ["9.9.9.9:4000", "192.168.1.1:4000"] {
            assert_is!(
                register(&world, address, &options().nat(closed)),
                Err(RegisterError::NotReachable { nat, .. }) if nat == closed
            );
            assert!(!world.has(1));
        }
    }
}

/// Also with a policy that admits any address.
#[test]
fn s10_a_public_peer_has_a_public_address_or_name() {
    let world = world();
    let public_ip = options().nat(NatType::PublicIp);
    for text in NOT_PUBLIC.iter().chain(&NOT_PUBLIC_NAMES) {
        let endpoint: Endpoint = text.parse().expect("an endpoint");
        assert_is!(
            world.register_with(id(1), endpoint, &public_ip),
            Err(RegisterError::NotReachable {
                nat: NatType::PublicIp,
                ..
            })
        );
        assert!(!world.has(1), "{text}");
    }
    for text in PUBLIC.iter().chain(&NAMED) {
        let endpoint: Endpoint = text.parse().expect("an endpoint");
        world.unregister(&id(1));
        let outcome = world.register_with(id(1), endpoint, &public_ip);
        assert!(outcome.is_ok(), "{text}: {outcome:?}");
    }
}

#[test]
fn s10_names_that_other_nodes_cannot_resolve_are_refused_by_the_public_policy() {
    for name in NOT_PUBLIC_NAMES {
        let named: Endpoint = name.parse().expect("a well-formed name");
        let reason = match name.find('_') {
            Some(index) => EndpointError::Underscore { index },
            None => EndpointError::NotPublic,
        };
        assert_eq!(
            public_only().register(id(1), named.clone()),
            Err(RegisterError::InvalidEndpoint(reason))
        );
        assert_eq!(world().register(id(1), named), Ok(Registration::New));
    }
}

#[test]
fn s10_a_full_cone_admits_any_valid_address() {
    let world = world();
    let full_cone = options().nat(NatType::FullCone);
    for address in NOT_PUBLIC.iter().chain(&PUBLIC) {
        let outcome = register(&world, address, &full_cone);
        assert!(outcome.is_ok(), "{address}: {outcome:?}");
        assert_eq!(world.info(1).nat(), Some(NatType::FullCone));
    }
}
