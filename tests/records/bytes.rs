//! What is signed is read again as it was, and nothing else is read at all.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use relay_registry::dht::{
    Announcement, CborError, FailureDomain, Load, MAX_RECORD_LEN, MAX_TTL, MAX_VALUE_LEN, Network,
    RecordError, RelayRecord, SecretKey, SignedRecord,
};
use relay_registry::{Endpoint, MAX_CAPACITY, NatType};

use crate::samples::*;

#[test]
fn a_usual_record_takes_139_bytes() {
    let signed = sign(&minimal());
    assert_eq!(signed.value().len(), 34);
    assert_eq!(signed.encode().len(), 139);
}

#[test]
fn the_parts_of_bep_44_make_the_record() {
    let signed = sign(&complete());
    let rebuild = |network: &Network| {
        SignedRecord::from_bep44(
            *signed.public_key(),
            signed.value(),
            signed.sequence() as i64,
            *signed.signature(),
            network,
        )
    };
    assert_eq!(rebuild(signed.network()), Ok(signed.clone()));
    assert_eq!(signed.salt(), b"relay-registry/1/main");

    let other = Network::new(b"maim").unwrap();
    assert_eq!(rebuild(&other), Err(RecordError::BadSignature));
}

#[test]
fn a_negative_sequence_is_refused() {
    let signed = sign(&minimal());
    let (key, value) = (*signed.public_key(), signed.value());
    let negative = SignedRecord::from_bep44(key, value, -1, *signed.signature(), signed.network());
    assert_eq!(negative, Err(RecordError::InvalidSequence));

    let mut bytes = signed.encode();
    bytes[33] |= 0x80;
    assert_eq!(decode(&bytes), Err(RecordError::InvalidSequence));
}

#[test]
fn a_record_of_another_network_is_refused() {
    let bytes = sign(&minimal()).encode();
    for tag in [&b"mai"[..], b"main\0", b"Main", b"x"] {
        let network = Network::new(tag).unwrap();
        let refused = SignedRecord::decode(&bytes, &network);
        assert_eq!(refused, Err(RecordError::BadSignature));
    }
}

#[test]
fn a_record_of_another_node_is_refused() {
    let bytes = sign(&minimal()).encode();
    let other = SecretKey::from_seed([9; 32]);
    let forged = SignedRecord::sign(&minimal(), &other, &Network::default()).unwrap();

    let mut mixed = bytes.clone();
    mixed[1..33].copy_from_slice(forged.public_key());
    assert_eq!(decode(&mixed), Err(RecordError::BadSignature));
}

