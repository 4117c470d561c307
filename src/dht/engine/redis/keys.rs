//! [`Keys`]: the layout of the keys.

use std::fmt::Write;

use crate::dht::record::Network;
use crate::relay::NodeId;

/// The keys of one network: all begin with its prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Keys {
    prefix: Box<str>,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.into(),
        }
    }

    /// The default: `relay-registry:`, and the tag of the network. Bytes of the tag that are not
    /// letters, digits, `-`, `.` or `_` are percent-encoded, so no two tags share a prefix, and
    /// none has characters that mean something in a pattern.
    pub(super) fn of_network(network: &Network) -> Self {
        let mut prefix = String::from("relay-registry:");
        for &byte in network.tag() {
            if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
                prefix.push(char::from(byte));
            } else {
                // Does not fail: a string takes all.
                let _ = write!(prefix, "%{byte:02X}");
            }
        }
        Self::new(&prefix)
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What the keys of all records begin with; the rest is the id of the node.
    pub(super) fn records(&self) -> String {
        format!("{}:record:", self.prefix)
    }

    /// The key of the record of `node`: a string.
    pub(super) fn record(&self, node: &NodeId) -> String {
        format!("{}:record:{node}", self.prefix)
    }

    /// The key of a shard of the directory: a sorted set.
    pub(super) fn shard(&self, shard: u16) -> String {
        format!("{}:shard:{shard}", self.prefix)
    }
}

/// The node that a shard lists so: 64 hexadecimal digits, unless it is no public key.
pub(super) fn node(member: &[u8]) -> Option<NodeId> {
    let text = std::str::from_utf8(member).ok()?;
    let node = text.parse::<NodeId>().ok()?;
    (node.as_bytes().len() == 32).then_some(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(tag: &[u8]) -> String {
        let network = Network::new(tag).expect("a tag");
        Keys::of_network(&network).prefix().into()
    }

    #[test]
    fn no_two_networks_share_a_prefix() {
        assert_eq!(prefix(b"staging-2.eu_w"), "relay-registry:staging-2.eu_w");
        assert_eq!(prefix(b"a:b*\xff"), "relay-registry:a%3Ab%2A%FF");
        assert_ne!(prefix(b"a%3A"), prefix(b"a:"));
    }

    #[test]
    fn a_key_names_its_network_and_its_node() {
        let keys = Keys::new("relays");
        let node = NodeId::from_bytes(&[0xab, 0x01]).expect("an id");
        assert_eq!(keys.record(&node), "relays:record:ab01");
        assert_eq!(keys.record(&node), keys.records() + &node.to_string());
        assert_eq!(keys.shard(12), "relays:shard:12");
    }

    #[test]
    fn a_member_is_read_back_and_junk_is_none() {
        let relay = NodeId::from(std::array::from_fn(|at| at as u8 * 7));
        let text = relay.to_string();
        assert_eq!(node(text.as_bytes()), Some(relay));
        let wide = "é".repeat(32);
        for junk in [
            "",
            "ab",
            &"g".repeat(64),
            &"+f".repeat(32),
            &wide,
            &text[1..],
        ] {
            assert_eq!(node(junk.as_bytes()), None, "{junk}");
        }
    }
}
