//! Lists of shards below a root, and marks.

use super::*;
use crate::dht::engine::kad::entry::PATH_LEN;

/// How long a mark lasts, with the default refresh interval.
const MARK_TTL: Duration = Duration::from_secs(7_200);

fn child(bit: bool) -> ShardPath {
    ROOT.child(bit).unwrap()
}

/// Seeds of the keys of relays that belong to a shard.
fn seeds_of(path: ShardPath) -> impl Iterator<Item = u16> {
    let limits = validator().limits;
    (0..).filter(move |seed| path.is_of(&key(*seed).node_id(), &limits))
}

fn records_of(path: ShardPath, count: usize) -> Vec<SignedRecord> {
    let seeds = seeds_of(path).take(count);
    seeds.map(|seed| record(seed, NOW)).collect()
}

fn reconcile(
    path: ShardPath,
    stored: Option<&[u8]>,
    incoming: &[u8],
) -> Result<Reconciled, ReconcileError> {
    validator().reconcile(&list_key(path), stored, incoming, NOW)
}

#[test]
fn the_list_of_a_child_is_merged_under_its_own_key_alone() {
    let path = child(true).child(false).unwrap();
    let records = records_of(path, 2);
    let [one, other] = [0, 1].map(|at| list_at(path, None, &records[at..=at]));
    let merged = stored(reconcile(path, Some(&one), &other));
    assert_eq!(merged, list_at(path, None, &records));
    assert_eq!(
        reconcile(path, Some(&merged), &one),
        Ok(Reconciled::Keep),
        "it adds nothing"
    );

    let wrong = Err(ReconcileError::WrongShard { path });
    for elsewhere in [ROOT, child(true), child(false)] {
        assert_eq!(reconcile(elsewhere, None, &one), wrong, "{elsewhere}");
    }
    assert_eq!(validator().reconcile(&[7; 32], None, &one, NOW), wrong);
    let without_path = list(&records);
    assert!(matches!(
        reconcile(path, None, &without_path),
        Err(ReconcileError::InvalidRecord(_) | ReconcileError::TooLarge { .. })
    ));
}

#[test]
fn a_path_that_the_directory_does_not_have_is_rejected() {
    let shallow = validator().with_max_depth(1);
    let deep = child(true).child(true).unwrap();
    let other_root = ShardPath::root(1).child(true).unwrap();
    for (path, is_known) in [(child(true), true), (deep, false), (other_root, false)] {
        let list = list_at(path, None, &records_of(deep, 1));
        let result = shallow.reconcile(&list_key(path), None, &list, NOW);
        let no_such_shard = ReconcileError::NoSuchShard {
            path,
            shards: 1,
            max_depth: 1,
        };
        assert_eq!(result.is_ok(), is_known, "{path}");
        assert!(is_known || result == Err(no_such_shard));
    }
}

#[test]
fn a_path_that_is_none_is_rejected() {
    let list = list_at(child(true), None, &records_of(child(true), 1));
    let (depth, lowest_bits) = (6, PATH_LEN);
    for (at, byte) in [(depth, Limits::MAX_DEPTH + 1), (lowest_bits, 2)] {
        let mut invalid = list.clone();
        invalid[at] = byte;
        let rejected = reconcile(child(true), None, &invalid);
        assert_eq!(rejected, Err(ReconcileError::InvalidPath), "byte {at}");
    }
}

#[test]
fn an_entry_of_another_shard_is_skipped_and_costs_no_check() {
    let (own, foreign) = (records_of(child(true), 1), records_of(child(false), 1));
    let both = [own.clone(), foreign.clone()].concat();
    let of_both = list_at(child(true), None, &both);
    let merged = stored(reconcile(child(true), None, &of_both));
    assert_eq!(merged, list_at(child(true), None, &own));

    let of_foreign = list_at(child(true), None, &records_of(child(false), 90));
    let validator = validator();
    let mut merge = Merge::of_stored(child(true), &[], &validator, NOW);
    merge.add(&of_foreign);
    assert_eq!((merge.checks, merge.invalid), (0, MAX_INVALID + 1));
    assert_eq!(merge.finish(), Reconciled::Keep);
}

