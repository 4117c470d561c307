//! Under which keys things are stored.

use sha2::{Digest, Sha256};

use crate::relay::NodeId;

/// Where the record of `node` is: SHA-256 of `relay.node.` and the id.
pub(super) fn of_node(node: &NodeId) -> [u8; 32] {
    digest(&[b"relay.node.", node.as_bytes()])
}

/// Where the list of a shard is: SHA-256 of `relay.list` for the first, of
/// `relay.list.1`, `relay.list.2` and so on for the others.
pub(super) fn of_list(shard: u16) -> [u8; 32] {
    match shard {
        0 => digest(&[b"relay.list"]),
        _ => digest(&[b"relay.list.", shard.to_string().as_bytes()]),
    }
}

/// What tells one value from another.
pub(super) fn of_value(value: &[u8]) -> [u8; 32] {
    digest(&[value])
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(key: [u8; 32]) -> String {
        NodeId::from(key).to_string()
    }

    /// The figures are those of `sha256sum`.
    #[test]
    fn the_keys_are_those_of_the_reference_system() {
        assert_eq!(hex(of_list(0)), LIST);
        assert_eq!(hex(of_list(1)), LIST_1);
        let node = NodeId::from_bytes(b"abc").expect("a short id is an id");
        assert_eq!(hex(of_node(&node)), NODE_ABC);
    }

    const LIST: &str = "89b03cfe63760002f96879b5bad239a706f0b8a286ae389684a03ae3c50047c4";
    const LIST_1: &str = "6716b9555031861f9d46730834bc3c2724366b6f35cbf4b33df52db2fbba7e95";
    const NODE_ABC: &str = "bc386bdb14aecf35a6457709f55b30e20c54851ffd6db472e282345ee9c1d04c";
}
