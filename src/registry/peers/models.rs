//! Models of a reader beside a writer.

use super::word_map::WordMap;
use crate::sync::{Arc, check, yield_point};
use loom::thread;

/// One bucket, so all keys are in one chain.
type Map = WordMap<1, 2>;

fn map(entries: usize) -> Map {
    Map::new(1, entries).expect("memory")
}

fn put(map: &Map, free: u32, key: u64, value: u64) {
    map.put(map.locate(0, &[key]), free, 0, &[key], &[value, value]);
}

fn remove(map: &Map, key: u64) {
    let place = map.locate(0, &[key]);
    map.remove(place, place.index.expect("it is there"));
}

#[track_caller]
fn read(map: &Map, key: u64) -> Option<u64> {
    let [one, other] = map.get(0, &[key])?;
    assert_eq!(one, other, "parts of two values");
    Some(one)
}

/// The value of a key is replaced twice, so the reader's entry is filled again.
#[test]
fn a_value_is_read_whole_and_never_missed() {
    check(3, || {
        let map = Arc::new(map(2));
        put(&map, 0, 7, 1);
        let writer = thread::spawn({
            let map = Arc::clone(&map);
            move || {
                put(&map, 1, 7, 2);
                put(&map, 0, 7, 3);
            }
        });
        let first = read(&map, 7).expect("it is there throughout");
        assert!((1..=3).contains(&first));
        writer.join().unwrap();
        assert_eq!(read(&map, 7), Some(3));
    });
}

/// The first entry of a chain is removed, and filled again with another key.
#[test]
fn a_key_behind_a_removed_one_is_found() {
    check(3, || {
        let map = Arc::new(map(2));
        put(&map, 0, 1, 10);
        put(&map, 1, 2, 20);
        let writer = thread::spawn({
            let map = Arc::clone(&map);
            move || {
                remove(&map, 1);
                put(&map, 0, 3, 30);
            }
        });
        assert_eq!(read(&map, 2), Some(20));
        let third = read(&map, 3);
        assert!(third.is_none_or(|value| value == 30));
        let first = read(&map, 1);
        assert!(first.is_none_or(|value| value == 10));
        writer.join().unwrap();
        assert_eq!((read(&map, 1), read(&map, 3)), (None, Some(30)));
    });
}

/// A key is added behind another one, in an entry that was never filled.
#[test]
fn a_key_that_is_added_is_read_whole() {
    check(3, || {
        let map = Arc::new(map(2));
        put(&map, 0, 1, 10);
        let writer = thread::spawn({
            let map = Arc::clone(&map);
            move || {
                put(&map, 1, 2, 20);
                yield_point();
            }
        });
        yield_point();
        let second = read(&map, 2);
        assert!(second.is_none_or(|value| value == 20));
        writer.join().unwrap();
        assert_eq!((read(&map, 1), read(&map, 2)), (Some(10), Some(20)));
    });
}
