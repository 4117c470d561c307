//! The file of a saved registry: entries, and a checksum over all bytes.
//!
//! ```text
//! magic (8) | major (2) | minor (2) | entry .. entry | 0 (4) | SHA-256 of all before (32)
//!                                       |
//!                                       +-- length (4), then a map of deterministic CBOR
//! ```
//!
//! Numbers are big-endian. The keys of a map are integers, and key 0 is the kind of the entry.
//! A reader of the same major version skips kinds and keys that it does not know, so a later
//! minor version may add some.
//!
//! A save is written entry after entry, with a running digest. It is read whole before anything
//! of it counts, because the checksum comes last: what is kept meanwhile are its bytes, and not
//! what they say.

use crate::errors::RestoreError;
use sha2::{Digest, Sha256};
use std::io::{self, BufReader, Read, Write};

/// It begins with a byte that no text does, and ends with a newline, which a transfer as text
/// would change.
const MAGIC: [u8; 8] = *b"\x89RELAYS\n";
const MAJOR: u16 = 1;
const MINOR: u16 = 0;

const VERSION_LEN: usize = 2;
const DIGEST_LEN: usize = 32;

/// The longest entry, in bytes. A relay with all that it may announce takes less than half.
pub(super) const MAX_ENTRY_LEN: u32 = 8_192;

/// So many bytes are written at once, or a few more.
const BATCH_LEN: usize = 32_768;

/// Writes a save.
pub(super) struct SaveWriter<W> {
    out: W,
    digest: Sha256,
    /// What is to be written next.
    batch: Vec<u8>,
}

impl<W: Write> SaveWriter<W> {
    pub(super) fn new(out: W) -> Self {
        let mut batch = Vec::with_capacity(BATCH_LEN + MAX_ENTRY_LEN as usize);
        batch.extend(MAGIC);
        batch.extend(MAJOR.to_be_bytes());
        batch.extend(MINOR.to_be_bytes());
        Self {
            out,
            digest: Sha256::new(),
            batch,
        }
    }

    /// Adds an entry. The embedder's writer is not called, so the caller may be pinned.
    pub(super) fn push(&mut self, entry: &[u8]) {
        debug_assert!((1..=MAX_ENTRY_LEN as usize).contains(&entry.len()));
        self.batch.extend((entry.len() as u32).to_be_bytes());
        self.batch.extend(entry);
    }

    /// Writes what was added, if it is much. The caller is not pinned, and holds no lock.
    pub(super) fn write_if_much(&mut self) -> io::Result<()> {
        match self.batch.len() < BATCH_LEN {
            true => Ok(()),
            false => self.write(),
        }
    }

    fn write(&mut self) -> io::Result<()> {
        self.digest.update(&self.batch);
        self.out.write_all(&self.batch)?;
        self.batch.clear();
        Ok(())
    }

    /// Writes the rest.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.batch.extend(0_u32.to_be_bytes());
        self.write()?;
        self.out.write_all(&self.digest.finalize())?;
        self.out.flush()
    }
}

/// The entries of a save whose checksum is right.
pub(super) struct Entries(Vec<u8>);

impl Entries {
    /// The entries, each with where it is.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let entry = (at < self.0.len()).then(|| (at, self.at(at)))?;
            at += 4 + entry.1.len();
            Some(entry)
        })
    }

    /// The entry at a place that [`iter`](Self::iter) gave.
    pub(super) fn at(&self, at: usize) -> &[u8] {
        let (len, rest) = self.0[at..].split_at(4);
        let len = len
            .iter()
            .fold(0, |len, byte| len << 8 | usize::from(*byte));
        &rest[..len]
    }
}

/// Reads a save to its end, and checks it.
pub(super) fn read(reader: impl Read) -> Result<Entries, RestoreError> {
    let mut reader = SaveReader {
        source: BufReader::new(reader),
        digest: Sha256::new(),
        len: 0,
    };
    reader.read_version()?;
    let mut entries = Vec::new();
    for entry in 0.. {
        let len = u32::from_be_bytes(reader.array()?);
        if len == 0 {
            break;
        }
        if len > MAX_ENTRY_LEN {
            let max = MAX_ENTRY_LEN;
            return Err(RestoreError::EntryTooLong { entry, len, max });
        }
        let at = entries.len();
        entries.extend(len.to_be_bytes());
        entries.resize(at + 4 + len as usize, 0);
        reader.fill(&mut entries[at + 4..])?;
    }
    reader.check_end()?;
    Ok(Entries(entries))
}

