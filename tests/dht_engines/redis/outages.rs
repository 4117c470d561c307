//! A server that is killed, restarted, paused, a replica, or without memory.

use relay_registry::dht::{Coverage, DhtError, RelayDht};

use super::server::{Server, until};
use super::{members, members_by, read, read_by, shortly, soon};
use crate::relays::{announced, withdrawn};

#[test]
#[ignore = "needs redis-server"]
fn a_server_that_was_killed_is_unreachable_and_used_again_when_it_is_back() {
    let mut server = Server::start();
    let dht = server.engine();
    let record = announced(1, 1);
    let node = record.node_id();
    dht.put(&record, soon()).expect("it is stored");
    dht.join(0, &record, soon()).expect("it joins");
    server.kill();
    assert_eq!(dht.put(&record, soon()), Err(DhtError::Unreachable));
    assert_eq!(dht.join(0, &record, soon()), Err(DhtError::Unreachable));
    assert_eq!(
        read_by(&dht, &node, soon()),
        (vec![], 0, Coverage::Unreachable)
    );
    assert_eq!(members_by(&dht, 0, soon()), (vec![], Coverage::Unreachable));
    server.start_again();
    // It has lost its data and its scripts.
    assert_eq!((read(&dht, &node), members(&dht, 0)), (vec![], vec![]));
    dht.put(&record, soon()).expect("it is stored again");
    dht.join(0, &record, soon()).expect("it joins again");
    assert_eq!(read(&dht, &node), std::slice::from_ref(&record));
    assert_eq!(members(&dht, 0), [(node, Some(record))]);
}

/// Connections that are kept are closed by the restart: the first request finds that out.
#[test]
#[ignore = "needs redis-server"]
fn a_restart_between_two_requests_is_not_noticed() {
    let mut server = Server::start();
    let dht = server.builder().max_in_flight(1).build();
    for number in 1..=3 {
        let record = announced(1, number);
        dht.put(&record, soon()).expect("it is stored");
        assert_eq!(read(&dht, &record.node_id()), [record]);
        server.kill();
        server.start_again();
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_paused_server_holds_no_call_beyond_its_deadline() {
    let server = Server::start();
    let dht = server.builder().max_in_flight(1).build();
    let (one, other) = (announced(1, 1), announced(2, 1));
    for record in [&one, &other] {
        dht.put(record, soon()).expect("it is stored");
    }
    for _ in 0..3 {
        server.pause();
        assert_eq!(
            read_by(&dht, &one.node_id(), shortly()),
            (vec![], 0, Coverage::Unreachable)
        );
        let later = announced(3, 1);
        assert_eq!(dht.put(&later, shortly()), Err(DhtError::Timeout));
        assert_eq!(dht.join(0, &later, shortly()), Err(DhtError::Timeout));
        let gone = withdrawn(3, 2);
        assert_eq!(dht.leave(0, &gone, shortly()), Err(DhtError::Timeout));
        let unread = members_by(&dht, 0, shortly());
        assert_eq!(unread, (vec![], Coverage::Unreachable));
        server.resume();
        // The replies to what was abandoned are not taken for those to what follows.
        for record in [&other, &one, &other] {
            let found = read(&dht, &record.node_id());
            assert_eq!(found, std::slice::from_ref(record));
        }
    }
}

/// What was sent before a deadline may take effect long after it.
#[test]
#[ignore = "needs redis-server"]
fn a_join_that_arrives_late_does_not_undo_a_leave() {
    let server = Server::start();
    let dht = server.engine();
    let (record, gone) = (announced(1, 1), withdrawn(1, 2));
    dht.put(&record, soon()).expect("it is stored");
    dht.join(0, &record, soon()).expect("it joins");
    dht.put(&gone, soon()).expect("it is withdrawn");
    dht.leave(0, &gone, soon()).expect("it leaves");
    assert_eq!(members(&dht, 0), []);
    let late = Err(DhtError::Superseded { stored: None });
    assert_eq!(dht.join(0, &record, soon()), late);
    assert_eq!(members(&dht, 0), []);
    let back = announced(1, 3);
    dht.put(&back, soon()).expect("it is back");
    dht.join(0, &back, soon()).expect("it joins");
    assert_eq!(dht.leave(0, &gone, soon()), late);
    assert_eq!(members(&dht, 0), [(back.node_id(), Some(back))]);
}

#[test]
#[ignore = "needs redis-server"]
fn a_server_without_memory_says_so_and_serves_reads() {
    let server = Server::start();
    let dht = server.engine();
    let record = announced(1, 1);
    dht.put(&record, soon()).expect("it is stored");
    dht.join(0, &record, soon()).expect("it joins");
    server.run::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.run::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let other = announced(2, 1);
    for refused in [dht.put(&other, soon()), dht.join(0, &other, soon())] {
        let Err(DhtError::Unavailable { reason }) = &refused else {
            panic!("not refused for the lack of memory: {refused:?}");
        };
        assert!(reason.starts_with("OOM"), "{reason}");
    }
    assert_eq!(members(&dht, 0), [(record.node_id(), Some(record.clone()))]);
    let gone = withdrawn(1, 2);
    dht.leave(0, &gone, soon())
        .expect("a leave takes no memory");
    server.run::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    dht.put(&other, soon()).expect("there is room");
    assert_eq!(read(&dht, &other.node_id()), [other]);
}

#[test]
#[ignore = "needs redis-server"]
fn a_replica_proves_no_absence_and_takes_no_record() {
    let primary = Server::start();
    let replica = Server::start();
    let dht = replica.engine();
    let record = announced(1, 1);
    let node = record.node_id();
    assert_eq!(
        read_by(&dht, &node, soon()),
        (vec![], 0, Coverage::Complete)
    );
    let port = primary.port().to_string();
    replica.run::<()>(&["REPLICAOF", "127.0.0.1", &port]);
    primary.engine().put(&record, soon()).expect("it is stored");
    until("the record is replicated", || {
        replica.run::<i64>(&["DBSIZE"]) == 1
    });
    let refused = dht.put(&announced(1, 2), soon());
    let Err(DhtError::Unavailable { reason }) = &refused else {
        panic!("a replica took it: {refused:?}");
    };
    assert!(reason.starts_with("READONLY"), "{reason}");
    // The connection from before it was a replica is not used again.
    let found = read_by(&dht, &node, soon());
    assert_eq!(found, (vec![record.clone()], 0, Coverage::Partial));
    assert_eq!(members_by(&dht, 0, soon()), (vec![], Coverage::Partial));
    // A failover.
    replica.run::<()>(&["REPLICAOF", "NO", "ONE"]);
    dht.put(&announced(1, 2), soon()).expect("it is a primary");
}
