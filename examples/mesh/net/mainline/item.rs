//! A record, or bytes in its place, as a mutable item of BEP 44.

use std::time::{SystemTime, UNIX_EPOCH};

use mainline::MutableItem;
use relay_registry::NodeId;
use relay_registry::dht::Network;

/// The parts of an item.
#[derive(Debug, PartialEq, Eq)]
pub struct Item {
    pub key: [u8; 32],
    pub sequence: i64,
    pub signature: [u8; 64],
    pub value: Vec<u8>,
}

/// The first byte of a stored record.
const LAYOUT: u8 = 1;

impl Item {
    /// Bytes that are no record become the value of an item of `node`. `None` if the id is no key.
    pub fn of(node: &NodeId, bytes: &[u8]) -> Option<Self> {
        split(bytes).or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
            Some(Self {
                key: node.as_bytes().try_into().ok()?,
                sequence: i64::try_from(now.as_micros()).ok()?,
                signature: [7; 64],
                value: bytes.to_vec(),
            })
        })
    }

    /// With the signature as it is, valid or not.
    pub fn signed(&self, network: &Network) -> MutableItem {
        let salt = Some(network.salt());
        MutableItem::new_signed_unchecked(
            self.key,
            self.signature,
            &self.value,
            self.sequence,
            salt,
        )
    }
}

/// Splits into layout, key, sequence, signature and value.
fn split(bytes: &[u8]) -> Option<Item> {
    let (&LAYOUT, rest) = bytes.split_first()? else {
        return None;
    };
    let (key, rest) = rest.split_first_chunk()?;
    let (sequence, rest) = rest.split_first_chunk()?;
    let (signature, value) = rest.split_first_chunk()?;
    Some(Item {
        key: *key,
        sequence: i64::from_be_bytes(*sequence),
        signature: *signature,
        value: value.to_vec(),
    })
}

/// Where the items of `node` are in the DHT.
pub fn target(node: &NodeId, network: &Network) -> Option<[u8; 20]> {
    let key = node.as_bytes().try_into().ok()?;
    let target = MutableItem::target_from_key(key, Some(network.salt()));
    Some(*target.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_falls_into_its_parts_and_noise_is_a_value() {
        let node = NodeId::from([9; 32]);
        let bytes = [&[1][..], &[2; 32], &5_i64.to_be_bytes(), &[3; 64], b"value"].concat();
        let item = Item {
            key: [2; 32],
            sequence: 5,
            signature: [3; 64],
            value: b"value".to_vec(),
        };
        assert_eq!(Item::of(&node, &bytes), Some(item));
        let noise = Item::of(&node, b"noise").expect("the node is a key");
        assert_eq!((noise.key, &noise.value[..]), ([9; 32], &b"noise"[..]));
    }
}
