//! The page has a row for every error, with the message that is printed, and no other row.
//!
//! The matches have no wildcard, so a new variant does not compile until it has an example here.
//! An example without a row on the page fails, and so does a row without an example.

use crate::cbor::CborError;
use crate::coordinates::{CoordinateError, ObserveError};
use crate::dht::{
    CandidateError, DhtError, DhtOptionsError, KeyError, Network, ProbeError, ReconcileError,
    RecordError, RejectReason, ShardPath,
};
use crate::errors::{
    BanError, FindError, LabelScope, LeaseError, OperatorError, PeerViewError, RegisterError,
    Rejections, RenewError, RestoreError, SyncError,
};
use crate::events::RecvError;
use crate::registry::{BuildError, Registry};
use crate::relay::{
    AddressPolicyError, EndpointError, NatType, NatTypeError, NodeId, NodeIdError, Rejection,
};
use crate::select::PeerViewDecodeError;
use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

const PAGE: &str = include_str!("../errors.md");

/// Error and message, as the first two cells of a row.
type Row = (String, String);

/// For each variant of each error, values that print all forms of its message.
macro_rules! rows {
    ($($error:ident, $check:ident: {
        $($variant:ident => $($value:expr),+;)*
    })*) => {{
        let mut rows: Vec<Row> = Vec::new();
        $({
            #[allow(unused_imports, reason = "not all errors have variants")]
            use $error::*;
            let variant_of = |error: &$error| match error {
                $($error::$variant { .. } => stringify!($variant),)*
            };
            $($({
                let error = $value;
                assert_eq!(variant_of(&error), stringify!($variant));
                $check(&error, stringify!($variant));
                let name = concat!(stringify!($error), "::", stringify!($variant));
                rows.push((name.to_owned(), error.to_string()));
            })+)*
        })*
        rows
    }};
}

/// With the feature `serde`, the kind is the name of the variant in lower case with hyphens.
#[cfg(feature = "serde")]
fn kind(error: &impl serde::Serialize, variant: &str) {
    let json = serde_json::to_value(error).expect("it is serialised");
    let kind = json.get("kind").unwrap_or(&json).as_str();
    assert_eq!(kind, Some(&*in_lower_case(variant, '-')));
}

#[cfg(not(feature = "serde"))]
fn kind<E>(_: &E, _: &str) {}

/// It is not serialised.
fn no_kind<E>(_: &E, _: &str) {}

/// In metrics, the reason is the name of the variant in lower case with underscores.
fn kind_and_name(reason: &RejectReason, variant: &str) {
    kind(reason, variant);
    assert_eq!(reason.name(), in_lower_case(variant, '_'));
}

fn in_lower_case(variant: &str, separator: char) -> String {
    let mut name = String::new();
    for letter in variant.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push(separator);
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The default tick.
const TICK: Duration = Duration::from_millis(100);

/// The longest TTL with the default tick, as a registry says it.
fn longest_ttl() -> Duration {
    match Registry::builder().ttl(Duration::MAX).build() {
        Err(BuildError::InvalidTtl { min, max, .. }) => {
            assert_eq!(min, TICK);
            max
        }
        other => panic!("{other:?}"),
    }
}

/// No relay is found: for each reason alone, and because there is none.
fn finds() -> Vec<FindError> {
    let without_relays = FindError::NoRelaysAvailable {
        rejections: Rejections::default(),
    };
    // A relay is found where one is of a higher tier than another.
    let reasons = Rejection::ALL.iter().filter(|it| **it != Rejection::Tier);
    let each = reasons.map(|&reason| {
        let mut rejections = Rejections::default();
        *rejections.count_mut(reason) = 2;
        FindError::NoRelaysAvailable { rejections }
    });
    [without_relays].into_iter().chain(each).collect()
}

fn find_rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for error in finds() {
        let (name, variant) = match error {
            FindError::NoRelaysAvailable { .. } => {
                ("FindError::NoRelaysAvailable", "NoRelaysAvailable")
            }
        };
        kind(&error, variant);
        rows.push((name.to_owned(), error.to_string()));
    }
    rows
}

