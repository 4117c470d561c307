use super::*;
use mainline::SigningKey;

const LIFETIME: Duration = Duration::from_secs(7_200);

fn empty_at(seconds: u64) -> Shard {
    Shard::new(Timestamp::from_unix(Duration::from_secs(seconds)), LIFETIME)
}

/// What a writer encodes after it applied these changes, of a key and whether it
/// left, at that time.
fn version_at(seconds: u64, changes: &[(u8, bool)]) -> Vec<u8> {
    let mut shard = empty_at(seconds);
    for &(key, left) in changes {
        shard.set([key; KEY_LEN], left).expect("there is room");
    }
    shard.encode()
}

fn members(seconds: u64, versions: &[&[u8]]) -> Vec<u8> {
    let mut shard = empty_at(seconds);
    for version in versions {
        shard.merge(version, |_| ());
    }
    let live = |(key, state): (&[u8; KEY_LEN], &MemberState)| (!state.left).then_some(key[0]);
    shard.entries.iter().filter_map(live).collect()
}

#[test]
fn versions_merge_in_any_order_and_the_latest_entry_is_kept() {
    let joined = version_at(1_000, &[(1, false), (2, false)]);
    let left = version_at(1_001, &[(1, true), (3, false)]);
    assert_eq!(members(1_002, &[&joined, &left]), [2, 3]);
    assert_eq!(members(1_002, &[&left, &joined]), [2, 3]);
}

#[test]
fn a_leave_in_the_second_of_the_join_is_later() {
    let both = version_at(1_000, &[(1, false), (1, true)]);
    assert!(members(1_000, &[&both]).is_empty());
    let again = version_at(1_000, &[(1, false), (1, true), (1, false)]);
    assert_eq!(members(1_000, &[&both, &again]), [1]);
    let join = version_at(1_000, &[(1, false)]);
    let leave = version_at(1_000, &[(1, true)]);
    assert!(members(1_000, &[&leave, &join]).is_empty());
    assert!(members(1_000, &[&join, &leave]).is_empty());
}

#[test]
fn an_entry_expires_also_where_the_seconds_wrap() {
    for start in [1_000, u64::from(LEFT_BIT) - 10, 1_800_000_000] {
        let joined = version_at(start, &[(1, false)]);
        assert_eq!(members(start + 7_199, &[&joined]), [1], "{start}");
        assert!(members(start + 7_200, &[&joined]).is_empty(), "{start}");
        assert_eq!(
            members(start - 300, &[&joined]),
            [1],
            "a clock may be behind"
        );
        assert!(
            members(start - 301, &[&joined]).is_empty(),
            "by at most MAX_SKEW"
        );
    }
}

#[test]
fn a_member_is_fresh_for_a_quarter_of_its_lifetime() {
    let joined = version_at(1_000, &[(1, false), (2, true)]);
    for (later, is_fresh) in [(0, true), (1_799, true), (1_800, false)] {
        let mut shard = empty_at(1_000 + later);
        shard.merge(&joined, |_| ());
        assert_eq!(shard.is_fresh(&[1; KEY_LEN]), is_fresh, "{later}");
        assert!(!shard.is_fresh(&[2; KEY_LEN]) && !shard.is_fresh(&[3; KEY_LEN]));
    }
}

#[test]
fn a_full_shard_drops_relays_that_left_and_then_rejects() {
    let mut shard = empty_at(1_000);
    shard.set([200; KEY_LEN], true).expect("there is room");
    for key in 0..MAX_MEMBERS as u8 {
        shard.set([key; KEY_LEN], false).expect("there is room");
    }
    assert_eq!(
        shard.set([99; KEY_LEN], false),
        Err(DhtError::Full { max: MAX_MEMBERS })
    );
    let bytes = shard.encode();
    assert!(bytes.len() <= 1_000, "{} bytes", bytes.len());
    let all: Vec<u8> = (0..MAX_MEMBERS as u8).collect();
    assert_eq!(members(1_000, &[&bytes]), all);
    shard
        .set([3; KEY_LEN], false)
        .expect("it is a member already");
}