#[test]
fn no_byte_of_a_record_can_be_changed() {
    let bytes = sign(&complete()).encode();
    for at in 0..bytes.len() {
        for by in [0x01, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= by;
            assert!(decode(&changed).is_err(), "byte {at} by {by:02x}");
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    let bytes = sign(&complete()).encode();
    for len in 0..bytes.len() {
        match decode(&bytes[..len]) {
            Err(RecordError::TooShort { len: said, .. }) => {
                assert!(said == len && len < HEADER);
            }
            Err(RecordError::NotCanonical(CborError::Truncated { .. })) => {
                assert!(len >= HEADER);
            }
            other => panic!("{len} bytes: {other:?}"),
        }
    }
}

#[test]
fn another_layout_is_refused() {
    let mut bytes = sign(&minimal()).encode();
    for layout in [0, 2, 255] {
        bytes[0] = layout;
        let refused = decode(&bytes).unwrap_err().to_string();
        assert_eq!(
            refused,
            format!("{layout} is not a known layout of a record")
        );
    }
}

/// The y coordinates of small order (and some spellings of them beyond the
/// field), for which anyone can make signatures of anything.
#[test]
fn weak_keys_are_refused() {
    let value = sign(&minimal()).value().to_vec();
    let mut signature = [0; 64];
    signature[0] = 1; // R is the identity, S is 0
    let small_order = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ];
    let verify = |key: &str| {
        let key = hex(key).try_into().unwrap();
        SignedRecord::from_bep44(key, &value, ISSUED as i64, signature, &Network::default())
    };
    for key in small_order {
        assert_eq!(verify(key), Err(RecordError::WeakKey), "{key}");
    }
    for key in [
        "0100000000000000000000000000000000000000000000000000000000000080", // -0
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p + 1
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p
        "0200000000000000000000000000000000000000000000000000000000000000", // no point
    ] {
        assert_eq!(verify(key), Err(RecordError::InvalidKey), "{key}");
    }
}

/// Adding the order of the group to S makes a signature that lenient verifiers
/// take for another one of the same statement.
#[test]
fn signatures_are_not_malleable() {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut bytes = sign(&minimal()).encode();
    let mut carry = 0;
    for (byte, order) in bytes[73..HEADER].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(decode(&bytes), Err(RecordError::BadSignature));
}

#[test]
fn a_record_has_900_bytes_at_most() {
    // Three bytes say that a byte string of up to 65,535 bytes follows.
    let filled = |len: usize| {
        let mut value = vec![0x59];
        value.extend((len as u16).to_be_bytes());
        value.extend(vec![0xaa; len]);
        minimal().with_extension(128, &value).unwrap()
    };
    let room = MAX_VALUE_LEN - sign(&filled(256)).value().len() + 256;
    let largest = sign(&filled(room));
    assert_eq!(largest.encode().len(), MAX_RECORD_LEN);
    assert_eq!(decode(&largest.encode()), Ok(largest.clone()));

    let too_large = filled(room + 1);
    let (len, max) = (MAX_VALUE_LEN + 1, MAX_VALUE_LEN);
    let refused = SignedRecord::sign(&too_large, &key(), &Network::default());
    assert_too_large(refused, len, max);

    let mut bytes = largest.encode();
    bytes.push(0);
    assert_too_large(decode(&bytes), MAX_RECORD_LEN + 1, MAX_RECORD_LEN);
    assert_too_large(decode(&vec![1; 1 << 20]), 1 << 20, MAX_RECORD_LEN);
    let value = vec![0xa0; len];
    let network = Network::default();
    let refused = SignedRecord::from_bep44([0; 32], &value, 0, [0; 64], &network);
    assert_too_large(refused, len, max);
}

fn assert_too_large(refused: Result<SignedRecord, RecordError>, len: usize, max: usize) {
    let says = refused.unwrap_err().to_string();
    assert_eq!(
        says,
        format!("there are {len} bytes, and at most {max} are allowed")
    );
}

#[test]
fn what_this_version_does_not_know_is_passed_on() {
    // 13: {1: -5}, 23: [], 24: "a", and 128 of an embedder.
    let mut value = sign(&minimal()).value().to_vec();
    value[0] = 0xab;
    value.extend(hex("0da1012417801818616118801903e8"));
    let received = decode_value(&value).unwrap();
    assert_eq!(received.value(), value);
    let unknown: Vec<_> = received.record().unknown().collect();
    let expected: [(u64, Vec<u8>); 4] = [
        (13, hex("a10124")),
        (23, hex("80")),
        (24, hex("6161")),
        (128, hex("1903e8")),
    ];
    assert_eq!(unknown.len(), expected.len());
    for (is, should) in unknown.iter().zip(&expected) {
        assert_eq!((is.0, is.1), (should.0, &*should.1));
    }

    // Onwards, as one piece and in parts; and signed once more.
    let again = decode(&received.encode()).unwrap();
    assert_eq!(again, received);
    let resigned = sign(received.record());
    assert_eq!(resigned, received);
}

#[test]
fn extensions_keep_to_their_keys() {
    for key in [0, 9, 10, 13, 127] {
        let refused = minimal().with_extension(key, &[0xf6]).unwrap_err();
        assert!(
            matches!(refused, RecordError::InvalidExtension { key: at, .. } if at == key),
            "{refused}"
        );
    }
    let extended = minimal().with_extension(200, &[0xf6]).unwrap();
    assert!(extended.clone().with_extension(200, &[0xf6]).is_err());
    let refused = extended.with_extension(201, &[0xf6, 0xf6]).unwrap_err();
    assert!(matches!(refused, RecordError::NotCanonical(_)));
}

#[test]
fn what_no_reader_would_accept_is_not_made() {
    let make = |sequence, issued_at, ttl| {
        RelayRecord::withdraw(sequence, issued_at, ttl).map_err(|refused| refused.to_string())
    };
    for (refused, says) in [
        (
            make(RelayRecord::MAX_SEQUENCE + 1, NOW, TTL),
            "the sequence is not within 0 to 2^63 - 1",
        ),
        (
            make(ISSUED - 1, NOW, TTL),
            "the sequence 1799999999999999 is below the issue time 1800000000000000",
        ),
        (
            make(ISSUED, NOW, Duration::from_micros(999)),
            "the TTL is 999µs, not 1ms to 86400s",
        ),
        (
            make(ISSUED, NOW, MAX_TTL + Duration::from_nanos(1)),
            "the TTL is 86400.000000001s, not 1ms to 86400s",
        ),
        (
            make(ISSUED, Duration::MAX, TTL),
            "the sequence 1800000000000000 is below the issue time 18446744073709551615",
        ),
    ] {
        assert_eq!(refused, Err(says.to_owned()));
    }
    for text in ["0.0.0.0:1", "[ff02::1]:1", "255.255.255.255:1"] {
        let refused = Announcement::new(text.parse().unwrap(), 1);
        assert!(matches!(refused, Err(RecordError::InvalidEndpoint(_))));
    }
    for capacity in [0, MAX_CAPACITY + 1] {
        let refused = Announcement::new("8.8.8.8:1".parse().unwrap(), capacity);
        assert!(matches!(refused, Err(RecordError::InvalidCapacity { .. })));
    }
}

#[test]
fn private_addresses_are_for_the_reader_to_judge() {
    for text in ["127.0.0.1:1", "[fd00::1]:1", "localhost:1"] {
        let record = RelayRecord::announce(announcement(text), ISSUED, NOW, TTL).unwrap();
        let read = decode(&sign(&record).encode()).unwrap();
        assert_eq!(read.record(), &record);
    }
}

#[test]
fn times_are_kept_to_their_units() {
    let issued = NOW + Duration::from_nanos(999);
    let ttl = Duration::from_micros(1_999);
    let record = RelayRecord::withdraw(ISSUED, issued, ttl).unwrap();
    assert_eq!(record.issued_at(), NOW);
    assert_eq!(record.ttl(), Duration::from_millis(1));
    assert_eq!(record.expires_at(), NOW + Duration::from_millis(1));
}

#[test]
fn a_load_is_full_only_if_it_is() {
    for (in_use, capacity, sixteenths) in [
        (0, 1, 0),
        (1, 1, 16),
        (7, 3, 16),
        (1, 2, 8),
        (1, MAX_CAPACITY, 1),
        (MAX_CAPACITY - 1, MAX_CAPACITY, 15),
        (u32::MAX - 1, u32::MAX, 15),
        (0, 0, 16),
    ] {
        assert_eq!(Load::of(in_use, capacity).sixteenths(), sixteenths);
    }
    assert_eq!(Load::FULL.units(u32::MAX), u32::MAX);
    assert_eq!(Load::IDLE.units(u32::MAX), 0);
}

#[test]
fn a_secret_key_is_not_printed_with_what_it_signs() {
    let secret = to_hex(&SEED);
    for shown in [
        format!("{:?}", key()),
        format!("{:?}", sign(&complete())),
        format!("{:#?}", sign(&complete())),
    ] {
        assert!(!shown.contains(&secret) && !shown.contains("0, 1, 2, 3"));
    }
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let address = (any::<IpAddr>(), 1..=u16::MAX);
    let name = ("[a-z][a-z0-9]{0,30}(\\.[a-z]{1,20}){0,5}", 1..=u16::MAX);
    prop_oneof![
        address.prop_map(|address| Endpoint::from(SocketAddr::from(address))),
        name.prop_map(|(name, port)| Endpoint::from_name(&name, port).unwrap()),
    ]
}

fn any_announcement() -> impl Strategy<Value = Announcement> {
    let nat = prop::sample::select(vec![
        NatType::PublicIp,
        NatType::FullCone,
        NatType::RestrictedCone,
        NatType::PortRestrictedCone,
        NatType::Symmetric,
    ]);
    let load = (0..=16_u64).prop_map(|load| Load::from_sixteenths(load).unwrap());
    let domain = "[!-~]{1,63}".prop_map(|name| FailureDomain::new(&name).unwrap());
    let options = (option::of(nat), option::of(load), option::of(domain));
    (endpoint(), 1..=MAX_CAPACITY, options, contact()).prop_filter_map(
        "names no single host",
        |(endpoint, capacity, (nat, load, domain), (labels, further, payload))| {
            let announcement = Announcement::new(endpoint, capacity).ok()?;
            let announcement = announcement.with_nat(nat).with_load(load);
            let announcement = announcement.with_failure_domain(domain);
            let announcement = announcement.with_labels(labels).ok()?;
            let announcement = announcement.with_also_at(further).ok()?;
            announcement.with_payload(payload).ok()
        },
    )
}

/// Labels, further endpoints and a payload that fit into a record together.
fn contact() -> impl Strategy<Value = (Vec<String>, Vec<Endpoint>, Vec<u8>)> {
    let labels = vec("[a-zä-ü ]{1,8}", 0..=4);
    (labels, vec(endpoint(), 0..=1), vec(any::<u8>(), 0..=100))
}

/// Deterministic CBOR of a byte string.
fn byte_string() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=23).prop_map(|mut bytes| {
        bytes.insert(0, 0x40 | bytes.len() as u8);
        bytes
    })
}