fn rows_of_calls() -> Vec<Row> {
    rows! {
        LeaseError, kind: {
            UnknownRelay => UnknownRelay;
            Full => Full { capacity: 8 };
            Draining => Draining;
            Banned => Banned;
        }
        RegisterError, kind: {
            Full => Full { max: 1_000 };
            NotReachable =>
                NotReachable { nat: NatType::Symmetric },
                NotReachable { nat: NatType::PublicIp };
            InvalidEndpoint => InvalidEndpoint(EndpointError::ZeroPort);
            InvalidCapacity => InvalidCapacity { capacity: 0 };
            InvalidTtl =>
                InvalidTtl { ttl: seconds(0), min: TICK, max: longest_ttl() },
                InvalidTtl { ttl: Duration::MAX, min: TICK, max: longest_ttl() };
            InvalidLatency => InvalidLatency { latency: seconds(11) };
            Backlogged => Backlogged { awaiting_reclamation: 3_024 };
            InvalidFailureDomain =>
                InvalidFailureDomain { len: 64 },
                InvalidFailureDomain { len: 3 };
            InvalidCost => InvalidCost { cost: 11.0, min: 0.1, max: 10.0 };
            InvalidLabel =>
                InvalidLabel { label: "".into(), max: 32 },
                InvalidLabel { label: "x".repeat(33).into(), max: 32 },
                InvalidLabel { label: "a\tb".into(), max: 32 };
            TooManyLabels =>
                TooManyLabels { scope: LabelScope::Relay, count: 9, max: 8 },
                TooManyLabels { scope: LabelScope::Registry, count: 65, max: 64 };
            PayloadTooLong => PayloadTooLong { len: 513, max: 512 };
            TooManyEndpoints => TooManyEndpoints { count: 9, max: 8 };
            InvalidFurtherEndpoint => InvalidFurtherEndpoint {
                endpoint: (std::net::Ipv4Addr::LOCALHOST, 1).into(),
                reason: EndpointError::NotPublic,
            };
            TooLargeToPublish => TooLargeToPublish { len: 950, max: 900 };
            EndpointTaken => EndpointTaken {
                endpoint: (std::net::Ipv4Addr::new(192, 0, 2, 1), 4433).into(),
                by: coffee(),
            };
            ClockExhausted => ClockExhausted;
        }
        RenewError, kind: {
            UnknownRelay => UnknownRelay;
        }
        SyncError, kind: {
            InvalidTag => InvalidTag { len: 0, max: 64 }, InvalidTag { len: 7, max: 64 };
            TooManyTags => TooManyTags { count: 65, max: 64 };
            TooManyRelays => TooManyRelays { count: 1_001, max: 1_000 };
        }
        OperatorError, kind: {
            InvalidCost => InvalidCost { cost: 0.0, min: 0.1, max: 10.0 };
            TooMany => TooMany { max: 65_536 };
            OutOfMemory => OutOfMemory;
            Backlogged => Backlogged { awaiting_reclamation: 3_024 };
        }
        BanError, kind: {
            TooLong => TooLong { duration: Duration::MAX, max: Duration::from_nanos(u64::MAX) };
            TooMany => TooMany { max: 65_536 };
            OutOfMemory => OutOfMemory;
            Backlogged => Backlogged { awaiting_reclamation: 3_024 };
        }
        RecvError, no_kind: {
            Empty => Empty;
            Closed => Closed;
        }
    }
}