/// Storage nodes ignored the item, and the shard took no relay and did not divide.
#[test]
fn versions_that_together_have_too_many_members_divide_within_the_limit() {
    let version = |seconds, keys: std::ops::Range<u8>| {
        version_at(seconds, &keys.map(|key| (key, false)).collect::<Vec<_>>())
    };
    let versions = [version(1_000, 0..20), version(1_001, 20..40)];
    for update in [ShardUpdate::Join, ShardUpdate::Divide] {
        let mut read = ShardRead::new(empty_at(1_002));
        for (sequence, version) in versions.iter().enumerate() {
            let key = SigningKey::from_bytes(&[7; 32]);
            let item = MutableItem::new(key, version, sequence as i64, None);
            read.add(&item, &[99; KEY_LEN]);
        }
        let step = read.next_step(update, &[99; KEY_LEN], None, false, true);
        assert!(
            matches!(step, Step::Divide | Step::Write { .. }),
            "{step:?}"
        );
        let written = read.merged.encode();
        assert!(written.len() <= 990, "{} bytes", written.len());
        assert!(read_at(1_002, &[&written]).is_divided());
        let kept = members(1_002, &[&written]);
        assert_eq!(
            kept,
            [
                &(0..8).collect::<Vec<u8>>()[..],
                &(20..40).collect::<Vec<u8>>()
            ]
            .concat()
        );
    }
}

fn divided_at(seconds: u64, keys: &[u8]) -> Vec<u8> {
    let mut shard = empty_at(seconds);
    for key in keys {
        shard.set([*key; KEY_LEN], false).expect("there is room");
    }
    shard.divide();
    shard.encode()
}

fn read_at(seconds: u64, versions: &[&[u8]]) -> Shard {
    let mut shard = empty_at(seconds);
    for version in versions {
        shard.merge(version, |_| ());
    }
    shard
}

#[test]
fn a_mark_lasts_as_long_as_an_entry_and_the_latest_one_is_kept() {
    let all: Vec<u8> = (0..MAX_MEMBERS as u8).collect();
    let (early, late) = (divided_at(1_000, &all), divided_at(3_000, &[]));
    assert!(early.len() <= 1_000, "{} bytes", early.len());
    assert_eq!(members(3_000, &[&late, &early]), all);
    for versions in [[&early[..], &late[..]], [&late[..], &early[..]]] {
        assert!(read_at(3_000, &versions).is_divided_within(LIFETIME / 4));
        assert!(read_at(10_199, &versions).is_divided());
        assert!(!read_at(10_199, &versions).is_divided_within(LIFETIME / 4));
        assert!(!read_at(10_200, &versions).is_divided());
    }
    let unmarked = version_at(3_000, &[(1, false)]);
    assert!(!read_at(3_000, &[&unmarked]).is_divided());
    assert!(!read_at(3_000, &[&divided_at(9_000, &[])]).is_divided());
}

#[test]
fn invalid_versions_are_ignored() {
    let good = version_at(1_000, &[(1, false)]);
    for bad in [&[][..], &[VERSION], &[1, 2, 3], &good[1..], &good[..35]] {
        assert!(members(1_000, &[bad]).is_empty(), "{bad:?}");
    }
    assert_eq!(members(1_000, &[&vec![VERSION; 100_000]]).len(), 0);
}

#[test]
fn a_member_is_reported_once_and_a_relay_that_left_never() {
    let joined = version_at(1_000, &[(1, false), (2, false)]);
    let left = version_at(1_001, &[(1, true)]);
    let mut shard = empty_at(1_002);
    let mut joins = Vec::new();
    for version in [&left, &joined, &joined] {
        shard.merge(version, |key| joins.push(key[0]));
    }
    assert_eq!(joins, [2]);
}

const OWN: [u8; 32] = [1; 32];
const OTHER: [u8; 32] = [2; 32];

fn shard_of(keys: &[[u8; 32]]) -> Shard {
    let mut shard = empty_at(1_000);
    for key in keys {
        shard.set(*key, false).expect("there is room");
    }
    shard
}

fn item(keys: &[[u8; 32]], sequence: i64) -> MutableItem {
    let key = SigningKey::from_bytes(&[7; 32]);
    MutableItem::new(key, &shard_of(keys).encode(), sequence, None)
}

fn read(items: &[MutableItem]) -> ShardRead {
    let mut read = ShardRead::new(shard_of(&[]));
    for item in items {
        read.add(item, &OWN);
    }
    read
}

#[test]
fn an_entry_is_confirmed_by_the_newest_version_only() {
    let written = shard_of(&[OWN]);
    let (own, both) = (item(&[OWN], 5), item(&[OWN, OTHER], 6));
    let without = item(&[OTHER], 6);
    for versions in [
        [own.clone(), without.clone()],
        [without.clone(), own.clone()],
    ] {
        let read = read(&versions);
        assert_eq!((read.newest_sequence, read.versions), (Some(6), 2));
        assert!(read.is_listed && !read.newest.is_fresh(&OWN));
        assert!(!read.confirms(&written, &OWN, false));
        assert!(read.confirms(&written, &OWN, true), "some version has it");
    }
    assert!(read(&[own, both]).confirms(&written, &OWN, false));
    assert!(!read(&[without]).confirms(&written, &OWN, true));
    assert!(!read(&[]).confirms(&written, &OWN, true));
}
