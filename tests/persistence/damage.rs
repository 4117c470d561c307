//! Files that are cut, altered, foreign, or of another version.

use crate::common::{id, ms, options, place, published, secs};
use crate::{Machine, said, saved};
use relay_registry::{Failure, Registry, RestoreError};
use sha2::{Digest, Sha256};
use std::error::Error;
use std::io::{self, Read};

/// A small save with an entry of each kind.
fn small() -> Vec<u8> {
    let machine = Machine::new();
    let registry = machine.start(|builder| builder);
    registry.join_with(1, &options().labels(["eu"]).payload(b"x"));
    registry.measure(1, ms(5));
    registry.fail(1, Failure::TimedOut);
    registry.ban_for(2, secs(50));
    registry.update_peer(&id(3), published([(1, ms(1))]).coordinate(place(1.0, 2.0)));
    saved(&registry)
}

fn refused(bytes: &[u8]) -> RestoreError {
    let restored = Registry::builder().restore(bytes);
    let error = restored.map(drop).expect_err("it is not whole");
    assert!(!error.to_string().is_empty());
    error
}

/// The same with the checksum that it should have.
fn with_checksum(mut body: Vec<u8>) -> Vec<u8> {
    let digest = Sha256::digest(&body);
    body.extend_from_slice(&digest);
    body
}

/// Without the checksum, and without the mark of the end.
fn body(save: &[u8]) -> Vec<u8> {
    save[..save.len() - 36].to_vec()
}

fn with_entry(save: &[u8], entry: &[u8]) -> Vec<u8> {
    let mut bytes = body(save);
    bytes.extend((entry.len() as u32).to_be_bytes());
    bytes.extend(entry);
    bytes.extend([0; 4]);
    with_checksum(bytes)
}

#[test]
fn a_save_that_is_cut_at_any_byte_is_refused() {
    let save = small();
    for len in 0..save.len() {
        match refused(&save[..len]) {
            RestoreError::Truncated { len: read, .. } => assert_eq!(read, len as u64),
            other => panic!("{len}: {other:?}"),
        }
    }
}

#[test]
fn a_save_with_any_bit_flipped_is_refused() {
    let save = small();
    for at in 0..save.len() {
        for bit in 0..8 {
            let mut altered = save.clone();
            altered[at] ^= 1 << bit;
            let error = refused(&altered);
            match at {
                0..8 => assert!(matches!(error, RestoreError::NotASave), "{error:?}"),
                8..10 => assert!(matches!(error, RestoreError::UnknownVersion { .. })),
                _ => assert!(
                    matches!(
                        error,
                        RestoreError::ChecksumMismatch
                            | RestoreError::Truncated { .. }
                            | RestoreError::EntryTooLong { .. }
                            | RestoreError::TrailingBytes
                    ),
                    "{at}: {error:?}"
                ),
            }
        }
    }
}

#[test]
fn other_files_are_refused() {
    for other in [&b"{\"relays\": []}"[..], &[0; 100], b"\x89PNG\r\n\x1a\n"] {
        assert!(matches!(refused(other), RestoreError::NotASave));
    }
    assert!(matches!(
        refused(&[]),
        RestoreError::Truncated { len: 0, .. }
    ));
    let mut more = small();
    more.push(0);
    assert!(matches!(refused(&more), RestoreError::TrailingBytes));
}

#[test]
fn a_reader_that_fails_is_no_truncated_file() {
    struct Failing<'a>(&'a [u8]);
    impl Read for Failing<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::ErrorKind::ConnectionReset.into()),
                read => Ok(read),
            }
        }
    }
    let save = small();
    let error = Registry::builder()
        .restore(Failing(&save[..50]))
        .err()
        .unwrap();
    assert!(matches!(&error, RestoreError::Io(e) if e.kind() == io::ErrorKind::ConnectionReset));
    assert!(error.source().is_some());
}

#[test]
fn a_newer_minor_version_is_read_and_what_is_unknown_skipped() {
    let save = small();
    let machine = Machine::new();
    let expected = said(&machine.restore(&save));
    let mut newer = body(&save);
    newer[11] = 7;
    // An entry of an unknown kind, and a map with an unknown key in a known one.
    for entry in [
        &[0xa2, 0x00, 0x19, 0x03, 0xe8, 0x01, 0xf6][..],
        &[0xa1, 0x00, 0x18, 0x63],
    ] {
        newer.extend((entry.len() as u32).to_be_bytes());
        newer.extend(entry);
    }
    newer.extend([0; 4]);
    let restored = machine.restore(&with_checksum(newer));
    assert_eq!(said(&restored), expected);

    // The first entry, of which the length is at 12, gets another key.
    let mut newer = body(&save);
    let len = u32::from_be_bytes(newer[12..16].try_into().unwrap()) as usize;
    newer[16] += 1;
    newer.splice(16 + len..16 + len, [0x18, 0x63, 0xf5]);
    newer[12..16].copy_from_slice(&(len as u32 + 3).to_be_bytes());
    newer.extend([0; 4]);
    let restored = machine.restore(&with_checksum(newer));
    assert_eq!(said(&restored), expected);
}

#[test]
fn another_major_version_is_refused() {
    for major in [0_u16, 2, u16::MAX] {
        let mut other = body(&small());
        other[8..10].copy_from_slice(&major.to_be_bytes());
        other.extend([0; 4]);
        let error = refused(&with_checksum(other));
        assert!(matches!(
            error,
            RestoreError::UnknownVersion { major: found, supported: 1, .. } if found == major
        ));
    }
}

#[test]
fn what_another_program_wrote_is_refused_though_the_checksum_is_right() {
    let save = small();
    // A relay without an id; one with an id of no bytes; a second header; no map.
    let no_id = with_entry(&save, &[0xa1, 0x00, 0x01]);
    assert!(matches!(
        refused(&no_id),
        RestoreError::InvalidField { key: 1, .. }
    ));
    let empty_id = with_entry(&save, &[0xa2, 0x00, 0x01, 0x01, 0x40]);
    assert!(matches!(
        refused(&empty_id),
        RestoreError::InvalidField { key: 1, .. }
    ));
    let header = with_entry(&save, &[0xa3, 0x00, 0x00, 0x01, 0x00, 0x02, 0x00]);
    assert!(matches!(
        refused(&header),
        RestoreError::InvalidField { key: 0, .. }
    ));
    let no_map = with_entry(&save, &[0x01]);
    let error = refused(&no_map);
    assert!(matches!(error, RestoreError::InvalidEntry { .. }) && error.source().is_some());
    let headless = with_checksum([&save[..12], &[0; 4]].concat());
    assert!(matches!(
        refused(&headless),
        RestoreError::InvalidField { entry: 0, .. }
    ));
    let long = [&body(&save)[..], &[0xff; 4]].concat();
    assert!(matches!(
        refused(&long),
        RestoreError::EntryTooLong { len: u32::MAX, .. }
    ));
}

#[test]
fn the_same_relay_twice_counts_once() {
    let machine = Machine::new();
    let registry = machine.start(|builder| builder);
    registry.join(1);
    let save = saved(&registry);
    let first_len = u32::from_be_bytes(save[12..16].try_into().unwrap()) as usize;
    let entry = &save[16 + first_len + 4..save.len() - 36];
    let restored = machine.restore(&with_entry(&save, entry));
    assert_eq!(restored.restored().unwrap().live, 1);
    assert_eq!(
        (said(&restored), restored.relay_count()),
        (said(&registry), 1)
    );
}
