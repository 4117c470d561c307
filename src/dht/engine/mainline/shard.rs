//! What one read of a shard finds: nodes may hold different versions of it.

use mainline::MutableItem;

use super::directory::{self, Directory};

/// What nodes hold of a shard.
pub(super) struct Shard {
    /// What all versions come to.
    pub(super) merged: Directory,
    /// The version with the highest sequence.
    pub(super) newest: Directory,
    pub(super) newest_sequence: Option<i64>,
    pub(super) versions: u32,
    /// Whether any version lists the relay in question.
    pub(super) is_listed: bool,
    /// How many nodes answered.
    pub(super) answered: u32,
}

impl Shard {
    pub(super) fn new(vacant: Directory) -> Self {
        Self {
            merged: vacant.clone(),
            newest: vacant,
            newest_sequence: None,
            versions: 0,
            is_listed: false,
            answered: 0,
        }
    }

    /// Takes in one version, for what it says of `key`.
    pub(super) fn take_in(&mut self, item: &MutableItem, key: &[u8; 32]) {
        self.versions += 1;
        self.is_listed |= directory::lists(item.value(), key);
        self.merged.merge(item.value(), |_| ());
        if Some(item.seq()) > self.newest_sequence {
            self.newest_sequence = Some(item.seq());
            self.newest.replace(item.value());
        }
    }

    /// Whether the word of `wanted` on `key` has come to stay, or at all if that
    /// must do.
    pub(super) fn agrees(&self, wanted: &Directory, key: &[u8; 32], anywhere: bool) -> bool {
        let held = if anywhere { &self.merged } else { &self.newest };
        held.agrees(wanted, key)
    }
}

#[cfg(test)]
mod tests {
    use super::super::directory::Stamp;
    use super::*;
    use mainline::SigningKey;
    use std::time::Duration;

    const OWN: [u8; 32] = [1; 32];
    const OTHER: [u8; 32] = [2; 32];

    fn directory(keys: &[[u8; 32]]) -> Directory {
        let now = Stamp::of(Duration::from_secs(1_000));
        let mut directory = Directory::new(now, Duration::from_secs(7_200));
        for key in keys {
            directory.set(*key, false).expect("there is room");
        }
        directory
    }

    fn version(keys: &[[u8; 32]], sequence: i64) -> MutableItem {
        let key = SigningKey::from_bytes(&[7; 32]);
        MutableItem::new(key, &directory(keys).encode(), sequence, None)
    }

    fn read(versions: &[MutableItem]) -> Shard {
        let mut shard = Shard::new(directory(&[]));
        for version in versions {
            shard.take_in(version, &OWN);
        }
        shard
    }

    #[test]
    fn what_the_newest_version_leaves_out_has_not_come_to_stay() {
        let wanted = directory(&[OWN]);
        let (own, both) = (version(&[OWN], 5), version(&[OWN, OTHER], 6));
        let without = version(&[OTHER], 6);
        for versions in [
            [own.clone(), without.clone()],
            [without.clone(), own.clone()],
        ] {
            let shard = read(&versions);
            assert_eq!((shard.newest_sequence, shard.versions), (Some(6), 2));
            assert!(shard.is_listed && !shard.newest.is_fresh(&OWN));
            assert!(!shard.agrees(&wanted, &OWN, false));
            assert!(shard.agrees(&wanted, &OWN, true), "it is somewhere");
        }
        assert!(read(&[own, both]).agrees(&wanted, &OWN, false));
        assert!(!read(&[without]).agrees(&wanted, &OWN, true));
        assert!(!read(&[]).agrees(&wanted, &OWN, true));
    }
}
