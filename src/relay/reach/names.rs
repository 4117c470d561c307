//! The special-use domain names: those of IANA
//! (<https://www.iana.org/assignments/special-use-domain-names>, RFC 6761) that are not
//! delegated, and the one that ICANN reserved.
//!
//! `.example` is not among them: software should not take it for special (RFC 6761,
//! section 6.5), and documentation may use it.

/// Domains whose names do not mean the same host everywhere.
const NOT_PUBLIC: [&str; 8] = [
    "alt",       // RFC 9476: outside of the DNS
    "arpa",      // RFC 3172: infrastructure, with home.arpa (RFC 8375) and all reverse zones
    "internal",  // ICANN resolution 2024.07.29.06: private use
    "invalid",   // RFC 6761, section 6.4
    "local",     // RFC 6762: the link's
    "localhost", // RFC 6761, section 6.3: the host's
    "onion",     // RFC 7686: Tor's
    "test",      // RFC 6761, section 6.2
];

/// Whether `name`, in lower case and without underscores, can mean the same host everywhere.
///
/// A single label cannot: resolvers complete it from a list of their own.
pub(in crate::relay) fn is_public_name(name: &str) -> bool {
    let Some((_, top)) = name.rsplit_once('.') else {
        return false;
    };
    !NOT_PUBLIC.contains(&top)
}

/// Where the first underscore is. A name that has one is that of a service and not of a host
/// (RFC 8552).
pub(in crate::relay) fn underscore_in(name: &str) -> Option<usize> {
    name.find('_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_use_names_are_not_public() {
        for name in [
            "relay",
            "localhost",
            "a.localhost",
            "printer.local",
            "a.b.internal",
            "home.arpa",
            "nas.home.arpa",
            "1.0.168.192.in-addr.arpa",
            "ipv4only.arpa",
            "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion",
            "relay.test",
            "relay.invalid",
            "relay.alt",
        ] {
            assert!(!is_public_name(name), "{name}");
        }
    }

    #[test]
    fn the_first_underscore_is_found() {
        assert_eq!(underscore_in("_turn._udp.example.com"), Some(0));
        assert_eq!(underscore_in("a_b.example_"), Some(1));
        assert_eq!(underscore_in("relay.example.com"), None);
    }

    #[test]
    fn other_names_are_public() {
        for name in [
            "relay.example.com",
            "relay.example",
            "local.example.com",
            "test.net",
            "notlocal.com",
            "a.notlocal",
            "arpa.net",
            "internal.net",
        ] {
            assert!(is_public_name(name), "{name}");
        }
    }
}