#[test]
fn a_relay_is_in_the_list_of_its_own_root_alone_if_shards_divide() {
    let divides = KadValidator::new(Network::default(), 2);
    let record = record(1, NOW);
    let own = divides.limits.shard_of(&record.node_id()).unwrap();
    for (validator, elsewhere) in [(divides.clone().with_max_depth(0), true), (divides, false)] {
        for (shard, is_stored) in [(own, true), (1 - own, elsewhere)] {
            let root = ShardPath::root(shard);
            let list = list_at(root, None, std::slice::from_ref(&record));
            let result = validator.reconcile(&list_key(root), None, &list, NOW);
            assert_eq!(result != Ok(Reconciled::Keep), is_stored, "{root}");
        }
    }
}

#[test]
fn the_later_one_of_two_marks_is_kept_and_a_list_is_stored_until_its_mark_ends() {
    let second = Duration::from_secs(1);
    let records = records_of(child(true), 1);
    let marked = |mark| list_at(child(true), mark, &records);
    let (plain, early, late) = (marked(None), marked(Some(NOW - second)), marked(Some(NOW)));
    for before in [&plain, &early] {
        let expected = Reconciled::Store {
            value: late.clone(),
            expires_at: NOW + MARK_TTL,
        };
        assert_eq!(reconcile(child(true), Some(before), &late), Ok(expected));
    }
    for incoming in [&plain, &early, &late] {
        let kept = reconcile(child(true), Some(&late), incoming);
        assert_eq!(kept, Ok(Reconciled::Keep));
    }
    let refreshed_daily = validator().with_refresh(Duration::MAX);
    let long = refreshed_daily.reconcile(&list_key(child(true)), None, &late, NOW);
    let day = Duration::from_secs(86_400);
    assert!(
        matches!(long, Ok(Reconciled::Store { expires_at, .. }) if expires_at == NOW + 2 * day)
    );
}

#[test]
fn a_mark_of_the_future_or_the_past_is_ignored() {
    let second = Duration::from_secs(1);
    let records = records_of(child(true), 1);
    let plain = list_at(child(true), None, &records);
    for mark in [NOW + MAX_SKEW + second, NOW - MARK_TTL] {
        let marked = list_at(child(true), Some(mark), &records);
        assert_eq!(stored(reconcile(child(true), None, &marked)), plain);
    }
    for mark in [NOW + MAX_SKEW, NOW - MARK_TTL + second] {
        let marked = list_at(child(true), Some(mark), &records);
        assert_eq!(stored(reconcile(child(true), None, &marked)), marked);
    }
}

#[test]
fn a_mark_makes_a_list_of_a_root_but_none_below_it() {
    let mark = list_at(ROOT, Some(NOW), &[]);
    assert_eq!(stored(reconcile(ROOT, None, &mark)), mark);

    let mark = list_at(child(true), Some(NOW), &[]);
    assert_eq!(reconcile(child(true), None, &mark), Ok(Reconciled::Keep));
    let with_forged = [mark.clone(), list_of_encoded(&[forged(1)])[1..].to_vec()].concat();
    let kept = reconcile(child(true), None, &with_forged);
    assert_eq!(kept, Ok(Reconciled::Keep));

    let records = records_of(child(true), 1);
    let plain = list_at(child(true), None, &records);
    let marked = list_at(child(true), Some(NOW), &records);
    let beside = reconcile(child(true), Some(&plain), &mark);
    assert_eq!(stored(beside), marked);
}

/// Without this, a shard that has divided would be lost when the last entry of it ends.
#[test]
fn a_mark_outlasts_the_entries_beside_it_and_is_renewed_beside_another() {
    let later = NOW + TTL;
    let marked = list_at(child(true), Some(NOW), &records_of(child(true), 1));
    let reconcile = |stored: &[u8], incoming: &[u8]| {
        validator().reconcile(&list_key(child(true)), Some(stored), incoming, later)
    };
    let mark = list_at(child(true), Some(later), &[]);
    assert_eq!(reconcile(&marked, &mark), Ok(Reconciled::Keep), "unsigned");

    let another = record(seeds_of(child(true)).next().unwrap(), later);
    let plain = list_at(child(true), None, std::slice::from_ref(&another));
    let renewed = list_at(child(true), Some(NOW), std::slice::from_ref(&another));
    assert_eq!(stored(reconcile(&marked, &plain)), renewed);
}