fn rows_of_values() -> Vec<Row> {
    rows! {
        NodeIdError, no_kind: {
            Empty => Empty;
            TooLong => TooLong { len: 65 };
            OddLength => OddLength { len: 3 };
            InvalidDigit => InvalidDigit { index: 2 };
        }
        EndpointError, no_kind: {
            MissingPort => MissingPort;
            InvalidPort => InvalidPort;
            ZeroPort => ZeroPort;
            Scheme => Scheme;
            UnbracketedIpv6 => UnbracketedIpv6;
            InvalidIpv6 => InvalidIpv6;
            PortInHost => PortInHost;
            EmptyHost => EmptyHost;
            NameTooLong => NameTooLong { len: 254 };
            EmptyLabel => EmptyLabel;
            LabelTooLong => LabelTooLong { len: 64 };
            InvalidCharacter => InvalidCharacter { index: 1 };
            HyphenAtEdge => HyphenAtEdge { index: 1 };
            NumericName => NumericName;
            Unspecified => Unspecified;
            Multicast => Multicast;
            Broadcast => Broadcast;
            LinkLocal => LinkLocal;
            NotPublic => NotPublic;
            Underscore => Underscore { index: 4 };
        }
        PeerViewError, kind: {
            InvalidRtt => InvalidRtt { rtt: seconds(11) };
            Full => Full;
        }
        PeerViewDecodeError, no_kind: {
            Truncated => Truncated { len: 3, needed: 4 };
            TrailingBytes => TrailingBytes { extra: 2 };
            UnknownVersion => UnknownVersion { version: 2 };
            UnknownForm => UnknownForm { byte: 4 };
            InvalidRelay => InvalidRelay { index: 0, reason: NodeIdError::Empty };
            DuplicateRelay => DuplicateRelay { index: 1 };
            InvalidRtt => InvalidRtt { index: 0, micros: 0 };
            InvalidCoordinate => InvalidCoordinate(CoordinateError::Height { value: -1.0 });
        }
        CoordinateError, no_kind: {
            Position => Position { axis: 1, value: f32::NAN };
            Height => Height { value: -1.0 };
            Adjustment => Adjustment { value: 2e7 };
            Error => Error { value: 2.0 };
        }
        ObserveError, no_kind: {
            InvalidRtt => InvalidRtt { rtt: seconds(11) };
            Outlier => ObserveError::outlier(900_000, 30_500);
        }
    }
}

fn rows_of_building() -> Vec<Row> {
    let countable = longest_ttl();
    rows! {
        BuildError, no_kind: {
            InvalidMaxRelays => InvalidMaxRelays { max_relays: 0 };
            InvalidTick =>
                InvalidTick { tick: Duration::from_micros(1) },
                InvalidTick { tick: seconds(u64::MAX) };
            InvalidTtl =>
                InvalidTtl { ttl: seconds(0), min: TICK, max: countable },
                InvalidTtl { ttl: Duration::MAX, min: TICK, max: countable };
            InvalidAssumedRtt => InvalidAssumedRtt { assumed_rtt: Duration::ZERO };
            InvalidRttLifetime => InvalidRttLifetime {
                rtt_lifetime: Duration::from_millis(999),
            };
            InvalidMaxEjectedShare => InvalidMaxEjectedShare { share: 1.5 };
            InvalidBackOff =>
                InvalidBackOff { min: Duration::ZERO, max: seconds(1), countable },
                InvalidBackOff { min: seconds(2), max: seconds(1), countable },
                InvalidBackOff { min: seconds(1), max: Duration::MAX, countable };
            InvalidMaxPeers => InvalidMaxPeers { max_peers: 16_000_001 };
            InvalidEventCapacity => InvalidEventCapacity { capacity: 0, max: 1_048_576 };
            InvalidPeerTtl =>
                InvalidPeerTtl { ttl: Duration::ZERO, max: countable },
                InvalidPeerTtl { ttl: Duration::MAX, max: countable };
            InvalidName => InvalidName { len: 0 };
            InvalidSaveInterval => InvalidSaveInterval { every: Duration::ZERO };
            OutOfMemory => OutOfMemory;
            Thread => Thread { kind: io::ErrorKind::WouldBlock };
            InvalidDht => InvalidDht(DhtOptionsError::EnginePanicked);
        }
        DhtOptionsError, no_kind: {
            Time => Time {
                option: "refresh",
                given: seconds(901),
                least: Duration::from_nanos(1),
                most: seconds(900),
            };
            Number => Number { option: "worker_threads", given: 65, least: 0, most: 64 };
            EnginePanicked => EnginePanicked;
            OtherNetwork => OtherNetwork { engine: staging(), options: Network::default() };
            OtherLocalId => OtherLocalId { of_key: coffee() };
        }
        RestoreError, no_kind: {
            Io => Io(io::Error::other("relays.save: Permission denied"));
            NotASave => NotASave;
            UnknownVersion => UnknownVersion { major: 2, supported: 1 };
            Truncated => Truncated { len: 12 };
            EntryTooLong => EntryTooLong { entry: 7, len: 70_000, max: 8_192 };
            ChecksumMismatch => ChecksumMismatch;
            TrailingBytes => TrailingBytes;
            InvalidEntry => InvalidEntry { entry: 7, reason: CborError::NotAMap };
            InvalidField => InvalidField { entry: 7, key: 3 };
        }
        CborError, no_kind: {
            Truncated => Truncated { at: 32 };
            TrailingBytes => TrailingBytes { at: 34 };
            Indefinite => Indefinite { at: 0 };
            NotShortest => NotShortest { at: 0 };
            DuplicateKey => DuplicateKey { at: 3 };
            UnsortedKey => UnsortedKey { at: 3 };
            InvalidText => InvalidText { at: 35 };
            Unsupported => Unsupported { at: 35 };
            TooDeep => TooDeep { at: 42 };
            NotAMap => NotAMap;
            NotAnIntegerKey => NotAnIntegerKey { at: 34 };
        }
    }
}

