//! [`Network`]: the tag that separates the records of one network from others.

use std::fmt;

use super::{MAX_NETWORK_LEN, RecordError};

/// The prefix of every salt of this crate: a record must not verify as that of
/// another application that uses the same key.
const DOMAIN: &[u8] = b"relay-registry/1/";
const SALT_LEN: usize = DOMAIN.len() + Network::MAX_LEN;

/// A network of relays: 1 to 32 bytes that are signed with every record.
///
/// A record of one network does not verify in another. So a test network and the
/// production network can share a DHT, and even keys. The tag separates networks
/// but is not a secret: it does not control access.
///
/// The tag is part of the salt of BEP 44. So records of two networks have
/// different targets in BitTorrent's DHT.
///
/// ```
/// use relay_registry::dht::Network;
///
/// let staging = Network::new(b"staging")?;
/// assert_eq!(staging.tag(), b"staging");
/// assert_eq!(staging.salt(), b"relay-registry/1/staging");
/// assert_eq!(Network::default().tag(), b"main");
/// # Ok::<(), relay_registry::dht::RecordError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    /// The bytes from `len` on are zero.
    salt: [u8; SALT_LEN],
    len: u8,
}

impl Network {
    /// The maximum length of a tag: 32 bytes. With the prefix, the salt stays
    /// within BEP 44's 64 bytes.
    pub const MAX_LEN: usize = MAX_NETWORK_LEN;

    /// The network with this tag, which may have any bytes.
    ///
    /// # Errors
    ///
    /// [`RecordError::InvalidNetwork`] unless the tag has 1 to
    /// [`MAX_LEN`](Self::MAX_LEN) bytes.
    pub fn new(tag: &[u8]) -> Result<Self, RecordError> {
        match u8::try_from(DOMAIN.len() + tag.len()) {
            Ok(len) if (1..=Self::MAX_LEN).contains(&tag.len()) => {
                Ok(Self::with_salt_len(tag, len))
            }
            _ => Err(RecordError::InvalidNetwork { len: tag.len() }),
        }
    }

    fn with_salt_len(tag: &[u8], len: u8) -> Self {
        let mut salt = [0; SALT_LEN];
        for (to, from) in salt.iter_mut().zip(DOMAIN.iter().chain(tag)) {
            *to = *from;
        }
        Self { salt, len }
    }

    /// The tag: 1 to 32 bytes.
    #[must_use]
    pub fn tag(&self) -> &[u8] {
        &self.salt()[DOMAIN.len()..]
    }

    /// The salt of BEP 44: `relay-registry/1/`, then the tag.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        &self.salt[..usize::from(self.len)]
    }
}

impl Default for Network {
    /// The network with the tag `main`.
    fn default() -> Self {
        const TAG: &[u8] = b"main";
        const LEN: usize = DOMAIN.len() + TAG.len();
        const { assert!(LEN <= u8::MAX as usize) };
        Self::with_salt_len(TAG, LEN as u8)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network({})", self.tag().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_1_to_32_bytes() {
        for len in [0, 33, 300] {
            let refused = Network::new(&vec![b'x'; len]);
            assert_eq!(refused, Err(RecordError::InvalidNetwork { len }));
        }
        for len in [1, 32] {
            let tag = vec![b'x'; len];
            assert_eq!(Network::new(&tag).unwrap().tag(), tag);
        }
    }

    #[test]
    fn the_longest_salt_fits_bep_44() {
        let network = Network::new(&[0xff; Network::MAX_LEN]).unwrap();
        assert!(network.salt().len() <= 64);
    }

    #[test]
    fn networks_with_different_tags_differ() {
        let main = Network::default();
        assert_eq!(Network::new(b"main"), Ok(main));
        assert_ne!(Network::new(b"main\0"), Ok(main));
        assert_eq!(format!("{main:?}"), "Network(main)");
        let odd = Network::new(b"\xff\n").unwrap();
        assert_eq!(format!("{odd:?}"), r"Network(\xff\n)");
    }
}
