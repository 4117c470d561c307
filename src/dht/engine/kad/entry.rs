//! The entries of an encoded list: see [`list`](super::list).

use crate::dht::engine::ShardPath;

/// The first byte of a list.
const VERSION: u8 = 1;

/// The length of the length of an entry.
const LENGTH: usize = 2;

/// The first bytes of a mark and of a path. No record begins with them.
const MARK: u8 = 0xd0;
const PATH: u8 = 0xd1;

/// The lengths of an encoded list without entries, of a mark and of a path.
pub(super) const EMPTY_LEN: usize = 1;
pub(super) const MARK_LEN: usize = LENGTH + 5;
pub(super) const PATH_LEN: usize = LENGTH + 1 + ShardPath::LEN;

/// An entry of an untrusted list.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    /// The path of the shard, not checked.
    Path([u8; ShardPath::LEN]),
    /// When the shard divided, in seconds since the Unix epoch.
    Mark(u32),
    /// A record, or noise.
    Record(&'a [u8]),
}

impl<'a> Entry<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        match *bytes {
            [MARK, a, b, c, d] => Self::Mark(u32::from_be_bytes([a, b, c, d])),
            [PATH, a, b, c, d, e, f, g] => Self::Path([a, b, c, d, e, f, g]),
            _ => Self::Record(bytes),
        }
    }

    pub(super) fn push_to(&self, list: &mut Vec<u8>) {
        match self {
            Self::Path(path) => push(list, &[&[PATH], &path[..]].concat()),
            Self::Mark(time) => push(list, &[&[MARK], &time.to_be_bytes()[..]].concat()),
            Self::Record(record) => push(list, record),
        }
    }
}

fn push(list: &mut Vec<u8>, entry: &[u8]) {
    // The cast is lossless: a record has at most 900 bytes.
    list.extend_from_slice(&(entry.len() as u16).to_be_bytes());
    list.extend_from_slice(entry);
}

/// A list without entries.
pub(super) fn empty() -> Vec<u8> {
    vec![VERSION]
}

/// The length of the entry of a record of `len` bytes.
pub(super) fn record_entry_len(len: usize) -> usize {
    LENGTH + len
}

/// Whether the bytes are a list of a version that this crate knows.
pub(super) fn is_list(bytes: &[u8]) -> bool {
    bytes.first() == Some(&VERSION)
}

/// The entries of a list, until a length is wrong; none if it is not a list.
pub(super) fn entries(list: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let mut rest = match is_list(list) {
        true => &list[EMPTY_LEN..],
        false => &[],
    };
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<LENGTH>()?;
        let (entry, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
        rest = after;
        Some(Entry::of(entry))
    })
}

/// The path that an untrusted list begins with, not checked.
pub(super) fn path_of(list: &[u8]) -> Option<[u8; ShardPath::LEN]> {
    match entries(list).next() {
        Some(Entry::Path(path)) => Some(path),
        _ => None,
    }
}
