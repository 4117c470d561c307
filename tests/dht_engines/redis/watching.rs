//! Nodes that wait for changes.

use relay_registry::dht::{Change, DhtError, Redis, RelayDht};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::server::{Server, until};
use super::soon;
use crate::relays::{announced, withdrawn};

/// What has changed since the last call.
pub(super) fn changes(dht: &Redis, by: Instant) -> Result<Vec<Change>, DhtError> {
    let mut changes = Vec::new();
    dht.changed(by, &mut |change| {
        changes.push(change);
        ControlFlow::Continue(())
    })?;
    Ok(changes)
}

/// A node that is connected.
fn watching(server: &Server) -> Redis {
    let dht = server.engine();
    assert_eq!(changes(&dht, soon()), Ok(vec![Change::Missed]));
    dht
}

#[test]
#[ignore = "needs redis-server"]
fn each_record_that_changes_is_passed_on_once() {
    let server = Server::start();
    let (writer, one, other) = (server.engine(), watching(&server), watching(&server));
    let (record, gone) = (announced(1, 1), withdrawn(1, 2));
    let changed = Ok(vec![Change::Relay(record.node_id())]);
    for write in [&record, &gone] {
        writer.put(write, soon()).expect("it is stored");
        for dht in [&one, &other] {
            assert_eq!(changes(dht, soon()), changed);
        }
    }
    // The same again, and what is refused, change nothing.
    writer.put(&gone, soon()).expect("it is stored");
    assert!(writer.put(&record, soon()).is_err());
    let soon = Instant::now() + Duration::from_millis(50);
    assert_eq!(changes(&one, soon), Ok(vec![]));
}

#[test]
#[ignore = "needs redis-server"]
fn who_waits_on_one_handle_does_not_hold_another_beyond_its_deadline() {
    let server = Server::start();
    let dht = watching(&server);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| changes(&dht, Instant::now() + Duration::from_secs(20)));
        let short = || changes(&dht, Instant::now() + Duration::from_millis(5));
        // One of these calls meets the other that waits.
        for _ in 0..100 {
            assert_eq!(short(), Ok(vec![]));
        }
        assert!(!waiting.is_finished(), "it was held as long as the other");
        let record = announced(1, 1);
        server.engine().put(&record, soon()).expect("it is stored");
        let changed = Ok(vec![Change::Relay(record.node_id())]);
        assert_eq!(waiting.join().expect("it returns"), changed);
    });
}

#[test]
#[ignore = "needs redis-server"]
fn a_node_whose_server_was_restarted_is_told_that_it_missed_changes() {
    let mut server = Server::start();
    let (writer, dht) = (server.engine(), watching(&server));
    server.kill();
    assert_eq!(changes(&dht, soon()), Err(DhtError::Unreachable));
    assert_eq!(changes(&dht, soon()), Err(DhtError::Unreachable));
    server.start_again();
    assert_eq!(changes(&dht, soon()), Ok(vec![Change::Missed]));
    let record = announced(1, 1);
    writer.put(&record, soon()).expect("it is stored");
    let changed = vec![Change::Relay(record.node_id())];
    assert_eq!(changes(&dht, soon()), Ok(changed));
}

#[test]
#[ignore = "needs redis-server"]
fn words_of_other_clients_are_no_changes() {
    let server = Server::start();
    let dht = watching(&server);
    let channel = "relay-registry:main:changes";
    for words in ["", "hi", "*3", "\r\n$1", &"0".repeat(15_000)] {
        let heard: u32 = server.run(&["PUBLISH", channel, words]);
        assert_eq!(heard, 1);
    }
    let by = Instant::now() + Duration::from_millis(50);
    assert_eq!(changes(&dht, by), Ok(vec![]));
    let record = announced(1, 1);
    dht.put(&record, soon()).expect("it is stored");
    let changed = vec![Change::Relay(record.node_id())];
    assert_eq!(changes(&dht, soon()), Ok(changed));
    // Too long to be kept.
    let _: u32 = server.run(&["PUBLISH", channel, &"0".repeat(100_000)]);
    until("it is rejected", || {
        matches!(changes(&dht, soon()), Err(DhtError::Rejected { .. }))
    });
    assert_eq!(changes(&dht, soon()), Ok(vec![Change::Missed]));
}

#[test]
#[ignore = "needs redis-server"]
fn a_paused_server_holds_no_node_that_waits_beyond_its_deadline() {
    let server = Server::start();
    let dht = watching(&server);
    server.pause();
    let by = Instant::now() + Duration::from_millis(50);
    assert_eq!(changes(&dht, by), Ok(vec![]));
    let new = server.engine();
    let by = Instant::now() + Duration::from_millis(50);
    assert_eq!(changes(&new, by), Err(DhtError::Timeout));
    server.resume();
    assert_eq!(changes(&new, soon()), Ok(vec![Change::Missed]));
}