fn any_record() -> impl Strategy<Value = RelayRecord> {
    let issued = 0..=RelayRecord::MAX_SEQUENCE;
    let times = (issued, any::<u64>(), 1..=86_400_000_u64);
    let extensions = btree_map(
        RelayRecord::FIRST_EXTENSION..=u64::MAX,
        byte_string(),
        0..=4,
    );
    (option::of(any_announcement()), times, extensions).prop_map(
        |(announcement, (issued_at, later, ttl), extensions)| {
            let sequence = issued_at
                .saturating_add(later)
                .min(RelayRecord::MAX_SEQUENCE);
            let issued_at = Duration::from_micros(issued_at);
            let ttl = Duration::from_millis(ttl);
            let record = match announcement {
                Some(what) => RelayRecord::announce(what, sequence, issued_at, ttl),
                None => RelayRecord::withdraw(sequence, issued_at, ttl),
            };
            extensions
                .iter()
                .fold(record.unwrap(), |record, (key, value)| {
                    record.with_extension(*key, value).unwrap()
                })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_signed_is_read(record in any_record(), seed: [u8; 32], tag in vec(any::<u8>(), 1..=32)) {
        let (key, network) = (SecretKey::from_seed(seed), Network::new(&tag).unwrap());
        let signed = SignedRecord::sign(&record, &key, &network).unwrap();
        prop_assert_eq!(signed.record(), &record);

        let bytes = signed.encode();
        prop_assert!(bytes.len() <= MAX_RECORD_LEN);
        let read = SignedRecord::decode(&bytes, &network).unwrap();
        prop_assert_eq!(read.encode(), bytes);
        prop_assert_eq!(read.record(), &record);
        prop_assert_eq!(read.node_id(), key.node_id());
        prop_assert_eq!(read, signed);
    }

    #[test]
    fn no_byte_can_be_replaced(record in any_record(), at: prop::sample::Index, by in 1..=255_u8) {
        let mut bytes = sign(&record).encode();
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..=1000)) {
        prop_assert!(decode(&bytes).is_err());
    }

    /// Owners of keys may sign what they like.
    #[test]
    fn what_is_accepted_is_written_the_same(
        record in any_record(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..=2),
    ) {
        let mut value = sign(&record).value().to_vec();
        for (at, to) in changes {
            let at = at.index(value.len());
            value[at] = to;
        }
        if let Ok(read) = decode(&encoded(&value, record.sequence())) {
            prop_assert_eq!(read.value(), &value);
            prop_assert_eq!(sign(read.record()), read);
        }
    }
}
