//! The keys of records and lists, which are those of `macula_relay_registry`.

use sha2::{Digest, Sha256};

use crate::dht::engine::ShardPath;
use crate::relay::NodeId;

/// The key of the record of `node`: SHA-256 of `relay.node.` and the id.
pub(super) fn record_key(node: &NodeId) -> [u8; 32] {
    sha256(&[b"relay.node.", node.as_bytes()])
}

/// The key of the list of a shard: SHA-256 of `relay.list` for the first shard, of `relay.list.`
/// and the shard's path for the others: `relay.list.1`, `relay.list.0/011`.
pub(super) fn list_key(path: ShardPath) -> [u8; 32] {
    match path.as_root() {
        Some(0) => sha256(&[b"relay.list"]),
        _ => sha256(&[b"relay.list.", path.to_string().as_bytes()]),
    }
}

pub(super) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "89b03cfe63760002f96879b5bad239a706f0b8a286ae389684a03ae3c50047c4";
    const LIST_1: &str = "6716b9555031861f9d46730834bc3c2724366b6f35cbf4b33df52db2fbba7e95";
    const NODE_ABC: &str = "bc386bdb14aecf35a6457709f55b30e20c54851ffd6db472e282345ee9c1d04c";

    fn hex(key: [u8; 32]) -> String {
        NodeId::from(key).to_string()
    }

    /// `sha256sum` computed the expected keys.
    #[test]
    fn keys_are_those_of_macula_relay_registry() {
        assert_eq!(hex(list_key(ShardPath::root(0))), LIST);
        assert_eq!(hex(list_key(ShardPath::root(1))), LIST_1);
        let node = NodeId::from_bytes(b"abc").expect("a short id is an id");
        assert_eq!(hex(record_key(&node)), NODE_ABC);
    }
}
