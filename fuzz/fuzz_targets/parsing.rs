//! Any text or bytes: nothing panics, and an accepted value is equal after it was printed and parsed again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relay_registry::{Endpoint, Host, NatType, NodeId, NodeIdError, PeerView};
use std::fmt::{Debug, Display};
use std::str::FromStr;

fuzz_target!(|bytes: &[u8]| {
    identity_of_bytes(bytes);
    view_of_peer(bytes);
    if let Ok(text) = str::from_utf8(bytes) {
        identity_of_text(text);
        endpoint(text);
        round_trip::<NatType>(text);
    }
});

fn identity_of_bytes(bytes: &[u8]) {
    match NodeId::from_bytes(bytes) {
        Ok(id) => {
            assert_eq!(id.as_bytes(), bytes);
            let text = id.to_string();
            assert_eq!(text.parse(), Ok(id));
            assert_eq!(text.to_uppercase().parse(), Ok(id));
        }
        Err(NodeIdError::Empty) => assert!(bytes.is_empty()),
        Err(NodeIdError::TooLong { len }) => {
            assert!(len == bytes.len() && len > NodeId::MAX_LEN);
        }
        Err(error) => panic!("{error}"),
    }
}

/// A view has one form: bytes that are accepted are those that it is written in.
fn view_of_peer(bytes: &[u8]) {
    match PeerView::from_bytes(bytes) {
        Ok(view) => assert_eq!(view.to_bytes(), bytes),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn identity_of_text(text: &str) {
    let accepted = round_trip::<NodeId>(text);
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_sized =
        text.len().is_multiple_of(2) && (1..=NodeId::MAX_LEN).contains(&(text.len() / 2));
    assert_eq!(accepted.is_some(), is_hex && is_sized);
    if let Some(id) = accepted {
        assert_eq!(id.to_string(), text.to_ascii_lowercase());
    }
}

fn endpoint(text: &str) {
    let Some(endpoint) = round_trip::<Endpoint>(text) else {
        return;
    };
    assert_ne!(endpoint.port(), 0);
    match (endpoint.host(), endpoint.socket_addr()) {
        (Host::Ip(ip), Some(addr)) => {
            assert_eq!((ip, endpoint.port()), (addr.ip(), addr.port()));
            assert_eq!(ip, ip.to_canonical(), "one spelling for each address");
            assert_eq!(Endpoint::from(addr), endpoint);
            assert_eq!(Endpoint::new(&ip.to_string(), addr.port()), Ok(endpoint));
        }
        (Host::Name(name), None) => {
            assert_eq!(name, name.to_ascii_lowercase());
            assert!(name.len() <= 253 && name.parse::<std::net::IpAddr>().is_err());
            assert_eq!(Endpoint::from_name(name, endpoint.port()), Ok(endpoint));
        }
        (host, addr) => panic!("{host:?} is dialled at {addr:?}"),
    }
}

/// Parses the text. An accepted value must be equal after it was printed and parsed again.
fn round_trip<T>(text: &str) -> Option<T>
where
    T: FromStr<Err: Debug + Display> + Display + Debug + PartialEq,
{
    match text.parse::<T>() {
        Ok(value) => {
            let printed = value.to_string();
            assert_eq!(
                printed.parse::<T>().as_ref().ok(),
                Some(&value),
                "{printed}"
            );
            Some(value)
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}
