//! [`Network`]: which records belong together.

use std::fmt;

use super::RecordError;

/// What every salt of this crate starts with, so that its records are never
/// taken for those of another application that uses the same key.
const DOMAIN: &[u8] = b"relay-registry/1/";
const SALT_LEN: usize = DOMAIN.len() + Network::MAX_LEN;

/// A network of relays: 1 to 32 bytes that are signed with every record.
///
/// A record of one network does not verify in another, so a test network and
/// the real one can share a DHT and even keys. The tag is no secret: it
/// separates, it does not protect.
///
/// The tag is the last part of the salt of BEP 44, so the two also live under
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
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    /// Zero beyond `len`.
    salt: [u8; SALT_LEN],
    len: u8,
}

impl Network {
    /// The greatest length of a tag, in bytes. With what goes before it, the
    /// salt stays within BEP 44's 64 bytes.
    pub const MAX_LEN: usize = 32;

    /// The network with this tag. Any bytes will do.
    ///
    /// # Errors
    ///
    /// [`RecordError::InvalidNetwork`] unless there are 1 to
    /// [`MAX_LEN`](Self::MAX_LEN) bytes.
    pub fn new(tag: &[u8]) -> Result<Self, RecordError> {
        match u8::try_from(DOMAIN.len() + tag.len()) {
            Ok(len) if (1..=Self::MAX_LEN).contains(&tag.len()) => Ok(Self::of(tag, len)),
            _ => Err(RecordError::InvalidNetwork { len: tag.len() }),
        }
    }

    fn of(tag: &[u8], len: u8) -> Self {
        let mut salt = [0; SALT_LEN];
        for (to, from) in salt.iter_mut().zip(DOMAIN.iter().chain(tag)) {
            *to = *from;
        }
        Self { salt, len }
    }

    /// The tag.
    #[must_use]
    pub fn tag(&self) -> &[u8] {
        &self.salt()[DOMAIN.len()..]
    }

    /// The salt of BEP 44: the crate's domain, then the tag.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        &self.salt[..usize::from(self.len)]
    }
}

impl Default for Network {
    /// The main network, `main`.
    fn default() -> Self {
        const TAG: &[u8] = b"main";
        const LEN: usize = DOMAIN.len() + TAG.len();
        const { assert!(LEN <= u8::MAX as usize) };
        Self::of(TAG, LEN as u8)
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
    fn networks_are_told_apart_by_their_tags() {
        let main = Network::default();
        assert_eq!(Network::new(b"main"), Ok(main));
        assert_ne!(Network::new(b"main\0"), Ok(main));
        assert_eq!(format!("{main:?}"), "Network(main)");
        let odd = Network::new(b"\xff\n").unwrap();
        assert_eq!(format!("{odd:?}"), r"Network(\xff\n)");
    }
}