fn rows_of_the_dht() -> Vec<Row> {
    rows! {
        DhtError, no_kind: {
            Superseded =>
                Superseded { stored: Some(42) },
                Superseded { stored: None };
            Conflict => Conflict;
            TooLarge => TooLarge { size: 950, max: 900 };
            Full => Full { max: 224 };
            Rejected => DhtError::rejected("no room");
            Unavailable => DhtError::unavailable("OOM command not allowed");
            Timeout => Timeout;
            Unreachable => Unreachable;
            Busy => Busy { max_in_flight: 4 };
            Unsupported => Unsupported { what: "a directory" };
            Closed => Closed;
        }
        ProbeError, no_kind: {
            Unreachable => Unreachable;
            Refused => Refused;
            WrongIdentity => WrongIdentity;
        }
        CandidateError, no_kind: {
            Invalid => Invalid(RecordError::BadSignature);
            WrongNode => WrongNode { node: coffee() };
        }
        ReconcileError, no_kind: {
            TooLarge => TooLarge { len: 950, max: 900 };
            InvalidRecord => InvalidRecord(RecordError::BadSignature);
            WrongKey => WrongKey { node: coffee() };
            NotCurrent => NotCurrent;
            NotAList => NotAList;
            WrongShard => WrongShard { path: half() };
            NoSuchShard => NoSuchShard {
                path: half(),
                shards: 2,
                max_depth: 16,
            };
            InvalidPath => InvalidPath;
        }
        KeyError, no_kind: {
            NoRandomness =>
                NoRandomness { raw_os_error: Some(38) },
                NoRandomness { raw_os_error: None };
        }
        RecordError, no_kind: {
            InvalidNetwork => InvalidNetwork { len: 0 };
            TooLarge => TooLarge { len: 950, max: 900 };
            TooShort => TooShort { len: 3 };
            UnknownLayout => UnknownLayout { layout: 9 };
            InvalidKey => InvalidKey;
            WeakKey => WeakKey;
            BadSignature => BadSignature;
            InvalidSequence => InvalidSequence;
            SequenceBeforeIssue => SequenceBeforeIssue { sequence: 1, issued_at: 2 };
            NotCanonical => NotCanonical(CborError::NotAMap);
            NonCanonicalField => NonCanonicalField;
            UnsupportedVersion => UnsupportedVersion { version: 2 };
            UnsupportedKind => UnsupportedKind { kind: 9 };
            Missing => Missing { key: 2 };
            Unexpected => Unexpected { key: 4 };
            WrongType => WrongType { key: 4 };
            InvalidTtl => InvalidTtl { ttl: Duration::ZERO };
            InvalidEndpoint => InvalidEndpoint(EndpointError::ZeroPort);
            InvalidCapacity => InvalidCapacity { capacity: 0 };
            InvalidNat => InvalidNat { code: 9 };
            InvalidLoad => InvalidLoad { sixteenths: 17 };
            InvalidFailureDomain => InvalidFailureDomain;
            InvalidLabel => InvalidLabel;
            TooManyLabels => TooManyLabels { count: 9, max: 8 };
            TooManyEndpoints => TooManyEndpoints { count: 9, max: 8 };
            PayloadTooLong => PayloadTooLong { len: 513, max: 512 };
            InvalidExtension => InvalidExtension { key: 3 };
        }
        RejectReason, kind_and_name: {
            Invalid => Invalid;
            WrongNode => WrongNode;
            Own => Own;
            NotAllowed => NotAllowed;
            PrivateAddress => PrivateAddress;
            Name => Name;
            NotReachable => NotReachable;
            Replayed => Replayed;
            Withdrawn => Withdrawn;
            Expired => Expired;
            FromTheFuture => FromTheFuture;
            Conflict => Conflict;
            Forgotten => Forgotten;
            HeldLocally => HeldLocally;
            TooManyOfPrefix => TooManyOfPrefix;
            TooOften => TooOften;
            FailedProbes => FailedProbes;
            Full => Full;
            NotLearning => NotLearning;
        }
    }
}