struct SaveReader<R> {
    source: BufReader<R>,
    digest: Sha256,
    len: u64,
}

impl<R: Read> SaveReader<R> {
    fn read_version(&mut self) -> Result<(), RestoreError> {
        for expected in MAGIC {
            if self.array()? != [expected] {
                return Err(RestoreError::NotASave);
            }
        }
        let major = u16::from_be_bytes(self.array()?);
        if major != MAJOR {
            let supported = MAJOR;
            return Err(RestoreError::UnknownVersion { major, supported });
        }
        // Of any minor version, what is known is read.
        self.array::<VERSION_LEN>().map(drop)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RestoreError> {
        let mut array = [0; N];
        self.fill(&mut array)?;
        Ok(array)
    }

    /// Reads bytes that the checksum covers.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), RestoreError> {
        self.fill_uncovered(buffer)?;
        self.digest.update(buffer);
        Ok(())
    }

    fn fill_uncovered(&mut self, buffer: &mut [u8]) -> Result<(), RestoreError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.source.read(&mut buffer[filled..]) {
                Ok(0) => return Err(RestoreError::Truncated { len: self.len }),
                Ok(read) => {
                    filled += read;
                    self.len += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn check_end(mut self) -> Result<(), RestoreError> {
        let mut written = [0; DIGEST_LEN];
        self.fill_uncovered(&mut written)?;
        let computed = std::mem::take(&mut self.digest).finalize();
        if computed[..] != written {
            return Err(RestoreError::ChecksumMismatch);
        }
        match self.fill_uncovered(&mut [0]) {
            Err(RestoreError::Truncated { .. }) => Ok(()),
            Ok(()) => Err(RestoreError::TrailingBytes),
            Err(error) => Err(error),
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    fn save(entries: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = SaveWriter::new(&mut out);
        for entry in entries {
            writer.push(entry);
            writer.write_if_much().unwrap();
        }
        writer.finish().unwrap();
        out
    }

    #[test]
    fn entries_are_read_as_they_were_written() {
        let long = vec![7; MAX_ENTRY_LEN as usize];
        let many: Vec<&[u8]> = (0..100).flat_map(|_| [&long[..], &[1]]).collect();
        for entries in [&[][..], &[&[1, 2][..]], &many] {
            let read = read(&save(entries)[..]).unwrap();
            let found: Vec<(usize, &[u8])> = read.iter().collect();
            assert!(
                found
                    .iter()
                    .map(|(_, entry)| *entry)
                    .eq(entries.iter().copied())
            );
            assert!(found.iter().all(|&(at, entry)| read.at(at) == entry));
        }
    }

    #[test]
    fn the_longest_entry_is_bounded_before_memory_is_taken() {
        let mut bytes = save(&[]);
        bytes.truncate(12);
        bytes.extend(u32::MAX.to_be_bytes());
        let refused = read(&bytes[..]).err();
        assert!(matches!(
            refused,
            Some(RestoreError::EntryTooLong {
                entry: 0,
                len: u32::MAX,
                max: MAX_ENTRY_LEN
            })
        ));
    }

    #[test]
    fn a_reader_may_give_one_byte_at_a_time_and_be_interrupted() {
        struct Slow<'a>(&'a [u8], bool);
        impl Read for Slow<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.1 = !self.1;
                match self.1 {
                    true => Err(io::ErrorKind::Interrupted.into()),
                    false => self.0.read(&mut buffer[..1]),
                }
            }
        }
        let bytes = save(&[&[1, 2, 3]]);
        let entries = read(Slow(&bytes, false)).unwrap();
        assert_eq!(entries.at(0), [1, 2, 3]);
    }
}
