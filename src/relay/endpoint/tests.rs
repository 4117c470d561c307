//! Endpoints: what is parsed, printed, refused and admitted.

use std::net::SocketAddrV6;

use super::error::MAX_LABEL_LEN;
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
fn hosts_are_shared_whatever_the_port() {
    let hosts = [
        "192.0.2.1",
        "192.0.2.2",
        "2001:db8::1",
        "2001:db8::2",
        "a.example",
        "b.example",
    ];
    for (i, one) in hosts.iter().enumerate() {
        for (j, other) in hosts.iter().enumerate() {
            let at = |host, port| Endpoint::new(host, port).unwrap();
            assert_eq!(at(one, 1).shares_host_with(&at(other, 2)), i == j);
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
fn ipv6_is_in_brackets() {
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
        "_turn._udp.a",
        "a_b_",
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
        ("a+b", 1),
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
fn what_cannot_be_dialled_is_refused_under_any_policy() {
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
        for text in ["[fe80::1]:1", "[febf:ffff::1]:1"] {
            assert_eq!(check(text), Err(EndpointError::LinkLocal));
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
fn a_host_is_an_address_or_a_name() {
    let new = |host: &str| Endpoint::new(host, 443);
    for (host, text) in [
        ("192.0.2.1", "192.0.2.1:443"),
        ("2001:db8::1", "[2001:db8::1]:443"),
        ("[2001:DB8:0::1]", "[2001:db8::1]:443"),
        ("::ffff:192.0.2.1", "192.0.2.1:443"),
        ("[::ffff:192.0.2.1]", "192.0.2.1:443"),
        ("Relay.Example.COM.", "relay.example.com:443"),
        ("_turn._udp.a", "_turn._udp.a:443"),
        ("localhost", "localhost:443"),
    ] {
        assert_eq!(new(host), Ok(endpoint(text)), "{host}");
        assert_eq!(Endpoint::new(host, 0), Err(EndpointError::ZeroPort));
    }
    for (host, error) in [
        ("", EndpointError::EmptyHost),
        ("[]", EndpointError::InvalidIpv6),
        ("[::1", EndpointError::InvalidIpv6),
        ("[192.0.2.1]", EndpointError::InvalidIpv6),
        ("[::1]x", EndpointError::InvalidIpv6),
        ("[fe80::1%eth0]", EndpointError::InvalidIpv6),
        ("fe80::1%3", EndpointError::InvalidIpv6),
        ("1:2:3", EndpointError::InvalidIpv6),
        ("a:b:c", EndpointError::InvalidIpv6),
        ("[::1]:443", EndpointError::PortInHost),
        ("192.0.2.1:443", EndpointError::PortInHost),
        ("relay.example:443", EndpointError::PortInHost),
        ("relay.example:", EndpointError::PortInHost),
        ("https://relay.example", EndpointError::Scheme),
        ("turn:relay.example:3478", EndpointError::Scheme),
        ("192.0.2.256", EndpointError::NumericName),
        ("a b", EndpointError::InvalidCharacter { index: 1 }),
        ("a]", EndpointError::InvalidCharacter { index: 1 }),
        ("a..b", EndpointError::EmptyLabel),
    ] {
        assert_eq!(new(host), Err(error), "{host}");
    }
}

#[test]
fn only_the_public_policy_refuses_underscores() {
    for (text, index) in [
        ("_turn._udp.example.com:1", 0),
        ("a.b_c.example.com:1", 3),
        ("host_.local:1", 4),
    ] {
        let named = endpoint(text);
        assert_eq!(named.check(AddressPolicy::Any), Ok(()), "{text}");
        assert!(!named.is_public());
        let refused = named.check(AddressPolicy::PublicOnly);
        assert_eq!(refused, Err(EndpointError::Underscore { index }), "{text}");
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
