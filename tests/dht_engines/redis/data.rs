//! What is under the keys: records that end, garbage, and very many.

use redis::cmd;
use relay_registry::NodeId;
use relay_registry::dht::{
    Announcement, Coverage, DhtError, MAX_VALUE_LEN, Network, Redis, RelayDht, RelayRecord,
    SecretKey, SignedRecord,
};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::server::{Server, until};
use super::{members, members_by, read, read_by, soon};
use crate::relays::{announced, key, withdrawn};

fn now() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("the clock is past 1970")
}

fn sign(key: &SecretKey, sequence: u64, issued_at: Duration, ttl: Duration) -> SignedRecord {
    let endpoint = "192.0.2.7:4433".parse().expect("an endpoint");
    let announcement = Announcement::new(endpoint, 100).expect("it can be announced");
    let record = RelayRecord::announce(announcement, sequence, issued_at, ttl);
    let record = record.expect("it is a record");
    SignedRecord::sign(&record, key, &Network::default()).expect("it can be signed")
}

/// A record of now with this TTL.
fn lasting(key: &SecretKey, ttl: Duration) -> SignedRecord {
    let now = now();
    let sequence = u64::try_from(now.as_micros()).expect("it is not that late");
    sign(key, sequence, now, ttl)
}

fn key_of(node: &NodeId) -> String {
    format!("relay-registry:main:record:{node}")
}

#[test]
#[ignore = "needs redis-server"]
fn what_has_ended_is_gone_and_nothing_is_left_of_it() {
    let server = Server::start();
    let dht = server.engine();
    let (short, long) = (
        lasting(&key(1), Duration::from_secs(2)),
        lasting(&key(2), Duration::from_secs(600)),
    );
    for record in [&short, &long] {
        dht.put(record, soon()).expect("it is stored");
        dht.join(0, record, soon()).expect("it joins");
    }
    dht.join(1, &short, soon()).expect("it joins");
    until("the record ends", || {
        read(&dht, &short.node_id()).is_empty()
    });
    until("the membership ends", || members(&dht, 0).len() == 1);
    assert_eq!(read(&dht, &long.node_id()), std::slice::from_ref(&long));
    // The record, the shard that listed it alone, and the entry of the shard that lists another.
    until("the server forgets it", || {
        server.run::<i64>(&["DBSIZE"]) == 2
    });
    let shard = "relay-registry:main:shard:0";
    assert_eq!(server.run::<i64>(&["ZCARD", shard]), 2);
    dht.join(0, &long, soon()).expect("it joins again");
    assert_eq!(server.run::<i64>(&["ZCARD", shard]), 1);
}

#[test]
#[ignore = "needs redis-server"]
fn a_tombstone_ends_as_a_record_does() {
    let server = Server::start();
    let dht = server.engine();
    let gone = withdrawn(1, 1);
    dht.put(&gone, soon()).expect("it is stored");
    let left: i64 = server.run(&["PTTL", &key_of(&gone.node_id())]);
    assert!((1..=3_600_000).contains(&left), "{left} ms");
}

#[test]
#[ignore = "needs redis-server"]
fn a_record_that_has_ended_is_rejected_and_one_of_the_future_does_not_stay() {
    let server = Server::start();
    let dht = server.engine();
    let hour = Duration::from_secs(3_600);
    let issued = now() - 2 * hour;
    let sequence = u64::try_from(issued.as_micros()).expect("it is not that late");
    let ended = sign(&key(1), sequence, issued, hour);
    for refused in [dht.put(&ended, soon()), dht.join(0, &ended, soon())] {
        assert!(
            matches!(&refused, Err(DhtError::Rejected { reason }) if reason.contains("expired")),
            "{refused:?}"
        );
    }
    // The clock of its signer is years ahead.
    let issued = now() + 100_000 * hour;
    let sequence = u64::try_from(issued.as_micros()).expect("it is not that late");
    let early = sign(&key(2), sequence, issued, hour);
    dht.put(&early, soon()).expect("readers will reject it");
    let left: i64 = server.run(&["PTTL", &key_of(&early.node_id())]);
    assert!(left <= 25 * 3_600_000, "{left} ms");
}

/// As numbers of a script, sequences above 2^53 that differ by one are the same.
#[test]
#[ignore = "needs redis-server"]
fn sequences_of_63_bits_are_told_apart() {
    let server = Server::start();
    let dht = server.engine();
    let hour = Duration::from_secs(3_600);
    let top = RelayRecord::MAX_SEQUENCE;
    for (relay, one, next) in [
        (1, top - 1, top),
        (2, (1 << 53) + 1, (1 << 53) + 2),
        (3, (1 << 60) - 1, 1 << 60),
        (4, (1 << 55) + 0x7f, (1 << 55) + 0x80),
    ] {
        let issued = now();
        let older = sign(&key(relay), one, issued, hour);
        let newer = sign(&key(relay), next, issued, hour);
        dht.put(&older, soon()).expect("it is stored");
        dht.put(&newer, soon()).expect("it is newer");
        let stored = Some(next);
        assert_eq!(
            dht.put(&older, soon()),
            Err(DhtError::Superseded { stored })
        );
        let another = sign(&key(relay), next, issued, 2 * hour);
        assert_eq!(dht.put(&another, soon()), Err(DhtError::Conflict));
        assert_eq!(read(&dht, &newer.node_id()), [newer]);
    }
}

