//! [`SecretKey`]: what makes a node who it is.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey};
use zeroize::Zeroize;

use super::KeyError;
use crate::relay::NodeId;

/// The private key of a node: an Ed25519 seed (RFC 8032).
///
/// Whoever has it *is* the node. So it is wiped from memory when dropped, it is
/// never printed ([`Debug`] shows that there is one, and nothing of it), and it
/// can be neither cloned nor compared. Share it by an `Arc`, and keep the seed
/// where the node's other secrets are.
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
// Boxed: what is moved leaves copies behind, which nobody wipes.
pub struct SecretKey(Box<SigningKey>);

impl SecretKey {
    /// A new key, from the randomness of the operating system.
    ///
    /// # Errors
    ///
    /// [`KeyError::NoRandomness`] if the operating system has none to give.
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

    /// The key of a seed: 32 bytes that nobody can guess.
    ///
    /// The copy that is passed is wiped; the caller's own is for the caller to
    /// wipe.
    #[must_use]
    pub fn from_seed(mut seed: [u8; 32]) -> Self {
        let key = Self(Box::new(SigningKey::from_bytes(&seed)));
        seed.zeroize();
        key
    }

    /// The seed, to be stored where secrets are: with it anyone can act as this
    /// node.
    #[must_use]
    pub fn expose_seed(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The identity that goes with the key: the 32 bytes of the public key.
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
    fn nothing_of_a_key_is_printed() {
        let key = SecretKey::from_seed([0xa5; 32]);
        assert_eq!(format!("{key:?}"), "SecretKey(..)");
        assert_eq!(format!("{key:#?}"), "SecretKey(..)");
    }

    #[test]
    fn a_key_is_wiped_when_dropped() {
        fn wiped<T: zeroize::ZeroizeOnDrop>() {}
        wiped::<SigningKey>();
    }

    #[test]
    fn generated_keys_differ() {
        let [a, b] = [(); 2].map(|()| SecretKey::generate().unwrap());
        assert_ne!(a.node_id(), b.node_id());
        assert_ne!(a.expose_seed(), &[0; 32]);
    }

    /// RFC 8032, section 7.1, test 1.
    #[test]
    fn the_identity_is_the_public_key() {
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