#[cfg(feature = "redis")]
fn rows_of_redis() -> Vec<Row> {
    use crate::dht::RedisUrlError;

    rows! {
        RedisUrlError, no_kind: {
            NotRedis => NotRedis;
            Tls => Tls { reason: "the crate was built without its feature redis-tls".into() };
            NoAddress => NoAddress;
            InvalidDatabase => InvalidDatabase;
            InvalidLogin => InvalidLogin;
            UnknownParameter => UnknownParameter { name: "protocol".into() };
        }
    }
}

#[cfg(feature = "redis-tls")]
fn rows_of_redis_tls() -> Vec<Row> {
    use crate::dht::RedisTlsError;

    rows! {
        RedisTlsError, no_kind: {
            InvalidRoot => InvalidRoot { reason: "there is no certificate in it".into() };
            InvalidIdentity => InvalidIdentity { reason: "expected PKCS#8 PEM".into() };
            Unavailable => Unavailable { reason: "no library".into() };
        }
    }
}

/// Errors without variants.
fn rows_of_structures() -> Vec<Row> {
    [
        ("NatTypeError", NatTypeError.to_string()),
        ("AddressPolicyError", AddressPolicyError.to_string()),
    ]
    .map(|(name, message)| (name.to_owned(), message))
    .into()
}

fn staging() -> Network {
    Network::new(b"staging").expect("a short tag")
}

fn half() -> ShardPath {
    ShardPath::root(3).child(true).expect("a root has children")
}

fn coffee() -> NodeId {
    NodeId::from_bytes(&[0xc0, 0xff, 0xee]).expect("three bytes are an id")
}

fn rows_of_code() -> BTreeSet<Row> {
    let all = [
        find_rows(),
        rows_of_calls(),
        rows_of_values(),
        rows_of_building(),
        rows_of_the_dht(),
        #[cfg(feature = "redis")]
        rows_of_redis(),
        #[cfg(feature = "redis-tls")]
        rows_of_redis_tls(),
        rows_of_structures(),
    ];
    all.into_iter().flatten().collect()
}

/// The rows whose first two cells are code, and what the other cells say.
fn rows_of_page() -> Vec<(Row, Vec<&'static str>)> {
    let code = |cell: &str| {
        let code = cell.strip_prefix('`')?.strip_suffix('`')?;
        Some(code.to_owned())
    };
    let row = |line: &'static str| {
        let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
        let row = (code(cells.next()?)?, code(cells.next()?)?);
        Some((row, cells.collect()))
    };
    let is_here = |(name, _): &Row| cfg!(feature = "redis") || !name.starts_with("RedisUrlError::");
    let rows = PAGE.lines().filter_map(row);
    rows.filter(|(row, _)| is_here(row)).collect()
}

#[test]
fn the_page_has_the_message_of_every_error_and_no_other() {
    let mut on_page = BTreeSet::new();
    for (row, _) in rows_of_page() {
        assert!(on_page.insert(row.clone()), "twice: {row:?}");
    }
    let in_code = rows_of_code();
    let missing: Vec<_> = in_code.difference(&on_page).collect();
    let stale: Vec<_> = on_page.difference(&in_code).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "missing on the page: {missing:#?}\nno such error: {stale:#?}"
    );
}

#[test]
fn each_row_says_what_the_cause_is_and_what_to_do() {
    for (row, cells) in rows_of_page() {
        let is_complete = cells.len() == 2 && cells.iter().all(|cell| cell.ends_with(['.', ')']));
        assert!(is_complete, "{row:?}: {cells:?}");
    }
}