#[test]
#[ignore = "needs redis-server"]
fn garbage_under_the_key_of_a_record_is_replaced() {
    let server = Server::start();
    let dht = server.engine();
    let record = announced(1, 1);
    let (node, mut control) = (record.node_id(), server.control());
    let key = key_of(&node);
    // A record of the relay with the highest sequence, but not signed by it.
    let mut forged = record.encode();
    forged[33..41].copy_from_slice(&i64::MAX.to_be_bytes());
    let mut altered = record.encode();
    *altered.last_mut().expect("a value") ^= 1;
    let huge = vec![b'x'; 10 << 20];
    let rubbish: Vec<u8> = (0..=255).rev().collect();
    for garbage in [&b"x"[..], &rubbish, &huge, &forged, &altered, &[0; 900]] {
        cmd("SET")
            .arg(&key)
            .arg(garbage)
            .exec(&mut control)
            .expect("it is set");
        let (found, worthless, _) = read_by(&dht, &node, soon());
        assert_eq!(found, []);
        assert!(worthless <= 1);
        dht.put(&record, soon()).expect("garbage is replaced");
        assert_eq!(read(&dht, &node), std::slice::from_ref(&record));
    }
    for write in ["RPUSH", "SADD"] {
        cmd("DEL")
            .arg(&key)
            .exec(&mut control)
            .expect("it is deleted");
        cmd(write)
            .arg(&key)
            .arg("junk")
            .exec(&mut control)
            .expect("it is set");
        assert_eq!(read(&dht, &node), []);
        // Nothing that could be a newer record holds the relay back.
        dht.join(0, &record, soon()).expect("it joins");
        dht.put(&record, soon()).expect("garbage is replaced");
        assert_eq!(read(&dht, &node), std::slice::from_ref(&record));
    }
    assert!(server.run::<i64>(&["PTTL", &key]) > 0, "it ends");
}

#[test]
#[ignore = "needs redis-server"]
fn junk_in_a_shard_hides_no_relay() {
    let server = Server::start();
    let dht = server.engine();
    let (stored, named) = (announced(1, 1), announced(2, 1));
    dht.put(&stored, soon()).expect("it is stored");
    for record in [&stored, &named] {
        dht.join(0, record, soon()).expect("it joins");
    }
    let mut control = server.control();
    let mut junk = cmd("ZADD");
    junk.arg("relay-registry:main:shard:0");
    let long = "f".repeat(100_000);
    let later = now().as_millis().to_string();
    for (score, member) in [
        ("inf", "x"),
        ("-inf", &"a".repeat(64)),
        ("inf", &"g".repeat(64)),
        ("1e300", &long),
        (&later, ""),
        ("9e15", "\u{0}\u{1b}"),
    ] {
        junk.arg(score).arg(member);
    }
    junk.exec(&mut control).expect("it is set");
    // A member whose record is of another type, and one whose record is huge.
    for (node, write) in [(7_u8, "RPUSH"), (8, "SET")] {
        let node = NodeId::from([node; 32]);
        let shard = "relay-registry:main:shard:0";
        let name = node.to_string();
        server.run::<()>(&["ZADD", shard, "9e15", &name]);
        server.run::<()>(&[write, &key_of(&node), &long]);
    }
    let found = members(&dht, 0);
    for expected in [
        (stored.node_id(), Some(stored.clone())),
        (named.node_id(), None),
        (NodeId::from([7; 32]), None),
        (NodeId::from([8; 32]), None),
    ] {
        assert!(
            found.contains(&expected),
            "{expected:?} is not in {found:?}"
        );
    }
    assert_eq!(found.len(), 4);
}

