//! [`SecretKey`]: the key pair of a node.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey};
use zeroize::Zeroize;

use super::KeyError;
use crate::relay::NodeId;

/// The private key of a node: an Ed25519 seed (RFC 8032).
///
/// With the key, a process can act as the node. So the key is zeroized when it is
/// dropped, [`Debug`] shows none of its bytes, and it can be neither cloned nor
/// compared. Share it through an `Arc`, and store the seed with the node's other
/// secrets.
///
/// ```
/// use relay_registry::dht::SecretKey;
///
/// let key = SecretKey::generate()?;
/// let same = SecretKey::from_seed(*key.expose_seed());
/// assert_eq!(key.node_id(), same.node_id());
/// assert_eq!(format!("{key:?}"), "SecretKey(..)");
/// # Ok::<(), relay_registry::dht::KeyError>(())
/// ```
// Boxed: a move would leave a copy of the key that is not zeroized.
pub struct SecretKey(Box<SigningKey>);

impl SecretKey {
    /// A new key from random bytes of the operating system.
    ///
    /// # Errors
    ///
    /// [`KeyError::NoRandomness`] if the operating system returns none.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        let filled = getrandom::fill(&mut seed);
        let key = Self::from_seed(seed);
        seed.zeroize();
        match filled {
            Ok(()) => Ok(key),
            Err(error) => Err(KeyError::NoRandomness {
                raw_os_error: error.raw_os_error(),
            }),
        }
    }

    /// The key of a seed: 32 bytes from a source of cryptographic randomness.
    ///
    /// The seed that is passed is zeroized. The caller zeroizes its own copy.
    #[must_use]
    pub fn from_seed(mut seed: [u8; 32]) -> Self {
        let key = Self(Box::new(SigningKey::from_bytes(&seed)));
        seed.zeroize();
        key
    }

    /// The seed, for storage among secrets: with it any process can act as this
    /// node.
    #[must_use]
    pub fn expose_seed(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The node id of the key: the 32 bytes of the public key.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        NodeId::from(self.public_key())
    }

    pub(super) fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_does_not_show_the_key() {
        let key = SecretKey::from_seed([0xa5; 32]);
        assert_eq!(format!("{key:?}"), "SecretKey(..)");
        assert_eq!(format!("{key:#?}"), "SecretKey(..)");
    }

    #[test]
    fn a_key_is_zeroized_when_dropped() {
        fn assert_zeroized<T: zeroize::ZeroizeOnDrop>() {}
        assert_zeroized::<SigningKey>();
    }

    #[test]
    fn generated_keys_differ() {
        let [a, b] = [(); 2].map(|()| SecretKey::generate().unwrap());
        assert_ne!(a.node_id(), b.node_id());
        assert_ne!(a.expose_seed(), &[0; 32]);
    }

    /// RFC 8032, section 7.1, test 1.
    #[test]
    fn the_node_id_is_the_public_key() {
        let seed: NodeId = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
            .parse()
            .unwrap();
        let key = SecretKey::from_seed(seed.as_bytes().try_into().unwrap());
        assert_eq!(
            key.node_id().to_string(),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
    }
}