#[test]
#[ignore = "needs redis-server"]
fn a_shard_of_another_type_is_empty_until_a_relay_joins() {
    let server = Server::start();
    let dht = server.engine();
    let record = announced(1, 1);
    for write in ["SET", "RPUSH", "SADD"] {
        server.run::<()>(&["DEL", "relay-registry:main:shard:0"]);
        server.run::<()>(&[write, "relay-registry:main:shard:0", "junk"]);
        assert_eq!(members(&dht, 0), [], "{write}");
        dht.leave(0, &withdrawn(1, 1), soon())
            .expect("it is not listed");
        dht.join(0, &record, soon()).expect("it joins");
        assert_eq!(members(&dht, 0), [(record.node_id(), None)], "{write}");
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_full_shard_takes_no_newcomer_until_one_leaves() {
    let server = Server::start();
    let dht = server.builder().max_members(2).build();
    for relay in [1, 2] {
        dht.join(0, &announced(relay, 1), soon()).expect("it joins");
    }
    assert_eq!(
        dht.join(0, &announced(3, 1), soon()),
        Err(DhtError::Full { max: 2 })
    );
    dht.join(0, &announced(1, 2), soon())
        .expect("it is a member");
    dht.join(1, &announced(3, 1), soon())
        .expect("another shard has room");
    dht.leave(0, &withdrawn(2, 2), soon()).expect("it leaves");
    dht.join(0, &announced(3, 1), soon())
        .expect("there is room");
}

fn many(relays: u32) -> Vec<SignedRecord> {
    let numbers = 0..relays;
    numbers
        .map(|number| {
            let mut seed = [9; 32];
            seed[..4].copy_from_slice(&number.to_be_bytes());
            lasting(&SecretKey::from_seed(seed), Duration::from_secs(3_600))
        })
        .collect()
}

/// The members of a shard that an engine lists, each with its own record.
fn listed(dht: &Redis) -> (BTreeSet<NodeId>, Coverage) {
    let (found, coverage) = members_by(dht, 0, soon());
    let nodes = found.into_iter().map(|(node, record)| {
        assert_eq!(record.map(|record| record.node_id()), Some(node));
        node
    });
    (nodes.collect(), coverage)
}

#[test]
#[ignore = "needs redis-server"]
fn a_shard_of_256_members_is_read_whole_by_one_request() {
    let server = Server::start();
    let dht = server.engine();
    let records = many(256);
    store_all(&dht, &records);
    let before = requests(&server);
    let nodes = records.iter().map(SignedRecord::node_id).collect();
    assert_eq!(listed(&dht), (nodes, Coverage::Complete));
    assert_eq!(requests(&server), before + 1);
    let mut calls = 0;
    let answer = dht.members(0, soon(), &mut |_| {
        calls += 1;
        ControlFlow::Break(())
    });
    assert!(answer.is_ok_and(|answer| !answer.is_complete()) && calls == 1);
}

/// All nodes together read all of a large shard, and each of them the same part again.
fn a_large_shard_is_read_in_parts(server: &Server) {
    const RELAYS: u32 = 2_000;
    let dht = server.engine();
    let records = many(RELAYS);
    store_all(&dht, &records);
    let before = requests(server);
    let (part, coverage) = listed(&dht);
    assert_eq!((part.len(), coverage), (256, Coverage::Partial));
    assert_eq!(requests(server), before + 1);
    assert_eq!(listed(&dht), (part, coverage));
    let mut found = BTreeSet::new();
    let mut nodes = 0;
    while found.len() < records.len() {
        found.extend(listed(&server.engine()).0);
        nodes += 1;
        assert!(nodes < 300, "{} relays found", found.len());
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_large_shard_is_read_in_parts_by_one_request_each() {
    a_large_shard_is_read_in_parts(&Server::start());
}

#[test]
#[ignore = "needs redis-server"]
fn a_large_shard_that_is_one_piece_for_the_server_is_read_in_parts() {
    let server = Server::with_args(&["--zset-max-listpack-entries", "5000"]);
    a_large_shard_is_read_in_parts(&server);
}

#[test]
#[ignore = "needs redis-server"]
fn thousands_of_members_that_ended_hide_no_relay() {
    let server = Server::start();
    let dht = server.engine();
    let ended = |shard: u16| {
        let mut ended = cmd("ZADD");
        ended.arg(format!("relay-registry:main:shard:{shard}"));
        for number in 0..20_000 {
            ended.arg(1).arg(format!("{number:064}"));
        }
        ended.exec(&mut server.control()).expect("it is set");
    };
    let records = many(300);
    store_all(&dht, &records);
    ended(0);
    let (found, coverage) = listed(&dht);
    assert!(!found.is_empty() && coverage == Coverage::Partial);
    dht.join(1, &records[0], soon()).expect("it joins");
    ended(1);
    let found = members(&dht, 1);
    assert_eq!(found, [(records[0].node_id(), Some(records[0].clone()))]);
}

fn store_all(dht: &Redis, records: &[SignedRecord]) {
    std::thread::scope(|scope| {
        for part in records.chunks(records.len().div_ceil(4)) {
            scope.spawn(move || {
                for record in part {
                    dht.put(record, soon()).expect("it is stored");
                    dht.join(0, record, soon()).expect("it joins");
                }
            });
        }
    });
}

/// How many scripts the server has run.
fn requests(server: &Server) -> u64 {
    let stats: String = server.run(&["INFO", "commandstats"]);
    let line = stats
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    let calls = line.and_then(|rest| rest.split(',').next());
    calls.expect("scripts were run").parse().expect("a number")
}

#[test]
#[ignore = "needs redis-server"]
fn a_record_of_another_network_is_not_sent() {
    let server = Server::start();
    let dht = server
        .builder_of(Network::new(b"other").expect("a short tag"))
        .build();
    assert!(matches!(
        dht.put(&announced(1, 1), soon()),
        Err(DhtError::Unsupported { .. })
    ));
    assert_eq!(server.run::<i64>(&["DBSIZE"]), 0);
    assert_eq!(dht.limits().max_value, MAX_VALUE_LEN);
}
